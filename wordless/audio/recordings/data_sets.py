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
    describe,
    known_split,
    no_such_column,
)
from wordless.audio.recordings.folders import expand_home, files_below
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, writable
from wordless.audio.recordings.packed import ARROW, PARQUET, DamageError, PackedFile, PackedRow, table_columns
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, remove, write_aside
from wordless.base.text import counted, listed
from wordless.base.values import list_hash

MOST_FILES = 100_000  # that a pattern with braces may name
_BRACES = re.compile(r"\{(?:(\d{1,9})\.\.(\d{1,9})|([^{}]*,[^{}]*))\}")
_SHARD = re.compile(r"(?:[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{16})?)+$")  # its number: -00001-of-00010-0123456789abcdef
_ENDING = re.compile(r"\.(?:parquet|arrow|tar|tgz|tar\.\w+)$")


def data_set_files(place: str) -> list[PackedFile]:
    """Find the files of a data set: those below a folder, such as one of ``save_to_disk``, a file, or a pattern."""
    root = expand_home(place, "dataset")
    if not root.is_dir():
        return _packed(_named_files(place, option="dataset", kinds=(PARQUET, ARROW)))
    below = sorted(root / name for name in files_below(root) if name.endswith((ARROW, PARQUET)))
    found = [path for path in below if not path.name.startswith("cache-") and path.is_file()]  # caches of `map`
    if not found:
        rule = "it holds no Parquet and no Arrow files: name a folder that save_to_disk wrote, or Parquet files"
        remedy = "a folder of recordings is `root`=FOLDER, tar shards are `shards`=FILES"
        raise InputError(option="dataset", value=root, rule=rule, remedy=remedy)
    whole = root if (root / "dataset_dict.json").is_file() else None
    return _packed([path for path in found if path.suffix == PARQUET] or found, whole)


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
    """Expand ``{000..009}`` and ``{a,b}`` from the left, inner ones first; other braces stay as they are."""
    if (found := _BRACES.search(pattern)) is None:
        yield pattern
        return
    choices: Iterable[str] = (found[3] or "").split(",")
    if found[3] is None:  # leading zeros set the number of digits
        padded = any(len(each) > 1 and each.startswith("0") for each in (found[1], found[2]))
        width, first, last = max(map(len, (found[1], found[2]))) * padded, int(found[1]), int(found[2])
        step = 1 if first <= last else -1
        choices = (f"{number:0{width}d}" for number in range(first, last + step, step))
    for choice in choices:
        yield from expand_braces(f"{pattern[: found.start()]}{choice}{pattern[found.end() :]}")


def _packed(paths: Sequence[Path], root: Path | None = None) -> list[PackedFile]:
    """Name each file after its place below ``root``, or the folder that holds all, and find its split in this name.

    Arrow files of a folder of ``save_to_disk`` are numbered instead: ``train/00000``.
    """
    absolute, numbers = [path.absolute() for path in paths], Counter[Path]()
    root = root.absolute() if root else Path(os.path.commonpath([path.parent for path in absolute]))
    files: list[PackedFile] = []
    for path in absolute:
        name, saved = _ENDING.sub("", path.relative_to(root).as_posix()), (path.parent / "state.json").is_file()
        if saved and path.suffix == ARROW:
            name = (path.parent.relative_to(root) / f"{numbers[path.parent]:05d}").as_posix()
            numbers[path.parent] += 1
        # the split stands in the name of the file or of a folder, before the number of the shard
        parts = list(filter(None, (_SHARD.sub("", part) for part in reversed(name.split("/")))))
        split = next((part for part in parts if known_split(part)), parts[0] if parts else None)
        files.append(PackedFile(path=path, name=name, split=name.rpartition("/")[0] or None if saved else split))
    times = Counter(file.name.casefold() for file in files)
    folders = {parent.as_posix() for file in files for parent in PurePosixPath(file.name).parents}
    for name in (file.name for file in files):
        if not writable(name):
            raise InputError(f"{root / name!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
        if times[name.casefold()] > 1 or name in folders:
            raise InputError(f"several files, or a file and a folder, below {root} have the name {name}; rename one")
    return files


VERSION = 5  # of the layout: raise it when the same files are unpacked in another way
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
    files = _packed(_named_files(pattern, option="shards", kinds=(".tar", ".tar.gz", ".tgz", ".tar.xz")))
    return PackedDataSet(option="shards", name=Path(pattern).name, files=tuple(files))


def _require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
    """Refuse columns that no file has."""
    for column, option in columns.wanted.items():
        if column not in there:
            raise no_such_column(option, column, sorted(there), place).also(f"`{option}`=null reads none")


def rows_of(folder: Path, number: int) -> Iterator[PackedRow]:
    """Give the rows of an unpacked file by its number, in its order; their paths are below the folder of sounds."""
    with (folder / ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
        yield from (PackedRow(**json.loads(line)) for line in lines)


def unpacked_place(data_set: PackedDataSet, cache: Path) -> Path:
    """Return the folder that a data set is, or will be, unpacked into; until it is complete it ends in ``.partial``."""
    columns = [[file.name, file.damage, file.audio, dict(file.classes)] for file in data_set.files]
    try:
        states = [(file.name, file.path.stat()) for file in data_set.files]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}; check path and permissions") from error
    files = [[name, status.st_size, status.st_mtime_ns] for name, status in states]
    return cache / f"dataset-{list_hash([VERSION, columns, *files])[:16]}"


def unpack(data_set: PackedDataSet, place: Path, progress: Progress | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    Raises:
        InputError: the folder cannot be written, or a file of the data set cannot be read or changes meanwhile.
        OSError: the disk is full.
    """
    partial = place.with_suffix(PARTIAL)
    with locked(place.with_suffix(".lock")):
        if place.is_dir():
            return
        for name in (SOUNDS, ROWS):
            (partial / name).mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(data_set.files):
            finished = partial / ROWS / f"{number:05d}.jsonl"
            if finished.is_file():
                continue
            remove(partial / SOUNDS / file.name)
            try:
                rows = [_unpacked_row(file.name, *each, partial / SOUNDS) for each in file.read()]
            except DamageError as error:
                remove(partial / SOUNDS / file.name)
                rows = [PackedRow(path=file.name, reason=f"the file is damaged: {error}")]
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            write_aside(finished, "".join(f"{json.dumps(asdict(row))}\n" for row in rows))
            if progress:
                progress(number + 1)
        if unpacked_place(data_set, place.parent) != place:
            remove(partial)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option=data_set.option, value=data_set.name, rule=rule)
        partial.rename(place)
        flush_folder(place.parent)


def _unpacked_row(file: str, row: PackedRow, blocks: Iterable[bytes], sounds: Path) -> PackedRow:
    """Write a recording of a packed file; return its row with the path below ``sounds``."""
    row = replace(row, path=f"{file}/{row.path}")
    if row.reason:
        return row
    try:
        with named_write_errors(path := sounds / row.path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as written:
                written.writelines(blocks)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return replace(row, reason="another part of the file has the same name", fields={})
    return row


def described(data_set: PackedDataSet, place: Path, columns: ColumnConfig, *, own_splits: bool) -> Clips:
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
    named = [(row, (row.fields.get(column) if column else split) or "") for row, split in rows]
    names = sorted({name for row, name in named if not row.reason})
    divided = own_splits and any(map(known_split, names)) and (len(names) > 1 or column is not None)
    if own_splits and column and usable and not divided:
        rule = f"its values {', '.join(names):.200} name no split: choose another column, or `split.by`=hash"
        raise InputError(option="columns.split", value=column, rule=rule)
    wanted = {name: each for name, each in columns.named.items() if name in ("label", "group", "fold")}
    without: dict[str, list[str]] = {name: [] for name in wanted}
    found: dict[str, Clip] = {}
    rejected: list[Rejected] = []
    for row, name in named:
        fields: dict[str, str] = {
            kind: SEPARATOR.join(text for column in each if (text := row.fields.get(column)))
            for kind, each in wanted.items()
        }
        split = known_split(name) if divided else None
        try:
            if row.reason:
                raise InputError(row.reason)
            for kind in (kind for kind in wanted if not fields[kind]):
                without[kind].append(row.path)
            if divided and name and not split:
                raise InputError(f"in no split: {name} of the data set is neither train, validation nor test")
            found[row.path] = replace(describe(row.path, fields, "what is known of it"), split=split or "")
        except InputError as error:
            rejected.append(Rejected(path=row.path, reason=str(error)))
    if not found:
        first = "; ".join(f"{each.path}: {each.reason}" for each in rejected[:3])
        rule = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        remedy = "check the files, and convert recordings of other kinds to WAV or FLAC"
        raise InputError(option=data_set.option, value=data_set.name, rule=rule, remedy=remedy)
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    notices = [f"of {counted(len(usable), 'recording')} in it, {listed(counts)}"] if counts else []
    unread = sorted({name for row in usable for name in row.fields} - {column or "", *columns.wanted})
    if unread:
        notices.append(f"columns not read: {', '.join(unread):.400} (`columns.label`, `columns.group`, ... read some)")
    known = [clip for _, clip in sorted(found.items())]
    return Clips.from_rows(place / SOUNDS, known, rejected=tuple(rejected), notices=tuple(notices))
