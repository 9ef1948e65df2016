"""Annotations that other tools wrote, of the recordings of a folder or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav`` (`Folder.of_file`). Some files name their recordings themselves. Each recording may have
annotations of one kind, or of several kinds that agree.

The readers are our own: ``praatio`` reads no Latin-1, ``textgrid`` no UTF-8 with a mark, ``pympi-ling`` accepts
entities, and pandas neither numbers lines nor keeps labels of several words that spaces separate from the times.
"""

import gzip
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from math import inf, isfinite
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from wordless.audio.decoding import Recording, RecordingError, count_samples
from wordless.audio.recordings import description
from wordless.audio.recordings.description import PATH_COLUMNS, SPAN_FIELDS, seconds_of
from wordless.audio.recordings.folders import EXTENSIONS, Folder, is_file, read_annotation_text, separated
from wordless.audio.recordings.manifest import Clips, Rejected, number_of
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.text import counted
from wordless.base.values import nan_as_none

Kind = Literal["raven", "elan", "textgrid", "audacity", "csv", "kaldi", "lhotse", "rttm", "ctm", "lab"]
AnnotationKind = Literal["auto", "none", Kind]


@dataclass(frozen=True, kw_only=True)
class AnnotationOptions(Options):
    """Options of all commands that read the annotations of recordings."""

    annotations: AnnotationKind = option(
        "auto",
        "annotations of other tools beside recordings give labelled parts; auto: all kinds; none: whole recordings",
    )
    tier: str | None = option(
        None, "tier of TextGrids or ELAN documents, or column of a table, that has the labels; null: the only one"
    )

    @property
    def labels_in(self) -> tuple[str | None, str]:
        """The tier or column that has the labels, and the option that names it."""
        return self.tier, "tier"

    @property
    def groups_in(self) -> str | None:
        """The column of a table that has the groups."""
        return None

    @property
    def not_known(self) -> frozenset[str]:
        """Labels and groups of tables that stand for missing values."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Annotation:
    """A part of a recording, as a file names it."""

    where: str  # "file:line", of an ELAN document "file: name of the annotation"
    fields: dict[str, str]  # as `recordings.description.describe` reads them
    tier: str = ""  # tier or column of the label; "": the file has one
    recording: str | None = None  # its path or name, as the file gives it; None: the recording of the file's name
    fault: str | None = None  # why the part cannot be used
    unread: Sequence[str] = ()  # columns of the file
    clock: tuple[float, float] | None = None  # first and last second of the file, if it names them

    @property
    def problem(self) -> str | None:
        """Why the part cannot be used: its fault, or a time that is none."""
        times = {key: self.fields[key] for key in (*SPAN_FIELDS, "duration") if key in self.fields}
        wrong = [f"{key} is {text!r:.40}, and no time" for key, text in times.items() if seconds_of(text) is None]
        return self.fault or next(iter(wrong), None)


def _read(kind: Kind, path: Path, shown: str, config: AnnotationOptions) -> list[Annotation]:
    match kind:
        case "kaldi":
            return kaldi(path.parent, str(PurePosixPath(shown).parent))
        case "lhotse":
            return lhotse(path, shown)
        case "elan":
            return elan(read_annotation_text(path, xml=True), shown)
        case "textgrid":
            return textgrid(read_annotation_text(path), shown)
    return columns(read_annotation_text(path), shown, kind, config.labels_in[0], config.groups_in)


def one_line(text: str) -> str:
    """Return a label without line breaks, tabs and repeated spaces."""
    return " ".join(text.split())


# A part in each line

_FIXED: dict[str, tuple[str, ...]] = {
    "rttm": ("", "recording", "annotated_channel", "start", "duration", "", "", "label"),
    "ctm": ("recording", "annotated_channel", "start", "duration", "label"),
}
_HTK, _LEAST = 1e7, 1e6  # HTK counts 100 ns; smaller whole numbers are samples or seconds
FIRST = 50  # lines that show what a text holds
# Columns that Raven and BirdNET write for every selection, and other measurements, which end in their unit
_MEASURED = re.compile(
    r"(begin|end) (file|path|date|date time|clock time|hour|day)|selection|view|channel|confidence|score|notes|"
    r"comments|peak lag|snr nist quick|length|occupancy|"
    r".*\((s|ms|hz|khz|db.*|u|u.|bits|frames|samples|hh.*|pa.*|%|.*/hz)\)"
)
_OFFSET = "file offset (s)"
_KEPT = {_OFFSET: _OFFSET, "annotated_channel": "channel", "low_hz": "low freq (hz)", "high_hz": "high freq (hz)"}
_USUAL = ("annotation", "annotations", "label", "labels", "species", "common name", "class", "call type", "tag", "tags")


def layout(text: str) -> tuple[str | None, list[str]]:
    """Return the delimiter of a text, and the header if the first line names columns of times."""
    fitting, first = {}, "\n".join(text.split("\n", FIRST)[:FIRST])
    for delimiter in ("\t", ";", ",", None):
        rows = list[list[str]]()
        with suppress(InputError):
            rows += (cells for _, cells in separated(first, delimiter, "", quoted=delimiter != "\t"))
        if rows and {"start"} < description.time_columns(rows[0]).keys() and seconds_of(rows[0][0]) is None:
            return delimiter, rows[0]
        fitting[delimiter] = sum(len(cells) > 2 and None not in map(seconds_of, cells[:2]) for cells in rows)
    return (max(fitting, key=lambda each: fitting[each]) if any(fitting.values()) else None), []


def fits(text: str, kind: Kind, *, wanted: bool) -> bool:
    """Return whether two of three of the first lines give start, end and label, or, of a wanted kind, any of them.

    Decimals in all labels are measurements, such as pitch; whole numbers between spaces may be words of a transcript.
    """
    text = "\n".join(text.split("\n")[:FIRST])
    delimiter, header = layout(text)
    try:
        parts = columns(text, "", kind)
    except InputError:
        return True  # a header, which is refused with its file
    good = [each for each in parts if not each.problem]
    labels = {each.fields["label"] for each in good} - {""}
    if wanted or header:
        return bool(labels) or (wanted and bool(good)) or not parts
    whole = all(each.fields["start"].isdecimal() for each in good)
    measured = all(number_of(label) is not None and ("." in label or whole) for label in labels)
    others = kind != "rttm" and (measured or (whole and delimiter is None))
    return 3 * len(good) >= 2 * len(parts) > 0 and not others


def columns(text: str, shown: str, kind: Kind, label: str | None = None, group: str | None = None) -> list[Annotation]:
    """Read a part in each line; ``label`` and ``group`` name columns of a header."""
    delimiter, header = (None, []) if kind in _FIXED else layout(text)
    lines = separated(text, delimiter, shown, quoted=delimiter != "\t")
    rows = [(f"{shown}:{number}", cells) for number, cells in lines]
    if header:
        return _below(header, rows[1:], shown, kind, label, group)
    names, found = _FIXED.get(kind, (*SPAN_FIELDS, "label")), list[Annotation]()
    for where, cells in rows:
        if cells[0] == "\\" and found:  # frequency bounds of the part before
            bounds = zip(("low_hz", "high_hz"), map(seconds_of, cells[1:3]), strict=False)
            found[-1].fields.update({name: repr(hz) for name, hz in bounds if hz is not None and hz >= 0})
        elif not cells[0].startswith(";;") and (kind != "rttm" or cells[0] == "SPEAKER"):
            many = "more than start, end and label; write a header that names the columns"
            fault = many if kind not in _FIXED and delimiter and len(cells) > len(names) else None
            cells[2:] = cells[2:] if kind in _FIXED else [" ".join(cells[2:])]
            fields = dict(zip_longest(names, cells[: len(names)], fillvalue=""))
            found.append(Annotation(where, fields, recording=fields.pop("recording", None), fault=fault))
    times = {each.fields[name] for each in found for name in SPAN_FIELDS if kind == "lab"} - {""}
    if times and all(map(str.isdecimal, times)) and max(map(float, times)) >= _LEAST:
        for each in found:  # a score may follow the label
            each.fields.update({name: repr(float(each.fields[name] or "nan") / _HTK) for name in SPAN_FIELDS})
            each.fields["label"] = each.fields["label"].partition(" ")[0]
    return found


def _is_text(cell: str) -> bool:
    return number_of(cell or "0") is None and cell not in description.MISSING


def _below(
    header: list[str], rows: list[tuple[str, list[str]]], shown: str, kind: Kind, label: str | None, group: str | None
) -> list[Annotation]:
    """Read the rows below a header; each column that may hold labels is a tier."""
    lower, times = [name.lower() for name in header], description.time_columns(header)
    if twice := next((name for name in lower if name and lower.count(name) > 1), None):
        raise InputError(f"{shown}:1: the header names {twice} twice; name each column once")
    if group is not None and group.lower() not in lower:
        raise InputError(f"{shown}:1: no column {group!r}; there are {', '.join(header)}")
    table = [dict(zip_longest(lower, cells[: len(lower)], fillvalue="")) for _, cells in rows]
    files = [cells.get("begin path") or cells.get("begin file", "") for cells in table]
    several = len({*files}) > 1

    # the usual column of labels if there is one, else those with text, else all that are no measurements
    others = {*PATH_COLUMNS, *(column.lower() for column in times.values()), (group or "").lower()}
    free = [name for name in header if name.lower() not in others and not _MEASURED.fullmatch(name.lower())]
    free = [name for name in free if len(free) == 1 or any(cells[name.lower()] for cells in table)]
    texts = [name for name in free if any(_is_text(cells[name.lower()]) for cells in table)]
    chosen = [label] if label and label.lower() in lower else [name for name in free if name.lower() in _USUAL]
    chosen = chosen or texts or (free if kind == "raven" or len(free) == 1 else []) or [""]
    unread, parts = [name for name in free if name not in chosen and name != label], list[Annotation]()
    kept = {**_KEPT, "group": (group or "").lower()}
    seconds = {
        name: description.in_seconds([cells[column.lower()] for cells in table], column)
        for name, column in times.items()
    }
    for row, (cells, file, (where, values)) in enumerate(zip(table, files, rows, strict=True)):
        fields = {name: cells.get(column, "") for name, column in kept.items()}
        fields |= {name: texts[row] for name, texts in seconds.items()}
        fault = f"more values than the {len(header)} columns of the header" if any(values[len(header) :]) else None
        offset = seconds_of(fields[_OFFSET])
        if not file.endswith(cells.get("end file", "")) or (offset is None and several):
            fault = f"its time in {file} is not known: export the column 'File Offset (s)' of a part in one file"
        elif offset is not None:  # others count from the first of the files
            start, end = (seconds_of(fields.get(name, "")) for name in SPAN_FIELDS)
            if start is not None and end is not None:
                fields |= {"start": repr(offset), "end": repr(offset + end - start)}
        recording = next(filter(None, (file, *map(cells.get, PATH_COLUMNS))), None)
        for name in chosen:
            labelled = {**fields, "label": one_line(cells.get(name.lower(), ""))}
            parts.append(Annotation(where, labelled, name, recording, fault, unread))
    return parts


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


def _counted_from(clock: tuple[float, float], recording: Path) -> tuple[float, float | None]:
    """Return the second of a TextGrid at which its recording begins, and the recording's length if none fits.

    Praat cuts a sound and its TextGrid out of longer ones, and may keep the times of the longer ones. A TextGrid that
    ends with the recording counts from the recording's begin, whatever its first time is.
    """
    begin, end = clock
    if not isfinite(begin) or not isfinite(end):  # Praat's --undefined--
        return 0.0, None
    try:
        with Recording(recording) as sound:
            rate, size = sound.samplerate, sound.declared
        if size is None and begin == 0:  # only decoding counts it
            return 0.0, None
        length = (count_samples(recording) if size is None else size) / rate
    except RecordingError:  # inspection sets it aside
        return 0.0, None
    off, begins = min((abs(end - begin - length), begin), (abs(end - length), 0.0))
    return begins, None if off <= description.END_TOLERANCE_SECONDS else length


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
        speakers = [one_line(each.get("PARTICIPANT", "")) for each in _chain(tier, "PARENT_REF", by_name)]
        for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
            last = _chain(each, "ANNOTATION_REF", by_id)[-1]
            times = [slots.get(last.get(f"TIME_SLOT_REF{number}"), "") for number in (1, 2)]
            start, end = (repr((int(origin) + float(time)) / 1000) if time.isdecimal() else time for time in times)
            fields = {"start": start, "end": end, "group": next(filter(None, speakers), "")}
            if label := one_line("".join(each.itertext())):
                where, fields["label"] = f"{shown}: {each.get('ANNOTATION_ID')}", label
                parts.append(Annotation(where, fields, one_line(tier.get("TIER_ID", "")), recording))
    return parts


def _chain(first: Element, reference: str, by_name: Mapping[str | None, Element]) -> list[Element]:
    found = [first]
    while (after := by_name.get(found[-1].get(reference, ""))) is not None and len(found) < 100:
        found.append(after)
    return found


# Manifests of speech toolkits

WAV_SCP = "wav.scp"
KALDI_FILES = (WAV_SCP, "segments", "utt2spk", "text", "utt2label")
LHOTSE = (".jsonl", ".jsonl.gz")


def kaldi(folder: Path, shown: str) -> list[Annotation]:
    """Read a Kaldi data folder, ``shown`` in messages; recordings that a command makes are left out, and not made."""
    files: dict[str, list[tuple[str, str, str]]] = {}  # first word of each line, the rest, and the line's place
    for name in (name for name in KALDI_FILES if (folder / name).is_file()):
        lines = enumerate(read_annotation_text(folder / name).split("\n"), start=1)
        words = (((*line.split(maxsplit=1), ""), f"{shown}/{name}:{number}") for number, line in lines if line.strip())
        files[name] = [(each[0], each[1].strip(), where) for each, where in words]
    if WAV_SCP not in files:
        raise InputError(f"{shown}: no {WAV_SCP}, which names the recordings; put it beside the other files")
    label_file = "utt2label" if "utt2label" in files else "text"
    labels, groups = ({key: text for key, text, _ in files.get(name, ())} for name in (label_file, "utt2spk"))
    recordings, found = {name: place for name, place, _ in files[WAV_SCP]}, list[Annotation]()
    whole = [(name, f"{name} 0 -1", where) for name, _, where in files[WAV_SCP]]
    segments = files.get("segments", whole)
    named = {text.partition(" ")[0] for _, text, _ in segments}
    for utterance, text, where in [*segments, *(each for each in whole if each[0] not in named)]:
        name, start, end, channel = (text.split() + [""] * 4)[:4]
        place = recordings.get(name, "")
        fault = None if name in named else "no line of segments names the recording"
        if name not in recordings:
            fault = f"{name!r:.60} is not in {WAV_SCP}"
        elif place.endswith("|") or place in ("", "-") or re.search(r"\.ark:\d+$", place):  # nobody's commands are run
            place, fault = name, f"{place!r:.80} is a command or no file of sound; write one (wav-copy), and name it"
        fields = {"start": start, "group": groups.get(utterance, ""), "annotated_channel": channel}
        fields |= {"label": one_line(labels.get(utterance, ""))} | ({} if end == "-1" else {"end": end})  # -1: the end
        found.append(Annotation(where, fields, recording=place or utterance, fault=fault))
    return found


def is_lhotse(path: Path) -> bool:
    """Return whether a file is a lhotse manifest of cuts or supervisions, by its first line that is not empty."""
    try:
        value = next(_objects(path, path.name), ({}, ""))[0]
    except InputError:
        return False
    names_file = any(isinstance(text, str) and name.lower() in PATH_COLUMNS for name, text in value.items())
    of_cuts = str(value.get("type", "")).endswith("Cut") or {"recording", "start"} <= value.keys()
    return "id" in value and not names_file and (of_cuts or {"recording_id", "start"} <= value.keys())


def lhotse(path: Path, shown: str) -> list[Annotation]:
    """Read cuts, or supervisions with the recordings in the files beside them."""
    found, recordings = list[Annotation](), dict[str, dict[str, Any]]()
    for beside in sorted(each for each in path.parent.iterdir() if each.name.endswith(LHOTSE) and not is_lhotse(each)):
        with suppress(InputError):  # a file of another kind
            recordings |= {str(value.get("id")): value for value, _ in _objects(beside, "") if "sources" in value}
    for value, where in _objects(path, shown):
        try:
            found += _parts(value, where, recordings)
        except (InputError, TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            fault = f"{error}" if isinstance(error, InputError) else f"not as lhotse writes it ({error!r:.80})"
            found.append(Annotation(where, {}, recording=str(value.get("id")), fault=fault))
    return found


def _parts(value: dict[str, Any], where: str, recordings: Mapping[str, Any]) -> Iterator[Annotation]:
    """Give the parts of a cut with its recording, or of a supervision, whose recording is among ``recordings``."""
    if "recording" not in value:
        if (recording := recordings.get(str(value["recording_id"]))) is None:
            raise InputError("its recording is in no manifest beside it")
        value = {"recording": recording, "start": 0, "duration": inf, "supervisions": [value]}
    recording, start = value["recording"], float(value["start"])
    sources, transforms = recording["sources"], recording.get("transforms") or ()
    changes = {str(each["name"] if isinstance(each, dict) else each) for each in transforms} - {"Resample"}
    if len(sources) != 1 or sources[0]["type"] != "file" or changes:
        raise InputError(f"its recording is not one file that is read as it is {changes or ''}; save it as a file")
    most = start + float(value["duration"])
    for each in value.get("supervisions") or [{"start": 0, "duration": value["duration"]}]:
        # in a cut, times count from the cut's start, and a supervision ends with the cut
        begin, channel = start + float(each["start"]), each.get("channel", value.get("channel", ""))
        label = (each.get("custom") or {}).get("label", each.get("text"))
        fields = {
            "start": repr(round(max(begin, start), 9)),
            "end": repr(round(min(begin + float(each["duration"]), most), 9)),
            "group": str(each.get("speaker") or ""),
            "label": "" if label is None else one_line(str(label)),
            "annotated_channel": ",".join(map(str, channel)) if isinstance(channel, list) else str(channel),
        }
        yield Annotation(where, fields, recording=str(sources[0]["source"]))


def _objects(path: Path, shown: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Give the object of each line of a manifest, and the line's place; {} of a line that is none."""
    number = 0
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                value: object = {}
                with suppress(ValueError, RecursionError):
                    value = json.loads(line, parse_constant=nan_as_none)
                if line.strip():
                    yield value if isinstance(value, dict) else {}, f"{shown}:{number}"
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{shown}:{number + 1}: the file is damaged ({error}); write it again") from error


# Files beside recordings

FORMATS: dict[Kind, str] = {  # of several kinds that agree, the first is used: it knows most
    **{"raven": "Raven selection table", "elan": "ELAN document", "textgrid": "Praat TextGrid", "csv": "label table"},
    **{"audacity": "label track", "kaldi": "Kaldi data folder", "lhotse": "lhotse manifest", "rttm": "RTTM file"},
    **{"ctm": "CTM file", "lab": ".lab file"},
}
_NAMING: tuple[Kind, ...] = ("kaldi", "lhotse", "rttm", "ctm")  # name recordings in their lines
_SUFFIXES: dict[str, Kind] = {".eaf": "elan", ".textgrid": "textgrid", ".rttm": "rttm", ".ctm": "ctm"}
_TEXTS: dict[str, Kind] = {".txt": "audacity", ".selections": "audacity", ".lab": "lab", ".csv": "csv", ".tsv": "csv"}
_SAME_SECONDS = 0.002  # tools round to milliseconds
# kinds of reasons against annotations; strays may be something else
_STRAY, _EMPTY = "annotations without a recording", "annotations name no part of it"
_LEFT_OUT, _UNUSABLE, _LACKING = "annotation left out", "annotations not usable", "annotations without the tier"


def kind_of(path: Path, wanted: AnnotationKind = "auto", *, own: bool | None = None) -> Kind | None:
    """Return the kind of annotations that a file or a folder holds; None: another file.

    ``own``: a file below a folder has the name of a recording; None: somebody named the file. Tables belong to
    recordings of their names alone.
    """
    if own is None and wanted != "auto":
        return None if wanted == "none" else wanted
    suffix, there = path.suffix.lower(), is_file(path)  # a pipe would wait for ever
    named = path.name in KALDI_FILES and (path.name != "text" or is_file(path.parent / WAV_SCP))
    if path.name == WAV_SCP or (own is None and (named or is_file(path / WAV_SCP))):
        return "kaldi" if there or own is None else None
    if suffix in _SUFFIXES and (there or own is None):
        return _SUFFIXES[suffix]
    if there and path.name.lower().endswith(LHOTSE):
        return "lhotse" if is_lhotse(path) else None
    try:
        text = read_annotation_text(path, head=True) if there and suffix in _TEXTS else ""
        _, names = layout(text)
    except (OSError, InputError):
        return None
    header = {name.lower() for name in names}
    if TEXTGRID.match(text) or {"begin time (s)", "end time (s)"} <= header:
        return "raven" if header else "textgrid"
    if own is None:  # a table that lists recordings is none of annotations
        beside = any(is_file(path.with_suffix(f".{each}")) for each in EXTENSIONS)
        own = beside and not header & {*PATH_COLUMNS}
    kinds: tuple[Kind, ...] = ("csv",) if header else (_TEXTS[suffix], "rttm", "ctm") if text else ()
    allowed = (kind for kind in kinds if own or kind in ("audacity", "lab"))
    return next((kind for kind in allowed if fits(text, kind, wanted=kind == wanted)), None)


def annotations_below(folder: Folder, config: AnnotationOptions) -> Clips:
    """Return the annotated parts of the recordings of a folder; without annotations there are none.

    Annotations of a wanted kind must be there and usable, and several kinds or tiers must not contradict each other.
    """
    if config.annotations == "none":
        return Clips.from_columns(folder.root, {"path": ()})
    found: dict[Kind, list[str]] = {kind: [] for kind in FORMATS}
    others = list[str]()
    for name in folder.others:  # of equal parts the first file counts
        kind = kind_of(folder.root / name, config.annotations, own=bool(folder.of_file(name)))
        (others if kind is None else found[kind]).append(name)
    wanted = {kind: names for kind, names in found.items() if names and config.annotations in ("auto", kind)}
    unread = folder.unread(others)
    if config.annotations != "auto" and not wanted:
        rule = "; ".join([f"{folder.root} holds no {FORMATS[config.annotations]}", *unread])
        raise InputError(option="annotations", value=config.annotations, rule=rule)
    annotated = _collect(folder, wanted, config)
    return replace(annotated, notices=(*annotated.notices, *unread))


def annotations_in(path: Path, kind: Kind, root: Path, config: AnnotationOptions) -> Clips:
    """Return the parts of recordings below ``root`` that one file of annotations, or one Kaldi folder, describes."""
    name = os.path.relpath((path / WAV_SCP if path.is_dir() else path).absolute(), root.absolute())
    annotated = _collect(Folder.at(root), {kind: [name]}, config)
    if not len(annotated.frame):
        problem = f"{path}: no recording of it can be used; {root} has none of its name"
        raise InputError(problem, remedy="set `root` to the folder of the recordings")
    return annotated


def _collect(folder: Folder, files: Mapping[Kind, Sequence[str]], config: AnnotationOptions) -> Clips:
    """Read the files of each kind, and join what they say of each recording; faulty files and parts are set aside."""
    parts, read_files = list[tuple[str, Kind, Annotation]](), Counter[Kind]()  # parts with their recordings
    rejected, tiers, unread = list[Rejected](), dict[str, None](), dict[str, None]()
    (tier, option), splits, moved, others = config.labels_in, dict[str, str](), list[str](), list[str]()
    lost = 0  # labels that are missing values
    for names in (names for kind, names in files.items() if kind in _NAMING):  # may be named train, test and so on
        shared = os.path.commonpath([PurePosixPath(name).parent for name in names]) or "."
        of_names = {name: split for name in names if (split := description.known_split(os.path.relpath(name, shared)))}
        splits |= of_names if len({*of_names.values()}) > 1 else {}
    for kind, name in ((kind, name) for kind, names in files.items() for name in names):
        own = [] if kind in _NAMING else folder.of_file(name)
        try:
            found = _read(kind, folder.root / name, name, config)
        except (OSError, InputError) as error:
            rejected += _set_aside(own or [name], _UNUSABLE, f"{error}" if name in f"{error}" else f"{name}: {error}")
            continue
        of_file = dict.fromkeys(each.tier for each in found if each.tier)
        tiers |= of_file
        usable = [*dict.fromkeys(each.tier for each in found if not each.fault)]
        usable = usable if tier is None or usable == [""] else [tier]
        if len(usable) > 1:
            problem = f"{name}: {len(usable)} tiers or columns have labels: {', '.join(usable):.400}"
            remedy = f"choose one, such as `tier`={usable[0]}, or `annotations`=none for whole recordings"
            raise InputError(problem, remedy=remedy)
        chosen = [each for each in found if not usable or each.tier == usable[0]]
        if found and not chosen:
            there = f"{name}: no tier or column {tier!r}; there are {', '.join(of_file):.200}"
            rejected += _set_aside(own, _LACKING, there)
            continue
        read_files[kind] += 1
        for fields in (each.fields for each in chosen if kind in ("raven", "csv")):  # which R and pandas write, too
            gone = {name: "" for name in ("label", "group") if fields.get(name) in config.not_known}
            lost += "label" in gone
            fields.update(gone)
        unread |= dict.fromkeys(column for each in chosen[:1] for column in each.unread)
        clock = next((each.clock for each in chosen if each.clock), None)
        if clock is not None and own:
            begins, unlike = _counted_from(clock, folder.root / own[0])
            lasts = (
                ""
                if unlike is None
                else f"its times are {clock[0]:g} to {clock[1]:g} s, and {own[0]} lasts {unlike:.3f} s"
            )
            if unlike is not None and clock[0] != 0:
                rejected += _set_aside(own, _UNUSABLE, f"{name}: {lasts}; save the TextGrid of the whole recording")
                continue
            others += [f"{name}: {lasts}"] if lasts else []
            moved += [f"{name} at {begins:g} s"] if begins else []
            for each in chosen:
                for side in SPAN_FIELDS:
                    each.fields[side] = repr(round(float(each.fields[side]) - begins, 9))
        named = {each.recording for each in chosen} - {None}
        if not own and not named and kind not in _NAMING:
            strays = f"{folder.root} has no recording {PurePosixPath(name).stem}.*, or several"
            rejected += _set_aside([name], _STRAY, strays)
            continue
        rejected += [] if chosen else _set_aside(own, _EMPTY, name)
        located, missing = dict[str | None, list[str]](), dict[str | None, str]()
        for place in filter(None, named):
            try:
                located[place] = [folder.named(place, name)]
            except InputError as error:
                missing[place] = str(error)
        for each in chosen:
            # a recording that alone is named may have the name of the file now
            recording = None if own and len(named) == 1 else each.recording
            fault = each.problem or (missing.get(recording) if each.recording or own else "it names no recording")
            paths = located.get(each.recording) or ([recording] if recording else own or [name])
            each.fields["split"] = splits.get(name, "")
            parts += ((path, kind, each) for path in paths if not fault)
            rejected += _set_aside(paths, _LEFT_OUT, f"{each.where}: {fault}", 1) if fault else []
    if tier is not None and tier not in tiers:
        rule = f"no file has it; there are {', '.join(tiers) or 'no tiers or columns'!s:.400}"
        raise InputError(option=option, value=tier, rule=rule, remedy="name one that the files have")
    if config.groups_in is not None and not {"raven", "csv"} & files.keys():
        rule = "it has no effect, as no table with columns was found: leave it out"
        raise InputError(option="columns.group", value=config.groups_in, rule=rule)
    joined = _joined(folder.root, parts, rejected)
    if not len(joined.frame):
        if config.annotations == "auto" and all(each.kind == _STRAY for each in joined.rejected):
            return replace(joined, rejected=())
        first = next((f"{each.path}: {each.reason}" for each in joined.rejected), "they name no part")
        problem = f"{folder.root}: none of its annotations can be used ({first}; {len(joined.rejected)} in all)"
        raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
    files_of = ", ".join(counted(count, FORMATS[kind]) for kind, count in read_files.items())
    known = joined.frame
    said = [f"{counted(len(known), 'annotated part')} of {counted(known.path.nunique(), 'recording')} from {files_of}"]
    if unlabelled := int(known.label.isna().sum()):
        said.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if lost:
        names = ", ".join(description.MISSING)
        said.append(f"{counted(lost, 'label')} of annotations not known, being one of {names} (`columns.missing`=none)")
    if known[["low_hz", "annotated_channel"]].notna().any(axis=None):
        said.append("frequency bounds and channels of annotations cut nothing out of the sound")
    if moved:
        moving = f"{counted(len(moved), 'TextGrid does', 'TextGrids do')} not begin at 0 s, such as {moved[0]}"
        said.append(f"{moving}: times count from there, as the lengths fit")
    if others:
        lengths = f"{counted(len(others), 'TextGrid')} with another length than the recording, such as {others[0]}"
        said.append(f"{lengths}: check that it belongs to the sound")
    said += joined.notices
    if unread:
        said.append(f"columns of annotations not read: {', '.join(unread):.400} (`tier`, `columns.group`)")
    return replace(joined, notices=tuple(said))


def _set_aside(paths: Iterable[str], kind: str, why: str, segments: int = 0) -> list[Rejected]:
    return [Rejected(path=path, reason=f"{kind}: {why}", kind=kind, segments=segments) for path in paths]


_Times = tuple[float | None, float | None]  # begin and end


def _joined(root: Path, parts: Sequence[tuple[str, Kind, Annotation]], rejected: list[Rejected]) -> Clips:
    """Join the kinds, of which each recording may have one, or several that agree; equal parts count once."""
    where, every = [each.where for *_, each in parts], [each.fields for *_, each in parts]
    names = dict.fromkeys(name for fields in [{"label": ""}, *every] for name in fields)
    columns, faults = description.describe({name: [each.get(name, "") for each in every] for name in names}, where)
    labels, times = columns.get("label", []), [*zip(columns["begin"], columns["end"], strict=True)]
    rows: dict[str, dict[Kind, dict[_Times, int]]] = {}  # of each part of a recording
    for row, (path, kind, each) in enumerate(parts):
        first = row if row in faults else rows.setdefault(path, {}).setdefault(kind, {}).setdefault(times[row], row)
        if labels[first] != labels[row]:
            sides = "; parts have the sound of all channels" if each.fields.get("annotated_channel") else ""
            differing = f"({labels[row]}, and {labels[first]} at {where[first]}){sides}"
            faults[row] = f"{where[row]}: two labels of the same start and end {differing}"
        rejected += _set_aside([path], _LEFT_OUT, faults[row], 1) if row in faults else []
    agreeing, chosen = Counter[str](), list[int]()
    for path, kinds in sorted(rows.items()):
        chosen += next(iter(kinds.values())).values()
        if len(kinds) == 1:
            continue
        spans = [
            sorted((labels[row] or "", begin or 0.0, inf if end is None else end) for (begin, end), row in each.items())
            for each in kinds.values()
        ]
        named = [[label for label, *_ in each] for each in spans]
        in_time = [np.array([times for _, *times in each]) for each in spans]
        close = partial(np.allclose, in_time[0], rtol=0, atol=_SAME_SECONDS)
        if any(each != named[0] for each in named) or not all(map(close, in_time)):
            differing = ", ".join(f"{kind} with {counted(len(each), 'part')}" for kind, each in kinds.items())
            problem = f"{root / path} has annotations of {len(kinds)} kinds that differ ({differing})"
            remedy = f"choose one, such as `annotations`={next(iter(kinds))}, or none for whole recordings"
            raise InputError(problem, remedy=remedy)
        agreeing[", ".join(kinds)] += 1
    notices = tuple(
        f"{counted(count, 'recording')} with annotations of several kinds that agree: {kinds}"
        for kinds, count in agreeing.items()
    )

    # A Kaldi folder holds no recordings: the common folder of those that it names is then the root.
    paths = [parts[row][0] for row in chosen]
    if any(PurePosixPath(path).is_absolute() for path in {*paths}):
        places = [Path(os.path.normpath(root.absolute() / path)) for path in paths]
        root = Path(os.path.commonpath([place.parent for place in places]))
        paths = [place.relative_to(root).as_posix() for place in places]
    left = [each for each in rejected if each.kind != _LACKING or each.path not in rows]
    table = {name: [values[row] for row in chosen] for name, values in columns.items()}
    return Clips.from_columns(root, {**table, "path": paths}, rejected=tuple(left), notices=notices)
