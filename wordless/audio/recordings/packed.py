"""Data sets of Parquet and Arrow files whose rows hold recordings, unpacked once.

``*`` is expanded as in a shell: ``data/train-*.parquet``. The folder is::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names and stamps, of the rows that count, and of the columns that are read. The
folder appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is
finished, so a killed run unpacks the others alone. A file that cannot be read to its end is damaged, and is set aside
as a whole.

One column holds sound; the others become text.

Arrow files are read by the package ``datasets``, which wrote them (`recordings/saved_data_sets.py`). Parquet files are
read by pyarrow, a few rows at once, from where they lie: `load_dataset` would first copy all of them into a cache of
Arrow files (measured: docs/log.md, "Data sets").
"""

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings import description, folders, letters
from wordless.audio.recordings.corpus_config import CorpusConfig, Making
from wordless.audio.recordings.description import known_split
from wordless.audio.recordings.manifest import Clips, Rejected, writable
from wordless.audio.recordings.saved_data_sets import (
    ARROW_METADATA,
    INFO,
    STATE,
    STORED_SPLITS,
    ArrowFile,
    Shard,
    owner,
    saved_splits,
)
from wordless.audio.recordings.sources import Column, ReadFile, Reading, Seen, Unused
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.recordings.unread_columns import unread_columns
from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import file_stamp, flush_folder, list_hash, locked, named_write_errors, remove, write_aside
from wordless.base.messages import InputError, counted, listed

ARROW, PARQUET = ".arrow", ".parquet"
_SHARD = re.compile(r"(?:[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{16})?)+$")  # its number: -00001-of-00010-0123456789abcdef
_ENDING = re.compile(r"\.(?:parquet|arrow)$")
# what libraries raise when a file is damaged
_DAMAGE = (EOFError, pa.ArrowException, OSError, ValueError, OverflowError)


class DamageError(Exception):
    """A packed file, or a member of it, cannot be read; the message is the reason, for lists of files set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedRow:
    """A recording of a packed file, or a part that was set aside."""

    path: str  # below the folder of the packed file; "/" between folders
    fields: dict[str, str] = field(default_factory=dict)  # what is known of it, as text
    reason: str = ""  # why it was set aside; empty: it was not
    source: int = 0  # number of the file among those of its shard
    row: int = 0  # number of its row in that file, from 1; 0: it is the whole file


_Rows = Iterator[tuple[PackedRow, bytes]]  # with the bytes of each recording, which are written as they are


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file that holds recordings, or several whose rows are read together."""

    path: Path  # of the file, or the folder of several
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str  # the data set's own name of its split, such as "test.clean"
    audio: str | None = None  # column with sound; None: of a damaged file
    # other columns that can be read as text, with the names of their classes; None: the values are text themselves
    classes: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)  # columns that cannot be read as text, and why
    damage: str = ""
    shard: Shard | None = None  # of Arrow files; None: a Parquet file
    sizes: tuple[int, ...] = ()  # number of rows of each source

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files with the rows."""
        return (self.path,) if self.shard is None else tuple(each.path for each in self.shard.files)

    @property
    def stamp(self) -> list[object]:
        """What changes when the files, or the rows of them that count, are others."""
        if self.shard is None:
            return [self.name, *file_stamp(self.path)]
        stamps = [file_stamp(path) for path in self.shard.paths]
        return [self.name, self.shard.state, [[each.skip, each.take] for each in self.shard.files], *stamps]

    def read(self) -> _Rows:
        """Give the recordings of the file, and its parts that are set aside.

        Raises:
            DamageError: the file is damaged, which may show after some of its recordings.
            InputError: the file cannot be read now, such as for its permissions; later it may be read.
        """
        with _damage(self.path):
            if self.audio is None:
                raise DamageError(self.damage)
            yield from _read_rows(self, self.audio)


@dataclass(frozen=True, kw_only=True)
class PackedDataSet:
    """Files with recordings, in order."""

    name: str  # for people
    root: Path  # the folder that all files lie in
    files: tuple[PackedFile, ...]
    seen: Seen  # all files of the folder
    about: Mapping[Path, str] = field(default_factory=dict)  # file that says what counts -> what it is
    unread: Mapping[Path, Unused] = field(default_factory=dict)  # file that is not read -> why

    def place_of(self, file: PackedFile, row: PackedRow) -> str:
        """Return where a row lies, for messages: its file and its number."""
        return self.place(file.sources[row.source], row.row)

    def place(self, path: Path, row: int) -> str:
        """Return where a row of a file lies."""
        return f"{self.shown(path)}: row {row}"

    def shown(self, path: Path) -> str:
        """Return the path of a file or folder below the root; of the root its name."""
        return self.name if path == self.root else path.relative_to(self.root).as_posix()


def open_data_set(place: str, columns: description.ColumnConfig) -> PackedDataSet:
    """Open the data set below a folder, such as one of ``save_to_disk``, or the files that a path or pattern names.

    Places without such files, or where all are damaged, and columns that are not there are refused.
    """
    found = data_set_files(place)
    files = tuple(_table_columns(file, columns.audio) for file in found.files)
    if all(file.damage for file in files):
        rule = f"{files[0].path} {files[0].damage}: name Parquet files, or a folder of save_to_disk"
        raise InputError(option="dataset", value=place, rule=rule)
    _require_columns({name for file in files for name in file.classes}, columns, place)
    return replace(found, files=files)


def candidates(config: CorpusConfig, making: Making | None) -> Clips:
    """List the recordings of a data set, which are unpacked once."""
    config.refuse_annotations()
    assert making is not None
    terminal, data_set = making.terminal, open_data_set(config.dataset or "", config.columns)
    place = unpacked_place(data_set, making.folder())
    if not place.is_dir():
        terminal.say(f"corpus    {data_set.name}: unpacked once, into {place}")
        with terminal.working("unpacking", len(data_set.files), "files") as progress:
            unpack(data_set, place, progress.advance_to)
    found = described(data_set, place, config.columns, own_splits=config.split.by in GIVEN)
    whole = Path(config.dataset or "").expanduser().absolute()  # of a pattern, the folder in which it looks
    name = next(each.name for each in (whole, *whole.parents) if not has_magic(str(each)))
    notices = tuple(f"{data_set.name}: {notice}" for notice in found.notices)
    return replace(found, name=name, title=name, has_labels=True, notices=notices)


_CACHE = Unused(why="a cache of map, filter or shuffle", kind="caches of map, filter or shuffle")
_NOT_LISTED = f"{STATE} does not list it"


def data_set_files(place: str) -> PackedDataSet:
    """Find the files of a data set: those of its saved data sets, or its Parquet files, or else its Arrow files."""
    root = folders.expand_home(place, "dataset")
    if not root.is_dir():
        return _named_files(place)
    folder = folders.Folder.at(root.absolute())
    root, below = folder.root, [name for name in folder.files if name not in folder.folders]
    loose = [name for name in below if name.endswith((ARROW, PARQUET)) and not PurePosixPath(name).match("cache-*")]
    if saved := saved_splits(root, below):
        inside = [each.folder.relative_to(root).as_posix() for each in saved]
        above = _json_folders(below)
        if outside := [name for name in loose if not any(PurePosixPath(name).is_relative_to(each) for each in above)]:
            rule = f"it holds the saved data set {inside[0]} and other files such as {outside[0]}: name one of them"
            raise InputError(option="dataset", value=root, rule=rule)
        files = _packed([shard for each in saved for shard in each.shards], root, {e.folder: e.split for e in saved})
    elif loose:
        chosen = [name for name in loose if name.endswith(PARQUET)] or loose
        files = _packed([_loose(root / name) for name in sorted(chosen)])
    else:
        rule = "it holds no Parquet and no Arrow files: a folder of recordings is `root`"
        raise InputError(option="dataset", value=root, rule=rule)
    about = _about(files)
    unread = _unread([root / name for name in below], {*about, *(path for file in files for path in file.sources)})
    name = root.resolve().name
    return PackedDataSet(name=name, root=root, files=files, seen=folder.seen, about=about, unread=unread)


def _json_folders(names: Sequence[str]) -> set[PurePosixPath]:
    return {path.parent for path in map(PurePosixPath, names) if path.name in (STATE, STORED_SPLITS)}


def _about(files: Sequence[PackedFile]) -> dict[Path, str]:
    """Name the files of saved data sets that say which of the others count."""
    found = dict[Path, str]()
    for shard in (file.shard for file in files if file.shard is not None):
        found |= dict.fromkeys(shard.indices, "list of rows that count")
        if shard.folder is not None:
            found |= {shard.folder / STATE: "list of files that count", shard.folder / INFO: "description of columns"}
            if (whole := shard.folder.parent / STORED_SPLITS).is_file() and not (shard.folder.parent / STATE).is_file():
                found[whole] = "list of splits that count"
    return found


def _unread(paths: Sequence[Path], read: Collection[Path]) -> dict[Path, Unused]:
    """Say why files with rows, and files of saved data sets, are not read."""
    found, saved = dict[Path, Unused](), any(path.name == STATE for path in read)
    for path in (path for path in paths if path not in read):
        of_split = (path.parent / STATE).is_file() and path.parent / STATE not in read
        if of_split:
            why, kind = f"its folder is no split that {STORED_SPLITS} lists", "in no split of the data set"
            found[path] = Unused(why=why, option=f"`dataset`={path.parent}", kind=kind)
        elif path.suffix == ARROW and path.name.startswith("cache-"):
            found[path] = _CACHE
        elif path.suffix in (ARROW, PARQUET):
            why = _NOT_LISTED if saved else "Parquet files beside it are read"
            # an Arrow file in a saved data set is refused, because state.json does not count it
            option = "" if saved and path.suffix == ARROW else f"`dataset`={path}"
            found[path] = Unused(why=why, option=option)
        elif path.suffix == ".py":
            found[path] = Unused(why="scripts of data sets are not run", kind="scripts, which are not run")
    return found


def _named_files(pattern: str) -> PackedDataSet:
    """Find the files that a path or pattern names, in order."""
    name = str(folders.expand_home(pattern, "dataset"))
    found = sorted(glob(name)) if has_magic(name) and not os.path.lexists(name) else [name]  # noqa: PTH207  absolute too
    if not found or not Path(found[0]).is_file():
        rule = f"{name} is not there: name files that end in {PARQUET} or {ARROW}"
        rule = f"{name} is a folder: `dataset`='{name}/*{PARQUET}'" if Path(name).is_dir() else rule
        raise InputError(option="dataset", value=pattern, rule=rule)
    files = _packed([_loose(Path(each).absolute()) for each in found])
    sources = {path for file in files for path in file.sources}
    root, about = Path(os.path.commonpath([path.parent for path in sources])), _about(files)
    beside = {path for each in {path.parent for path in sources} for path in each.iterdir() if len(found) > 1}
    others = [path for path in beside - sources if path.suffix in (ARROW, PARQUET) and path.is_file()]
    unread = dict.fromkeys(others, Unused(why=f"{PurePosixPath(name).name} does not fit it", kind="not named"))
    seen = Seen(root=root, files=tuple(sorted(path.relative_to(root).as_posix() for path in {*sources, *others})))
    title = Path(pattern).resolve().name
    return PackedDataSet(name=title, root=root, files=files, seen=seen, about=about, unread=unread)


def _loose(path: Path) -> Path | Shard:
    """Return a Parquet file, or an Arrow file as a shard; a file of a saved data set must count as a whole."""
    if path.suffix != ARROW:
        return path
    if (folder := owner(path)) is None:
        return Shard(files=(ArrowFile(path=path),))
    (split,) = saved_splits(folder, [STATE, INFO])
    if split.indices or ArrowFile(path=path) not in split.files:
        rule = f"{STATE} beside it says which files and rows count, and not that all of this file do"
        raise InputError(option="dataset", value=path, rule=rule, remedy=f"name the folder, `dataset`={folder}")
    return Shard(files=(ArrowFile(path=path),), folder=folder)


def _packed(
    shards: Sequence[Path | Shard], root: Path | None = None, named: Mapping[Path, str] | None = None
) -> tuple[PackedFile, ...]:
    """Name each file after its place below ``root``, or the folder that holds all; the split stands in this name.

    Of saved data sets whose folders say no split, ``named`` has those of state.json.
    """
    firsts = [each if isinstance(each, Path) else each.files[0].path for each in shards]
    root, numbers = root or Path(os.path.commonpath([path.parent for path in firsts])), Counter[Path]()
    files: list[PackedFile] = []
    for path, each in zip(firsts, shards, strict=True):
        name, shard = _ENDING.sub("", path.relative_to(root).as_posix()), None if isinstance(each, Path) else each
        if shard is not None and shard.folder is not None:
            name = (path.parent.relative_to(root) / f"{numbers[path.parent]:05d}").as_posix()
            numbers[path.parent] += 1
        # the split stands in the name of the file or of a folder, before the number of the shard
        parts = [_SHARD.sub("", part) for part in reversed(name.split("/"))]
        own = (named or {}).get(path.parent, "")
        split = next(
            filter(known_split, [*parts, *([own] if own.isalpha() else [])]), name.rpartition("/")[0] or parts[0]
        )
        place = path.parent if shard is not None and len(shard.files) > 1 else path
        files.append(PackedFile(path=place, name=name, split=split, shard=shard))
    taken = Counter(file.name.casefold() for file in files)
    taken.update({str(parent).casefold() for file in files for parent in PurePosixPath(file.name).parents})
    if faulty := [file.path for file in files if not writable(file.name) or taken[file.name.casefold()] > 1]:
        rule = "holds a tab, a line break or bytes that are not UTF-8, or has the name of another file or folder"
        raise InputError(f"the name of {str(faulty[0])!r} {rule}; rename it")
    return tuple(files)


def _require_columns(there: Collection[str], columns: description.ColumnConfig, place: str) -> None:
    for column, option in columns.wanted.items():
        if column not in there:
            raise description.no_such_column(option, column, sorted(there), place).also(f"`{option}`=null reads none")


_VERSION = 1  # of the layout: raise it when the same files are unpacked in another way
_SOUNDS, _ROWS, PARTIAL = "sounds", "rows", ".partial"


def unpacked_place(data_set: PackedDataSet, cache: Path) -> Path:
    """Return the folder that a data set is, or will be, unpacked into; until it is complete it ends in ``.partial``."""
    columns = [[file.name, file.damage, file.audio, dict(file.classes)] for file in data_set.files]
    try:
        files = [file.stamp for file in data_set.files]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}; check path and permissions") from error
    return cache / f"dataset-{list_hash([_VERSION, columns, *files])[:16]}"


def unpack(data_set: PackedDataSet, place: Path, progress: Callable[[int], None] | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    A file that cannot be read now, or changes meanwhile, is refused; a full disk is an `OSError`.
    """
    partial = place.with_suffix(PARTIAL)
    with locked(place.with_suffix(".lock")):
        if place.is_dir():
            return
        for name in (_SOUNDS, _ROWS):
            (partial / name).mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(data_set.files):
            finished = partial / _ROWS / f"{number:05d}.jsonl"
            if finished.is_file():
                continue
            remove(partial / _SOUNDS / file.name)
            try:
                rows = [_unpacked_row(file.name, *each, partial / _SOUNDS) for each in file.read()]
            except DamageError as error:
                remove(partial / _SOUNDS / file.name)
                rows = [PackedRow(path=file.name, reason=f"{data_set.shown(file.path)} is damaged: {error}")]
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            write_aside(finished, "".join(f"{json.dumps(asdict(row))}\n" for row in rows))
            if progress:
                progress(number + 1)
        if unpacked_place(data_set, place.parent) != place:
            remove(partial)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option="dataset", value=data_set.name, rule=rule)
        partial.rename(place)
        flush_folder(place.parent)


def _unpacked_row(file: str, row: PackedRow, content: bytes, sounds: Path) -> PackedRow:
    """Write a recording of a packed file; return its row with the path below ``sounds``."""
    row = replace(row, path=f"{file}/{row.path}")
    if row.reason:
        return row
    try:
        with named_write_errors(path := sounds / row.path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as written:
                written.write(content)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return replace(row, reason="another part of the file has the same name", fields={})
    return row


def rows_of_table(folder: Path, number: int) -> Iterator[PackedRow]:
    """Give the rows of an unpacked file by its number, in its order; their paths are below the folder of sounds."""
    with (folder / _ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
        yield from (PackedRow(**json.loads(line)) for line in lines)


def described(data_set: PackedDataSet, place: Path, columns: description.ColumnConfig, *, own_splits: bool) -> Clips:
    """Describe the recordings of an unpacked data set by chosen columns, and say what became of all it holds.

    With ``own_splits`` each recording has the split of its file, or of the column of splits. Files of a single split
    say none: validation and test clips can be drawn from all recordings.
    """
    rows = [(row, file) for number, file in enumerate(data_set.files) for row in rows_of_table(place, number)]
    usable = [row for row, _ in rows if not row.reason]
    there = {name for row in usable for name in row.fields}
    if usable:
        _require_columns(there, columns, data_set.name)
    of_files, column = {file.split for _, file in rows}, next(iter(columns.named.get("split", ())), None)
    own_splits = own_splits and "split" not in columns.unread
    if column is None and not (len(of_files) > 1 and any(map(known_split, of_files))):
        column = "split" if any(known_split(row.fields.get("split", "")) for row in usable) else None
    named = [(row, row.fields.get(column, "") if column else file.split) for row, file in rows]
    names = sorted({name for row, name in named if not row.reason})
    divided = own_splits and any(map(known_split, names)) and (len(names) > 1 or column is not None)
    if own_splits and column and usable and not divided:
        rule = f"its values {', '.join(names):.200} name no split: choose another column, or `split.by`=hash"
        raise InputError(option="columns.split", value=column, rule=rule)
    texts = dict[str, list[str]]()
    for kind in (each for each in columns.named if each not in ("audio", "split")):
        of_columns = ([row.fields.get(each, "") for row, _ in named] for each in columns.named[kind])
        texts[kind] = list(map(description.joined, zip(*map(description.whole_numbers, of_columns), strict=True)))
    facts = [name for name in texts if name in description.FIELDS]
    texts["split"] = [name if divided and known_split(name) else "" for _, name in named]
    places = [data_set.place_of(file, row) for row, file in rows]
    known, faults = description.describe(texts, places)
    unknown = "in no split: {} of the data set is neither train, validation nor test"
    reasons = [
        row.reason or (unknown.format(name) if divided and name and not known_split(name) else faults.get(number, ""))
        for number, (row, name) in enumerate(named)
    ]
    told = zip(rows, places, reasons, strict=True)
    rejected = [
        Rejected(path=row.path, reason=reason, where=where if row.row else None)
        for (row, _), where, reason in told
        if reason
    ]
    every = Clips.from_columns(place / _SOUNDS, {"path": [row.path for row, _ in named], **known})
    found = every.where(not reason for reason in reasons)
    if not len(found.frame):
        first = "; ".join(f"{each.path}: {each.reason}" for each in rejected[:3])
        rule = f"none of its {counted(len(rows), 'part')} can be used ({first})" if rows else "it is empty"
        remedy = "check the files, and convert recordings of other kinds to WAV or FLAC"
        raise InputError(option="dataset", value=data_set.name, rule=rule, remedy=remedy)
    frame = found.frame.sort_values("path", ignore_index=True)
    without = {name: frame.path[frame[name].isna()].tolist() for name in facts}
    counts = [f"{len(paths)} have no {name} (such as {paths[0]})" for name, paths in without.items() if paths]
    notices = [f"of {counted(len(frame), 'recording')} in it, {listed(counts)}"] if counts else []
    notices += _stale(data_set)
    labels = known.get("label", [None] * len(rows))
    read = {**columns.named, "split": (column,) if column and divided else ()}
    reading = _reading(data_set, [row for row, _ in rows], [file for _, file in rows], labels, read)
    return replace(found, frame=frame, rejected=tuple(rejected), notices=tuple(notices), reading=reading)


def _stale(data_set: PackedDataSet) -> list[str]:
    """Name files with rows that the folder holds beside its data set, in a sentence; none if there are none."""
    stale = [path for path, why in data_set.unread.items() if path.suffix in (ARROW, PARQUET) and why != _CACHE]
    if not stale:
        return []
    first = f"{data_set.shown(stale[0])}: {data_set.unread[stale[0]].why}"
    return [f"{counted(len(stale), 'file')} with rows not read, such as {first}"]


def _reading(
    data_set: PackedDataSet,
    rows: Sequence[PackedRow],
    files: Sequence[PackedFile],
    labels: Sequence[str | None],
    columns: Mapping[str, Sequence[str]],
) -> Reading:
    """Say what was looked at: each file, each column with the field that it gives, each row with the reason against it.

    ``files`` and ``labels`` are those of the rows, and ``columns`` those that are read for a field.
    """
    fields = {name: of for of, names in columns.items() for name in names}
    free = dict.fromkeys(name for file in data_set.files for name in file.classes if name not in fields)
    values = {name: [row.fields.get(name, "") for row in rows] for name in free}
    unread = unread_columns(values, labels, has_group="group" in columns)
    damage, chosen = dict[Path, str](), {path: set[int]() for file in data_set.files for path in file.sources}
    for row, file in zip(rows, files, strict=True):
        if row.row:
            chosen[file.sources[row.source]].add(row.row)
        else:  # the file as a whole
            damage |= dict.fromkeys(file.sources, row.reason)
    found, why = list[ReadFile](), dict(data_set.unread)
    left = Unused(why=f"{STATE} does not choose it")
    for file in data_set.files:
        here = {} if file.audio is None else {file.audio: Column(field="recording")}
        here |= {name: Column(field=fields[name]) if name in fields else unread[name] for name in file.classes}
        here |= {name: Column(why=reason) for name, reason in file.others.items()}
        lost = next((Unused(why=damage[path], kind="damaged") for path in file.sources if path in damage), None)
        why |= dict.fromkeys(file.sources, lost) if lost else {}
        for path, size in zip(file.sources, file.sizes, strict=bool(file.sizes)):  # none of what cannot be opened
            places = {row: data_set.place(path, row) for row in range(1, size + 1)}
            out = {place: lost or left for row, place in places.items() if row not in chosen[path]}
            use = "file of a data set"
            found.append(ReadFile(path=path, use=use, columns=here, rows=[*places.values()], left_out=out))
    found += (ReadFile(path=path, use=use, makes_clips=False) for path, use in data_set.about.items())
    beside = "a data set is read, and not the files beside its own"
    return Reading(seen=(data_set.seen,), files=tuple(found), unread=why, of_recordings=beside, root=data_set.root)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Name the damage that a library finds; an error of the disk or of permissions ends the run instead."""
    try:
        yield
    except InputError:  # a ValueError as well
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            problem = f"{path} cannot be read: {error.strerror}"
            raise InputError(problem, remedy="check the path and its permissions") from error
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error


# Rows of Parquet and Arrow files

_ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
_FORMATS = {  # first bytes of a file -> its usual ending
    **{b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg", b"FORM": "aiff", b".snd": "au", b"caff": "caf"},
    **dict.fromkeys((b"ID3", *(bytes([0xFF, second]) for second in range(0xE0, 0x100))), "mp3"),
}


def _table_columns(file: PackedFile, wanted: str | None) -> PackedFile:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists."""
    try:
        with _damage(file.path), _open(file) as table:
            kinds, sizes = (
                [(each.name, each.type) for each in table.schema],
                table.sizes,
            )  # two columns may have one name
            metadata = (table.schema.metadata or {}).get(ARROW_METADATA, b"{}")
    except DamageError as error:
        return replace(file, damage=str(error))
    try:  # the features that `datasets` describes in the file
        features = json.loads(metadata)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        features = None
    known = features if isinstance(features, dict) else {}
    sounds = [name for name, kind in kinds if _holds_sound(kind)]
    described = [name for name in sounds if isinstance(known.get(name), dict) and known[name].get("_type") == "Audio"]
    chosen = [name for name in sounds if name == wanted] if wanted else described if len(described) == 1 else sounds
    if len(chosen) != 1:
        columns = ", ".join(name for name, _ in kinds)
        rule = f"{file.path} has bytes of recordings in {listed(sounds) or 'none'} of its columns {columns}"
        remedy = "name one (save decoded samples as files first; list paths of files in a `table`)"
        raise InputError(option="columns.audio", value=wanted, rule=rule, remedy=remedy)
    (audio,), read, others = chosen, dict[str, Any](), dict[str, str]()
    for name, kind in kinds:
        kind = getattr(kind, "storage_type", kind)  # of an array of several dimensions, which is a list of lists
        value = getattr(kind, "value_type", kind)  # of a list
        if name == audio:
            continue
        if _holds_sound(value):
            others[name] = f"it has bytes, and {audio} has the sound (`columns.audio` names another column)"
        elif pa.types.is_nested(value) or (value is not kind and pa.types.is_floating(value)):
            others[name] = "it has vectors or groups of values, which are no text"
        else:
            read[name] = _class_names(known.get(name))
    return replace(file, audio=audio, classes=read, others=others, sizes=sizes)


def _class_names(feature: object) -> Sequence[str] | None:
    match feature:
        case {"_type": "ClassLabel", "names": [*names]}:
            return [str(name) for name in names]
        case {"feature": inner} | [inner]:
            return _class_names(inner)
        case _:
            return None


def _holds_sound(kind: pa.DataType) -> bool:
    """Return whether values are bytes, or a struct with bytes as `datasets` and its kin write audio."""
    if pa.types.is_struct(kind) and (place := kind.get_field_index("bytes")) >= 0:
        kind = kind.field(place).type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _read_rows(file: PackedFile, audio: str) -> _Rows:
    taken: set[str] = set()  # names in the folder
    with _open(file, [audio, *file.classes]) as table:
        rows = (row for batch in table.batches for row in batch.to_pylist())
        for number, (row, (source, place)) in enumerate(zip(rows, table.places, strict=True)):
            if number % ROWS_IN_A_FOLDER == 0:
                taken.clear()
            folder, sound = f"{number // ROWS_IN_A_FOLDER:04d}", row[audio]
            content, name = (sound.get("bytes"), sound.get("path")) if isinstance(sound, dict) else (sound, None)
            here = PackedRow(path=f"{folder}/{number:07d}", source=source, row=place + 1)
            if not isinstance(content, bytes):
                elsewhere = f": it names the file {name!r:.200}, which `table` can list" if name else ""
                yield replace(here, reason=f"no sound in the data set{elsewhere}"), b""
                continue
            texts = ((column, description.cell_text(row[column], names)) for column, names in file.classes.items())
            fields = {column: text for column, text in texts if text}
            path = f"{folder}/{_row_name(name, content, number, taken)}"
            yield replace(here, path=path, fields=fields), content


def _row_name(place: object, content: bytes, number: int, taken: set[str]) -> str:
    """Return the name of the file that a recording once was, without folders; else the number of its row."""
    name = PurePosixPath(place.replace("\\", "/") if isinstance(place, str) else "")
    fitting = not letters.refused(name.name) and len(name.name.encode()) <= folders.MAX_PART_BYTES
    if not fitting or name.name.startswith(".") or name.suffix.lower().lstrip(".") not in EXTENSIONS:
        endings = (ending for first, ending in _FORMATS.items() if content.startswith(first))
        name = PurePosixPath(f"{number:07d}.{next(endings, 'bin')}")
    if name.name.casefold() in taken:
        name = name.with_name(f"{name.stem}~{number}{name.suffix}")
    taken.add(name.name.casefold())
    return name.name


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """Rows that are read together."""

    schema: pa.Schema
    sizes: tuple[int, ...]  # number of rows of each file
    places: Iterable[tuple[int, int]]  # of each row that is read: the number of its file, and its own from 0
    batches: Iterable[pa.Table | pa.RecordBatch]  # a few rows at once


@contextmanager
def _open(file: PackedFile, columns: list[str] | None = None) -> Iterator[_Table]:
    """Open a file: the names of its columns, and its rows with chosen ``columns``."""
    if file.shard is None:
        with pq.ParquetFile(file.path) as parquet:
            batches, rows = parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns), parquet.metadata.num_rows
            places = ((0, row) for row in range(rows))
            yield _Table(schema=parquet.schema_arrow, sizes=(rows,), places=places, batches=batches)
    else:
        saved = file.shard.read()
        batches = saved.batches(columns or saved.schema.names, _ROWS_AT_ONCE)
        places = ((source, row) for source, row in saved.places.tolist())
        yield _Table(schema=saved.schema, sizes=saved.sizes, places=places, batches=batches)
