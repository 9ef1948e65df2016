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
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wordless.audio.recordings.description import SEPARATOR, ColumnConfig
from wordless.audio.recordings.manifest import Split
from wordless.audio.recordings.packed_files import (
    Broken,
    DamageError,
    Facts,
    FileColumns,
    PackedFile,
    Parts,
    Sound,
    data_set_files,
    known_split,
    read_rows,
    read_shard,
    shard_files,
    sound_bytes,
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
    # of each Arrow or Parquet file by its name, or why it is damaged; tar shards have none
    columns: Mapping[str, FileColumns | str]

    def read(self, file: PackedFile) -> Parts:
        """Give the recordings and facts of a file."""
        match self.columns.get(file.name):
            case None:
                yield from read_shard(file)
            case str() as reason:
                yield Broken(name="the file", reason=reason)
            case columns:
                yield from read_rows(file, columns)

    def size(self, file: PackedFile) -> int:
        """Return about how many bytes the recordings of a file have; those of compressed shards have more."""
        match self.columns.get(file.name):
            case None:
                return file.path.stat().st_size
            case str():
                return 0
            case columns:
                return sound_bytes(file, columns)


def open_data_set(place: str, columns: ColumnConfig) -> PackedDataSet:
    """Open the Arrow or Parquet files of a data set; a damaged file is set aside when it is read.

    Raises:
        InputError: there are no such files, all are damaged, or a column is not there.
    """
    files = data_set_files(place)
    found: dict[str, FileColumns | str] = {}
    for file in files:
        try:
            found[file.name] = table_columns(file, columns.audio)
        except DamageError as error:
            found[file.name] = str(error)
    readable = [each for each in found.values() if not isinstance(each, str)]
    at = f"corpus.dataset={place}"
    if not readable:
        problem = f"{at}: {files[0].path} {found[files[0].name]}"
        raise InputError(f"{problem}; name Parquet files, or Arrow files of save_to_disk")
    _require_columns({name for each in readable for name in each.classes}, columns, at)
    return PackedDataSet(option="corpus.dataset", name=Path(place).resolve().name, files=tuple(files), columns=found)


def open_shards(pattern: str) -> PackedDataSet:
    """Open tar shards.

    Raises:
        InputError: one of them is not there.
    """
    return PackedDataSet(option="corpus.shards", name=Path(pattern).name, files=tuple(shard_files(pattern)), columns={})


def _require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
    """Refuse columns that no file has."""
    for column, option in columns.wanted.items():
        if column not in there:
            shown = sorted(there)
            names = f"{', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}" if shown else "(none)"
            meant = f"{suggestion(column, there)} " if nearest(column, there) else ""
            raise InputError(
                f"{option}: {place} has no such column of text, numbers or classes; {meant}its columns are {names}; "
                f"{option.partition('=')[0]}=null reads none"
            )


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
        [name, each] if isinstance(each, str) else [name, each.audio, dict(each.classes)]
        for name, each in data_set.columns.items()
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
    return sum(data_set.size(data_set.files[number]) for number in begun.missing(data_set))


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
            rows = _unpack_file(data_set, data_set.files[number], partial.sounds, progress)
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            lines = "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
            write_aside(partial.folder / ROWS / f"{number:05d}.jsonl", lines)
        if unpacked_place(data_set, place.folder.parent) != place:
            remove(partial.folder)  # nobody knows which of its recordings are of which version
            raise InputError(f"{data_set.option}: a file of {data_set.name} changed while it was read; run it again")
        partial.folder.rename(place.folder)
        flush_folder(place.folder.parent)


def _unpack_file(
    data_set: PackedDataSet, file: PackedFile, sounds: Path, progress: Progress | None
) -> list[UnpackedRow]:
    """Write the recordings of one packed file; return its rows, which say that it is finished."""
    remove(sounds / file.name)
    rows: list[tuple[str | None, UnpackedRow]] = []  # key of each sound, none of broken parts
    facts: dict[str, dict[str, str]] = {}
    faults: set[str] = set()  # keys of broken parts
    for part in data_set.read(file):
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


def label_table(
    data_set: PackedDataSet, place: Unpacked, columns: ColumnConfig, *, own_splits: bool
) -> tuple[Path, tuple[str, ...]]:
    """Write a JSONL table beside the unpacked data set, unless it is there; return its path and notices for people.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    at = f"{data_set.option}={data_set.name}"
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    usable = [row for row, _ in rows if not row.reason]
    if not usable:
        first = "; ".join(f"{row.path}: {row.reason}" for row, _ in rows[:3])
        problem = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        raise InputError(f"{at}: {problem}; check the files, and convert recordings of other kinds to WAV or FLAC")
    _require_columns({name for row, _ in rows for name in row.fields}, columns, at)

    named = [(row, row.fields.get(columns.split) if columns.split else split) for row, split in rows]
    names = {name or "" for row, name in named if not row.reason}
    divided = own_splits and len(names) > 1 and any(map(known_split, names))
    without: dict[str, list[str]] = {name: [] for name in ("label", "group", "fold") if name in columns.named}
    lines: list[dict[str, str]] = []
    for row, name in named:
        label = SEPARATOR.join(text for column in columns.labels if (text := row.fields.get(column)))
        group, fold = (row.fields.get(column or "", "") for column in (columns.group, columns.fold))
        fields = {field: text for field, text in (("label", label), ("group", group), ("fold", fold)) if text}
        split: Split | None = known_split(name or "") if divided else "train"
        reason = (
            "" if split else f"in no split: {name or 'nothing'} of the data set is neither train, validation nor test"
        )
        for field in (field for field, text in reversed(fields.items()) if not text.isprintable()):
            reason = f"its {field} holds control characters"
        if reason := row.reason or reason:
            lines.append({"path": row.path, "set_aside": reason})
        else:
            lines.append({"path": row.path, **fields, **({"split": split} if own_splits and split else {})})
        for field in without.keys() - fields.keys() if not row.reason else ():
            without[field].append(row.path)
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    path = place.folder.with_name(f"{place.folder.name}.{list_hash([text])[:8]}.jsonl")
    if not path.is_file():
        with locked(place.folder.with_suffix(".lock")):
            write_aside(path, text)
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    return path, (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()
