"""Annotations of the recordings of a folder, or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav`` (`folders.Places`). Some files name their recordings themselves. Each recording may have
annotations of one kind, or of several kinds that agree.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path, PurePosixPath

import numpy as np

from wordless.audio.recordings import annotation_formats as formats
from wordless.audio.recordings.annotation_formats import (
    KALDI_FILES,
    LHOTSE,
    WAV_SCP,
    Annotation,
    AnnotationConfig,
    AnnotationKind,
    Kind,
)
from wordless.audio.recordings.description import PATH_COLUMNS, describe, known_split
from wordless.audio.recordings.folders import EXTENSIONS, Folder, Places, is_file, not_sound, read_annotation_text
from wordless.audio.recordings.manifest import Clip, Clips, Rejected
from wordless.base.errors import InputError
from wordless.base.text import counted

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
    suffix, there = path.suffix.lower(), is_file(path)  # a pipe would wait for ever
    named = path.name in KALDI_FILES and (path.name != "text" or is_file(path.parent / WAV_SCP))
    if path.name == WAV_SCP or (own is None and (named or is_file(path / WAV_SCP))):
        return "kaldi" if there or own is None else None
    if suffix in _SUFFIXES and (there or own is None):
        return _SUFFIXES[suffix]
    if there and path.name.lower().endswith(LHOTSE):
        return "lhotse" if formats.is_lhotse(path) else None
    try:
        text = read_annotation_text(path, head=True) if there and suffix in _TEXTS else ""
        _, columns = formats.layout(text)
    except (OSError, InputError, csv.Error):
        return None
    header = {name.lower() for name in columns}
    if formats.TEXTGRID.match(text) or {"begin time (s)", "end time (s)"} <= header:
        return "raven" if header else "textgrid"
    if own is None:  # a table that lists recordings is none of annotations
        beside = any(is_file(path.with_suffix(f".{each}")) for each in EXTENSIONS)
        own = beside and not header & {*PATH_COLUMNS}
    kinds: tuple[Kind, ...] = ("csv",) if header else (_TEXTS[suffix], "rttm", "ctm") if text else ()
    allowed = (kind for kind in kinds if own or kind in ("audacity", "lab"))
    return next((kind for kind in allowed if formats.fits(text, kind, wanted=kind == wanted)), None)


def annotations_below(folder: Folder, recordings: Sequence[str], config: AnnotationConfig) -> Clips | None:
    """Return the annotated recordings among ``recordings``, which lie in the folder; None: there are no annotations.

    Raises:
        InputError: annotations of the wanted kind are missing or not usable; several kinds or tiers contradict each
            other, and no option chooses.
    """
    names = sorted(not_sound(folder.files))  # of equal parts the first file counts, in any order of a disk
    if config.kind == "none" or not (names or config.kind != "auto" or config.tier or config.group):
        return None
    found: dict[Kind, list[str]] = {kind: [] for kind in FORMATS}
    places, unread = Places(folder.root, recordings), list[str]()
    for name in names:
        own = bool(places.of_file(name))
        kind = kind_of(folder.root / name, config.kind, own=own)
        (unread if kind is None else found[kind]).append(name)
    wanted = {kind: names for kind, names in found.items() if names and config.kind in ("auto", kind)}
    others = places.unread(unread)
    if config.kind != "auto" and not wanted:
        rule = "; ".join([f"{folder.root} holds no {FORMATS[config.kind]}", *others])
        raise InputError(option="annotations", value=config.kind, rule=rule)
    annotated = _collect(places, wanted, config) or Clips.from_rows(folder.root, ())
    return replace(annotated, notices=(*annotated.notices, *others)) if wanted or others else None


def annotations_in(path: Path, kind: Kind, root: Path, recordings: Sequence[str], config: AnnotationConfig) -> Clips:
    """Return the recordings that one file of annotations, or one Kaldi folder, describes."""
    name = os.path.relpath((path / WAV_SCP if path.is_dir() else path).absolute(), root.absolute())
    if (annotated := _collect(Places(root, recordings), {kind: [name]}, config)) is None:
        problem = f"{path}: no recording of it can be used; {root} has none of its name"
        raise InputError(problem, remedy="set `root` to the folder of the recordings")
    return annotated


def _collect(places: Places, files: Mapping[Kind, Sequence[str]], config: AnnotationConfig) -> Clips | None:
    """Read the files of each kind, and join what they say of each recording. Faulty files and parts are set aside.

    Raises:
        InputError: no annotations can be used; several tiers have some, or kinds differ, and no option chooses.
    """
    parts: dict[str, dict[Kind, dict[tuple[float, float | None], Clip]]] = defaultdict(dict)
    rejected, read, tiers, columns = list[Rejected](), Counter[Kind](), dict[str, None](), dict[str, None]()

    def set_aside(paths: Iterable[str], kind: str, why: str, segments: int = 0) -> None:
        rejected.extend(Rejected(path=path, reason=f"{kind}: {why}", kind=kind, segments=segments) for path in paths)

    splits = {name: split for kind, names in files.items() if kind in _NAMING for name, split in _splits(names).items()}
    for kind, name in ((kind, name) for kind, names in files.items() for name in names):
        own = [] if kind in _NAMING else places.of_file(name)
        try:
            found = formats.read(kind, places.root / name, name, config)
        except (OSError, InputError, csv.Error) as error:
            set_aside(own or [name], _UNUSABLE, f"{error}" if name in f"{error}" else f"{name}: {error}")
            continue
        of_file = dict.fromkeys(tier for each in found for tier in each.labels if tier)
        tiers |= of_file
        if (chosen := _chosen(found, name, config)) is None:
            set_aside(own, _LACKING, f"{name}: no tier or column {config.tier!r}; there are {', '.join(of_file):.200}")
            continue
        read[kind] += 1
        columns |= dict.fromkeys(column for each in chosen[:1] for column in each.unread)
        named = {each.recording for each in chosen} - {None}
        if not own and not named and kind not in _NAMING:
            set_aside([name], _STRAY, f"{places.root} has no recording {PurePosixPath(name).stem}.*, or several")
        elif not chosen:
            set_aside(own, _EMPTY, name)
        else:
            alone = bool(own) and len(named) == 1  # a recording that alone is named may have the name of the file now
            for each in chosen:
                fault, paths = each.problem, [each.recording] if each.recording and not alone else own or [name]
                try:
                    if each.recording and (places.has(each.recording, name) or not (fault or alone)):
                        paths = [places.named(each.recording, name)]
                    if fault := fault or (None if each.recording or own else "it names no recording"):
                        raise InputError(fault)
                    for path in paths:
                        known = describe(path, {**each.fields, "split": splits.get(name, "")}, each.where)
                        first = parts[path].setdefault(kind, {}).setdefault((known.begin or 0.0, known.end), known)
                        if first.label != known.label:
                            sides = "; parts have the sound of all channels" if known.annotated_channel else ""
                            labels = f"({known.label}, and {first.label} at {first.where}){sides}"
                            raise InputError(f"two labels of the same start and end {labels}")
                except InputError as error:
                    set_aside(paths, _LEFT_OUT, f"{each.where}: {str(error).removeprefix(f'{each.where}: ')}", 1)
    if config.tier is not None and config.tier not in tiers:
        rule = f"no file has it; there are {', '.join(tiers) or 'no tiers or columns'!s:.400}"
        raise InputError(option=config.option, value=config.tier, rule=rule, remedy="name one that the files have")
    if config.group is not None and not {"raven", "csv"} & files.keys():
        rule = "it has no effect, as no table with columns was found: leave it out"
        raise InputError(option="columns.group", value=config.group, rule=rule)
    if parts:
        rejected = [each for each in rejected if each.kind != _LACKING or each.path not in parts]
        notices = (
            [f"columns of annotations not read: {', '.join(columns):.400} (`tier`, `columns.group`)"] if columns else []
        )
        return _joined(places.root, parts, read, rejected, notices)
    if config.kind != "auto" or any(each.kind != _STRAY for each in rejected):
        first_reason = f"{rejected[0].path}: {rejected[0].reason}" if rejected else "they name no part"
        problem = f"{places.root}: none of its annotations can be used ({first_reason}; {len(rejected)} in all)"
        raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
    return None


def _splits(names: Sequence[str]) -> dict[str, str]:
    """Return the splits of files that name recordings, if such files or their folders are named train, test..."""
    shared = os.path.commonpath([PurePosixPath(name).parent for name in names]) or "."
    splits = {name: split for name in names if (split := known_split(os.path.relpath(name, shared)))}
    return dict(splits) if len({*splits.values()}) > 1 else {}


def _chosen(found: Sequence[Annotation], shown: str, config: AnnotationConfig) -> list[Annotation] | None:
    """Return the annotations of the wanted tier, or of the only one with parts; None: the file lacks the wanted one.

    Raises:
        InputError: several tiers have annotations, and no option chooses one.
    """
    usable = [*dict.fromkeys(tier for each in found if not each.fault for tier in each.labels)]
    if config.tier is not None and usable != [""]:
        usable = [config.tier]
    if len(usable) > 1:
        problem = f"{shown}: {len(usable)} tiers or columns have labels: {', '.join(usable):.400}"
        remedy = f"choose one, such as `tier`={usable[0]}, or `annotations`=none for whole recordings"
        raise InputError(problem, remedy=remedy)
    chosen = [each for each in found if not usable or usable[0] in each.labels]
    for each in chosen:
        each.fields.setdefault("label", each.labels.get(usable[0], "") if usable else "")
    return None if found and not chosen else chosen


def _joined(
    root: Path,
    parts: Mapping[str, Mapping[Kind, Mapping[tuple[float, float | None], Clip]]],
    read_files: Mapping[Kind, int],
    rejected: Sequence[Rejected],
    notices: Sequence[str],
) -> Clips:
    """Join the kinds, of which each recording may have one, or several that agree."""
    agreeing, every = Counter[str](), list[Clip]()
    for path, kinds in sorted(parts.items()):
        rows = [sorted(map(_key, each.values())) for each in kinds.values()]
        spans = [[times for _, *times in each] for each in rows]
        labels = [[label for label, *_ in each] for each in rows]
        agree = all(each == labels[0] for each in labels)
        if not (agree and all(np.allclose(each, spans[0], rtol=0, atol=_SAME_SECONDS) for each in spans)):
            differing = ", ".join(f"{kind} with {counted(len(each), 'part')}" for kind, each in kinds.items())
            problem = f"{root / path} has annotations of {len(kinds)} kinds that differ ({differing})"
            remedy = f"choose one, such as `annotations`={next(iter(kinds))}, or none for whole recordings"
            raise InputError(problem, remedy=remedy)
        agreeing.update([", ".join(kinds)] if len(kinds) > 1 else ())
        every += next(iter(kinds.values())).values()
    files = ", ".join(counted(count, FORMATS[kind]) for kind, count in read_files.items())
    said = [f"{counted(len(every), 'annotated part')} of {counted(len(parts), 'recording')} from {files}"]
    if unlabelled := sum(known.label is None for known in every):
        said.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if any(known.low_hz is not None or known.annotated_channel is not None for known in every):
        said.append("frequency bounds and channels of annotations cut nothing out of the sound")
    for kinds_of, count in agreeing.items():
        said.append(f"{counted(count, 'recording')} with annotations of several kinds that agree: {kinds_of}")

    # A Kaldi folder holds no recordings: the common folder of those that it names is then the root.
    if any(PurePosixPath(path).is_absolute() for path in parts):
        places = {path: Path(os.path.normpath(root.absolute() / path)) for path in parts}
        root = Path(os.path.commonpath([place.parent for place in places.values()]))
        every = [replace(known, path=places[known.path].relative_to(root).as_posix()) for known in every]
    return Clips.from_rows(root, every, rejected=tuple(rejected), notices=(*said, *notices))


def _key(known: Clip) -> tuple[str, float, float]:
    return known.label or "", known.begin or 0.0, inf if known.end is None else known.end
