"""Unpacking of a data set into a folder of recordings, once: ``dataset-<key>`` with sounds and what is known of them.

::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names and contents, and of the columns that are read. The folder appears complete
or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a killed run
unpacks the others alone.

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
from collections import ChainMap, Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.description import SEPARATOR, ColumnConfig
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Rejected, Split
from wordless.audio.recordings.packed.files import (
    Broken,
    DamageError,
    Facts,
    PackedFile,
    Parts,
    Sound,
    content_hashes,
    data_set_files,
    known_split,
    shard_files,
)
from wordless.audio.recordings.packed.rows import FileColumns, read_rows, sound_bytes, table_columns
from wordless.audio.recordings.packed.shards import read_shard
from wordless.audio.recordings.recording_paths import EXTENSIONS
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, remove, write_aside
from wordless.base.json_values import list_hash
from wordless.base.text import counted, listed, nearest, suggestion


@dataclass(frozen=True, kw_only=True)
class PackedDataSet:
    """Files with recordings, in order."""

    option: str  # that names them
    name: str  # for people
    files: tuple[PackedFile, ...]
    reading: str  # what decides, beside the files' bytes, how they are read: columns and names of classes
    sizes: tuple[int, ...]  # bytes of each file's recordings, about
    read: Callable[[PackedFile], Parts]


def open_data_set(place: str, columns: ColumnConfig) -> PackedDataSet:
    """Open the Arrow or Parquet files of a data set; a damaged file is set aside when it is read.

    Raises:
        InputError: there are no such files, all are damaged, or a column is not there.
    """
    files = data_set_files(place)
    found: dict[str, FileColumns] = {}
    damaged: dict[str, str] = {}
    for file in files:
        try:
            found[file.name] = table_columns(file, columns.audio)
        except DamageError as error:
            damaged[file.name] = str(error)
    if not found:
        path, reason = files[0].path, damaged[files[0].name]
        raise InputError(f"corpus.dataset={place}: {path} {reason}; name Parquet files, or Arrow files of save_to_disk")
    require_columns({name for each in found.values() for name in each.classes}, columns, f"corpus.dataset={place}")
    sizes = tuple(sound_bytes(file, found[file.name]) if file.name in found else 0 for file in files)

    def read(file: PackedFile) -> Parts:
        return read_rows(file, found[file.name]) if file.name in found else _set_aside(damaged[file.name])

    reading = list_hash([name, each.audio, dict(each.classes)] for name, each in found.items())
    name = Path(place).resolve().name
    return PackedDataSet(
        option="corpus.dataset", name=name, files=tuple(files), reading=reading, sizes=sizes, read=read
    )


def open_shards(pattern: str) -> PackedDataSet:
    """Open tar shards.

    Raises:
        InputError: one of them is not there.
    """
    files = shard_files(pattern)
    sizes = tuple(file.path.stat().st_size for file in files)  # compressed shards take more
    name = Path(pattern).name
    return PackedDataSet(
        option="corpus.shards", name=name, files=tuple(files), reading="tar", sizes=sizes, read=read_shard
    )


def require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
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


def _set_aside(reason: str) -> Iterator[Broken]:
    yield Broken(name="the file", reason=reason)


VERSION = 2  # of the layout: raise it when the same files are unpacked in another way
SOUNDS, ROWS = "sounds", "rows"
Progress = Callable[[int], None]  # bytes that were written since the last call


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackedRow:
    """A recording below the folder of sounds, or a part that was set aside."""

    path: str  # below the folder of sounds; of a part that was set aside, its packed file and its name
    size: int = 0  # bytes
    reason: str = ""  # why it was set aside; empty: it was not
    members: int = 0  # of a packed file that the row stands for, if they are not read
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

    def is_whole(self, number: int) -> bool:
        """Return whether all recordings of a packed file are there, with their sizes."""
        try:
            return all(row.reason or (self.sounds / row.path).stat().st_size == row.size for row in self.rows(number))
        except (OSError, ValueError, TypeError):  # a recording is missing, or the rows are missing or damaged
            return False


def unpacked_place(data_set: PackedDataSet, cache: Path, progress: Progress | None = None) -> Unpacked:
    """Return where a data set is, or will be, unpacked; its files are hashed if they are not known.

    ``progress`` is told how many bytes were hashed since the last call.
    """
    hashes = content_hashes([file.path for file in data_set.files], cache, progress)
    named = [[file.name, content] for file, content in zip(data_set.files, hashes, strict=True)]
    key = list_hash([VERSION, data_set.reading, *named])[:16]
    return Unpacked(folder=cache / f"dataset-{key}")


def is_unpacked(data_set: PackedDataSet, place: Unpacked) -> bool:
    """Return whether the data set is unpacked, and all of its recordings are still there."""
    return place.folder.is_dir() and not missing_files(data_set, place)


def missing_bytes(data_set: PackedDataSet, place: Unpacked) -> int:
    """Return about how many bytes `unpack` will write, without those that a killed process has finished."""
    begun = place if place.folder.is_dir() else _partial(place)
    return sum(data_set.sizes[number] for number in missing_files(data_set, begun))


def missing_files(data_set: PackedDataSet, place: Unpacked) -> list[int]:
    """List the numbers of the packed files whose recordings are not all there."""
    return [number for number in range(len(data_set.files)) if not place.is_whole(number)]


def unpack(data_set: PackedDataSet, place: Unpacked, progress: Progress | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    Raises:
        InputError: the folder cannot be written, or a file of the data set changes meanwhile.
        OSError: the disk is full.
    """
    with locked(place.folder.with_suffix(".lock")):
        if is_unpacked(data_set, place):
            return
        partial = _partial(place)
        if place.folder.is_dir():  # somebody removed or changed recordings: the others are kept
            remove(partial.folder)
            place.folder.rename(partial.folder)
        for name in (SOUNDS, ROWS):
            (partial.folder / name).mkdir(parents=True, exist_ok=True)
        for number in missing_files(data_set, partial):
            _unpack_file(data_set, partial, number, progress)
        if unpacked_place(data_set, place.folder.parent) != place:
            remove(partial.folder)  # nobody knows which of its recordings are of which version
            raise InputError(f"{data_set.option}: a file of {data_set.name} changed while it was read; run it again")
        partial.folder.rename(place.folder)
        flush_folder(place.folder.parent)


def _partial(place: Unpacked) -> Unpacked:
    return Unpacked(folder=place.folder.with_suffix(".partial"))


def _unpack_file(data_set: PackedDataSet, partial: Unpacked, number: int, progress: Progress | None) -> None:
    """Write the recordings of one packed file, and then its rows, which say that it is finished."""
    file = data_set.files[number]
    folder = partial.sounds / file.name
    remove(folder)
    rows, facts, faults = _write_parts(data_set.read(file), file, folder, progress)
    sounds = {key for key, _ in rows if key is not None}
    described = facts.keys() | faults
    told: set[str] = set()  # keys of facts about recordings
    finished = []
    for key, row in rows:
        keys = [] if key is None else _keys(key, described, sounds)
        told.update(keys)
        if not faults.isdisjoint(keys):  # the fault is a row of its own
            if not row.reason:  # otherwise the path may be that of another part
                remove(partial.sounds / row.path)
            continue
        finished.append(replace(row, fields=dict(ChainMap(*(facts.get(each, {}) for each in keys)))))
    if alone := [key for key in facts if key not in told]:
        such = f"no recording has their names: facts of {counted(len(alone), 'sample')}, such as {alone[0]}"
        finished.append(UnpackedRow(path=f"{file.name}/{alone[0]}", reason=such, members=len(alone), fields={}))
    os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
    lines = [json.dumps({name: getattr(row, name) for name in UnpackedRow.__slots__}) for row in finished]
    write_aside(partial.folder / ROWS / f"{number:05d}.jsonl", "".join(f"{line}\n" for line in lines))


def _keys(name: str, described: Collection[str], sounds: Collection[str]) -> list[str]:
    """Return the keys whose facts are about the recording of this name without its ending, the longest first."""
    folder, slash, base = name.rpartition("/")
    words = base.split(".")
    shorter = [f"{folder}{slash}{'.'.join(words[:count])}" for count in range(len(words) - 1, 0, -1)]
    return [name, *(key for key in shorter if name not in described or key not in sounds)]


def _write_parts(
    parts: Parts, file: PackedFile, folder: Path, progress: Progress | None
) -> tuple[list[tuple[str | None, UnpackedRow]], dict[str, dict[str, str]], set[str]]:
    """Write the sounds; return a row for each sound and each broken part with its key, the facts and broken keys."""
    rows: list[tuple[str | None, UnpackedRow]] = []
    facts: dict[str, dict[str, str]] = {}
    faults: set[str] = set()
    for part in parts:
        match part:
            case Facts():
                facts.setdefault(part.key, {}).update(part.fields)
            case Broken():
                faults |= {part.key} if part.key is not None else set()
                path = f"{file.name}/{part.name}"
                rows.append((None, UnpackedRow(path=path, reason=part.reason, members=part.members, fields={})))
            case Sound():
                path = f"{file.name}/{part.name}"
                try:
                    size, reason = _write(folder / part.name, part), ""
                except DamageError as error:
                    size, reason = 0, str(error)
                rows.append((part.key, UnpackedRow(path=path, size=size, reason=reason, fields={})))
                if progress:
                    progress(size)
    return rows, facts, faults


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
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    there = {name for row, _ in rows for name in row.fields}
    if all(row.reason for row, _ in rows):
        raise InputError(f"{data_set.option}={data_set.name}: {_nothing([row for row, _ in rows])}")
    require_columns(there, columns, f"{data_set.option}={data_set.name}")
    text = "".join(f"{json.dumps(line)}\n" for line in _lines(rows, columns, own_splits))
    path = place.folder.with_name(f"{place.folder.name}.{list_hash([text])[:8]}.jsonl")
    if not path.is_file():
        with locked(place.folder.with_suffix(".lock")):
            write_aside(path, text)
    return path, _missing_facts([row for row, _ in rows], columns)


def _nothing(rows: Sequence[UnpackedRow]) -> str:
    """Say why a data set has no recording that can be used."""
    broken = [Rejected(path=row.path, reason=row.reason) for row in rows if not row.members]
    others: Counter[str] = Counter()
    for row in rows:
        kind = PurePosixPath(row.path).name
        if row.members and kind.startswith("*"):
            others[kind.removeprefix("*") or "without an ending"] += row.members
    members = ", ".join(f"{kind} {count}" for kind, count in others.most_common())
    there = f"; its other members are {members}" if members else ""
    if broken:
        recordings = counted(len(broken), "recording")
        return f"none of its {recordings} can be used ({frequent_reasons(broken)}){there}; check the files"
    known = " ".join(f".{each}" for each in EXTENSIONS)
    return f"it holds no recordings{there}; recordings end in {known}: convert others to WAV or FLAC"


def _missing_facts(rows: Sequence[UnpackedRow], columns: ColumnConfig) -> tuple[str, ...]:
    """Return a notice if some recordings have no label, group or fold, and others have."""
    known: Counter[str] = Counter()
    without: dict[str, str] = {}  # a recording without each
    usable = [row for row in rows if not row.reason]
    named = {"label": columns.labels, "group": columns.group, "fold": columns.fold}
    for row in usable:
        there = _described(row, columns)
        known.update(there.keys())
        for name in (name for name, column in named.items() if column and name not in there):
            without.setdefault(name, row.path)
    counts = [f"{len(usable) - known[name]} have no {name} (such as {path})" for name, path in without.items()]
    return (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()


def _lines(
    rows: Sequence[tuple[UnpackedRow, str | None]], columns: ColumnConfig, own_splits: bool
) -> Iterator[dict[str, str]]:
    named = [row.fields.get(columns.split) if columns.split else split for row, split in rows]
    divided = own_splits and _is_divided([name for name, (row, _) in zip(named, rows, strict=True) if not row.reason])
    for (row, _), name in zip(rows, named, strict=True):
        fields = _described(row, columns)
        split: Split | None = known_split(name or "") if divided else "train"
        if reason := row.reason or _fault(fields, name, split):
            yield {"path": row.path, "set_aside": reason}
        else:
            yield {"path": row.path, **fields, **({"split": split} if own_splits and split else {})}


def _described(row: UnpackedRow, columns: ColumnConfig) -> dict[str, str]:
    labels = [text for column in columns.labels if (text := row.fields.get(column))]
    found = {"label": SEPARATOR.join(labels)}
    found |= {
        name: row.fields.get(column, "")
        for name, column in (("group", columns.group), ("fold", columns.fold))
        if column is not None
    }
    return {name: text for name, text in found.items() if text}


def _fault(fields: dict[str, str], name: str | None, split: Split | None) -> str:
    for field, text in fields.items():
        if not text.isprintable():
            return f"its {field} holds control characters"
    return "" if split else f"in no split: {name or 'nothing'} of the data set is neither train, validation nor test"


def _is_divided(names: Collection[str | None]) -> bool:
    """Return whether there are several splits, of which some are known."""
    return len({*names}) > 1 and any(known_split(name or "") for name in names)
