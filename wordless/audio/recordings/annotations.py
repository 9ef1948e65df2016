"""Annotations that other tools wrote, of the recordings of a folder or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav``. Some files name their recordings themselves. The recording lies in the folder of the file, or
in one whose last folders are the same as far as both are given (`matching`); if it is missing, the file is set aside.
The suffix of a file says its kind (`annotation_kinds.KINDS`), or the option ``annotations`` does; all annotations of a
corpus are of one kind.
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice, product
from math import isfinite
from pathlib import Path, PurePosixPath

from pandas import concat

from wordless.audio.decoding import Recording, RecordingError, length_of
from wordless.audio.recordings import description
from wordless.audio.recordings.annotation_formats import NO_PART, Annotation, Contents
from wordless.audio.recordings.annotation_kinds import ANNOTATION_KINDS, AnnotationKind, kind_by_suffix
from wordless.audio.recordings.corpus_config import AnnotationOptions, CorpusConfig
from wordless.audio.recordings.description import SPAN_FIELDS, group_of
from wordless.audio.recordings.folders import (
    Folder,
    is_file,
    is_missing,
    is_recording,
    read_annotation_text,
    require_folder,
    seen_around,
)
from wordless.audio.recordings.manifest import Clips, Rejected, whole_recording
from wordless.audio.recordings.matching import parent
from wordless.audio.recordings.sources import OF_THE_PROGRAM, Column, ReadFile, Reading, Seen, Unused
from wordless.audio.recordings.unread_columns import unread_columns
from wordless.audio.waveform import EXTENSIONS
from wordless.base.imports import without_collection
from wordless.base.messages import InputError, counted, listed, within

_TOOLKITS = re.compile(  # files of Kaldi and lhotse
    r"(.*/)?wav\.scp|.*\.jsonl\.gz|(.*[/_.-])?(cuts|supervisions)\.jsonl"
)
_REWRITE = "write path, start, end and label of each part into a TSV file, `table`=FILE"


# Files beside recordings

# kinds of reasons against annotations; strays may be something else
_STRAY, WITHOUT_PARTS = "annotations without a recording", "annotations name no part of it"
_LEFT_OUT, _UNUSABLE, _LACKING = "annotation left out", "annotations not usable", "annotations without the tier"


def kind_of(path: Path, wanted: str = "auto") -> str | None:
    """Return the kind of annotations in a file that somebody names; None: another file, such as a table."""
    if re.fullmatch(_TOOLKITS, path.name) or is_file(path / "wav.scp"):
        raise InputError(f"{path}: data of Kaldi and lhotse are not read", remedy=_REWRITE)
    if wanted != "auto":
        return None if wanted == "none" else wanted
    kind = kind_by_suffix(path.name)
    holds = _contents(path, kind)
    # Tables that list recordings have some of the suffixes, too.
    beside = holds == "table" and any(is_file(path.with_suffix(f".{each}")) for each in EXTENSIONS)
    return kind if beside or holds == "labels" else None


def _contents(path: Path, kind: str | None) -> Contents:
    """Return what the first lines of a file hold, if its suffix does not say it."""
    contents = None if kind is None else ANNOTATION_KINDS[kind].contents
    if contents is None:
        return "others" if kind is None else "labels"
    with suppress(OSError, InputError):  # it is no text
        if is_file(path):  # a pipe would wait for ever
            return contents(read_annotation_text(path, head=True))
    return "others"


def annotations_below(folder: Folder, config: AnnotationOptions, *, alone: bool = False) -> Clips:
    """Return the annotated parts of the recordings of a folder; without annotations there are none.

    Annotations of a wanted kind must be there and usable; if no kind is wanted, all must be of one kind. One recording
    ``alone`` is not the one that other files belong to.
    """
    wanted = config.annotations
    if wanted == "none":
        beside = (name for names in _files_beside(folder, "auto").values() for name in names)
        unread = {folder.root / name: _NOT_HERE for name in beside}
        return Clips.from_columns(folder.root, {"path": ()}, reading=Reading(unread=unread))
    files = _files_beside(folder, wanted)
    read = {name for names in files.values() for name in names}
    unread = {folder.root / name: why for name, why in _unread(folder, read, alone=alone)}
    toolkits = [*filter(_TOOLKITS.fullmatch, folder.others)]
    if toolkits and not folder.recordings:
        rule = f"it holds no recordings, and {toolkits[0]} of Kaldi or lhotse is not read"
        raise InputError(option="root", value=folder.root, rule=rule, remedy=_REWRITE)
    if wanted == "auto" and len(files) > 1:
        kinds = [
            f"{counted(len(names), ANNOTATION_KINDS[kind].title)} such as {names[0]}" for kind, names in files.items()
        ]
        problem = f"{folder.root} has annotations of {len(files)} kinds: {listed(kinds)}"
        choice = listed([*files, "none for whole recordings"], "or")
        raise InputError(problem, remedy=f"choose `annotations`={choice}")
    if wanted == "auto" and not files:
        return Clips.from_columns(folder.root, {"path": ()}, reading=Reading(unread=unread))
    kind = next(iter(files)) if wanted == "auto" else wanted
    if kind not in files:
        suffixes = ", ".join(dict.fromkeys((*ANNOTATION_KINDS[kind].suffixes, ".txt")))
        told = (f"{path.relative_to(folder.root)}: {why.why}" for path, why in unread.items())
        rule = "; ".join([f"{folder.root} holds no {ANNOTATION_KINDS[kind].title} ({suffixes})", *islice(told, _TOLD)])
        raise InputError(option="annotations", value=kind, rule=rule)
    facts = ANNOTATION_KINDS[kind]
    annotated = _collect(folder, facts, files[kind], config)
    strays = (str(path.relative_to(folder.root)) for path, why in unread.items() if why.kind == _NO_RECORDING)
    lost = tuple(each for name in strays for each in _set_aside([name], _STRAY, folder.matching.why_none(name)))
    reading = annotated.reading + Reading(unread=unread)
    return replace(annotated, rejected=(*annotated.rejected, *lost), reading=reading)


_NOT_HERE = Unused(why="annotations are not read here (`annotations`=none)")
_TOLD = 3  # files of which a refusal tells
_NO_RECORDING = "named like no recording of their place"  # what reasons have in common


def _without_recording(folder: Folder, name: str) -> Unused:
    return Unused(why=folder.matching.why_none(name), option="`table`=FILE reads one", kind=_NO_RECORDING)


def _unread(folder: Folder, read: Collection[str], *, alone: bool) -> Iterator[tuple[str, Unused]]:
    """Give the files that hold times and labels, or data of toolkits, and are not read, with the reason."""
    for name in folder.others:
        if name in read or name in folder.folders:
            continue
        if _TOOLKITS.fullmatch(name):
            yield name, Unused(why="data of Kaldi or lhotse are not read", option=_REWRITE)
        elif not alone and _is_stray(folder, name):
            yield name, _without_recording(folder, name)


def _is_stray(folder: Folder, name: str) -> bool:
    """Return whether a file, such as a .txt file, holds annotations, and no recording of its folder has its name."""
    kind, path = kind_by_suffix(name), folder.root / name
    if kind is None or ANNOTATION_KINDS[kind].contents is None or folder.of_file(name):
        return False
    holds = _contents(path, kind)
    return holds in ("table", "labels") or (holds == "parts of recordings" and folder.matching.is_named_so(name))


def _files_beside(folder: Folder, wanted: str) -> dict[str, list[str]]:
    """Return the files below a folder that hold annotations, by kind; a text of the wanted kind may be a .txt file."""
    found, texts = dict[str, list[str]](), list[str]()
    for name in folder.others:
        kind, path = kind_by_suffix(name), folder.root / name
        if kind is None or not is_file(path):  # a pipe would wait for ever
            continue
        own = bool(folder.of_file(name))
        texts += [name] if own and name.lower().endswith(".txt") else []
        if ANNOTATION_KINDS[kind].contents is None or (own and (kind == wanted or _contents(path, kind) != "others")):
            found.setdefault(kind, []).append(name)
    if wanted != "auto" and wanted not in found and texts:
        found[wanted] = texts
    return found


def annotations_in(path: Path, kind: str, root: Path, config: AnnotationOptions) -> Clips:
    """Return the parts of recordings below ``root`` that one file of annotations describes."""
    name = os.path.relpath(path.absolute(), root.absolute())
    annotated = _collect(Folder.at(root), ANNOTATION_KINDS[kind], [name], config)
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


@without_collection()
def _collect(folder: Folder, kind: AnnotationKind, names: Sequence[str], config: AnnotationOptions) -> Clips:
    """Read files, choose their tier, and place their parts in recordings; faulty files and parts are set aside."""
    rejected, damaged = list[Rejected](), dict[str, str]()
    every = _read_files(folder, kind, names, config, rejected, damaged)
    files = _of_one_tier(every, config, rejected)
    files, notices = _from_their_begin(folder, kind, files, {file.name: file.parts for file in every}, rejected)
    notices += _without_missing(files, config.columns.not_known) if kind.has_missing else []
    placed = [each for file in files for each in _placed(folder, kind, file, rejected)]
    notices += _moved(folder, kind, files, placed)
    found = _described(folder.root, placed, rejected)
    found = replace(found, reading=_reading(folder, kind, every, files, config, damaged))
    parts = found.frame
    if not len(parts):
        if config.annotations == "auto" and all(each.kind == _STRAY for each in found.rejected):
            unplaced = {folder.root / name: _without_recording(folder, name) for name in names}
            return replace(found, rejected=(), reading=Reading(unread=unplaced))
        first = next((f"{each.path}: {each.reason}" for each in found.rejected), "they name no part")
        problem = f"{folder.root}: none of its annotations can be used ({first}; {len(found.rejected)} in all)"
        raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
    of_recordings = f"{counted(len(parts), 'annotated part')} of {counted(parts.path.nunique(), 'recording')}"
    told = [f"{of_recordings} from {counted(len(files), kind.title)}"]
    if unlabelled := int(parts.label.isna().sum()):
        told.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if parts[["low_hz", "annotated_channel"]].notna().any(axis=None):
        told.append("frequency bounds and channels of annotations cut nothing out of the sound")
    if strays := [each for each in rejected if each.kind == _STRAY]:
        which = f"{counted(len(strays), kind.title)} left out, such as {strays[0].path}"
        notices.append(f"{which}: {strays[0].reason.removeprefix(f'{_STRAY}: ')}")
    return replace(found, notices=(*told, *notices))


def _reading(
    folder: Folder,
    kind: AnnotationKind,
    every: Sequence[_File],
    files: Sequence[_File],
    config: AnnotationOptions,
    damaged: Mapping[str, str],
) -> Reading:
    """Return what became of the columns and rows of ``every`` file, of which ``files`` are used."""
    kept = {file.name: file for file in files}
    names = dict.fromkeys(each.tier for file in files for each in file.parts if each.tier)
    tiers = [(file, [*dict.fromkeys(each.tier for each in file.parts)]) for file in every]
    unread = _unread_columns(every, has_group=config.groups_in is not None)
    read, dropped = list[ReadFile](), f"its file was set aside, or has no tier {config.tier}"
    for file, there in tiers:
        columns = dict[str, Column]()
        for name, use in next((each.columns for each in file.parts), {}).items():
            other = Column(why="another column has the labels", option=f"`tier`={name}")
            used = Column(field=use) if use != "label" or name in names else other
            columns[name] = used if use else unread.get(name, OF_THE_PROGRAM)
        for name in there if not columns else ():
            other = Column(why="another tier has the labels", option=f"`tier`={name}")
            columns |= {name: Column(field="label") if name in names else other} if name else {}
        own = kept.get(file.name)
        used_rows = {*(each.where for each in own.parts)} if own else set[str]()
        left = dict[str, Unused]()
        for each in file.parts:
            if each.fault == NO_PART:
                left[each.where] = Unused(why=NO_PART)
            elif each.where not in used_rows:
                option = f"`tier`={each.tier}" if own and each.tier else ""
                why = f"tier {each.tier} is not read" if own else dropped
                left.setdefault(each.where, Unused(why=why, option=option))
        rows = [*dict.fromkeys(each.where for each in file.parts)]
        read.append(ReadFile(path=folder.root / file.name, use=kind.title, columns=columns, rows=rows, left_out=left))
    unusable = {folder.root / name: Unused(why=text, kind=_UNUSABLE) for name, text in damaged.items()}
    return Reading(files=tuple(read), unread=unusable)


def _unread_columns(files: Sequence[_File], *, has_group: bool) -> dict[str, Column]:
    """Describe the columns of annotations that nothing reads, by their values in all files."""
    values, labels = defaultdict[str, list[str]](list), defaultdict[str, list[str | None]](list)
    for file in files:
        for name, cells in next((each.unread for each in file.parts), {}).items():
            values[name] += cells
            labels[name] += _labels_of_rows(file, len(cells))
    found = dict[str, Column]()
    for name, cells in values.items():
        (column,) = unread_columns({name: cells}, labels[name], has_group=has_group).values()
        found[name] = column if column.looks else replace(column, option=f"`tier`={name}")
    return found


def _labels_of_rows(file: _File, count: int) -> list[str | None]:
    """Return the labels of the first tier of a file; none if its parts are not its rows."""
    own = [each.fields.get("label") for each in file.parts if each.tier == file.parts[0].tier]
    return [*own] if len(own) == count else [None] * count


def _read_files(
    folder: Folder,
    kind: AnnotationKind,
    names: Sequence[str],
    config: AnnotationOptions,
    rejected: list[Rejected],
    damaged: dict[str, str],
) -> list[_File]:
    """Read each file; files that name their recordings may themselves be named after splits.

    ``damaged`` gets the files that cannot be read, with the reason.
    """
    files, (label, _), group = list[_File](), config.labels_in, config.groups_in
    named = (label, group) if kind.has_columns else ()
    for name in names:
        own = [] if kind.names_recordings else folder.of_file(name)
        try:
            text = read_annotation_text(folder.root / name, xml=kind.is_xml)
            files.append(_File(name, own, kind.read(text, name, *named)))
        except (OSError, InputError) as error:
            damaged[name] = f"{error}" if name in f"{error}" else f"{name}: {error}"
            rejected += _set_aside(own or [name], _UNUSABLE, damaged[name])
    if group is not None and files and not any("group" in each.fields for file in files for each in file.parts[:1]):
        rule = "it has no effect, as no table with columns was found: leave it out"
        raise InputError(option="columns.group", value=group, rule=rule)
    if kind.names_recordings:
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


def _counted_from(clock: tuple[float, float], recording: Path) -> tuple[float, float | None]:
    """Return the second of a file at which its recording begins, and the recording's length if none fits.

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


def _from_their_begin(
    folder: Folder,
    kind: AnnotationKind,
    files: Sequence[_File],
    parts: Mapping[str, Sequence[Annotation]],
    rejected: list[Rejected],
) -> tuple[list[_File], list[str]]:
    """Count times from the begins of the recordings; set files aside whose times do not fit, and tell what was done.

    ``parts`` are those of all tiers of each file.
    """
    found, moved, unlike, notices = list[_File](), list[str](), list[str](), list[str]()
    for file in files:
        clock = next((each.clock for each in file.parts if each.clock), None)
        begin, length = _counted_from(clock, folder.root / file.own[0]) if clock and file.own else (0.0, None)
        if clock and length is not None:
            lasts = f"{file.name}: its times are {clock[0]:g} to {clock[1]:g} s, and {file.own[0]} lasts {length:.3f} s"
            if clock[0] != 0:
                rejected += _set_aside(file.own, _UNUSABLE, f"{lasts}; save the {kind.title} of the whole recording")
                continue
            unlike.append(lasts)
        if begin:
            moved.append(f"{file.name} at {begin:g} s")
            for each, side in product(parts[file.name], SPAN_FIELDS):
                each.fields[side] = repr(round(float(each.fields[side]) - begin, 9))
        found.append(file)
    if moved:
        which = f"times of {counted(len(moved), kind.title)} do not begin at 0 s, such as {moved[0]}"
        notices.append(f"{which}: they count from there, as the lengths fit")
    if unlike:
        which = f"{counted(len(unlike), kind.title)} with another length than the recording, such as {unlike[0]}"
        notices.append(f"{which}: check that it belongs to the sound")
    return found, notices


def _moved(
    folder: Folder, kind: AnnotationKind, files: Sequence[_File], placed: Sequence[tuple[str, Annotation]]
) -> list[str]:
    """Tell which annotations lie in other folders than their recordings, or name another folder of them."""
    notices = list[str]()
    if apart := [file for file in files if file.own and parent(file.own[0]) != parent(file.name)]:
        example = f"such as {apart[0].name} of {apart[0].own[0]}"
        notices.append(f"{counted(len(apart), kind.title)} in another folder than the recording, {example}")
    named = {each.recording: path for path, each in placed if each.recording}
    for name, path in named.items():
        if folder.matching.differs(name.replace("\\", "/"), path):
            return [
                *notices,
                f"annotations name another folder of their recording, such as {name:.200}: read as {path}",
            ]
    return notices


def _without_missing(files: Sequence[_File], not_known: Collection[str]) -> list[str]:
    """Empty the labels and groups of tables that stand for missing values, which R and pandas write; count labels."""
    lost = 0
    for each in (each for file in files for each in file.parts):
        for name in ("label", "group"):
            if each.fields.get(name) in not_known:
                lost += name == "label"
                each.fields[name] = ""
    names = ", ".join(description.MISSING)
    found = f"{counted(lost, 'label')} of annotations not known, being one of {names} (`columns.missing`=none)"
    return [found] if lost else []


def _placed(
    folder: Folder, kind: AnnotationKind, file: _File, rejected: list[Rejected]
) -> Iterator[tuple[str, Annotation]]:
    """Give the parts of a file that can be used, each with its recording."""
    named = any(each.recording for each in file.parts)
    if not file.own and not named and not kind.names_recordings:
        rejected += _set_aside([file.name], _STRAY, folder.matching.why_none(file.name))
        return
    if not file.parts:
        rejected += _set_aside(file.own, WITHOUT_PARTS, file.name)
    for paths, each, fault in _located(folder, file):
        if fault:
            rejected += _set_aside(paths, _LEFT_OUT, f"{each.where}: {fault}", 1, each.where)
        else:
            yield from ((path, each) for path in paths)


def _located(folder: Folder, file: _File) -> Iterator[tuple[list[str], Annotation, str | None]]:
    """Give the parts of a file, each with the recordings that it lies in, and why it cannot be used."""
    named = {each.recording for each in file.parts if each.recording}
    there, missing = folder.named(named, file.name) if named else ({}, {})
    # the only one that is named may have another name now
    renamed = len(named) == 1 and all(folder.matching.is_strange(each.replace("\\", "/")) for each in missing)
    for each in file.parts:
        recording, fault = each.recording or "", each.problem
        if recording in there:
            paths = [there[recording]]
        elif file.own and (not recording or renamed):
            paths = file.own
        else:
            paths, fault = [recording or file.name], fault or missing.get(recording, "it names no recording")
        if fault != NO_PART:
            yield paths, each, fault


def _set_aside(
    paths: Iterable[str], kind: str, why: str, segments: int = 0, where: str | None = None
) -> list[Rejected]:
    return [Rejected(path=path, reason=f"{kind}: {why}", kind=kind, segments=segments, where=where) for path in paths]


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
        rejected += _set_aside([path], _LEFT_OUT, faults[row], 1, where[row]) if row in faults else []

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
        whole_ones = whole_recording(folder.root, folder.require_recordings(), notices=found.notices)
        found = replace(whole_ones, reading=found.reading)
        _refuse_columns(config, found)
    return _beside(folder, found)


def _beside(folder: Folder, found: Clips) -> Clips:
    """Add what is told of a folder to what was found in it."""
    rejected, notices = (*found.rejected, *folder.rejected), (*folder.notices, *found.notices)
    reading = found.reading + Reading(seen=(folder.seen,))
    return replace(found, rejected=rejected, notices=notices, reading=reading)


def annotations_of_table(path: Path, kind: str, config: CorpusConfig) -> Clips:
    """Return the parts that the file of annotations names which a corpus has for its table."""
    root = require_folder(config.root) if config.root else require_folder(str(path.parent), by=str(path))
    found = _of_corpus(annotations_in(path, kind, root, config), config)
    seen = Reading(seen=(seen_around(found.root, path, found.frame.path),), of_recordings="no row names it")
    return replace(found, title=path.name, reading=found.reading + seen)


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


def recordings_at(place: Path, config: AnnotationOptions | None = None) -> Clips:
    """Find the clips of a command as `candidates_at` does, with the places of parts in samples of their recordings."""
    found = candidates_at(place, config)
    if found.frame.begin.isna().all():  # whole recordings
        return found
    found = replace(found, reading=replace(found.reading, places=found.frame[["where", "path"]]))
    lengths, unread = dict[str, tuple[int, int]](), list[Rejected]()
    for path in dict.fromkeys(found.frame.path[found.frame.begin.notna()]):
        try:
            lengths[path] = length_of(found.root / path)
        except RecordingError as error:
            unread.append(Rejected.by(path, error))
    faulty = {each.path for each in unread}
    read = found.where(path not in faulty for path in found.frame.path)
    description.require_inside(read, lengths, remedy="`annotations`=none uses each recording as a whole")
    placed = description.with_measured_times(replace(read, rejected=(*found.rejected, *unread)), lengths)
    return placed.with_columns(begin=None, end=None)


def candidates_at(place: Path, config: AnnotationOptions | None = None) -> Clips:
    """Find the recording ``place``, or all recordings below the folder ``place``, and their annotated parts.

    ``place``, the value of ``input``, may also be a file of annotations. Without a config recordings are whole.
    A single recording has the annotations of its name in its folder; if a kind or a tier is chosen, all that name it.
    """
    if is_missing(place):
        raise InputError(option="input", value=place, rule="it does not exist: name a recording, or a folder of some")
    config, root, paths = config or AnnotationOptions(annotations="none"), place.parent, [place.name]
    with within("", root="input"):
        if os.path.isdir(place):  # noqa: PTH112  Path raises for long names; other kinds of files are set aside when they are read
            folder = Folder.at(place)
            found = _beside(folder, annotations_below(folder, config))
            elsewhere = len(found.frame) and found.root != place  # as ELAN documents name their media
            paths = [] if elsewhere else folder.require_recordings()
        elif is_recording(place.name):
            if config.annotations not in ("auto", "none") or config.tier is not None:
                alone = replace(Folder.at(root), only=place.name)
            else:  # files of other recordings are none of this one
                beside = sorted(each for each in os.listdir(root) if not is_recording(each))  # noqa: PTH208  names alone
                alone = Folder(root=root, files=(place.name, *beside))
                alone = replace(alone, files=(place.name, *(each for each in beside if alone.of_file(each))))
            found = annotations_below(alone, config, alone=True)
            rows, own = {*found.frame["where"]}, Seen(root=root, files=(place.name,))
            files = tuple(each for each in found.reading.files if not rows.isdisjoint(each.rows))
            rejected = tuple(each for each in found.rejected if each.path == place.name)
            found = replace(found, rejected=rejected, reading=Reading(seen=(own,), files=files))
            found = found.where(found.root / path == place for path in found.frame.path)
        elif kind := kind_of(place, config.annotations):
            found, paths = annotations_in(place, kind, root, config), []
            seen = Reading(seen=(seen_around(found.root, place, found.frame.path),), of_recordings="no row names it")
            found = replace(found, reading=found.reading + seen)
        else:
            found = whole_recording(root, ())
    if config.tier is not None and not len(found.frame):
        rule = f"it has no effect on {place}, beside which no annotations of it lie"
        raise InputError(option="tier", value=config.tier, rule=rule, remedy="leave it out, or name their file")
    others = {*paths} - {*found.frame.path} - {each.path for each in found.rejected}
    found, frame = found.named(""), whole_recording(found.root, sorted(others)).frame
    if len(found.frame):
        # by one column after the other: pandas sorts by several columns only text that is UTF-8
        in_time = concat([in_groups(found).frame, frame]).sort_values("begin", kind="stable")
        frame = in_time.sort_values("path", kind="stable", ignore_index=True)
    return replace(found, frame=frame)
