"""Data sets of Parquet and Arrow files whose rows hold recordings, unpacked once.

``*`` is expanded as in a shell: ``data/train-*.parquet``. The folder is::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names and stamps, and of the columns that are read. The folder
appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a
killed run unpacks the others alone. A file that cannot be read to its end is damaged, and is set aside as a whole.

One column holds sound; the others become text.
"""

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings import description, folders
from wordless.audio.recordings.corpus import CorpusConfig, Making
from wordless.audio.recordings.description import known_split
from wordless.audio.recordings.manifest import Clips, Rejected, writable
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import (
    file_stamp,
    find_object,
    flush_folder,
    list_hash,
    locked,
    named_write_errors,
    remove,
    write_aside,
)
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


Rows = Iterator[tuple[PackedRow, bytes]]  # with the bytes of each recording, which are written as they are


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file that holds recordings."""

    path: Path
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str  # the data set's own name of its split, such as "test.clean"
    audio: str | None = None  # column with sound; None: of a damaged file
    # other columns that can be read as text, with the names of their classes; None: the values are text themselves
    classes: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    damage: str = ""

    def read(self) -> Rows:
        """Give the recordings of the file, and its parts that are set aside.

        Raises:
            DamageError: the file is damaged, which may show after some of its recordings.
            InputError: the file cannot be read now, such as for its permissions; later it may be read.
        """
        with _damage(self.path):
            if self.audio is None:
                raise DamageError(self.damage)
            yield from _read_rows(self.path, self.audio, self.classes)


@dataclass(frozen=True, kw_only=True)
class PackedDataSet:
    """Files with recordings, in order."""

    name: str  # for people
    files: tuple[PackedFile, ...]


def open_data_set(place: str, columns: description.ColumnConfig) -> PackedDataSet:
    """Open the Parquet or Arrow files below a folder, such as one of ``save_to_disk``, or of a file or a pattern.

    Places without such files, or where all are damaged, and columns that are not there are refused.
    """
    files = [_table_columns(file, columns.audio) for file in data_set_files(place)]
    if all(file.damage for file in files):
        rule = f"{files[0].path} {files[0].damage}: name Parquet files, or Arrow files of save_to_disk"
        raise InputError(option="dataset", value=place, rule=rule)
    _require_columns({name for file in files for name in file.classes}, columns, place)
    return PackedDataSet(name=Path(place).resolve().name, files=tuple(files))


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


def data_set_files(place: str) -> list[PackedFile]:
    """Find the Parquet files of a data set, or else its Arrow files."""
    root = folders.expand_home(place, "dataset")
    if not root.is_dir():
        return _packed(_named_files(place))
    below = sorted(root / name for name in folders.files_below(root) if name.endswith((ARROW, PARQUET)))
    found = [path for path in below if not path.name.startswith("cache-") and path.is_file()]  # caches of `map`
    if not found:
        rule = "it holds no Parquet and no Arrow files: a folder of recordings is `root`"
        raise InputError(option="dataset", value=root, rule=rule)
    whole = root if (root / "dataset_dict.json").is_file() else None
    return _packed([path for path in found if path.suffix == PARQUET] or found, whole)


def _named_files(pattern: str) -> list[Path]:
    """List the files that a pattern names, in order."""
    name = str(folders.expand_home(pattern, "dataset"))
    found = sorted(glob(name)) if has_magic(name) and not os.path.lexists(name) else [name]  # noqa: PTH207  absolute too
    if not found or not Path(found[0]).is_file():
        rule = f"{name} is not there: name files that end in {PARQUET} or {ARROW}"
        rule = f"{name} is a folder: `dataset`='{name}/*{PARQUET}'" if Path(name).is_dir() else rule
        raise InputError(option="dataset", value=pattern, rule=rule)
    return [Path(each) for each in found]


def _packed(paths: Sequence[Path], root: Path | None = None) -> list[PackedFile]:
    """Name each file after its place below ``root``, or the folder that holds all; the split stands in this name."""
    absolute, numbers = [path.absolute() for path in paths], Counter[Path]()
    root = root.absolute() if root else Path(os.path.commonpath([path.parent for path in absolute]))
    files: list[PackedFile] = []
    for path in absolute:
        name = _ENDING.sub("", path.relative_to(root).as_posix())
        if path.suffix == ARROW and (path.parent / "state.json").is_file():
            name = (path.parent.relative_to(root) / f"{numbers[path.parent]:05d}").as_posix()
            numbers[path.parent] += 1
        # the split stands in the name of the file or of a folder, before the number of the shard
        parts = [_SHARD.sub("", part) for part in reversed(name.split("/"))]
        split = next(filter(known_split, parts), name.rpartition("/")[0] or parts[0])
        files.append(PackedFile(path=path, name=name, split=split))
    taken = Counter(file.name.casefold() for file in files)
    taken.update({str(parent).casefold() for file in files for parent in PurePosixPath(file.name).parents})
    if faulty := [file.path for file in files if not writable(file.name) or taken[file.name.casefold()] > 1]:
        rule = "holds a tab, a line break or bytes that are not UTF-8, or has the name of another file or folder"
        raise InputError(f"the name of {str(faulty[0])!r} {rule}; rename it")
    return files


def _require_columns(there: Collection[str], columns: description.ColumnConfig, place: str) -> None:
    for column, option in columns.wanted.items():
        if column not in there:
            raise description.no_such_column(option, column, sorted(there), place).also(f"`{option}`=null reads none")


VERSION = 6  # of the layout: raise it when the same files are unpacked in another way
SOUNDS, ROWS, PARTIAL = "sounds", "rows", ".partial"


def unpacked_place(data_set: PackedDataSet, cache: Path) -> Path:
    """Return the folder that a data set is, or will be, unpacked into; until it is complete it ends in ``.partial``."""
    columns = [[file.name, file.damage, file.audio, dict(file.classes)] for file in data_set.files]
    try:
        files = [[file.name, *file_stamp(file.path)] for file in data_set.files]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}; check path and permissions") from error
    return cache / f"dataset-{list_hash([VERSION, columns, *files])[:16]}"


def unpack(data_set: PackedDataSet, place: Path, progress: Callable[[int], None] | None = None) -> None:
    """Unpack a data set, unless another process has done so meanwhile; what a killed process has finished is kept.

    A file that cannot be read now, or changes meanwhile, is refused; a full disk is an `OSError`.
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


def rows_of(folder: Path, number: int) -> Iterator[PackedRow]:
    """Give the rows of an unpacked file by its number, in its order; their paths are below the folder of sounds."""
    with (folder / ROWS / f"{number:05d}.jsonl").open(encoding="utf-8") as lines:
        yield from (PackedRow(**json.loads(line)) for line in lines)


def described(data_set: PackedDataSet, place: Path, columns: description.ColumnConfig, *, own_splits: bool) -> Clips:
    """Describe the recordings of an unpacked data set by chosen columns.

    With ``own_splits`` each recording has the split of its file, or of the column of splits. Files of a single split
    say none: validation and test clips can be drawn from all recordings.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in rows_of(place, number)]
    usable = [row for row, _ in rows if not row.reason]
    there = {name for row in usable for name in row.fields}
    if usable:
        _require_columns(there, columns, data_set.name)
    of_files, column = {split for _, split in rows}, next(iter(columns.named.get("split", ())), None)
    own_splits = own_splits and "split" not in columns.unread
    if column is None and not (len(of_files) > 1 and any(map(known_split, of_files))):
        column = "split" if any(known_split(row.fields.get("split", "")) for row in usable) else None
    named = [(row, row.fields.get(column, "") if column else split) for row, split in rows]
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
    known, faults = description.describe(texts, ["its row"] * len(named))
    unknown = "in no split: {} of the data set is neither train, validation nor test"
    reasons = [
        row.reason or (unknown.format(name) if divided and name and not known_split(name) else faults.get(number, ""))
        for number, (row, name) in enumerate(named)
    ]
    told = zip(rows, reasons, strict=True)
    rejected = [Rejected(path=row.path, reason=reason) for (row, _), reason in told if reason]
    every = Clips.from_columns(place / SOUNDS, {"path": [row.path for row, _ in named], **known})
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
    return replace(found, frame=frame, rejected=tuple(rejected), notices=tuple(notices))


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

METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
_FORMATS = {  # first bytes of a file -> its usual ending
    **{b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg", b"FORM": "aiff", b".snd": "au", b"caff": "caf"},
    **dict.fromkeys((b"ID3", *(bytes([0xFF, second]) for second in range(0xE0, 0x100))), "mp3"),
}


def _table_columns(file: PackedFile, wanted: str | None) -> PackedFile:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists."""
    try:
        with _damage(file.path), _open(file.path) as (schema, _):
            kinds = [(each.name, each.type) for each in schema]  # two columns may have one name
            metadata = (schema.metadata or {}).get(METADATA, b"{}")
    except DamageError as error:
        return replace(file, damage=str(error))
    sounds = [name for name, kind in kinds if _holds_sound(kind)]
    if sounds.count(wanted) != 1 if wanted else len(sounds) != 1:
        columns = ", ".join(name for name, _ in kinds)
        rule = f"{file.path} has bytes of recordings in {listed(sounds) or 'none'} of its columns {columns}"
        remedy = "name one (save decoded samples as files first; list paths of files in a `table`)"
        raise InputError(option="columns.audio", value=wanted, rule=rule, remedy=remedy)
    try:  # the features that `datasets` describes in the file, or beside it
        features = json.loads(metadata)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        features = (find_object(file.path.parent / "dataset_info.json") or {}).get("features")
    audio, known, read = wanted or sounds[0], features if isinstance(features, dict) else {}, dict[str, Any]()
    for name, kind in kinds:
        value = getattr(kind, "value_type", kind)  # of a list
        vectors = value is not kind and pa.types.is_floating(value)
        if name != audio and not (pa.types.is_nested(value) or _holds_sound(value) or vectors):
            read[name] = _class_names(known.get(name))
    return replace(file, audio=audio, classes=read)


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


def _read_rows(path: Path, audio: str, classes: Mapping[str, Sequence[str] | None]) -> Rows:
    taken: set[str] = set()  # names in the folder
    with _open(path, [audio, *classes]) as (_, batches):
        for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
            if number % ROWS_IN_A_FOLDER == 0:
                taken.clear()
            folder, sound = f"{number // ROWS_IN_A_FOLDER:04d}", row[audio]
            content, place = (sound.get("bytes"), sound.get("path")) if isinstance(sound, dict) else (sound, None)
            if not isinstance(content, bytes):
                elsewhere = f": it names the file {place!r:.200}, which `table` can list" if place else ""
                yield PackedRow(path=f"{folder}/{number:07d}", reason=f"no sound in the data set{elsewhere}"), b""
                continue
            fields = _fields({column: description.as_text(row[column], names) for column, names in classes.items()})
            yield PackedRow(path=f"{folder}/{_row_name(place, content, number, taken)}", fields=fields), content


def _row_name(place: object, content: bytes, number: int, taken: set[str]) -> str:
    """Return the name of the file that a recording once was, without folders; else the number of its row."""
    name = PurePosixPath(place.replace("\\", "/") if isinstance(place, str) else "")
    fitting = name.name.isprintable() and writable(name.name) and len(name.name.encode()) <= folders.MAX_PART_BYTES
    if not fitting or name.name.startswith(".") or name.suffix.lower().lstrip(".") not in EXTENSIONS:
        endings = (ending for first, ending in _FORMATS.items() if content.startswith(first))
        name = PurePosixPath(f"{number:07d}.{next(endings, 'bin')}")
    if name.name.casefold() in taken:
        name = name.with_name(f"{name.stem}~{number}{name.suffix}")
    taken.add(name.name.casefold())
    return name.name


@contextmanager
def _open(path: Path, columns: list[str] | None = None) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open a file by its suffix: its schema, and its rows in small batches."""

    def of_stream(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in stream:
            batch.validate(full=True)  # Arrow trusts offsets, and a stranger may have written them
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield batch.select(columns).slice(start, ROWS_AT_ONCE)

    if path.suffix == PARQUET:
        with pq.ParquetFile(path) as file:
            yield file.schema_arrow, file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns)
    else:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            yield stream.schema, of_stream(stream)


def _fields(texts: Mapping[str, str]) -> dict[str, str]:
    """Write each text in a line of printable characters; empty ones are left out."""
    clean = {name: "".join(each if each.isprintable() else " " for each in text) for name, text in texts.items()}
    return {name: " ".join(text.split()) for name, text in clean.items() if text.strip()}
