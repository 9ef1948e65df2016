"""Formats of annotations that other tools wrote: parts of recordings with start, end and label, read as they are.

========  ==============================================================  ==========================================
kind      files                                                           label; group
========  ==============================================================  ==========================================
raven     selection tables: tab-separated, with ``Begin Time (s)``        a column beyond Raven's measurements
elan      ``.eaf``                                                        a tier
textgrid  Praat ``.TextGrid``, long or short text                         a tier of intervals
audacity  label tracks, ``.txt``                                          the text
rttm      NIST ``.rttm``                                                  the speaker's name
ctm       NIST ``.ctm``                                                   the word
lab       ``.lab`` of HTK (100 ns) or in seconds                          the text
kaldi     a folder with ``wav.scp``, ``segments``, ``text``...            ``utt2label`` or ``text``; ``utt2spk``
lhotse    ``.jsonl``, ``.jsonl.gz``: cuts, or recordings + supervisions   ``custom.label`` or ``text``; ``speaker``
========  ==============================================================  ==========================================

The readers are our own, because each has few lines: ``praatio`` reads no Latin-1 and ``textgrid`` no UTF-8 with a mark,
``pympi-ling`` accepts a document type with entities, and ``crowsetta`` brings pandas, pandera and SciPy. Kaldi and
lhotse are read by `wordless.audio.recordings.speech_manifests`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wordless.base.errors import InputError

Kind = Literal["raven", "elan", "textgrid", "audacity", "kaldi", "lhotse", "rttm", "ctm", "lab"]
AnnotationKind = Literal["auto", "none", Kind]
NUMBER = r"[-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, kw_only=True)
class AnnotationConfig:
    """Options of the annotations of a folder."""

    kind: AnnotationKind = "auto"
    tier: str | None = None  # tier, or column of a selection table, that has the labels; None: the only one
    column: str | None = None  # of a selection table, that has the labels; another name of ``tier``
    group: str | None = None  # column of a selection table that has the groups

    @property
    def labels(self) -> str | None:
        """The tier or column that has the labels."""
        return self.tier or self.column

    @property
    def option(self) -> str:
        """The option that names it."""
        return "tier" if self.tier else "columns.label"


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line"
    fields: Mapping[str, str] = field(default_factory=dict)  # as `recordings.description.describe` reads them
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A recording that an ELAN document names."""

    urls: tuple[str, ...]  # as the document writes them
    origin: float  # seconds of the recording at which the document's time begins: media are aligned by these


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Annotations of one kind in a file: a tier, a column of labels, or all there are."""

    name: str = ""
    annotations: Sequence[Annotation] = ()
    gaps: int = 0  # empty intervals between the annotations, which are no parts
    points: int = 0  # times without a length
    media: tuple[Medium, ...] = ()  # that the file names


def seconds(text: str) -> str:
    """Return a number with a point for the decimals; some tools write the comma of their country."""
    text = text.strip()
    return text.replace(",", ".") if re.fullmatch(NUMBER, text) else text


def one_line(text: str) -> str:
    """Return a label without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())


# Raven

BEGIN, END, OFFSET = "begin time (s)", "end time (s)", "file offset (s)"
# Columns that Raven and BirdNET write for every selection; a column whose name ends in a unit is a measurement as well.
_MEASURED = {
    *("selection", "view", "channel", "begin file", "end file", "begin path", "end path", "begin date", "end date"),
    *("begin date time", "end date time", "begin clock time", "end clock time", "begin hour", "begin day", "end day"),
    *("confidence", "score", "peak lag", "snr nist quick", "notes", "comments", "length", "occupancy"),
}
_UNIT = re.compile(r"\((?:s|ms|hz|khz|db.*|u|u.|bits|frames|samples|hh.*|pa.*|%|.*/hz)\)$")
_USUAL = ("annotation", "annotations", "label", "labels", "species", "common name", "class", "call type", "tag", "tags")


def is_raven(first: str) -> bool:
    """Return whether a line is the header of a selection table."""
    return {BEGIN, END} <= {name.strip().lower() for name in first.split("\t")}


def raven(text: str, shown: str, label: str | None, group: str | None) -> list[Tier]:
    """Read a selection table; each column that may hold labels is a tier. ``label`` and ``group`` name columns."""
    head, *lines = text.split("\n")
    if not is_raven(head):
        raise InputError(f"{shown}:1: a selection table of Raven has the columns Begin Time (s) and End Time (s)")
    header = [name.strip() for name in head.split("\t")]
    lower = [name.lower() for name in header]
    if group is not None and group.lower() not in lower:
        raise InputError(f"{shown}:1: no column {group!r}; the selection table has {', '.join(header)}")
    rows: list[tuple[str, dict[str, str]]] = []  # place and cells; no cells if there are too many
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if line.strip():
            fits = not any(cells[len(header) :])
            cells += [""] * (len(header) - len(cells))
            rows.append((f"{shown}:{number}", dict(zip(lower, cells, strict=False)) if fits else {}))
    several = len({_begin_file(cells) for _, cells in rows if cells}) > 1
    parts = [_selection(where, cells, len(header), several=several) for where, cells in rows]

    columns = [label] if label and label.lower() in lower else []
    if not columns:
        # the usual column of labels if there is one, else those with text, else all that are no measurements
        filled = [cells for _, cells in rows if cells]
        names = [name for name in header if name and name.lower() not in _MEASURED and not _UNIT.search(name.lower())]
        if len(names) > 1:
            names = [name for name in names if any(cells[name.lower()].strip() for cells in filled)]
        measure = re.compile(rf"\s*(?:{NUMBER}\s*)?")
        texts = [name for name in names if not all(measure.fullmatch(cells[name.lower()]) for cells in filled)]
        usual = [name for name in names if name.lower() in _USUAL]
        columns = usual or (texts if len(names) > 1 else []) or names

    def cell(cells: dict[str, str], column: str | None) -> str:
        return one_line(cells.get(column.lower(), "")) if column else ""

    return [
        Tier(
            name=column,
            annotations=[
                replace(part, fields={**part.fields, "label": cell(cells, column), "group": cell(cells, group)})
                for part, (_, cells) in zip(parts, rows, strict=True)
            ],
        )
        for column in columns or [""]
    ]


def _begin_file(cells: dict[str, str]) -> str:
    return cells.get("begin path", "").strip() or cells.get("begin file", "").strip()


def _selection(where: str, cells: dict[str, str], columns: int, *, several: bool) -> Annotation:
    """Read the times of a row; ``several``: the table is of several files."""
    if not cells:
        return Annotation(where=where, fault=f"more values than the {columns} columns of the header")
    start, end = seconds(cells[BEGIN]), seconds(cells[END])
    file, last = _begin_file(cells), cells.get("end file", "").strip()
    fault = None
    if file and last and PurePosixPath(file.replace("\\", "/")).name != last:
        fault = f"begins in {file} and ends in {last}; a part lies in one file"
    elif file and (offset := seconds(cells.get(OFFSET, ""))):
        try:
            start, end = offset, repr(float(offset) + float(end) - float(start))
        except ValueError:
            fault = f"{BEGIN!r}, {END!r} and {OFFSET!r} must be numbers of seconds"
    elif several:
        fault = "its time counts from the first of several files; export the column 'File Offset (s)' as well"
    if not fault and not (start and end):
        fault = f"no {'end' if start else 'begin'} time"
    fields = {"start": start, "end": end, "annotated_channel": cells.get("channel", "").strip()}
    fields |= {name: seconds(cells.get(f"{name[:-3]} freq (hz)", "")) for name in ("low_hz", "high_hz")}
    return Annotation(where=where, fields=fields, recording=file or None, fault=fault)


# Audacity, .lab, RTTM and CTM: a part in each line

_TRACK = re.compile(rf"({NUMBER})\t({NUMBER})(?:\t(.*))?")
_BOUNDS = re.compile(rf"\\\t({NUMBER})\t({NUMBER})\s*")
_LAB = re.compile(rf"\s*({NUMBER})\s+({NUMBER})\s+(\S.*)")
HTK_UNITS = 1e7  # a second; HTK counts 100 ns


def has_line(text: str, kind: Literal["audacity", "lab"]) -> bool:
    """Return whether any line of a text is one of a label track, or of a ``.lab``."""
    pattern = _TRACK if kind == "audacity" else _LAB
    return any(pattern.fullmatch(line) for line in text.split("\n"))


def is_label_track(text: str) -> bool:
    """Return whether a text is a label track: every line has start, end and label, and two of three give numbers.

    A line whose times are no numbers is then one fault, and not another kind of text. Three columns of decimals are
    measurements, such as pitch.
    """
    lines = [line for line in text.split("\n") if line.strip() and not _BOUNDS.fullmatch(line)]
    if not lines or any(line.count("\t") != 2 for line in lines):
        return False
    found = [match for line in lines if (match := _TRACK.fullmatch(line))]
    decimals = all("." in match[3] and re.fullmatch(NUMBER, match[3].strip()) for match in found)
    return 3 * len(found) >= 2 * len(lines) and not decimals


def audacity(text: str, shown: str) -> list[Tier]:
    """Read a label track; a line that begins with a backslash has the frequency bounds of the label before it."""
    found: list[Annotation] = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{shown}:{number}"
        if bounds := _BOUNDS.fullmatch(line):
            known = dict(zip(("low_hz", "high_hz"), map(seconds, bounds.groups()), strict=True))
            known = {name: hz for name, hz in known.items() if not hz.startswith("-")}
            found[-1:] = [replace(last, fields={**last.fields, **known}) for last in found[-1:]]
        elif match := _TRACK.fullmatch(line):
            fields = {"start": seconds(match[1]), "end": seconds(match[2]), "label": one_line(match[3] or "")}
            found.append(Annotation(where=where, fields=fields))
        elif line.strip():
            fault = f"{line!r:.60} is no start<TAB>end<TAB>label with times in seconds"
            found.append(Annotation(where=where, fault=fault))
    return [Tier(annotations=found)]


def is_lab(text: str) -> bool:
    """Return whether every line has start, end and label; a transcript, as forced aligners write it, has not."""
    found = [_LAB.fullmatch(line) for line in text.split("\n") if line.strip()]
    times = [float(seconds(match[2])) for match in found if match]
    return len(times) == len(found) > 0 and (not _is_htk(text) or max(times) >= HTK_UNITS / 1000)


def _is_htk(text: str) -> bool:
    """Return whether all times are whole numbers, as HTK writes them."""
    found = [_LAB.fullmatch(line) for line in text.split("\n")]
    return all(match[1].isdecimal() and match[2].isdecimal() for match in found if match)


def lab(text: str, shown: str) -> list[Tier]:
    """Read a ``.lab``: times are seconds, or, if all are whole numbers, 100 ns."""
    unit = HTK_UNITS if _is_htk(text) else 1.0
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{shown}:{number}"
        if match := _LAB.fullmatch(line):
            start, end = (repr(float(seconds(each)) / unit) for each in match.groups()[:2])
            label = match[3].split()[0] if unit != 1.0 else one_line(match[3])  # HTK has scores behind the label
            found.append(Annotation(where=where, fields={"start": start, "end": end, "label": label}))
        elif line.strip():
            found.append(Annotation(where=where, fault=f"{line!r:.60} is no start, end and label"))
    return [Tier(annotations=found)]


def rttm(text: str, shown: str) -> list[Tier]:
    """Read the lines SPEAKER of an RTTM: the speaker is the label."""
    return _timed_words(text, shown, kind="SPEAKER", first=1, least=8, label=7)


def ctm(text: str, shown: str) -> list[Tier]:
    """Read a CTM: a word in each line."""
    return _timed_words(text, shown, kind=None, first=0, least=5, label=4)


def _timed_words(text: str, shown: str, *, kind: str | None, first: int, least: int, label: int) -> list[Tier]:
    """Read file, channel, start and duration from column ``first`` on."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        cells, where = line.split(), f"{shown}:{number}"
        if not cells or line.startswith(";;") or (kind is not None and cells[0] != kind):
            continue
        if len(cells) < least:
            fault = f"{len(cells)} columns, and at least {least} are needed"
            found.append(Annotation(where=where, fault=fault))
            continue
        name, channel, start, duration = cells[first : first + 4]
        try:
            end = repr(float(start) + float(duration))
        except ValueError:  # reported when the part is described
            end = duration
        fields = {"start": start, "end": end, "label": cells[label], "annotated_channel": channel}
        found.append(Annotation(where=where, fields=fields, recording=name))
    return [Tier(annotations=found)]


# Praat reads free-standing numbers, texts and flags, and skips the rest. So the long text, which has names before the
# values, and the short text, which has not, are one format.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|--undefined--)(?!\S)|(?<!\S)![^\n]*'
)


def textgrid(text: str, shown: str) -> list[Tier]:
    """Read a TextGrid; an interval with an empty text is a gap between two parts.

    Raises:
        InputError: the file is no TextGrid in text, or ends too early.
    """
    if text.startswith("ooBinaryFile"):
        raise InputError(f"{shown}:1: a binary TextGrid; open it in Praat, and choose Save as text file")
    tokens = _Tokens(text, shown)
    kind, name = tokens.text(), tokens.text()
    if not kind.startswith("ooTextFile") or name != "TextGrid":
        raise InputError(f"{shown}:1: not a TextGrid but {kind!r:.40} {name!r:.40}; in Praat choose Save as text file")
    _ = tokens.number(), tokens.number()  # begin and end, as of each tier
    count = tokens.number() if tokens.next(2, "<exists> or <absent>") == "exists" else 0.0
    tiers: list[Tier] = []
    while len(tiers) < count:  # a count that is too large ends with the file
        kind, name = tokens.text(), one_line(tokens.text())
        _ = tokens.number(), tokens.number()
        size, number, gaps, found = tokens.number(), 0, 0, list[Annotation]()
        while number < size:
            number += 1
            start = tokens.number()
            where = f"{shown}:{tokens.line}"
            end = tokens.number() if kind == "IntervalTier" else start
            label = one_line(tokens.text())
            gaps += not label
            if label and kind == "IntervalTier":
                found.append(Annotation(where=where, fields={"start": repr(start), "end": repr(end), "label": label}))
        points = 0 if kind == "IntervalTier" else number
        tiers.append(Tier(name=name, annotations=found, gaps=0 if points else gaps, points=points))
    return tiers


class _Tokens:
    """The values of a TextGrid in their order, with their lines."""

    def __init__(self, text: str, shown: str) -> None:
        self.line, self._shown, self._at, self._text = 1, shown, 0, text
        self._found = (match for match in _TOKEN.finditer(text) if match.lastindex)

    def text(self) -> str:
        return self.next(1, "a text in quotation marks").replace('""', '"')

    def number(self) -> float:
        return float(self.next(3, "a number").replace("--undefined--", "nan"))

    def next(self, group: int, wanted: str) -> str:
        """Return the next value, which must be of this group of the expression."""
        match = next(self._found, None)
        if match is None:
            raise InputError(f"{self._shown}:{self.line}: the TextGrid ends here, and {wanted} must follow")
        self.line += self._text.count("\n", self._at, match.start())
        self._at = match.start()
        if match.lastindex != group:
            raise InputError(f"{self._shown}:{self.line}: {match.group()!r:.40} stands where {wanted} must stand")
        return match[group]


_ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


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
    media = []
    for each in root.iter("MEDIA_DESCRIPTOR"):
        urls = [each.get(name, "") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")]
        origin = each.get("TIME_ORIGIN", "").strip() or "0"
        if re.fullmatch(r"[-+]?\d{1,15}", origin) is None:
            where = f"{shown}:{each.get('line')}"
            raise InputError(f"{where}: TIME_ORIGIN is {origin!r:.40}; it must be a whole number of milliseconds")
        plain = tuple(re.sub(r"^file:/{0,2}(?=/|\.)", "", url) for url in urls if url)
        media.append(Medium(urls=plain, origin=int(origin) / 1000))
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    by_id = {each.get("ANNOTATION_ID"): each for each in root.iter() if each.tag in _ANNOTATIONS}
    by_name = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
    tiers = []
    for tier in root.iter("TIER"):
        speaker, place = "", tier.get("TIER_ID")  # the speaker of the tier, or of the nearest one above that names one
        for _ in by_name:  # parents that go in a circle end
            if speaker or (above := by_name.get(place)) is None:
                break
            speaker, place = one_line(above.get("PARTICIPANT", "")), above.get("PARENT_REF")
        found = list(_aligned(tier, by_id, slots, speaker, shown))
        filled = [each for each in found if each]
        name = one_line(tier.get("TIER_ID", ""))
        tiers.append(Tier(name=name, annotations=filled, gaps=len(found) - len(filled), media=tuple(media)))
    return tiers or [Tier(media=tuple(media))]


def _aligned(
    tier: Element, by_id: dict[str | None, Element], slots: dict[str | None, str | None], speaker: str, shown: str
) -> Iterator[Annotation | None]:
    """Give the annotations of a tier; None for one without a text."""
    for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
        where, label = f"{shown}:{each.get('line')}", one_line("".join(each.itertext()))
        if not label:
            yield None
            continue
        alignable: Element | None = each
        for _ in by_id:  # references that go in a circle end
            if alignable is None or alignable.tag == "ALIGNABLE_ANNOTATION":
                break
            alignable = by_id.get(alignable.get("ANNOTATION_REF"))
        if alignable is None or alignable.tag != "ALIGNABLE_ANNOTATION":
            yield Annotation(where=where, fault="refers to no annotation that has a time")
            continue
        times = [slots.get(alignable.get(f"TIME_SLOT_REF{number}")) for number in (1, 2)]
        if None in times:
            yield Annotation(where=where, fault="one of its time slots has no time; align it in ELAN")
            continue
        texts = [str(time) for time in times]
        start, end = (repr(int(text) / 1000) if text.isdecimal() and len(text) < 16 else text for text in texts)
        yield Annotation(where=where, fields={"start": start, "end": end, "label": label, "group": speaker})


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
