"""TextGrids of Praat, which are read and written as text.

The reader is our own: ``praatio`` reads no Latin-1, ``textgrid`` no UTF-8 with a mark.
"""

import re
from collections.abc import Mapping, Sequence

from wordless.audio.recordings.annotation import Annotation, Event, one_line
from wordless.base.messages import InputError

# Praat reads free-standing numbers, texts and flags, and skips the rest. So the long text, which has names before the
# values, and the short text, which has not, are one format.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|--undefined--)(?!\S)|(?<!\S)![^\n]*'
)
TEXTGRID = re.compile(r'\s*(?:File type\s*=\s*)?"ooTextFile[^"]*"\s*(?:Object class\s*=\s*)?"TextGrid"')


def textgrid(text: str, shown: str) -> list[Annotation]:
    """Read a TextGrid that was saved as text; other texts are refused.

    An interval without a text is a gap between two parts, and a point has no length.
    """
    if not TEXTGRID.match(text):
        kind = "a binary" if text.startswith("ooBinaryFile") else "no"
        raise InputError(f"{shown}:1: {kind} TextGrid; open it in Praat, and choose Save as text file")
    found, line, place = (match for match in _TOKEN.finditer(text) if match.lastindex), 1, 0

    def take(group: int) -> str:
        """Return the next value, which must be of this group of the expression."""
        nonlocal line, place
        match = next(found, None)
        before, place = place, match.start() if match else len(text)
        line += text.count("\n", before, place)
        if match is None or match.lastindex != group:
            wanted = ("", "a text", "<exists>", "a number")[group]
            raise InputError(f"{shown}:{line}: {match[0] if match else 'the end'!r:.40} stands where {wanted} must")
        return one_line(match[group].replace('""', '"').replace("--undefined--", "nan"))

    _, _, *clock = take(1), take(1), float(take(3)), float(take(3))  # what the file is; begin and end, as of each tier
    count = float(take(3)) if take(2) == "exists" else 0
    number, parts = 0, list[Annotation]()
    while number < count:  # a count that is too large ends with the file
        number, intervals, name = number + 1, take(1) == "IntervalTier", take(1)
        _, _, size = take(3), take(3), float(take(3))
        while size > 0:
            size, start, where = size - 1, take(3), f"{shown}:{line}"
            fields = {"start": start, "end": take(3) if intervals else start, "label": take(1)}
            if fields["label"] or not intervals:
                fault = None if intervals else "a point, which has no length"
                parts.append(Annotation(where, fields, name, fault=fault, clock=(clock[0], clock[1])))
    return parts


def textgrid_text(lengths: Mapping[str, float], events: Mapping[str, Sequence[Event]]) -> str:
    """Write intervals with the gaps between them, in the short form; events that overlap are in tiers of their own."""
    ((path, seconds),) = lengths.items()
    tiers = [list[Event]()]
    for event in events.get(path, ()):
        tier = next((each for each in tiers if not each or each[-1].end <= event.start), None)
        if tier is None:
            tiers.append(tier := [])
        tier.append(event)
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{seconds:.6f}\n<exists>\n{len(tiers)}\n'
    for number, tier in enumerate(tiers, 1):
        intervals, at = list[tuple[float, float, str]](), 0.0
        for event in tier:
            intervals += [(at, event.start, "")] if round(event.start, 6) > round(at, 6) else []
            intervals.append((event.start, at := min(event.end, seconds), one_line(event.label)))
        intervals += [(at, seconds, "")] if round(at, 6) < round(seconds, 6) else []
        name = f"events {number}" if number > 1 else "events"
        text += f'"IntervalTier"\n"{name}"\n0\n{seconds:.6f}\n{len(intervals)}\n'
        for start, end, label in intervals:
            quoted = label.replace('"', '""')
            text += f'{start:.6f}\n{end:.6f}\n"{quoted}"\n'
    return text
