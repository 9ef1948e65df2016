"""Annotations that other tools wrote, of the recordings of a folder or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav`` (`Folder.of_file`). Some files name their recordings themselves. The suffix of a file says its
kind (`FILES`), or the option ``annotations`` does; all annotations of a corpus are of one kind.

The readers are our own: ``praatio`` reads no Latin-1, ``textgrid`` no UTF-8 with a mark, ``pympi-ling`` accepts
entities, and pandas neither numbers lines nor keeps labels of several words that spaces separate from the times.
"""

import gc
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from math import isfinite
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element, ParseError, fromstring

from pandas import concat

from wordless.audio.decoding import Recording, RecordingError, length_of
from wordless.audio.recordings import description
from wordless.audio.recordings.description import PATH_COLUMNS, SPAN_FIELDS, group_of, seconds_of
from wordless.audio.recordings.folders import (
    Folder,
    is_file,
    is_missing,
    is_recording,
    read_annotation_text,
    require_folder,
    separated,
)
from wordless.audio.recordings.manifest import Clips, Rejected, number_of, whole
from wordless.audio.recordings.recording_sources import AnnotationKind, AnnotationOptions, CorpusConfig, Kind
from wordless.audio.waveform import EXTENSIONS
from wordless.base.errors import InputError, within
from wordless.base.text import counted, listed

FILES: Mapping[Kind, tuple[str, tuple[str, ...]]] = {  # what a file is called, and its suffixes; the first that fits
    "raven": ("Raven selection table", (".selections.txt", ".selection.table.txt", ".selections")),
    "elan": ("ELAN document", (".eaf",)),
    "textgrid": ("Praat TextGrid", (".textgrid",)),
    "rttm": ("RTTM file", (".rttm",)),
    "ctm": ("CTM file", (".ctm",)),
    "lab": (".lab file", (".lab",)),
    "audacity": (".txt file", (".txt",)),
    "csv": ("label table", (".csv", ".tsv")),
}
_TIMES = (*SPAN_FIELDS, "duration")
_SHARED: tuple[Kind, ...] = ("lab", "audacity", "csv")  # transcripts, pitch tracks and others have these suffixes, too
_NAMING: tuple[Kind, ...] = ("rttm", "ctm")  # name recordings in their lines
_TOOLKITS = re.compile(  # files of Kaldi and lhotse
    r"(.*/)?wav\.scp|.*\.jsonl\.gz|(.*[/_.-])?(cuts|supervisions)\.jsonl"
)
_REWRITE = "write path, start, end and label of each part into a TSV file, `table`=FILE"


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
        """Why the part cannot be used: its fault, or a time that is not there."""
        if self.fault is None:  # for a million parts, without a generator for each
            for name in _TIMES:
                if self.fields.get(name) == "":
                    return f"it has no {name}"
        return self.fault


def _read(kind: Kind, path: Path, shown: str, config: AnnotationOptions) -> list[Annotation]:
    match kind:
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
_RAVEN, _OFFSET = "begin time (s)", "file offset (s)"
_KEPT = {"annotated_channel": "channel", "low_hz": "low freq (hz)", "high_hz": "high freq (hz)"}
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


def columns(text: str, shown: str, kind: Kind, label: str | None = None, group: str | None = None) -> list[Annotation]:
    """Read a part in each line; ``label`` and ``group`` name columns of a header."""
    delimiter, header = (None, []) if kind in _FIXED else layout(text)
    lines = separated(text, delimiter, shown, quoted=delimiter != "\t")
    rows = [(f"{shown}:{number}", cells) for number, cells in lines]
    if header:
        return _below(header, rows[1:], shown, label, group)
    if kind == "raven":
        raise InputError(
            f"{shown}:1: no column names times, such as Begin Time (s); save the selections again in Raven"
        )
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


def _below(
    header: list[str], rows: list[tuple[str, list[str]]], shown: str, label: str | None, group: str | None
) -> list[Annotation]:
    """Read the rows below a header; each column that may hold labels is a tier."""
    lower, times = [name.lower() for name in header], description.time_columns(header)
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
    fields |= {name: description.in_seconds(table[column.lower()], column) for name, column in times.items()}
    paths = zip(table.get("begin path", none), table.get("begin file", none), strict=True)
    files = [path or name for path, name in paths]
    faults = _count_from_files(files, table.get("end file", none), table.get(_OFFSET, none), fields)
    faults |= {
        row: "more values than the header has columns" for row, (_, each) in enumerate(rows) if any(each[width:])
    }

    places = [files, *(table[name] for name in PATH_COLUMNS if name in table)]
    recordings = [next(filter(None, each), None) for each in zip(*places, strict=True)]
    parts, names = list[Annotation](), (*fields, "label")
    for name in chosen:
        labels = map(one_line, table.get(name.lower(), none))
        values = zip(*fields.values(), labels, strict=True)
        for row, (each, recording, (where, _)) in enumerate(zip(values, recordings, rows, strict=True)):
            said = dict(zip(names, each, strict=True))
            parts.append(Annotation(where, said, name, recording, faults.get(row), unread))
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
        elif offset is not None and "end" in fields:
            start, end = (seconds_of(fields[name][row]) for name in SPAN_FIELDS)
            if start is not None and end is not None:
                fields["start"][row], fields["end"][row] = repr(offset), repr(offset + end - start)
    return faults


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
            if sound.declared is None and begin == 0:  # only decoding counts it
                return 0.0, None
        samples, rate = length_of(recording)
    except RecordingError:  # inspection sets it aside
        return 0.0, None
    length = samples / rate
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


# Files beside recordings

# kinds of reasons against annotations; strays may be something else
_STRAY, WITHOUT_PARTS = "annotations without a recording", "annotations name no part of it"
_LEFT_OUT, _UNUSABLE, _LACKING = "annotation left out", "annotations not usable", "annotations without the tier"
OF_ANNOTATIONS = (WITHOUT_PARTS, _LEFT_OUT, _UNUSABLE, _LACKING)  # why a recording that can be read is set aside


def kind_of(path: Path, wanted: AnnotationKind = "auto") -> Kind | None:
    """Return the kind of annotations in a file that somebody names; None: another file, such as a table."""
    if re.fullmatch(_TOOLKITS, path.name) or is_file(path / "wav.scp"):
        raise InputError(f"{path}: data of Kaldi and lhotse are not read", remedy=_REWRITE)
    if wanted != "auto":
        return None if wanted == "none" else wanted
    kind = _kind_by_suffix(path.name)
    if kind not in _SHARED:
        return kind
    # Tables that list recordings have these suffixes, too.
    header = {name.lower() for name in layout(_first_lines(path))[1]}
    beside = any(is_file(path.with_suffix(f".{each}")) for each in EXTENSIONS)
    alone = _RAVEN in header or (kind != "csv" and not header)
    return kind if (beside or alone) and _names_parts(path, kind, alone=True) else None


def _kind_by_suffix(name: str) -> Kind | None:
    return next((kind for kind, (_, suffixes) in FILES.items() if name.lower().endswith(suffixes)), None)


def _first_lines(path: Path) -> str:
    """Return the lines that show what a text holds; of other files nothing."""
    try:
        return "\n".join(read_annotation_text(path, head=True).split("\n", FIRST)[:FIRST]) if is_file(path) else ""
    except (OSError, InputError):
        return ""


def _names_parts(path: Path, kind: Kind, *, alone: bool = False) -> bool:
    """Return whether the first lines of a text name a part with a label; ``alone``: and have no column of recordings.

    Decimals in all labels are measurements, such as pitch; whole numbers between spaces may be words of a transcript.
    """
    text = _first_lines(path)
    delimiter, header = layout(text)
    if alone and not {*PATH_COLUMNS}.isdisjoint(map(str.lower, header)):
        return False
    try:
        parts = columns(text, "", kind)
    except InputError:  # a header that is wrong: the file is refused when it is read
        return True
    good = [each.fields for each in parts if not each.problem and seconds_of(each.fields["start"]) is not None]
    good = [each for each in good if seconds_of(each.get("end", each.get("duration", ""))) is not None]
    labels = {each["label"] for each in good} - {""}
    if header:
        return bool(labels) or not parts or _RAVEN in map(str.lower, header)
    whole = all(each["start"].isdecimal() for each in good)
    words = any(number_of(label) is None or not (whole or "." in label) for label in labels)
    return words and not (whole and delimiter is None)


def annotations_below(folder: Folder, config: AnnotationOptions, *, alone: bool = False) -> Clips:
    """Return the annotated parts of the recordings of a folder; without annotations there are none.

    Annotations of a wanted kind must be there and usable; if no kind is wanted, all must be of one kind. One recording
    ``alone`` is not the one that other files belong to.
    """
    wanted = config.annotations
    if wanted == "none":
        return Clips.from_columns(folder.root, {"path": ()})
    files = _files_beside(folder, wanted)
    read = {name for names in files.values() for name in names}
    unread = [*folder.unread(name for name in folder.others if name not in read)]
    if strays := [each for each in folder.others if each not in read and not alone and _is_stray(folder, each)]:
        unread.append(_without_recording(strays, "file of times and labels", "files of times and labels"))
    if toolkits := [*filter(_TOOLKITS.fullmatch, folder.others)]:
        which = counted(len(toolkits), "file")
        unread.append(f"{which} of Kaldi or lhotse not read, such as {toolkits[0]}: {_REWRITE}")
        if not folder.recordings:
            rule = f"it holds no recordings, and {toolkits[0]} of Kaldi or lhotse is not read"
            raise InputError(option="root", value=folder.root, rule=rule, remedy=_REWRITE)
    if wanted == "auto" and len(files) > 1:
        kinds = [f"{counted(len(names), FILES[kind][0])} such as {names[0]}" for kind, names in files.items()]
        problem = f"{folder.root} has annotations of {len(files)} kinds: {listed(kinds)}"
        choice = listed([*files, "none for whole recordings"], "or")
        raise InputError(problem, remedy=f"choose `annotations`={choice}")
    if wanted == "auto" and not files:
        return Clips.from_columns(folder.root, {"path": ()}, notices=tuple(unread))
    kind = next(iter(files)) if wanted == "auto" else wanted
    if kind not in files:
        title, suffixes = FILES[kind]
        rule = "; ".join([f"{folder.root} holds no {title} ({', '.join(dict.fromkeys((*suffixes, '.txt')))})", *unread])
        raise InputError(option="annotations", value=kind, rule=rule)
    annotated = _collect(folder, kind, files[kind], config)
    if not len(annotated.frame) and not alone and kind not in _NAMING:
        unread.append(_without_recording(files[kind], FILES[kind][0]))
    return replace(annotated, notices=(*annotated.notices, *unread))


def _without_recording(names: Sequence[str], one: str, several: str | None = None) -> str:
    some = f"{', '.join(names[:3])}{', ...' if names[3:] else ''}"
    why = "not read, as no recording, or several, has the name: give each that of its own, or read one by `table`=FILE"
    return f"{counted(len(names), one, several)} {why} ({some})"


def _is_stray(folder: Folder, name: str) -> bool:
    """Return whether a file, such as a .txt file, holds annotations, and no recording has its name."""
    kind = _kind_by_suffix(name)
    return kind in _SHARED and not folder.of_file(name) and _names_parts(folder.root / name, kind, alone=True)


def _files_beside(folder: Folder, wanted: Kind | Literal["auto"]) -> dict[Kind, list[str]]:
    """Return the files below a folder that hold annotations, by kind; a text of the wanted kind may be a .txt file."""
    found, texts = dict[Kind, list[str]](), list[str]()
    for name in folder.others:
        kind, path = _kind_by_suffix(name), folder.root / name
        if kind is None or not is_file(path):  # a pipe would wait for ever
            continue
        own = bool(folder.of_file(name))
        texts += [name] if own and name.lower().endswith(".txt") else []
        if kind not in _SHARED or (own and (kind == wanted or _names_parts(path, kind))):
            found.setdefault(kind, []).append(name)
    if wanted != "auto" and wanted not in found and texts:
        found[wanted] = texts
    return found


def annotations_in(path: Path, kind: Kind, root: Path, config: AnnotationOptions) -> Clips:
    """Return the parts of recordings below ``root`` that one file of annotations describes."""
    name = os.path.relpath(path.absolute(), root.absolute())
    annotated = _collect(Folder.at(root), kind, [name], config)
    if not len(annotated.frame):
        problem = f"{path}: no recording of it can be used; {root} has none of its name"
        raise InputError(problem, remedy="set `root` to the folder of the recordings")
    return annotated


@dataclass(frozen=True, slots=True)
class _File:
    """A file of annotations."""

    name: str
    own: list[str]  # the recordings of its name; none if it names its recordings
    parts: list[Annotation]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause Python's search for circles among objects, which takes a third of the time of a million parts."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collection()
def _collect(folder: Folder, kind: Kind, names: Sequence[str], config: AnnotationOptions) -> Clips:
    """Read files, choose their tier, and place their parts in recordings; faulty files and parts are set aside."""
    rejected = list[Rejected]()
    files = _read_files(folder, kind, names, config, rejected)
    files = _of_one_tier(files, config, rejected)
    files, notices = _from_their_begin(folder, files, rejected)
    notices += _without_missing(kind, files, config.columns.not_known)
    placed = [each for file in files for each in _placed(folder, kind, file, rejected)]
    found = _described(folder.root, placed, rejected)
    parts = found.frame
    if not len(parts):
        if config.annotations == "auto" and all(each.kind == _STRAY for each in found.rejected):
            return replace(found, rejected=())
        first = next((f"{each.path}: {each.reason}" for each in found.rejected), "they name no part")
        problem = f"{folder.root}: none of its annotations can be used ({first}; {len(found.rejected)} in all)"
        raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
    of_recordings = f"{counted(len(parts), 'annotated part')} of {counted(parts.path.nunique(), 'recording')}"
    told = [f"{of_recordings} from {counted(len(files), FILES[kind][0])}"]
    if unlabelled := int(parts.label.isna().sum()):
        told.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if parts[["low_hz", "annotated_channel"]].notna().any(axis=None):
        told.append("frequency bounds and channels of annotations cut nothing out of the sound")
    if unread := dict.fromkeys(column for file in files for each in file.parts[:1] for column in each.unread):
        notices.append(f"columns of annotations not read: {', '.join(unread):.400} (`tier`, `columns.group`)")
    return replace(found, notices=(*told, *notices))


def _read_files(
    folder: Folder, kind: Kind, names: Sequence[str], config: AnnotationOptions, rejected: list[Rejected]
) -> list[_File]:
    """Read each file; files of speakers and words may be named after splits."""
    files, group = list[_File](), config.groups_in
    for name in names:
        own = [] if kind in _NAMING else folder.of_file(name)
        try:
            files.append(_File(name, own, _read(kind, folder.root / name, name, config)))
        except (OSError, InputError) as error:
            rejected += _set_aside(own or [name], _UNUSABLE, f"{error}" if name in f"{error}" else f"{name}: {error}")
    if group is not None and (
        kind == "elan" or (files and not any("group" in each.fields for file in files for each in file.parts[:1]))
    ):
        rule = "it has no effect, as no table with columns was found: leave it out"
        raise InputError(option="columns.group", value=group, rule=rule)
    if kind in _NAMING:
        shared = os.path.commonpath([PurePosixPath(name).parent for name in names]) or "."
        splits = {file.name: description.known_split(os.path.relpath(file.name, shared)) or "" for file in files}
        for file in files if len({*splits.values()} - {""}) > 1 else ():
            for each in file.parts:
                each.fields["split"] = splits[file.name]
    return files


def _of_one_tier(files: Sequence[_File], config: AnnotationOptions, rejected: list[Rejected]) -> list[_File]:
    """Keep the parts of the tier that is chosen, or of the only one; set files without the tier aside."""
    (tier, option), tiers, found = config.labels_in, dict[str, None](), list[_File]()
    for file in files:
        there = dict.fromkeys(each.tier for each in file.parts if each.tier)
        tiers |= there
        usable = [*dict.fromkeys(each.tier for each in file.parts if not each.fault)]
        usable = usable if tier is None or usable == [""] else [tier]
        if len(usable) > 1:
            problem = f"{file.name}: {len(usable)} tiers or columns have labels: {', '.join(usable):.400}"
            remedy = f"choose one, such as `tier`={usable[0]}, or `annotations`=none for whole recordings"
            raise InputError(problem, remedy=remedy)
        chosen = [each for each in file.parts if not usable or each.tier == usable[0]]
        if chosen or not file.parts:
            found.append(replace(file, parts=chosen))
        else:
            why = f"{file.name}: no tier or column {tier!r}; there are {', '.join(there):.200}"
            rejected += _set_aside(file.own, _LACKING, why)
    if tier is not None and tier not in tiers:
        rule = f"no file has it; there are {', '.join(tiers) or 'no tiers or columns'!s:.400}"
        raise InputError(option=option, value=tier, rule=rule, remedy="name one that the files have")
    return found


def _from_their_begin(
    folder: Folder, files: Sequence[_File], rejected: list[Rejected]
) -> tuple[list[_File], list[str]]:
    """Count times from the begins of the recordings; set files aside whose times do not fit, and tell what was done."""
    found, moved, unlike, notices = list[_File](), list[str](), list[str](), list[str]()
    for file in files:
        clock = next((each.clock for each in file.parts if each.clock), None)
        begin, length = _counted_from(clock, folder.root / file.own[0]) if clock and file.own else (0.0, None)
        if clock and length is not None:
            lasts = f"{file.name}: its times are {clock[0]:g} to {clock[1]:g} s, and {file.own[0]} lasts {length:.3f} s"
            if clock[0] != 0:
                rejected += _set_aside(file.own, _UNUSABLE, f"{lasts}; save the TextGrid of the whole recording")
                continue
            unlike.append(lasts)
        if begin:
            moved.append(f"{file.name} at {begin:g} s")
            for each, side in product(file.parts, SPAN_FIELDS):
                each.fields[side] = repr(round(float(each.fields[side]) - begin, 9))
        found.append(file)
    if moved:
        which = f"{counted(len(moved), 'TextGrid does', 'TextGrids do')} not begin at 0 s, such as {moved[0]}"
        notices.append(f"{which}: times count from there, as the lengths fit")
    if unlike:
        which = f"{counted(len(unlike), 'TextGrid')} with another length than the recording, such as {unlike[0]}"
        notices.append(f"{which}: check that it belongs to the sound")
    return found, notices


def _without_missing(kind: Kind, files: Sequence[_File], not_known: Collection[str]) -> list[str]:
    """Empty the labels and groups of tables that stand for missing values, which R and pandas write; count labels."""
    lost = 0
    for each in (each for file in files for each in file.parts if kind in ("raven", "csv")):
        for name in ("label", "group"):
            if each.fields.get(name) in not_known:
                lost += name == "label"
                each.fields[name] = ""
    names = ", ".join(description.MISSING)
    found = f"{counted(lost, 'label')} of annotations not known, being one of {names} (`columns.missing`=none)"
    return [found] if lost else []


def _placed(folder: Folder, kind: Kind, file: _File, rejected: list[Rejected]) -> Iterator[tuple[str, Annotation]]:
    """Give the parts of a file that can be used, each with its recording."""
    named, there, missing = {each.recording for each in file.parts} - {None, ""}, dict[str, str](), dict[str, str]()
    if not file.own and not named and kind not in _NAMING:
        why = f"{folder.root} has no recording {PurePosixPath(file.name).stem}.*, or several"
        rejected += _set_aside([file.name], _STRAY, why)
        return
    if not file.parts:
        rejected += _set_aside(file.own, WITHOUT_PARTS, file.name)
    for recording in filter(None, named):
        try:
            there[recording] = folder.named(recording, file.name)
        except InputError as error:
            missing[recording] = str(error)
    for each in file.parts:
        recording, fault = each.recording or "", each.problem
        if recording in there:
            paths = [there[recording]]
        elif file.own and (not recording or len(named) == 1):  # the only one that is named may have another name now
            paths = file.own
        else:
            paths, fault = [recording or file.name], fault or missing.get(recording, "it names no recording")
        if fault:
            rejected += _set_aside(paths, _LEFT_OUT, f"{each.where}: {fault}", 1)
        else:
            yield from ((path, each) for path in paths)


def _set_aside(paths: Iterable[str], kind: str, why: str, segments: int = 0) -> list[Rejected]:
    return [Rejected(path=path, reason=f"{kind}: {why}", kind=kind, segments=segments) for path in paths]


def _described(root: Path, parts: Sequence[tuple[str, Annotation]], rejected: list[Rejected]) -> Clips:
    """Describe parts of recordings; equal parts count once, because Raven writes a row for each view."""
    where, names = [each.where for _, each in parts], {name: "" for _, each in parts for name in each.fields}
    texts = {name: [each.fields.get(name, "") for _, each in parts] for name in names}
    columns, faults = description.describe(texts, where)
    labels, first = columns.get("label", []), dict[tuple[str, float | None, float | None], int]()
    for row, ((path, each), *span) in enumerate(zip(parts, columns["begin"], columns["end"], strict=True)):
        same = row if row in faults else first.setdefault((path, *span), row)
        if labels[same] != labels[row]:
            sides = "; parts have the sound of all channels" if each.fields.get("annotated_channel") else ""
            differing = f"({labels[row]}, and {labels[same]} at {where[same]}){sides}"
            faults[row] = f"{where[row]}: two labels of the same start and end {differing}"
        rejected += _set_aside([path], _LEFT_OUT, faults[row], 1) if row in faults else []

    # Files may name recordings outside the folder: the common folder of all is then the root.
    rows = sorted(first.values(), key=lambda row: parts[row][0])
    paths = [parts[row][0] for row in rows]
    known = {*paths}
    left = [each for each in rejected if each.kind != _LACKING or each.path not in known]
    if any(PurePosixPath(path).is_absolute() for path in known):
        places = [Path(os.path.normpath(root.absolute() / path)) for path in paths]
        root = Path(os.path.commonpath([place.parent for place in places]))
        paths = [place.relative_to(root).as_posix() for place in places]
    table = {name: [values[row] for row in rows] for name, values in columns.items()}
    return Clips.from_columns(root, {**table, "path": paths}, rejected=tuple(left))


# Sources of recordings


def candidates(config: CorpusConfig, making: object) -> Clips:
    """List the annotated parts of the recordings below ``root``; where there are none, whole recordings."""
    folder = Folder.at(require_folder(config.root or ""))
    found = annotations_below(folder, config)
    if len(found.frame):
        listed = {*(each.path for each in found.rejected), *found.frame.path}
        reason = "no annotations beside it, and other recordings have some (`annotations`=none uses all as a whole)"
        alone = found.root == folder.root
        others = (Rejected(path=path, reason=reason) for path in folder.recordings if alone and path not in listed)
        found = _of_corpus(replace(found, rejected=(*found.rejected, *others)), config)
    else:
        config.refuse_annotations()
        found = whole(folder.root, folder.require_recordings(), notices=found.notices)
        _refuse_columns(config, found)
    return _beside(folder, found)


def _beside(folder: Folder, found: Clips) -> Clips:
    """Add what is told of a folder to what was found in it."""
    rejected, notices = (*found.rejected, *folder.rejected), (*folder.notices, *found.notices)
    return replace(found, rejected=rejected, notices=notices)


def annotations_of_table(path: Path, kind: Kind, config: CorpusConfig) -> Clips:
    """Return the parts that the file of annotations names which a corpus has for its table."""
    root = require_folder(config.root) if config.root else require_folder(str(path.parent), by=str(path))
    return replace(_of_corpus(annotations_in(path, kind, root, config), config), title=path.name)


def _of_corpus(found: Clips, config: CorpusConfig) -> Clips:
    """Complete the parts of a corpus; columns of annotations are those of groups and, without a tier, of labels."""
    _refuse_columns(config, found, "group", *(() if config.tier else ("label",)))
    return replace(found if "group" in config.fields else in_groups(found), has_labels=True)


def _refuse_columns(config: CorpusConfig, found: Clips, *read: str) -> None:
    unread = dict.fromkeys(config.columns.unread, (description.UNREAD,))
    for name, value in (config.columns.named | unread).items():
        if name not in read:
            beside = f"`tier`={config.tier}" if config.tier else found.root
            rule = f"it has no effect beside {beside}: leave it out, or give the table that has it, `table`=FILE"
            raise InputError(option=f"columns.{name}", value=",".join(value), rule=rule)


def in_groups(found: Clips) -> Clips:
    """Give all parts of a recording one group, if annotations name no other: they stay in one split."""
    groups = zip(found.frame.path, found.frame.group, strict=True)
    return found.with_columns(group=[group or group_of(path) for path, group in groups])


def recordings_at(place: Path, config: AnnotationOptions | None = None, *, option: str = "input") -> Clips:
    """Find the clips of a command as `candidates_at` does, with the places of parts in samples of their recordings."""
    found = candidates_at(place, config, option=option)
    lengths, unread = dict[str, tuple[int, int]](), list[Rejected]()
    for path in dict.fromkeys(found.frame.path[found.frame.begin.notna()]):
        try:
            lengths[path] = length_of(found.root / path)
        except RecordingError as error:
            unread.append(Rejected.by(path, error))
    faulty = {each.path for each in unread}
    read = found.where(path not in faulty for path in found.frame.path)
    placed = description.measured(replace(read, rejected=(*found.rejected, *unread)), lengths)
    return placed.with_columns(begin=None, end=None, where=None)


def candidates_at(place: Path, config: AnnotationOptions | None = None, *, option: str = "input") -> Clips:
    """Find the recording ``place``, or all recordings below the folder ``place``, and their annotated parts.

    ``place``, the value of ``option``, may also be a file of annotations. Without a config recordings are whole.
    A single recording has the annotations of its name in its folder; if a kind or a tier is chosen, all that name it.
    """
    if is_missing(place):
        raise InputError(option=option, value=place, rule="it does not exist: name a recording, or a folder of some")
    config, root, paths = config or AnnotationOptions(annotations="none"), place.parent, [place.name]
    found = whole(root, ())
    with within("", root=option):
        if os.path.isdir(place):  # noqa: PTH112  Path raises for long names; other kinds of files are set aside when they are read
            folder = Folder.at(place)
            found = _beside(folder, annotations_below(folder, config))
            elsewhere = len(found.frame) and found.root != place  # as ELAN documents name their media
            paths = [] if elsewhere else folder.require_recordings()
        elif is_recording(place.name):
            chosen = config.annotations not in ("auto", "none") or config.tier is not None
            beside = Folder.at(root).others if chosen else sorted({*os.listdir(root)} - {place.name})  # noqa: PTH208  names alone
            alone = Folder(root=root, files=(place.name, *(each for each in beside if not is_recording(each))))
            if not chosen:  # files of other recordings are none of this one
                alone = replace(alone, files=(place.name, *(each for each in alone.others if alone.of_file(each))))
            found = annotations_below(alone, config, alone=True)
            found = replace(found, rejected=tuple(each for each in found.rejected if each.path == place.name))
        elif kind := kind_of(place, config.annotations):
            found, paths = annotations_in(place, kind, root, config), []
    if config.tier is not None and not len(found.frame):
        rule = f"it has no effect on {place}, beside which no annotations of it lie"
        raise InputError(option="tier", value=config.tier, rule=rule, remedy="leave it out, or name their file")
    found = in_groups(found.named(""))
    others = {*paths} - {*found.frame.path} - {each.path for each in found.rejected}
    in_time = concat([found.frame, whole(found.root, [*others]).frame]).sort_values("begin", kind="stable")
    # by one column after the other: pandas sorts by several columns only text that is UTF-8
    return replace(found, frame=in_time.sort_values("path", kind="stable", ignore_index=True))
