"""Unpacking of a data set into a folder of recordings, once: ``dataset-<key>`` with sounds and what is known of them.

::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names, sizes and times of change, and of the columns that are read. The folder
appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a
killed run unpacks the others alone.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wordless.audio.recordings.description import SEPARATOR, ColumnConfig, Description, Found, describe
from wordless.audio.recordings.manifest import Rejected, Split
from wordless.audio.recordings.packed_files import (
    DamageError,
    PackedFile,
    PackedRow,
    data_set_files,
    known_split,
    shard_files,
    table_columns,
)
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, remove, write_aside
from wordless.base.json_values import list_hash
from wordless.base.text import counted, listed, nearest, suggestion

VERSION = 4  # of the layout: raise it when the same files are unpacked in another way
SOUNDS, ROWS = "sounds", "rows"
Progress = Callable[[int], None]  # bytes that were written since the last call


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
    """Open tar shards.

    Raises:
        InputError: one of them is not there.
    """
    return PackedDataSet(option="shards", name=Path(pattern).name, files=tuple(shard_files(pattern)))


def _require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
    """Refuse columns that no file has."""
    for column, option in columns.wanted.items():
        if column not in there:
            shown = sorted(there)
            names = f"{', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}" if shown else "(none)"
            meant = f"{suggestion(column, there)} " if nearest(column, there) else ""
            rule = f"{place} has no such column of text, numbers or classes; {meant}its columns are {names}"
            raise InputError(option=option, value=column, rule=rule, remedy=f"`{option}`=null reads none")


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The folder of an unpacked data set."""

    folder: Path

    @property
    def sounds(self) -> Path:
        """The folder of the recordings."""
        return self.folder / SOUNDS

    def rows(self, number: int) -> Iterator[PackedRow]:
        """Give the rows of a packed file by its number, in its order; their paths are below the folder of sounds."""
        with (self.folder / ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
            yield from (PackedRow(**json.loads(line)) for line in lines)

    def missing(self, data_set: PackedDataSet) -> list[int]:
        """List the numbers of the packed files whose recordings are not all there, with their sizes."""

        def is_whole(number: int) -> bool:
            try:
                rows = self.rows(number)
                return all(row.reason or (self.sounds / row.path).stat().st_size == row.size for row in rows)
            except (OSError, ValueError, TypeError):  # a recording is missing, or the rows are missing or damaged
                return False

        return [number for number in range(len(data_set.files)) if not is_whole(number)]

    @property
    def partial(self) -> "Unpacked":
        """The folder while the data set is unpacked."""
        return Unpacked(folder=self.folder.with_suffix(".partial"))


def unpacked_place(data_set: PackedDataSet, cache: Path) -> Unpacked:
    """Return where a data set is, or will be, unpacked."""
    columns = [[file.name, file.damage, file.audio, dict(file.classes)] for file in data_set.files]
    try:
        states = [(file.name, file.path.stat()) for file in data_set.files]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}; check path and permissions") from error
    files = [[name, status.st_size, status.st_mtime_ns] for name, status in states]
    return Unpacked(folder=cache / f"dataset-{list_hash([VERSION, columns, *files])[:16]}")


def is_unpacked(data_set: PackedDataSet, place: Unpacked) -> bool:
    """Return whether the data set is unpacked, and all of its recordings are still there."""
    return place.folder.is_dir() and not place.missing(data_set)


def missing_bytes(data_set: PackedDataSet, place: Unpacked) -> int:
    """Return about how many bytes `unpack` will write, without those that a killed process has finished."""
    begun = place if place.folder.is_dir() else place.partial
    return sum(data_set.files[number].path.stat().st_size for number in begun.missing(data_set))


def unpack(data_set: PackedDataSet, place: Unpacked, progress: Progress | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    Raises:
        InputError: the folder cannot be written, or a file of the data set changes meanwhile.
        OSError: the disk is full.
    """
    partial = place.partial
    with locked(place.folder.with_suffix(".lock")):
        if is_unpacked(data_set, place):
            return
        if place.folder.is_dir():  # somebody removed or changed recordings: the others are kept
            remove(partial.folder)
            place.folder.rename(partial.folder)
        for name in (SOUNDS, ROWS):
            (partial.folder / name).mkdir(parents=True, exist_ok=True)
        for number in partial.missing(data_set):
            file = data_set.files[number]
            remove(partial.sounds / file.name)
            try:
                rows = [_unpacked_row(file.name, *each, partial.sounds, progress) for each in file.read()]
            except DamageError as error:
                remove(partial.sounds / file.name)
                rows = [PackedRow(path=file.name, reason=f"the file is damaged: {error}")]
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            lines = "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
            write_aside(partial.folder / ROWS / f"{number:05d}.jsonl", lines)
        if unpacked_place(data_set, place.folder.parent) != place:
            remove(partial.folder)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option=data_set.option, value=data_set.name, rule=rule)
        partial.folder.rename(place.folder)
        flush_folder(place.folder.parent)


def _unpacked_row(
    file: str, row: PackedRow, blocks: Iterable[bytes], sounds: Path, progress: Progress | None
) -> PackedRow:
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
    if progress:
        progress(size)
    return replace(row, size=size)


def described(data_set: PackedDataSet, place: Unpacked, columns: ColumnConfig, *, own_splits: bool) -> Found:
    """Describe the recordings of an unpacked data set by chosen columns.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    usable = [row for row, _ in rows if not row.reason]
    if usable:
        _require_columns({name for row in usable for name in row.fields}, columns, data_set.name)
    named = [(row, row.fields.get(columns.split) if columns.split else split) for row, split in rows]
    names = {name or "" for row, name in named if not row.reason}
    divided = own_splits and len(names) > 1 and any(map(known_split, names))
    without: dict[str, list[str]] = {name: [] for name in ("label", "group", "fold") if name in columns.named}
    found: dict[str, tuple[Description, ...]] = {}
    rejected: list[Rejected] = []
    for row, name in named:
        fields = {
            "label": SEPARATOR.join(text for column in columns.labels if (text := row.fields.get(column))),
            "group": row.fields.get(columns.group or "", ""),
            "fold": row.fields.get(columns.fold or "", ""),
        }
        for field in (field for field in without if not row.reason and not fields[field]):
            without[field].append(row.path)
        split: Split | None = known_split(name or "") if divided else "train"
        reason = row.reason
        if not split:
            reason = reason or f"in no split: {name or 'nothing'} of the data set is neither train, validation nor test"
        try:
            known = describe(fields, "what is known of it")
        except InputError as error:
            reason = reason or str(error)
        if reason:
            rejected.append(Rejected(path=row.path, reason=reason))
        else:
            found[row.path] = (replace(known, split=split if own_splits else None),)
    if not found:
        first = "; ".join(f"{each.path}: {each.reason}" for each in rejected[:3])
        rule = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        remedy = "check the files, and convert recordings of other kinds to WAV or FLAC"
        raise InputError(option=data_set.option, value=data_set.name, rule=rule, remedy=remedy)
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    notices = (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()
    return Found(root=place.sounds, described=dict(sorted(found.items())), rejected=tuple(rejected), notices=notices)
