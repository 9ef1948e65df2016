"""Parts of recordings with labels, as files of other programs name them.

Lines of text (Raven, Audacity, `.lab`, CSV, RTTM, CTM), documents of ELAN, and TextGrids of Praat. The readers are our
own: pandas neither numbers lines nor keeps labels of several words that spaces separate from the times, ``pympi-ling``
accepts entities, ``praatio`` reads no Latin-1, and ``textgrid`` no UTF-8 with a mark.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element, ParseError, fromstring

from wordless.audio.recordings import description
from wordless.audio.recordings.description import PATH_COLUMNS, SPAN_FIELDS, seconds_of, words_of
from wordless.audio.recordings.folders import separated
from wordless.audio.recordings.letters import unwrapped
from wordless.audio.recordings.manifest import number_of
from wordless.base.messages import InputError

# What the first lines of a file hold: no labelled parts, those of recordings that a column names, those below a header,
# or those of a file that lists no recordings.
Contents = Literal["others", "parts of recordings", "table", "labels"]
_TIMES = (*SPAN_FIELDS, "duration")


NO_PART = "it names no part"  # fault of a line of another kind, which is left out and not set aside


@dataclass(frozen=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line", of an ELAN document "file: name of the annotation"
    fields: dict[str, str]  # as `recordings.description.describe` reads them
    tier: str = ""  # tier or column of the label; "": the file has one
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used
    columns: Mapping[str, str] = field(default_factory=dict)  # of the file: what each gives; "": nothing
    unread: Mapping[str, Sequence[str]] = field(default_factory=dict)  # cells of columns of the file that give nothing
    clock: tuple[float, float] | None = None  # first and last second of the file, if it names them
    until: str | None = None  # the recording in which the part ends, if that is another one

    @property
    def problem(self) -> str | None:
        """Why the part cannot be used: its fault, or a time that is not there."""
        if self.fault is None:  # for a million parts, without a generator for each
            for name in _TIMES:
                if self.fields.get(name) == "":
                    return f"it has no {name}"
        return self.fault


_HTK, _LEAST = 1e7, 1e6  # HTK counts 100 ns; smaller whole numbers are samples or seconds
_REMARK = ";;"
_FIRST = 50  # lines that show what a text holds
# Columns that Raven and BirdNET write for every selection, and other measurements, which end in their unit
_MEASURED = re.compile(
    r"(begin|end) (file|path|date|date time|clock time|hour|day)|selection|view|channel|confidence|score|notes|"
    r"comments|peak lag|snr nist quick|length|occupancy|"
    r".*\((s|ms|hz|khz|db.*|u|u.|bits|frames|samples|hh.*|pa.*|%|.*/hz)\)"
)
_RAVEN, _OFFSET = "begin time (s)", "file offset (s)"
_KEPT = {"annotated_channel": "channel", "low_hz": "low freq (hz)", "high_hz": "high freq (hz)"}
_USUAL = ("annotation", "annotations", "label", "labels", "species", "common name", "class", "call type", "tag", "tags")
# Words in usual names of columns of times: what they name, the units, and what may stand beside them
_TIME_WORDS = {
    **dict.fromkeys(("start", "starts", "begin", "begins", "beg", "onset", "from", "tmin", "tstart", "xmin"), "start"),
    **dict.fromkeys(("end", "ends", "ending", "stop", "stops", "finish", "to", "tmax", "tend", "xmax"), "end"),
    **dict.fromkeys(("duration", "durations", "dur", "length", "len", "delta", "extent"), "duration"),
    "offset": "offset",
}
_SECONDS = dict.fromkeys(("s", "ss", "sec", "secs", "second", "seconds"), 1.0)
_UNITS: Mapping[str, float | str] = {  # in seconds; those of texts need more than the column to be seconds
    **_SECONDS,
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisec", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("us", "usec", "\u00b5s", "\u03bcs", "micros", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("cs", "centisecond", "centiseconds"), 0.01),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("sample", "samples", "smp", "smpl"), "samples"),
    **dict.fromkeys(("frame", "frames"), "frames"),
}
_BESIDE = {
    *("t", "time", "times", "timestamp", "hh", "mm", "segment", "seg", "part", "event", "annotation", "label", "clip"),
    *("call", "word", "utterance", "utt", "region", "interval", "sound", "audio", "selection", "marker", "chunk"),
    *_UNITS,
}


def time_columns(header: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the columns of ``start``, ``end`` and ``duration`` that a header names by usual names, such as Begin (s).

    ``chosen`` are known columns. A duration counts beside a start without an end; ``offset`` is the start, or the end
    beside ``onset``. Of several columns of a field the plain name counts first, and samples and frames last.
    """
    known = chosen or {}
    found = {name: column for name, column in known.items() if name in _TIMES}
    for column in sorted(header, key=lambda name: (isinstance(unit_of(name), str), name.lower() not in _TIMES)):
        meant = [word for word in words_of(column) if word not in _BESIDE]
        if len(meant) == 1 and (field := _TIME_WORDS.get(meant[0])):
            found.setdefault(field, column)
    if offset := found.pop("offset", None):
        onset = "onset" in words_of(found.get("start", "onset"))
        found.setdefault("end" if "start" in found and onset else "start", offset)
    if "end" in found or "start" not in found:
        found.pop("duration", None)
    return {name: column for name, column in found.items() if name not in known}


def unit_of(column: str) -> float | str | None:
    """Return the unit in the name of a column of times: seconds, or "samples" or "frames"; None: it has none."""
    units = [_UNITS[word] for word in words_of(column) if word in _UNITS]
    return 1.0 if 1.0 in units else next(iter(units), None)


def in_seconds(texts: Sequence[str], column: str, where: str, rates: Sequence[str] = (), *, remedy: str) -> list[str]:
    """Return the times of a column, whose name may have a unit, in seconds, as texts; other texts as they are.

    Samples need the ``rates`` of their rows in Hz; without them, and in frames, they are refused with the ``remedy``.
    """
    if (unit := unit_of(column)) in (None, 1.0):
        return [*texts]
    known = [seconds_of(text, unit if isinstance(unit, float) else 1.0) for text in texts]
    if isinstance(unit, str):
        hertz = [*map(seconds_of, rates)] if unit == "samples" and rates else [None] * len(known)
        pairs = [*zip(known, hertz, strict=True)]
        if any(number is not None and not rate for number, rate in pairs):
            rule = f"{where}: the column {column} counts {unit}, and nothing says how many a second has"
            raise InputError(rule, remedy=remedy)
        known = [number and rate and number / rate for number, rate in pairs]
    return [text if number is None else repr(number) for text, number in zip(texts, known, strict=True)]


def _first_lines(text: str) -> str:
    return "\n".join(text.split("\n", _FIRST)[:_FIRST])


def layout(text: str) -> tuple[str | None, list[str]]:
    """Return the delimiter of a text, and the header if the first line names columns of times."""
    fitting, first = {}, _first_lines(text)
    for delimiter in ("\t", ";", ",", None):
        rows = list[list[str]]()
        with suppress(InputError):
            rows += (cells for _, cells in separated(first, delimiter, "", quoted=delimiter != "\t"))
        if rows and {"start"} < time_columns(rows[0]).keys() and seconds_of(rows[0][0]) is None:
            return delimiter, rows[0]
        fitting[delimiter] = sum(len(cells) > 2 and None not in map(seconds_of, cells[:2]) for cells in rows)
    return (max(fitting, key=lambda each: fitting[each]) if any(fitting.values()) else None), []


def columns(text: str, shown: str, label: str | None = None, group: str | None = None) -> list[Annotation]:
    """Read start, end and label in each line, or columns below a header; ``label`` and ``group`` name some of them."""
    delimiter, header = layout(text)
    rows = _rows(text, shown, delimiter)
    if header:
        return _below(header, rows[1:], shown, label, group)
    found = list[Annotation]()
    for where, cells in rows:
        if cells[0] == "\\" and found:  # frequency bounds of the part before
            bounds = zip(("low_hz", "high_hz"), map(seconds_of, cells[1:3]), strict=False)
            found[-1].fields.update({name: repr(hz) for name, hz in bounds if hz is not None and hz >= 0})
        elif not cells[0].startswith(_REMARK):
            many = "more than start, end and label; write a header that names the columns"
            times = dict(zip_longest(SPAN_FIELDS, cells[:2], fillvalue=""))
            fault = many if delimiter and len(cells) > 3 else None
            found.append(Annotation(where, {**times, "label": " ".join(cells[2:])}, fault=fault))
    return found


def _rows(text: str, shown: str, delimiter: str | None) -> list[tuple[str, list[str]]]:
    lines = separated(text, delimiter, shown, quoted=delimiter != "\t")
    return [(f"{shown}:{number}", cells) for number, cells in lines]


def raven(text: str, shown: str, label: str | None = None, group: str | None = None) -> list[Annotation]:
    """Read a selection table, which has a header."""
    if not layout(text)[1]:
        problem = f"{shown}:1: no column names times, such as Begin Time (s)"
        raise InputError(problem, remedy="save the selections again in Raven")
    return columns(text, shown, label, group)


def lab(text: str, shown: str, label: str | None = None, group: str | None = None) -> list[Annotation]:
    """Read start, end and label in each line; large whole numbers are times of HTK, whose labels a score may follow."""
    found = columns(text, shown, label, group)
    times = {each.fields.get(name, "") for each in found for name in SPAN_FIELDS} - {""}
    if not layout(text)[1] and times and all(map(str.isdecimal, times)) and max(map(float, times)) >= _LEAST:
        for each in found:
            each.fields.update({name: repr(float(each.fields[name] or "nan") / _HTK) for name in SPAN_FIELDS})
            each.fields["label"] = each.fields["label"].partition(" ")[0]
    return found


def rttm(text: str, shown: str) -> list[Annotation]:
    """Read the lines of speakers of an RTTM file."""
    names = ("type", "recording", "annotated_channel", "start", "duration", "text", "speaker_type", "label")
    lines = _fixed(text, shown, names)
    return [each if each.fields["type"] == "SPEAKER" else replace(each, fault=NO_PART) for each in lines]


def ctm(text: str, shown: str) -> list[Annotation]:
    """Read the words of a CTM file."""
    return _fixed(text, shown, ("recording", "annotated_channel", "start", "duration", "label", "confidence"))


def _fixed(text: str, shown: str, names: Sequence[str]) -> list[Annotation]:
    """Read columns of these names, which spaces separate."""
    parts, columns = list[Annotation](), {name: name if name in _FIXED else "" for name in names}
    for where, cells in _rows(text, shown, None):
        if not cells[0].startswith(_REMARK):
            fields = dict(zip_longest(names, cells[: len(names)], fillvalue=""))
            parts.append(Annotation(where, fields, recording=fields.pop("recording"), columns=columns))
    return parts


_FIXED = ("recording", "annotated_channel", "start", "duration", "label", "type")  # columns that are read


def contents(read: Callable[[str, str], list[Annotation]], text: str, *, needs_header: bool = False) -> Contents:
    """Tell a file of annotations from transcripts, pitch tracks and lists of recordings by its first lines.

    Decimals in all labels are measurements, such as pitch; whole numbers between spaces may be words of a transcript.
    """
    text = _first_lines(text)
    delimiter, names = layout(text)
    header = {*map(str.lower, names)}
    with suppress(InputError):  # a header that is wrong: the file is refused when it is read
        parts = read(text, "")
        good = [each.fields for each in parts if not each.problem and seconds_of(each.fields["start"]) is not None]
        good = [each for each in good if seconds_of(each.get("end", each.get("duration", ""))) is not None]
        labels = {each["label"] for each in good} - {""}
        whole = all(each["start"].isdecimal() for each in good)
        words = any(number_of(label) is None or not (whole or "." in label) for label in labels)
        if header:
            words = bool(labels) or not parts or _RAVEN in header
        if not words or (not header and whole and delimiter is None):
            return "others"
    if not header.isdisjoint(PATH_COLUMNS):
        return "parts of recordings"
    return "labels" if _RAVEN in header or not (header or needs_header) else "table"


def _below(
    header: list[str], rows: list[tuple[str, list[str]]], shown: str, label: str | None, group: str | None
) -> list[Annotation]:
    """Read the rows below a header; each column that may hold labels is a tier."""
    lower, times = [name.lower() for name in header], time_columns(header)
    if twice := next((name for name in lower if name and lower.count(name) > 1), None):
        raise InputError(f"{shown}:1: the header names {twice} twice; name each column once")
    if group is not None and group.lower() not in lower:
        raise InputError(f"{shown}:1: no column {group!r}; there are {', '.join(header)}")
    none, width = [""] * len(rows), len(header)
    whole = [cells if len(cells) >= width else cells + [""] * (width - len(cells)) for _, cells in rows]
    table = {name: [*map(itemgetter(n), whole)] for n, name in enumerate(lower)}
    known = {*PATH_COLUMNS, *(column.lower() for column in times.values()), (group or "").lower()}
    chosen, unread = _columns_of_labels({name: table[name.lower()] for name in header}, known, label)

    fields = {name: table[column] for name, column in _KEPT.items() if column in table}
    fields |= {"group": table[group.lower()]} if group else {}
    remedy = "write seconds, or use whole recordings with `annotations`=none"
    for name, column in times.items():
        fields[name] = in_seconds(table[column.lower()], column, f"{shown}:1", remedy=remedy)
    paths = zip(table.get("begin path", none), table.get("begin file", none), strict=True)
    files = [path or name for path, name in paths]
    last = table.get("end file", none)
    faults = _count_from_files(files, last, table.get(_OFFSET, none), fields)
    across = {row: end for row, (file, end) in enumerate(zip(files, last, strict=True)) if not file.endswith(end)}
    faults |= {
        row: "more values than the header has columns" for row, (_, each) in enumerate(rows) if any(each[width:])
    }

    known_as = {column: name for name, column in _KEPT.items()}
    known_as |= {column.lower(): name for name, column in times.items()}
    known_as |= dict.fromkeys((*PATH_COLUMNS, "begin path", "begin file"), "recording") | {_OFFSET: "start"}
    known_as |= {group.lower(): "group"} if group else {}
    uses = {name or f"(column {n})": known_as.get(name.lower(), "") for n, name in enumerate(header, 1)}
    uses |= dict.fromkeys(filter(None, chosen), "label")
    cells_of = {name: table[name.lower()] for name in unread}
    places = [files, *(table[name] for name in PATH_COLUMNS if name in table)]
    recordings = [next(filter(None, each), None) for each in zip(*places, strict=True)]
    parts, names = list[Annotation](), (*fields, "label")
    for name in chosen:
        values = zip(*fields.values(), table.get(name.lower(), none), strict=True)
        for row, (each, recording, (where, _)) in enumerate(zip(values, recordings, rows, strict=True)):
            said = dict(zip(names, each, strict=True))
            of_file = (name, recording, faults.get(row), uses, cells_of)
            parts.append(Annotation(where, said, *of_file, until=across.get(row)))
    return parts


def _columns_of_labels(
    table: Mapping[str, Sequence[str]], known: set[str], label: str | None
) -> tuple[list[str], list[str]]:
    """Return the columns that may hold labels, and others that nothing reads; ``label`` chooses one.

    They are the usual column if there is one, else those with text, else all that are no measurements; "": none.
    """
    free = [name for name in table if name.lower() not in known and not _MEASURED.fullmatch(name.lower())]
    free = [name for name in free if len(free) == 1 or any(table[name])]
    texts = [
        name
        for name in free
        if any(number_of(cell or "0") is None and cell not in description.MISSING for cell in table[name])
    ]
    there = {name.lower() for name in table}
    chosen = [label] if label and label.lower() in there else [name for name in free if name.lower() in _USUAL]
    chosen = chosen or texts or (free if _RAVEN in there or len(free) == 1 else []) or [""]
    return chosen, [name for name in free if name not in chosen and name != label]


def _count_from_files(
    files: Sequence[str], last: Sequence[str], offsets: Sequence[str], fields: Mapping[str, list[str]]
) -> dict[int, str]:
    """Make the times of a table of several files, which count from the first, those of each file; return faults."""
    several, faults = len({*files}) > 1, dict[int, str]()
    if not (several or any(last) or any(offsets)):
        return faults
    for row, (file, end_file, text) in enumerate(zip(files, last, offsets, strict=True)):
        offset = seconds_of(text)
        if not file.endswith(end_file) or (offset is None and several):
            faults[row] = f"its time in {file} is not known: export the column 'File Offset (s)' of a part in one file"
            for name in fields.keys() & {*_TIMES}:  # which count from another file
                fields[name][row] = ""
        elif offset is not None and "end" in fields:
            start, end = (seconds_of(fields[name][row]) for name in SPAN_FIELDS)
            if start is not None and end is not None:
                fields["start"][row], fields["end"][row] = repr(offset), repr(offset + end - start)
        elif offset is not None:  # the duration is the same
            fields["start"][row] = repr(offset)
    return faults


_ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


def elan(text: str, shown: str) -> list[Annotation]:
    """Read an ELAN document in milliseconds, without a document type; other texts are refused.

    A referring annotation has the time of the one that it refers to.
    """
    if "<!DOCTYPE" in text:
        raise InputError(f"{shown}:1: it declares a type (DOCTYPE), whose entities may expand without limit")
    try:
        root = fromstring(text)
    except (ParseError, ValueError) as error:
        line = error.position[0] if isinstance(error, ParseError) else 1
        raise InputError(f"{shown}:{line}: no XML that is read ({error}); save it again in ELAN") from error
    units = {each.get("TIME_UNITS", "milliseconds") for each in root.iter("HEADER")} | {"milliseconds"}
    if root.tag != "ANNOTATION_DOCUMENT" or len(units) > 1:
        raise InputError(f"{shown}:1: no ANNOTATION_DOCUMENT in milliseconds alone, but {units}; save it in ELAN")
    # The recording is a WAV file among the media, or one of the name of the document: its time begins at the origin.
    media = {
        each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL") or "": each.get("TIME_ORIGIN", "").strip()
        for each in root.iter("MEDIA_DESCRIPTOR")
    }
    stem = PurePosixPath(shown).stem
    url = min(media, key=lambda each: (not each.lower().endswith(".wav"), PurePosixPath(each).stem != stem), default="")
    origin, recording = media.get(url) or "0", re.sub(r"^file:/{0,2}(?=/|\.)", "", url) or None
    if re.fullmatch(r"[-+]?\d{1,15}", origin) is None:
        raise InputError(f"{shown}: TIME_ORIGIN is {origin!r:.40}; it must be a whole number of milliseconds")
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE", "") for slot in root.iter("TIME_SLOT")}
    by_id = {each.get("ANNOTATION_ID"): each for each in root.iter() if each.tag in _ANNOTATIONS}
    by_name, parts = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}, list[Annotation]()
    for tier in root.iter("TIER"):  # the speaker is that of the tier, or of the nearest one above that names one
        speakers = [unwrapped(each.get("PARTICIPANT", "")) for each in _chain(tier, "PARENT_REF", by_name)]
        for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
            last = _chain(each, "ANNOTATION_REF", by_id)[-1]
            times = [slots.get(last.get(f"TIME_SLOT_REF{number}"), "") for number in (1, 2)]
            start, end = (repr((int(origin) + float(time)) / 1000) if time.isdecimal() else time for time in times)
            fields = {"start": start, "end": end, "group": next(filter(None, speakers), "")}
            if label := unwrapped("".join(each.itertext())):
                where, fields["label"] = f"{shown}: {each.get('ANNOTATION_ID')}", label
                parts.append(Annotation(where, fields, unwrapped(tier.get("TIER_ID", "")), recording))
    return parts


def _chain(first: Element, reference: str, by_name: Mapping[str | None, Element]) -> list[Element]:
    found = [first]
    while (after := by_name.get(found[-1].get(reference, ""))) is not None and len(found) < 100:
        found.append(after)
    return found


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
        return unwrapped(match[group].replace('""', '"').replace("--undefined--", "nan"))

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
