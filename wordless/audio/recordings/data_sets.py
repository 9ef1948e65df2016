"""Data sets of files that hold recordings: which files they have, unpacked into a folder once, and described.

``data-{000..009}.tar`` and ``{train,test}.parquet`` are expanded as in bash and in WebDataset, ``*`` as in a shell.
The folder is::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names, sizes and times of change, and of the columns that are read. The folder
appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a
killed run unpacks the others alone.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from glob import glob, has_magic
from itertools import islice
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.description import (
    SEPARATOR,
    ColumnConfig,
    Description,
    Found,
    describe,
    known_split,
    no_such_column,
)
from wordless.audio.recordings.folders import expand_home, files_below
from wordless.audio.recordings.manifest import Rejected, writable
from wordless.audio.recordings.packed import ARROW, PARQUET, DamageError, PackedFile, PackedRow, table_columns
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, remove, write_aside
from wordless.base.text import counted, listed
from wordless.base.values import list_hash, read_json

MOST_FILES = 100_000  # that a pattern with braces may name
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_NUMBERING = re.compile(r"(?:[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{16})?)+$")  # of shards: -00001-of-00010-0123456789abcdef


def data_set_files(place: str) -> list[PackedFile]:
    """Find the files of a data set: a folder of ``save_to_disk`` or another one, a file, or a pattern of names.

    Raises:
        InputError: there is none, or a folder of ``save_to_disk`` is incomplete.
    """
    root = expand_home(place, "dataset")
    if (dictionary := root / "dataset_dict.json").is_file():
        names = read_json(dictionary).get("splits")
        if not isinstance(names, list) or not all(
            isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in names
        ):
            raise InputError(f"{dictionary} has no list of splits with names of letters and digits; save it again")
        return [file for name in names for file in _saved_files(root / name, name)]
    if (root / "state.json").is_file():
        return _saved_files(root, None)
    if not root.is_dir():
        return _packed(_named_files(place, option="dataset", kinds=(PARQUET, ARROW)))
    below = sorted(root / name for name in files_below(root) if name.endswith((ARROW, PARQUET)))
    found = [path for path in below if not path.name.startswith("cache-") and path.is_file()]  # caches of `map`
    if not found:
        rule = "it holds no Parquet and no Arrow files: name a folder that save_to_disk wrote, or Parquet files"
        remedy = "a folder of recordings is `root`=FOLDER, tar shards are `shards`=FILES"
        raise InputError(option="dataset", value=root, rule=rule, remedy=remedy)
    return _packed([path for path in found if path.suffix == PARQUET] or found)


def shard_files(pattern: str) -> list[PackedFile]:
    """Find the tar files that a pattern names, each of which must be there."""
    return _packed(_named_files(pattern, option="shards", kinds=(".tar", ".tar.gz", ".tgz", ".tar.xz")))


def _named_files(pattern: str, *, option: str, kinds: tuple[str, ...]) -> list[Path]:
    """List the files that a pattern names, in its order; each name with braces must be there."""
    names = list(islice(expand_braces(str(expand_home(pattern, option))), MOST_FILES + 1))
    if len(names) > MOST_FILES:
        rule = f"it names more than {MOST_FILES} files: write a smaller range"
        raise InputError(option=option, value=pattern, rule=rule)
    paths = []
    for name in names:
        found = sorted(glob(name)) if has_magic(name) and not os.path.lexists(name) else [name]  # noqa: PTH207  absolute too
        paths += [Path(each) for each in found]
        if not found or not Path(found[0]).is_file():
            folder = Path(name).is_dir()
            wanted = f"such as `{option}`='{name}/*{kinds[0]}'" if folder else f"that end in {' or '.join(kinds)}"
            rule = f"{name} is {'a folder' if folder else 'not there'}: name files {wanted}"
            raise InputError(option=option, value=pattern, rule=rule)
    return list(dict.fromkeys(paths))


def expand_braces(pattern: str) -> Iterator[str]:
    """Expand ``{000..009}`` and ``{a,b}`` from the left; other braces stay as they are."""
    for found in _BRACES.finditer(pattern):
        if borders := _RANGE.fullmatch(found[1]):  # leading zeros set the number of digits
            padded = any(len(each) > 1 and each.startswith("0") for each in borders.groups())
            width = max(map(len, borders.groups())) if padded else 0
            first, last = map(int, borders.groups())
            step = 1 if first <= last else -1
            choices: Iterable[str] = (f"{number:0{width}d}" for number in range(first, last + step, step))
        elif "," in found[1]:
            choices = found[1].split(",")
        else:
            continue
        # an opening brace before this one belongs to braces around it, which are expanded afterwards
        for choice in choices:
            yield from expand_braces(f"{pattern[: found.start()]}{choice}{pattern[found.end() :]}")
        return
    yield pattern


def _saved_files(folder: Path, split: str | None) -> list[PackedFile]:
    """List the files that the ``state.json`` of a folder of ``save_to_disk`` names, in its order."""
    state = read_json(folder / "state.json")
    listed, files = state.get("_data_files"), []
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        name = each.get("filename") if isinstance(each, dict) else None
        if not isinstance(name, str) or name != PurePosixPath(name).name or not (folder / name).is_file():
            raise InputError(f"{folder} names the file {name!r:.80}, which is not there; save the data set again")
        own = f"{number:05d}" if split is None else f"{split}/{number:05d}"
        files.append(PackedFile(path=folder / name, name=own, split=split))
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InputError(f"{folder} selects rows by indices; save the data set again by a newer version of datasets")
    return files


def _packed(paths: Sequence[Path]) -> list[PackedFile]:
    """Name each file after its place below the folder that holds all of them, and find its split in this name."""
    absolute = [path.absolute() for path in paths]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    ending = re.compile(r"\.(?:parquet|arrow|tar|tgz|tar\.\w+)$")
    names = [ending.sub("", path.relative_to(root).as_posix()) for path in absolute]
    times = Counter(name.casefold() for name in names)
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        if not writable(name):
            raise InputError(f"{root / name!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
        if times[name.casefold()] > 1 or name in folders:
            raise InputError(f"several files, or a file and a folder, below {root} have the name {name}; rename one")
    files = []
    for path, name in zip(paths, names, strict=True):
        # the split stands in the name of the file or of a folder, before the number of the shard
        parts = [_NUMBERING.sub("", part) for part in reversed(name.split("/"))]
        split = next((part for part in parts if known_split(part)), parts[0])
        files.append(PackedFile(path=path, name=name, split=split))
    return files


VERSION = 4  # of the layout: raise it when the same files are unpacked in another way
SOUNDS, ROWS, PARTIAL = "sounds", "rows", ".partial"
Progress = Callable[[int], None]  # files that are unpacked


@dataclass(frozen=True, kw_only=True)
class PackedDataSet:
    """Files with recordings, in order."""

    option: str  # that names them
    name: str  # for people
    files: tuple[PackedFile, ...]


def open_data_set(place: str, columns: ColumnConfig) -> PackedDataSet:
    """Open the Arrow or Parquet files of a data set; a damaged file is set aside when it is read.

    Raises:
        InputError: there are no such files, all are damaged, or a column is not there.
    """
    files: list[PackedFile] = []
    for file in data_set_files(place):
        try:
            audio, classes = table_columns(file.path, columns.audio)
            files.append(replace(file, audio=audio, classes=classes))
        except DamageError as error:
            files.append(replace(file, damage=str(error)))
    if all(file.damage for file in files):
        rule = f"{files[0].path} {files[0].damage}"
        remedy = "name Parquet files, or Arrow files of save_to_disk"
        raise InputError(option="dataset", value=place, rule=rule, remedy=remedy)
    _require_columns({name for file in files for name in file.classes}, columns, place)
    return PackedDataSet(option="dataset", name=Path(place).resolve().name, files=tuple(files))


def open_shards(pattern: str) -> PackedDataSet:
    """Open the tar shards that a pattern names, each of which must be there."""
    return PackedDataSet(option="shards", name=Path(pattern).name, files=tuple(shard_files(pattern)))


def _require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
    """Refuse columns that no file has."""
    for column, option in columns.wanted.items():
        if column not in there:
            raise no_such_column(option, column, sorted(there), place).also(f"`{option}`=null reads none")


def rows_of(folder: Path, number: int) -> Iterator[PackedRow]:
    """Give the rows of an unpacked file by its number, in its order; their paths are below the folder of sounds."""
    with (folder / ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
        yield from (PackedRow(**json.loads(line)) for line in lines)


def _missing(data_set: PackedDataSet, folder: Path) -> list[int]:
    """List the numbers of the packed files whose recordings are not all there, with their sizes."""

    def is_whole(number: int) -> bool:
        try:
            sizes = [(folder / SOUNDS / row.path, row.size) for row in rows_of(folder, number) if not row.reason]
            return all(path.stat().st_size == size for path, size in sizes)
        except (OSError, ValueError, TypeError):  # a recording is missing, or the rows are missing or damaged
            return False

    return [number for number in range(len(data_set.files)) if not is_whole(number)]


def unpacked_place(data_set: PackedDataSet, cache: Path) -> Path:
    """Return the folder that a data set is, or will be, unpacked into; until it is complete it ends in ``.partial``."""
    columns = [[file.name, file.damage, file.audio, dict(file.classes)] for file in data_set.files]
    try:
        states = [(file.name, file.path.stat()) for file in data_set.files]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}; check path and permissions") from error
    files = [[name, status.st_size, status.st_mtime_ns] for name, status in states]
    return cache / f"dataset-{list_hash([VERSION, columns, *files])[:16]}"


def is_unpacked(data_set: PackedDataSet, place: Path) -> bool:
    """Return whether the data set is unpacked, and all of its recordings are still there."""
    return place.is_dir() and not _missing(data_set, place)


def unpack(data_set: PackedDataSet, place: Path, progress: Progress | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    Raises:
        InputError: the folder cannot be written, or a file of the data set cannot be read or changes meanwhile.
        OSError: the disk is full.
    """
    partial = place.with_suffix(PARTIAL)
    with locked(place.with_suffix(".lock")):
        if is_unpacked(data_set, place):
            return
        if place.is_dir():  # somebody removed or changed recordings: the others are kept
            remove(partial)
            place.rename(partial)
        for name in (SOUNDS, ROWS):
            (partial / name).mkdir(parents=True, exist_ok=True)
        for number in _missing(data_set, partial):
            file = data_set.files[number]
            remove(partial / SOUNDS / file.name)
            try:
                rows = [_unpacked_row(file.name, *each, partial / SOUNDS) for each in file.read()]
            except DamageError as error:
                remove(partial / SOUNDS / file.name)
                rows = [PackedRow(path=file.name, reason=f"the file is damaged: {error}")]
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            lines = "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
            write_aside(partial / ROWS / f"{number:05d}.jsonl", lines)
            if progress:
                progress(number + 1)
        if unpacked_place(data_set, place.parent) != place:
            remove(partial)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option=data_set.option, value=data_set.name, rule=rule)
        partial.rename(place)
        flush_folder(place.parent)


def _unpacked_row(file: str, row: PackedRow, blocks: Iterable[bytes], sounds: Path) -> PackedRow:
    """Write a recording of a packed file; return its row with the path below ``sounds`` and the size in bytes."""
    row = replace(row, path=f"{file}/{row.path}")
    if row.reason:
        return row
    size, path = 0, sounds / row.path
    try:
        with named_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as written:
                for block in blocks:
                    size += written.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return replace(row, reason="another part of the file has the same name", fields={})
    return replace(row, size=size)


def described(data_set: PackedDataSet, place: Path, columns: ColumnConfig, *, own_splits: bool) -> Found:
    """Describe the recordings of an unpacked data set by chosen columns.

    With ``own_splits`` each recording has the split of its file, or of the column of splits. Files of a single split
    say none: validation and test clips can be drawn from all recordings.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in rows_of(place, number)]
    usable = [row for row, _ in rows if not row.reason]
    if usable:
        _require_columns({name for row in usable for name in row.fields}, columns, data_set.name)
    of_files, column = {split or "" for _, split in rows}, columns.split
    if column is None and not (len(of_files) > 1 and any(map(known_split, of_files))):
        column = "split" if any(known_split(row.fields.get("split", "")) for row in usable) else None
    named = [(row, row.fields.get(column) if column else split) for row, split in rows]
    names = sorted({name or "" for row, name in named if not row.reason})
    if own_splits and column and usable and not any(map(known_split, names)):
        rule = f"its values {', '.join(names):.200} name no split: choose another column, or `split.by`=hash"
        raise InputError(option="columns.split", value=column, rule=rule)
    divided = own_splits and any(map(known_split, names)) and (len(names) > 1 or column is not None)
    without: dict[str, list[str]] = {name: [] for name in ("label", "group", "fold") if name in columns.named}
    found: dict[str, tuple[Description, ...]] = {}
    rejected: list[Rejected] = []
    for row, name in named:
        fields = {
            "label": SEPARATOR.join(text for column in columns.labels if (text := row.fields.get(column))),
            "group": row.fields.get(columns.group or "", ""),
            "fold": row.fields.get(columns.fold or "", ""),
        }
        for kind in (kind for kind in without if not row.reason and not fields[kind]):
            without[kind].append(row.path)
        split = known_split(name or "") if divided else None
        reason = row.reason
        if divided and name and not split:
            reason = reason or f"in no split: {name} of the data set is neither train, validation nor test"
        try:
            known = describe(fields, "what is known of it")
        except InputError as error:
            reason = reason or str(error)
        if reason:
            rejected.append(Rejected(path=row.path, reason=reason))
        else:
            found[row.path] = (replace(known, split=split),)
    if not found:
        first = "; ".join(f"{each.path}: {each.reason}" for each in rejected[:3])
        rule = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        remedy = "check the files, and convert recordings of other kinds to WAV or FLAC"
        raise InputError(option=data_set.option, value=data_set.name, rule=rule, remedy=remedy)
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    notices = (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()
    return Found(root=place / SOUNDS, described=dict(sorted(found.items())), rejected=tuple(rejected), notices=notices)
