"""Annotations in tiers: Praat TextGrids and ELAN documents."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wordless.audio.recordings.annotations.annotation import Annotation, Medium, Tier, one_line
from wordless.base.errors import InputError

# Praat reads free-standing numbers, texts and flags, and skips the rest. So the long text, which has names before the
# values, and the short text, which has not, are one format.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|--undefined--)(?!\S)|(?<!\S)![^\n]*'
)
BINARY_TEXTGRID = "ooBinaryFile"


def textgrid(text: str, shown: str) -> list[Tier]:
    """Read a TextGrid; an interval with an empty text is a gap between two parts.

    Raises:
        InputError: the file is no TextGrid in text, or ends too early.
    """
    if text.startswith(BINARY_TEXTGRID):
        raise InputError(f"{shown}:1: a binary TextGrid; open it in Praat, and choose Save as text file")
    tokens = _Tokens(text, shown)
    kind, name = tokens.text(), tokens.text()
    if not kind.startswith("ooTextFile") or name != "TextGrid":
        raise InputError(f"{shown}:1: not a TextGrid but {kind!r:.40} {name!r:.40}; in Praat choose Save as text file")
    for _ in range(2):
        tokens.number()
    count = tokens.number() if tokens.flag() == "exists" else 0.0
    tiers: list[Tier] = []
    while len(tiers) < count:  # a count that is too large ends with the file
        tiers.append(_tier(tokens))
    return tiers


class _Tokens:
    """The values of a TextGrid in their order, with their lines."""

    def __init__(self, text: str, shown: str) -> None:
        self.shown, self.line, self._at, self._text = shown, 1, 0, text
        self._found = (match for match in _TOKEN.finditer(text) if match.lastindex)

    def text(self) -> str:
        """Return the next value, which must be a text."""
        return self._next(1, "a text in quotation marks").replace('""', '"')

    def flag(self) -> str:
        """Return exists or absent."""
        return self._next(2, "<exists> or <absent>")

    def number(self) -> float:
        """Return the next value, which must be a number; an undefined one is not a number."""
        found = self._next(3, "a number")
        return float("nan") if found == "--undefined--" else float(found)

    def _next(self, group: int, wanted: str) -> str:
        match = next(self._found, None)
        if match is None:
            raise InputError(f"{self.shown}:{self.line}: the TextGrid ends here, and {wanted} must follow")
        self.line += self._text.count("\n", self._at, match.start())
        self._at = match.start()
        if match.lastindex != group:
            raise InputError(f"{self.shown}:{self.line}: {match.group()!r:.40} stands where {wanted} must stand")
        return match[group]


def _tier(tokens: _Tokens) -> Tier:
    kind, name = tokens.text(), one_line(tokens.text())
    for _ in range(2):
        tokens.number()
    count = tokens.number()
    found: list[Annotation] = []
    gaps = number = 0
    while number < count:
        number += 1
        start = tokens.number()
        where = f"{tokens.shown}:{tokens.line}"
        end = tokens.number() if kind == "IntervalTier" else start
        label = one_line(tokens.text())
        gaps += not label
        if label and kind == "IntervalTier":
            found.append(Annotation(where=where, fields={"start": repr(start), "end": repr(end), "label": label}))
    points = number if kind != "IntervalTier" else 0
    return Tier(name=name, annotations=found, gaps=0 if points else gaps, points=points)


def elan(content: bytes, shown: str) -> list[Tier]:
    """Read an ELAN document; a referring annotation has the time of the one that it refers to.

    Raises:
        InputError: the content is no XML, has a document type, or has no ELAN document.
    """
    root = _parsed(content, shown)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{shown}:1: an XML document of {root.tag!r:.40}, and not an ANNOTATION_DOCUMENT of ELAN")
    if (unit := next((each.get("TIME_UNITS") for each in root.iter("HEADER")), None)) not in (None, "milliseconds"):
        raise InputError(f"{shown}:1: its times are {unit!r:.40}, and only milliseconds are read; save it in ELAN")
    media = _media(root, shown)
    participants = {
        tier.get("TIER_ID"): (tier.get("PARTICIPANT"), tier.get("PARENT_REF")) for tier in root.iter("TIER")
    }
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    found = {each.get("ANNOTATION_ID"): each for each in root.iter() if each.tag in _ANNOTATIONS}
    in_tiers = [
        Tier(
            name=one_line(tier.get("TIER_ID", "")),
            annotations=[each for each in several if each is not None],
            gaps=sum(each is None for each in several),
            media=media,
        )
        for tier in root.iter("TIER")
        for speaker in [_participant(tier.get("TIER_ID"), participants)]
        for several in [list(_annotations(tier, found, slots, speaker, shown))]
    ]
    return in_tiers or [Tier(media=media)]


def _media(root: Element, shown: str) -> tuple[Medium, ...]:
    media = []
    for each in root.iter("MEDIA_DESCRIPTOR"):
        urls = [each.get(name, "") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")]
        origin = each.get("TIME_ORIGIN", "").strip() or "0"
        if re.fullmatch(r"[-+]?\d{1,15}", origin) is None:
            where = f"{shown}:{each.get('line')}"
            raise InputError(f"{where}: TIME_ORIGIN is {origin!r:.40}; it must be a whole number of milliseconds")
        plain = tuple(re.sub(r"^file:/{0,2}(?=/|\.)", "", url) for url in urls if url)
        media.append(Medium(urls=plain, origin=int(origin) / 1000))
    return tuple(media)


def _participant(name: str | None, participants: Mapping[str | None, tuple[str | None, str | None]]) -> str:
    """Return the speaker of a tier, or that of the nearest tier above which names one."""
    for _ in participants:  # parents that go in a circle end
        speaker, parent = participants.get(name, (None, None))
        if speaker and speaker.strip():
            return one_line(speaker)
        name = parent
    return ""


_ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


def _annotations(
    tier: Element, found: dict[str | None, Element], slots: dict[str | None, str | None], speaker: str, shown: str
) -> Iterator[Annotation | None]:
    for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
        where, label = f"{shown}:{each.get('line')}", one_line("".join(each.itertext()))
        if not label:
            yield None
            continue
        alignable: Element | None = each
        for _ in found:  # references that go in a circle end
            if alignable is None or alignable.tag == "ALIGNABLE_ANNOTATION":
                break
            alignable = found.get(alignable.get("ANNOTATION_REF"))
        if alignable is None or alignable.tag != "ALIGNABLE_ANNOTATION":
            fault = "refers to no annotation that has a time"
            yield Annotation(where=where, fields={}, fault=fault)
            continue
        times = [slots.get(alignable.get(f"TIME_SLOT_REF{number}")) for number in (1, 2)]
        if None in times:
            yield Annotation(where=where, fields={}, fault="one of its time slots has no time; align it in ELAN")
            continue
        start, end = (_milliseconds(str(time)) for time in times)
        yield Annotation(where=where, fields={"start": start, "end": end, "label": label, "group": speaker})


def _milliseconds(text: str) -> str:
    return repr(int(text) / 1000) if text.isdecimal() and len(text) < 16 else text


def _parsed(content: bytes, shown: str) -> Element:
    """Parse XML without a document type, so that no entity can expand; each element gets its line."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, Any]) -> None:
        builder.start(tag, {**attributes, "line": str(parser.CurrentLineNumber)})

    def refuse(*_: object) -> NoReturn:
        problem = f"{shown}:{parser.CurrentLineNumber}: the document declares a type (DOCTYPE)"
        raise InputError(f"{problem}, whose entities may expand without limit; remove the declaration")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
        return builder.close()
    except InputError:
        raise
    except expat.ExpatError as error:
        raise InputError(f"{shown}:{error.lineno}: not XML ({expat.ErrorString(error.code)}); save it again") from error
    except (ValueError, LookupError) as error:  # of an encoding that is not known
        raise InputError(f"{shown}:1: not XML ({error}); save it again in UTF-8") from error
