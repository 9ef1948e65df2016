"""Unpacking of a data set into a folder of recordings, once: ``dataset-<key>`` with sounds and what is known of them.

::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names, sizes and times of change, and of the columns that are read. The folder
appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a
killed run unpacks the others alone.

The facts of a recording are those whose key is its name before the ending, and those whose key ends at an earlier dot
of this name, as in WebDataset. If several say a value, the longest key counts::

    008 Track 2.0.flac   008 Track 2.0.json
    a.left.flac          a.left.json, then a.json

Where the longest key has facts, a shorter one that is the name of another recording counts no longer: with
``Track 2.flac`` and ``Track 2.0.flac``, each has the facts of its own name.

A table beside the folder has labels, groups, folds and splits of its recordings, from chosen columns.
"""

import json
import os
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.description import SEPARATOR, ColumnConfig, Description, Found
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Rejected, Split
from wordless.audio.recordings.packed_files import (
    Broken,
    DamageError,
    Facts,
    PackedFile,
    Sound,
    data_set_files,
    known_split,
    shard_files,
    table_columns,
)
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, remove, write_aside
from wordless.base.json_values import list_hash
from wordless.base.text import counted, listed, nearest, suggestion

VERSION = 3  # of the layout: raise it when the same files are unpacked in another way
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
            files.append(replace(file, columns=table_columns(file.path, columns.audio)))
        except DamageError as error:
            files.append(replace(file, damage=str(error)))
    readable = [file.columns for file in files if file.columns is not None]
    if not readable:
        rule = f"{files[0].path} {files[0].damage}"
        remedy = "name Parquet files, or Arrow files of save_to_disk"
        raise InputError(option="dataset", value=place, rule=rule, remedy=remedy)
    _require_columns({name for each in readable for name in each.classes}, columns, place)
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
class UnpackedRow:
    """A recording below the folder of sounds, or a part that was set aside."""

    path: str  # below the folder of sounds; of a part that was set aside, its packed file and its name
    size: int = 0  # bytes
    reason: str = ""  # why it was set aside; empty: it was not
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The folder of an unpacked data set."""

    folder: Path

    @property
    def sounds(self) -> Path:
        """The folder of the recordings."""
        return self.folder / SOUNDS

    def rows(self, number: int) -> Iterator[UnpackedRow]:
        """Give the rows of a packed file by its number, in its order."""
        with (self.folder / ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
            yield from (UnpackedRow(**json.loads(line)) for line in lines)

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
    columns = [
        [file.name, *([file.damage] if file.columns is None else [file.columns.audio, dict(file.columns.classes)])]
        for file in data_set.files
        if file.damage or file.columns is not None
    ]
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
    return sum(data_set.files[number].size for number in begun.missing(data_set))


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
            rows = _unpack_file(data_set.files[number], partial.sounds, progress)
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            lines = "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
            write_aside(partial.folder / ROWS / f"{number:05d}.jsonl", lines)
        if unpacked_place(data_set, place.folder.parent) != place:
            remove(partial.folder)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option=data_set.option, value=data_set.name, rule=rule)
        partial.folder.rename(place.folder)
        flush_folder(place.folder.parent)


def _unpack_file(file: PackedFile, sounds: Path, progress: Progress | None) -> list[UnpackedRow]:
    """Write the recordings of one packed file; return its rows, which say that it is finished."""
    remove(sounds / file.name)
    rows: list[tuple[str | None, UnpackedRow]] = []  # key of each sound, none of broken parts
    facts: dict[str, dict[str, str]] = {}
    faults: set[str] = set()  # keys of broken parts
    for part in file.read():
        if isinstance(part, Facts):
            facts.setdefault(part.key, {}).update(part.fields)
            continue
        path = f"{file.name}/{part.name}"
        if isinstance(part, Broken):
            faults |= {part.key} if part.key is not None else set()
            rows.append((None, UnpackedRow(path=path, reason=part.reason, fields={})))
            continue
        try:
            size, reason = _write(sounds / path, part), ""
        except DamageError as error:
            size, reason = 0, str(error)
        rows.append((part.key, UnpackedRow(path=path, size=size, reason=reason, fields={})))
        if progress:
            progress(size)

    named, described = {key for key, _ in rows}, facts.keys() | faults
    told: set[str] = set()  # keys of facts about recordings
    finished = []
    for key, row in rows:
        keys: list[str] = []  # whose facts are about the recording, the longest first
        if key is not None:
            folder, slash, base = key.rpartition("/")
            words = base.split(".")
            shorter = [f"{folder}{slash}{'.'.join(words[:count])}" for count in range(len(words) - 1, 0, -1)]
            keys = [key, *(each for each in shorter if key not in described or each not in named)]
        told.update(keys)
        if faults.isdisjoint(keys):
            finished.append(replace(row, fields=dict(ChainMap(*(facts.get(each, {}) for each in keys)))))
        elif not row.reason:  # the fault is a row of its own; with a reason, the path may be that of another part
            remove(sounds / row.path)
    if alone := [key for key in facts if key not in told]:
        such = f"no recording has their names: facts of {counted(len(alone), 'sample')}, such as {alone[0]}"
        finished.append(UnpackedRow(path=f"{file.name}/{alone[0]}", reason=such, fields={}))
    return finished


def _write(path: Path, sound: Sound) -> int:
    """Write a recording; return its size in bytes.

    Raises:
        DamageError: it cannot be read, or its name is that of another part; nothing of it is left.
    """
    size = 0
    try:
        with named_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as written:
                for block in sound.blocks:
                    size += written.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DamageError("another part of the file has the same name") from error
    except DamageError:
        path.unlink(missing_ok=True)
        raise
    return size


def described(data_set: PackedDataSet, place: Unpacked, columns: ColumnConfig, *, own_splits: bool) -> Found:
    """Describe the recordings of an unpacked data set by chosen columns.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    usable = [row for row, _ in rows if not row.reason]
    if not usable:
        first = "; ".join(f"{row.path}: {row.reason}" for row, _ in rows[:3])
        problem = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        remedy = "check the files, and convert recordings of other kinds to WAV or FLAC"
        raise InputError(option=data_set.option, value=data_set.name, rule=problem, remedy=remedy)
    _require_columns({name for row, _ in rows for name in row.fields}, columns, data_set.name)

    named = [(row, row.fields.get(columns.split) if columns.split else split) for row, split in rows]
    names = {name or "" for row, name in named if not row.reason}
    divided = own_splits and len(names) > 1 and any(map(known_split, names))
    without: dict[str, list[str]] = {name: [] for name in ("label", "group", "fold") if name in columns.named}
    found: dict[str, tuple[Description, ...]] = {}
    rejected: list[Rejected] = []
    for row, name in named:
        fields = {
            "label": SEPARATOR.join(text for column in columns.labels if (text := row.fields.get(column))) or None,
            "group": row.fields.get(columns.group or ""),
            "fold": row.fields.get(columns.fold or ""),
        }
        split: Split | None = known_split(name or "") if divided else "train"
        reason = row.reason
        if unprintable := [field for field, text in fields.items() if text and not text.isprintable()]:
            reason = reason or f"its {unprintable[0]} holds control characters"
        if not split:
            reason = reason or f"in no split: {name or 'nothing'} of the data set is neither train, validation nor test"
        if reason:
            rejected.append(Rejected(path=row.path, reason=reason))
        else:
            label, group, fold = fields.values()
            known = Description(label=label, group=group, fold=fold, split=split if own_splits else None)
            found[PurePosixPath(row.path).as_posix()] = (known,)
        for field in (field for field in without if not row.reason and not fields[field]):
            without[field].append(row.path)
    if not found:
        rule = f"none of its {counted(len(rows), 'part')} can be used ({frequent_reasons(rejected)})"
        raise InputError(option=data_set.option, value=data_set.name, rule=rule)
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    notices = (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()
    ordered = dict(sorted(found.items()))
    return Found(root=place.sounds, described=ordered, rejected=tuple(rejected), notices=notices)
