"""Annotations of the recordings of a folder, or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav``, in the same folder or else anywhere below the root if only one recording has this name. Some
files name their recordings themselves. Each recording may have annotations of one kind, or of several kinds that agree.
"""

import csv
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, isclose
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.annotation_formats import (
    KALDI_FILES,
    LHOTSE,
    TEXTGRID,
    WAV_SCP,
    Annotation,
    AnnotationConfig,
    AnnotationKind,
    Kind,
    fits,
    is_raven,
    layout,
    lhotse_role,
    read,
)
from wordless.audio.recordings.description import PATH_COLUMNS, Description, Found, Span, describe, known_split
from wordless.audio.recordings.folders import EXTENSIONS, Folder, read_annotation_text
from wordless.audio.recordings.manifest import Rejected
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


def kind_of(path: Path, wanted: AnnotationKind = "auto", *, own: bool | None = None) -> Kind | None:
    """Return the kind of annotations that a file or a folder holds; None: another file.

    ``own``: a file below a folder has the name of a recording; None: somebody named the file. Tables belong to
    recordings of their names alone, and a manifest of recordings annotates nothing unless somebody named it.
    """
    suffix, there = path.suffix.lower(), _is_file(path)  # a pipe would wait for ever
    named = path.name in KALDI_FILES and (path.name != "text" or _is_file(path.parent / WAV_SCP))
    if path.name == WAV_SCP or (own is None and (named or (path / WAV_SCP).is_file())):
        return "kaldi" if there or own is None else None
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix] if there or own is None else None
    if there and path.name.lower().endswith(LHOTSE):
        return "lhotse" if lhotse_role(path) in ("supervisions", "cuts", own is None and "recordings") else None
    if not there or suffix not in _TEXTS:
        return None
    try:
        text = read_annotation_text(path, head=True)
    except (OSError, InputError):
        return None
    if TEXTGRID.match(text):
        return "textgrid"
    _, header = layout(text)
    if is_raven(header):
        return "raven"
    if own is None:
        own = any(path.with_suffix(f".{each}").is_file() for each in EXTENSIONS)
        own = own and not {name.lower() for name in header} & {*PATH_COLUMNS}  # a table that lists recordings
    kinds: tuple[Kind, ...] = ("csv",) if header else (_TEXTS[suffix], "rttm", "ctm")
    allowed = (kind for kind in kinds if own or kind in ("audacity", "lab"))
    return next((kind for kind in allowed if fits(text, kind, wanted=kind == wanted)), None)


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file; false for a path that no file can have, or that is not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Places:
    """The recordings below a root, by their names; letters may be upper or lower case, and composed or not."""

    def __init__(self, root: Path, recordings: Iterable[str]) -> None:
        self.root = root
        self._names: dict[str, list[str]] = defaultdict(list)  # stem, or whole name -> paths
        self._found: dict[tuple[str, Path], str] = {}
        for path in recordings:
            for name in {PurePosixPath(path).name, PurePosixPath(path).stem}:
                self._names[_fold(name)].append(path)

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file annotates: those of its name beside it, without its last endings.

        Without one, the only recording of its name in another folder: ``wav/a/1.wav`` for ``grid/a/1.lab``.
        """
        folder, name = PurePosixPath(file).parent, PurePosixPath(file).name
        named = list[list[str]]()
        while "." in name[1:]:
            name = name.rpartition(".")[0]
            named.append(self._names.get(_fold(name), []))
        beside = [[path for path in same if PurePosixPath(path).parent == folder] for same in named]
        alike = [[path for path in same if PurePosixPath(path).parent.name == folder.name] for same in named]
        alone = [each for pair in zip(named, alike, strict=True) for each in pair if len(each) == 1]
        return next(filter(None, (*beside, *alone)), [])

    def named(self, name: str, file: str) -> str:
        """Return the recording that a file names, relative to the root, or absolute outside of it.

        Relative paths are those from the file's folder, the folders above it, the root, or the current folder.
        Otherwise the only recording of the same name is meant, because recordings move to other machines.

        Raises:
            InputError: there is no such recording, or there are several.
        """
        folder = Path(os.path.normpath((self.root / file).parent.absolute()))
        if (name, folder) in self._found:
            return self._found[name, folder]
        bases = (folder, self.root.absolute(), *list(folder.parents)[:3], Path.cwd())
        paths = (Path(os.path.normpath(base / name)) for base in bases)
        if (path := next(filter(_is_file, paths), None)) is not None:
            roots = [Path(os.path.normpath(self.root.absolute())), self.root.resolve()]
            same = [*(path.relative_to(root).as_posix() for root in roots if path.is_relative_to(root)), str(path)][:1]
        else:
            same = self._names.get(_fold(PurePosixPath(name.replace("\\", "/")).name), [])
        if len(same) != 1:
            few = f"is not there (looked in {folder}, in the folders above, and in {self.root})"
            many = f"is the name of {len(same)} recordings; write its folder as well"
            raise InputError(f"{name:.200} {many if same else few}")
        return self._found.setdefault((name, folder), same[0])


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


_WHOLE = Span(start=0.0, end=None)
_SAME_SECONDS = 0.002  # tools round to milliseconds
# kinds of reasons against annotations; strays may be something else
_STRAY, _EMPTY = "annotations without a recording", "annotations name no part of it"
_LEFT_OUT, _UNUSABLE = "annotation left out", "annotations not usable"


def annotations_below(folder: Folder, recordings: Sequence[str], config: AnnotationConfig) -> Found | None:
    """Return the annotated recordings among ``recordings``, which lie in the folder; None: there are no annotations.

    Raises:
        InputError: annotations of the wanted kind are missing or not usable; several kinds or tiers contradict each
            other, and no option chooses.
    """
    if config.kind == "none":
        return None
    found: dict[Kind, list[str]] = {kind: [] for kind in FORMATS}
    places, unread = Places(folder.root, recordings), list[str]()
    for name in sorted(
        not_sound(folder.files)
    ):  # of equal parts the first counts, in whichever order a disk lists them
        own = bool(places.of_file(name))
        if (kind := kind_of(folder.root / name, config.kind, own=own)) is not None:
            found[kind].append(name)
        elif own:
            unread.append(name)
    wanted = {kind: names for kind, names in found.items() if names and config.kind in ("auto", kind)}
    others = unread_files(places, unread)
    if config.kind != "auto" and not wanted:
        rule = "; ".join([f"{folder.root} holds no {FORMATS[config.kind]}", *others])
        raise InputError(option="annotations", value=config.kind, rule=rule)
    annotated = _collect(places, wanted, config) if wanted else None
    if annotated is None:
        return Found(root=folder.root, described={}, notices=others) if others else None
    return replace(annotated, notices=(*annotated.notices, *others))


def annotations_in(path: Path, kind: Kind, root: Path, recordings: Sequence[str], config: AnnotationConfig) -> Found:
    """Return the recordings that one file of annotations, or one Kaldi folder, describes."""
    path = path / WAV_SCP if path.is_dir() else path
    name = os.path.relpath(path.absolute(), root.absolute())
    if (annotated := _collect(Places(root, recordings), {kind: [name]}, config)) is None:
        problem = f"{path}: no recording of it can be used; {root} has none of its name"
        raise InputError(problem, remedy="set `root` to the folder of the recordings")
    return annotated


def not_sound(files: Iterable[str]) -> list[str]:
    """Return the files without the ending of a recording."""
    sounds = {*EXTENSIONS}
    return [name for name in files if name.rpartition(".")[2].lower() not in sounds]


def unread_files(places: Places, files: Iterable[str]) -> tuple[str, ...]:
    """Name those of the files that have the name of a recording and are not read, a sentence for each ending."""
    endings: dict[str, list[str]] = defaultdict(list)
    for name in not_sound(files):
        if places.of_file(name) and _is_file(places.root / name):
            endings[PurePosixPath(name).suffix.lower()].append(name)
    reads = "`annotations`=KIND reads parts with start, end and label, `table`=FILE a list of recordings"
    return tuple(
        f"{counted(len(several), f'{ending} file')} named like recordings not read, such as {several[0]}: {reads}"
        for ending, several in sorted(endings.items())
    )


def _collect(places: Places, files: Mapping[Kind, Sequence[str]], config: AnnotationConfig) -> Found | None:
    """Read the files of each kind, and join what they say of each recording. Faulty files and parts are set aside.

    Raises:
        InputError: no annotations can be used; several tiers have some, or kinds differ, and no option chooses.
    """
    parts: dict[str, dict[Kind, dict[Span, Description]]] = defaultdict(dict)
    rejected, lacking = list[Rejected](), list[Rejected]()  # lacking the wanted tier
    read_files, tiers, columns = Counter[Kind](), dict[str, None](), dict[str, None]()

    def set_aside(paths: Iterable[str], kind: str, why: str, segments: int = 0) -> None:
        rejected.extend(Rejected(path=path, reason=f"{kind}: {why}", kind=kind, segments=segments) for path in paths)

    for kind, names in files.items():
        naming = kind in _NAMING  # such files named train and test divide what they name
        shared = os.path.commonpath([PurePosixPath(name).parent for name in names])
        splits = {name: known_split(os.path.relpath(name, shared or ".")) for name in names if naming}
        for name in names:
            own = [] if naming else places.of_file(name)
            try:
                found = read(kind, places.root / name, name, config)
            except (OSError, InputError, csv.Error) as error:
                set_aside(own or [name], _UNUSABLE, f"{error}" if name in f"{error}" else f"{name}: {error}")
                continue
            tiers |= dict.fromkeys(tier for each in found for tier in each.labels if tier)
            chosen = _chosen(found, name, config)
            if chosen is None:
                there = ", ".join(dict.fromkeys(tier for each in found for tier in each.labels))
                reason = f"{_UNUSABLE}: {name}: no tier or column {config.tier!r}; there are {there:.200}"
                lacking += [Rejected(path=path, reason=reason, kind=_UNUSABLE) for path in own]
                continue
            read_files[kind] += 1
            columns |= dict.fromkeys(column for each in chosen[:1] for column in each.unread)
            named = {each.recording for each in chosen} - {None}
            if not own and not named and not naming:
                set_aside([name], _STRAY, f"{places.root} has no recording {PurePosixPath(name).stem}.*, or several")
            elif not chosen:
                set_aside(own, _EMPTY, name)
            for each in chosen if own or named or naming else ():
                paths, fault = own, each.fault
                if each.recording is not None:
                    try:
                        paths = [places.named(each.recording, name)]
                    except InputError as error:  # a recording that alone is named may now have the name of the file
                        if not own or len(named) > 1:
                            paths, fault = [each.recording], fault or str(error)
                split = (splits.get(name) or "") if len({*splits.values()} - {None}) > 1 else ""
                try:
                    empty = [key for key in ("start", "end", "duration") if each.fields.get(key) == ""]
                    if fault := fault or (f"no {empty[0]}" if empty else None if paths else "it names no recording"):
                        raise InputError(fault)
                    known = describe({**each.fields, "split": split}, each.where)
                    for path in paths:
                        first = parts[path].setdefault(kind, {}).setdefault(known.span or _WHOLE, known)
                        if first.label != known.label:
                            sides = "; parts have the sound of all channels" if known.annotated_channel else ""
                            there = f"({known.label}, and {first.label} at {first.where}){sides}"
                            raise InputError(f"two labels of the same start and end {there}")
                except InputError as error:
                    why = f"{each.where}: {str(error).removeprefix(f'{each.where}: ')}"
                    set_aside(paths or [name], _LEFT_OUT, why, 1)
    _require_effect(files, tiers, config)
    rejected += [each for each in lacking if each.path not in parts]
    if not parts and (config.kind != "auto" or any(each.kind != _STRAY for each in rejected)):
        reasons = (
            f"{rejected[0].path}: {rejected[0].reason}; {len(rejected)} in all" if rejected else "they name no part"
        )
        problem = f"{places.root}: none of its annotations can be used ({reasons})"
        raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
    return _joined(places.root, parts, read_files, columns, rejected) if parts else None


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


def _require_effect(files: Collection[Kind], tiers: Collection[str], config: AnnotationConfig) -> None:
    """Refuse a tier that no file has, and a column for groups where there are no columns."""
    if config.tier is not None and config.tier not in tiers:
        rule = (
            f"no file has it; there are {', '.join(tiers):.400}" if tiers else "no file with tiers or columns was found"
        )
        raise InputError(option=config.option, value=config.tier, rule=rule, remedy="name one that the files have")
    if config.group is not None and not {"raven", "csv"} & {*files}:
        rule = "it has no effect, as no table with columns was found: leave it out"
        raise InputError(option="columns.group", value=config.group, rule=rule)


def _joined(
    root: Path,
    parts: Mapping[str, Mapping[Kind, Mapping[Span, Description]]],
    read_files: Mapping[Kind, int],
    columns: Collection[str],
    rejected: Sequence[Rejected],
) -> Found:
    """Join the kinds, of which each recording may have one, or several that agree."""
    agreeing: Counter[str] = Counter()
    for path, kinds in sorted(parts.items()):
        first, *others = ([*each.values()] for each in kinds.values())
        if not all(_agree(first, other) for other in others):
            differing = ", ".join(f"{kind} with {counted(len(each), 'part')}" for kind, each in kinds.items())
            problem = f"{root / path} has annotations of {len(kinds)} kinds that differ ({differing})"
            remedy = (
                f"choose one, such as `annotations`={next(iter(kinds))}, or `annotations`=none for whole recordings"
            )
            raise InputError(problem, remedy=remedy)
        agreeing.update([", ".join(kinds)] if others else ())
    described = {path: tuple(next(iter(kinds.values())).values()) for path, kinds in sorted(parts.items())}
    every = [known for several in described.values() for known in several]
    files = ", ".join(counted(count, FORMATS[kind]) for kind, count in read_files.items())
    notices = [f"{counted(len(every), 'annotated part')} of {counted(len(described), 'recording')} from {files}"]
    if unlabelled := sum(known.label is None for known in every):
        notices.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if any(known.low_hz is not None or known.annotated_channel is not None for known in every):
        notices.append("frequency bounds and channels of annotations cut nothing out of the sound")
    if columns:
        notices.append(f"columns of annotations not read: {', '.join(columns):.400} (`tier`, `columns.group`)")
    for several_kinds, count in agreeing.items():
        notices.append(f"{counted(count, 'recording')} with annotations of several kinds that agree: {several_kinds}")

    # A Kaldi folder holds no recordings: the common folder of those that it names is then the root.
    if any(PurePosixPath(path).is_absolute() for path in described):
        places = {path: Path(os.path.normpath(root.absolute() / path)) for path in described}
        root = Path(os.path.commonpath([place.parent for place in places.values()]))
        described = {place.relative_to(root).as_posix(): described[path] for path, place in places.items()}
    return Found(root=root, described=described, rejected=tuple(rejected), notices=tuple(notices))


def _agree(one: Sequence[Description], other: Sequence[Description]) -> bool:
    """Return whether two files name the same parts with the same labels."""
    if len(one) != len(other):
        return False
    spans = [[(each.span or _WHOLE, each.label or "") for each in several] for several in (one, other)]
    keys = [
        sorted((span.start, inf if span.end is None else span.end, label) for span, label in each) for each in spans
    ]
    return all(
        a[2] == b[2] and all(isclose(a[n], b[n], rel_tol=0, abs_tol=_SAME_SECONDS) for n in (0, 1))
        for a, b in zip(*keys, strict=True)
    )
