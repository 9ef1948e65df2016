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
``pympi-ling`` accepts a document type with entities, and ``crowsetta`` brings pandas, pandera and SciPy.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from wordless.audio.recordings.description import PATH_COLUMNS
from wordless.audio.recordings.folders import read_annotation_text
from wordless.base.errors import InputError
from wordless.base.values import nan_as_none

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

    where: str  # "file:line", of an ELAN document "file: name of the annotation"
    fields: Mapping[str, str] = field(default_factory=dict)  # as `recordings.description.describe` reads them
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Annotations of one kind in a file: a tier, a column of labels, or all there are."""

    name: str = ""
    annotations: Sequence[Annotation] = ()
    gaps: int = 0  # empty intervals between the annotations, which are no parts
    points: int = 0  # times without a length
    # of an ELAN document: the address of each recording that it names, and the second of the recording at which the
    # document's time begins
    media: Mapping[str, float] = field(default_factory=dict)


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


def _by_columns(
    text: str, shown: str, names: Sequence[str], *, separator: str | None = None, least: int, kind: str | None = None
) -> list[Annotation]:
    """Read a part in each line: ``names`` are the fields of its columns, "" of one that is left out.

    The last column has the rest of the line. Comments, and lines with another first column than ``kind``, are left out.
    """
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        cells, where = line.split(separator, len(names) - 1), f"{shown}:{number}"
        if not line.strip() or line.startswith(";;") or (kind is not None and cells[0] != kind):
            continue
        fields = {name: one_line(cell) for name, cell in zip(names, cells, strict=False) if name}
        fields |= {name: seconds(fields[name]) for name in ("start", "end", "duration") if name in fields}
        fault = None if len(cells) >= least else f"{line!r:.60} has not the {least} columns that are needed"
        found.append(Annotation(where=where, fields=fields, recording=fields.pop("recording", None), fault=fault))
    return found


def audacity(text: str, shown: str) -> list[Tier]:
    """Read a label track; a line that begins with a backslash has the frequency bounds of the label before it."""
    found: list[Annotation] = []
    for each in _by_columns(text, shown, ("start", "end", "label"), separator="\t", least=2):
        if each.fields["start"] == "\\" and found:
            bounds = {"low_hz": each.fields.get("end", ""), "high_hz": seconds(each.fields.get("label", ""))}
            known = {name: hz for name, hz in bounds.items() if re.fullmatch(NUMBER, hz) and not hz.startswith("-")}
            found[-1] = replace(found[-1], fields={**found[-1].fields, **known})
        else:
            found.append(each)
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
    """Read a ``.lab``: times are seconds, or, if all are whole numbers, 100 ns, with scores behind the label."""
    found = _by_columns(text, shown, ("start", "end", "label"), least=3)
    for number, each in enumerate(found if _is_htk(text) else ()):
        times = {name: each.fields.get(name, "") for name in ("start", "end")}
        times = {name: repr(float(time) / HTK_UNITS) for name, time in times.items() if time.isdecimal()}
        label = each.fields.get("label", "").partition(" ")[0]
        found[number] = replace(each, fields={**each.fields, **times, "label": label})
    return [Tier(annotations=found)]


def rttm(text: str, shown: str) -> list[Tier]:
    """Read the lines SPEAKER of an RTTM: the speaker is the label."""
    names = ("", "recording", "annotated_channel", "start", "duration", "", "", "label", "")
    return [Tier(annotations=_by_columns(text, shown, names, least=8, kind="SPEAKER"))]


def ctm(text: str, shown: str) -> list[Tier]:
    """Read a CTM: a word in each line."""
    names = ("recording", "annotated_channel", "start", "duration", "label", "")
    return [Tier(annotations=_by_columns(text, shown, names, least=5))]


# Praat reads free-standing numbers, texts and flags, and skips the rest. So the long text, which has names before the
# values, and the short text, which has not, are one format.
_TOKEN = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|--undefined--)(?!\S)|(?<!\S)![^\n]*'
)


def textgrid(text: str, shown: str) -> list[Tier]:
    """Read a TextGrid; an interval with an empty text is a gap between two parts.

    Raises:
        InputError: the file is not a TextGrid that was saved as text, ends too early, or has a value of the wrong kind.
    """
    if text.startswith("ooBinaryFile"):
        raise InputError(f"{shown}:1: a binary TextGrid; open it in Praat, and choose Save as text file")
    found, line, place = (match for match in _TOKEN.finditer(text) if match.lastindex), 1, 0

    def take(group: int, wanted: str) -> str:
        """Return the next value, which must be of this group of the expression."""
        nonlocal line, place
        match = next(found, None)
        if match is None:
            raise InputError(f"{shown}:{line}: the TextGrid ends here, and {wanted} must follow")
        line, place = line + text.count("\n", place, match.start()), match.start()
        if match.lastindex != group:
            raise InputError(f"{shown}:{line}: {match.group()!r:.40} stands where {wanted} must stand")
        return match[group]

    def a_text() -> str:
        return take(1, "a text in quotation marks").replace('""', '"')

    def a_number() -> float:
        return float(take(3, "a number").replace("--undefined--", "nan"))

    kind, name = a_text(), a_text()
    if not kind.startswith("ooTextFile") or name != "TextGrid":
        raise InputError(f"{shown}:1: not a TextGrid but {kind!r:.40} {name!r:.40}; in Praat choose Save as text file")
    _ = a_number(), a_number()  # begin and end, as of each tier
    count = a_number() if take(2, "<exists> or <absent>") == "exists" else 0.0
    tiers: list[Tier] = []
    while len(tiers) < count:  # a count that is too large ends with the file
        kind, name = a_text(), one_line(a_text())
        _ = a_number(), a_number()
        size, number, gaps, parts = a_number(), 0, 0, list[Annotation]()
        while number < size:
            number += 1
            start, where = a_number(), f"{shown}:{line}"
            end = a_number() if kind == "IntervalTier" else start
            label = one_line(a_text())
            gaps += not label
            if label and kind == "IntervalTier":
                parts.append(Annotation(where=where, fields={"start": repr(start), "end": repr(end), "label": label}))
        points = 0 if kind == "IntervalTier" else number
        tiers.append(Tier(name=name, annotations=parts, gaps=0 if points else gaps, points=points))
    return tiers


_ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


def elan(content: bytes, shown: str) -> list[Tier]:
    """Read an ELAN document; a referring annotation has the time of the one that it refers to.

    Raises:
        InputError: the content is not XML, has a document type, is no ELAN document, or has times in another unit than
            milliseconds.
    """
    root = _parsed(content, shown)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{shown}:1: an XML document of {root.tag!r:.40}, and not an ANNOTATION_DOCUMENT of ELAN")
    if (unit := next((each.get("TIME_UNITS") for each in root.iter("HEADER")), None)) not in (None, "milliseconds"):
        raise InputError(f"{shown}:1: its times are {unit!r:.40}, and only milliseconds are read; save it in ELAN")
    media: dict[str, float] = {}
    for each in root.iter("MEDIA_DESCRIPTOR"):
        origin = each.get("TIME_ORIGIN", "").strip() or "0"
        if re.fullmatch(r"[-+]?\d{1,15}", origin) is None:
            raise InputError(f"{shown}: TIME_ORIGIN is {origin!r:.40}; it must be a whole number of milliseconds")
        for url in filter(None, (each.get(name, "") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL"))):
            media[re.sub(r"^file:/{0,2}(?=/|\.)", "", url)] = int(origin) / 1000
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
        tiers.append(Tier(name=name, annotations=filled, gaps=len(found) - len(filled), media=media))
    return tiers or [Tier(media=media)]


def _aligned(
    tier: Element, by_id: dict[str | None, Element], slots: dict[str | None, str | None], speaker: str, shown: str
) -> Iterator[Annotation | None]:
    """Give the annotations of a tier; None for one without a text."""
    for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
        where, label = f"{shown}: {each.get('ANNOTATION_ID')}", one_line("".join(each.itertext()))
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
        times = [slots.get(alignable.get(f"TIME_SLOT_REF{number}")) or "" for number in (1, 2)]
        if not all(time.isdecimal() and len(time) < 16 for time in times):
            fault = f"the times of its slots are {times!r:.60}, and not whole milliseconds; align it in ELAN"
            yield Annotation(where=where, fault=fault)
            continue
        start, end = (repr(int(time) / 1000) for time in times)
        yield Annotation(where=where, fields={"start": start, "end": end, "label": label, "group": speaker})


class _WithoutType(TreeBuilder):
    """Refuses a document type, so that no entity can expand."""

    def doctype(self, *_: object) -> NoReturn:
        raise InputError("the document declares a type (DOCTYPE), whose entities may expand without limit; remove it")


def _parsed(content: bytes, shown: str) -> Element:
    parser = XMLParser(target=_WithoutType())
    try:
        parser.feed(content)
        return parser.close()
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    except ParseError as error:
        raise InputError(f"{shown}:{error.position[0]}: not XML ({error}); save it again") from error
    except (ValueError, LookupError) as error:  # of an encoding that is not known
        raise InputError(f"{shown}:1: not XML ({error}); save it again in UTF-8") from error


# Manifests of speech toolkits

WAV_SCP = "wav.scp"
KALDI_FILES = (WAV_SCP, "segments", "utt2spk", "text", "utt2label")
LHOTSE = (".jsonl", ".jsonl.gz")
MAX_LINE = 1 << 26  # bytes of a line of JSON
_HARMLESS = ("Resample",)  # transforms after which the times are the same, and the sound as well
Role = Literal["recordings", "supervisions", "cuts"]


def kaldi(folder: Path, shown: str) -> list[Tier]:
    """Read a Kaldi data folder; ``shown`` is its name in messages.

    A recording that a command makes is left out: nobody's commands are run.
    """
    if not (folder / WAV_SCP).is_file():
        raise InputError(f"{shown}: no {WAV_SCP}, which names the recordings; put it beside the other files")
    files: dict[str, list[tuple[str, str, str]]] = {}  # first word of each line, the rest, and the line's place
    for name in (name for name in KALDI_FILES if (folder / name).is_file()):
        files[name] = []
        for number, line in enumerate(read_annotation_text(folder / name).split("\n"), start=1):
            if line.strip():
                first, rest = (*line.split(maxsplit=1), "")[:2]
                rest = rest.strip() if name == WAV_SCP else one_line(rest)
                files[name].append((first, rest, f"{shown}/{name}:{number}"))
    label_file = "utt2label" if "utt2label" in files else "text"
    labels, groups = ({key: value for key, value, _ in files.get(name, ())} for name in (label_file, "utt2spk"))
    recordings = {key: (value, where) for key, value, where in files[WAV_SCP]}
    segments = files.get("segments", [(name, f"{name} 0 -1", where) for name, (_, where) in recordings.items()])
    found: list[Annotation] = []

    def set_aside(where: str, recording: str, fault: str) -> None:
        found.append(Annotation(where=where, recording=recording, fault=fault))

    unusable: Counter[str] = Counter()
    for utterance, text, where in segments:
        name, start, end, channel = (text.split() + [""] * 4)[:4]
        whole = (start, end) == ("0", "-1")
        if name not in recordings:
            set_aside(where, utterance, f"{name!r:.60} is not in {WAV_SCP}")
        elif _scp_fault(place := recordings[name][0]):
            unusable[name] += 1
        elif not end:
            set_aside(where, place, "no end; write utterance, recording, start and end")
        else:
            times = {} if whole else {"start": start, "end": "" if end == "-1" else end}
            described = {"label": labels.get(utterance, ""), "group": groups.get(utterance, "")}
            fields = {**times, **described, "annotated_channel": channel}
            found.append(Annotation(where=where, fields=fields, recording=place))
    cut = {text.split(maxsplit=1)[0] for _, text, _ in segments if text}
    for name, (place, where) in recordings.items():
        if unusual := _scp_fault(place):
            set_aside(where, name, f"{unusual} ({unusable[name]} of the parts)")
        elif name not in cut:
            set_aside(where, place, "no line of segments names the recording")
    return [Tier(annotations=found)]


def _scp_fault(place: str) -> str | None:
    """Return why an entry of ``wav.scp`` names no recording that is read."""
    if place.endswith("|"):
        return f"a command makes it ({place!r:.80}), and commands are not run; write the sound into a file, and name it"
    if not place or place == "-":
        return "no file is named"
    archive, colon, offset = place.rpartition(":")
    if colon and offset.isdecimal() and archive.endswith(".ark"):
        return f"it lies in an archive of Kaldi ({place!r:.80}); write it into a file (wav-copy), and name it"
    return None


def lhotse_role(path: Path) -> Role | None:
    """Return the kind of lhotse manifest that a file is, by its first line that is not empty; None: another file."""
    try:
        value, *_ = next(_objects(path, path.name), ({}, "", None))
    except InputError:
        return None
    if "id" not in value:
        return None
    if any(isinstance(text, str) and name.lower() in PATH_COLUMNS for name, text in value.items()):
        return None  # a row of a table, which names its recording itself
    if "sources" in value and "sampling_rate" in value:
        return "recordings"
    if "recording_id" in value and "start" in value and "duration" in value:
        return "supervisions"
    return "cuts" if str(value.get("type", "")).endswith("Cut") or ("recording" in value and "start" in value) else None


def lhotse(path: Path, shown: str) -> list[Tier]:
    """Read cuts, supervisions with the recordings in the files beside them, or recordings alone."""
    role = lhotse_role(path)
    recordings: dict[str, Mapping[str, object]] = {}
    if role == "supervisions":
        for other in sorted(path.parent.iterdir()):
            if other.name.endswith(LHOTSE) and lhotse_role(other) == "recordings":
                recordings |= {str(value["id"]): value for value, *_ in _objects(other, other.name) if "id" in value}
        if not recordings:
            raise InputError(f"{shown}: the manifest of the recordings is not beside the supervisions; put it there")
    found: list[Annotation] = []
    for value, where, fault in _objects(path, shown):
        if fault:
            found.append(Annotation(where=where, fault=fault))
            continue
        try:
            found += _of_line(value, where, role, recordings)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            problem = f"not as lhotse writes it ({type(error).__name__}: {error})"
            found.append(Annotation(where=where, fault=f"{problem:.120}", recording=str(value.get("id"))))
    return [Tier(annotations=found)]


def _of_line(
    value: Mapping[str, Any], where: str, role: Role | None, recordings: Mapping[str, Mapping[str, object]]
) -> Iterator[Annotation]:
    """Give the parts that a cut, a supervision or a recording stands for."""
    name = str(value["id"])
    if role == "recordings":
        place, fault = _source(value)
        yield Annotation(where=where, recording=place or name, fault=fault)
        return
    if role == "supervisions":
        recording = recordings.get(str(value["recording_id"]))
        place, fault = _source(recording) if recording else ("", "its recording is in no manifest beside it")
        start, most, supervisions = 0.0, float("inf"), [value]
    elif value.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or "recording" not in value:
        kind = value.get("type", "cut without a recording")
        yield Annotation(where=where, recording=name, fault=f"a {kind}, which is no part of one recording")
        return
    else:
        place, fault = _source(value["recording"])
        start, most = float(value["start"]), float(value["start"]) + float(value["duration"])
        supervisions = value.get("supervisions") or []
    if not supervisions:
        fields = {"start": repr(start), "end": repr(most), "annotated_channel": _channel(value)}
        yield Annotation(where=where, fields=fields, recording=place or name, fault=fault)
    for each in supervisions:  # in a cut, times count from the cut's start, and a supervision ends with the cut
        begin = start + float(each["start"])
        end = begin + float(each["duration"])
        if role != "supervisions":
            begin, end = max(begin, start), min(end, most)
        label = (each.get("custom") or {}).get("label", each.get("text"))
        fields = {
            "start": repr(round(begin, 9)),
            "end": repr(round(end, 9)),
            "label": "" if label is None else one_line(str(label)),
            "group": str(each.get("speaker") or ""),
            "annotated_channel": _channel(each),
        }
        yield Annotation(where=where, fields=fields, recording=place or name, fault=fault)


def _channel(value: Mapping[str, Any]) -> str:
    channel = value.get("channel", "")
    return ",".join(map(str, channel)) if isinstance(channel, list) else str(channel)


def _source(recording: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return a recording's path, or why it has none."""
    sources = recording["sources"]
    if len(sources) != 1:
        return "", f"its recording has {len(sources)} files; join them into one"
    kind, place = str(sources[0]["type"]), str(sources[0]["source"])
    if kind != "file":
        return "", f"its recording is of the type {kind!r:.20} ({place!r:.60}), and only files are read"
    transforms = recording.get("transforms") or ()
    names = [str(each["name"] if isinstance(each, dict) and "name" in each else each) for each in transforms]
    if changes := ", ".join(name for name in names if name not in _HARMLESS):
        remedy = "and files are read as they are; save its sound"
        return "", f"its recording is changed when it is read ({changes:.60}), {remedy}"
    return place, None


def _objects(path: Path, shown: str) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Give the object of each line of a manifest, the line's place, and its fault."""
    number = 0
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            while line := file.readline(MAX_LINE):
                number += 1
                if not line.strip():
                    continue
                where = f"{shown}:{number}"
                try:
                    value = json.loads(line, parse_constant=nan_as_none)
                except (ValueError, RecursionError) as error:
                    yield {}, where, f"not JSON ({error}); write one object in each line"
                    continue
                is_object = isinstance(value, dict)
                yield value if is_object else {}, where, None if is_object else f"{line!r:.60} is no JSON object"
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}:{number + 1}: the file is damaged ({error}); write it again") from error
