"""Recordings inside other files, unpacked into a folder once: rows of Parquet and Arrow files, and tar shards.

``data-{000..009}.tar`` and ``{train,test}.parquet`` are expanded as in bash and in WebDataset, ``*`` as in a shell.
A reader gives the recordings of a file with what is known of them. A file that cannot be read to its end is damaged,
and is set aside as a whole.

**Rows.** pyarrow alone reads them. `datasets` would open the same bytes, but it decodes sound by yet another library,
and knows how to download. One column holds sound; the others become text.

**Shards.** The standard library reads shards: `webdataset` would decode members by their endings, and some of its
endings are pickles. The ending is what follows the last dot. The facts of a recording are members with its name before
the ending, and, as in WebDataset, those whose name ends at an earlier dot of this name. If several say a value, the
longest name counts::

    008 Track 2.0.flac   008 Track 2.0.json, 008 Track 2.0.cls
    a.left.flac          a.left.json, then a.json

Where the longest name has facts, a shorter one that is the name of another recording counts no longer: with
``Track 2.flac`` and ``Track 2.0.flac``, each has the facts of its own name.

**Folder.** ::

    dataset-0123456789abcdef/sounds/train_00000/0000/...   recordings, byte by byte as they were packed
    dataset-0123456789abcdef/rows/00000.jsonl              for each packed file: its recordings and their facts

The key is a hash of the packed files' names, sizes and times of change, and of the columns that are read. The folder
appears complete or not at all; until then it ends in ``.partial``. A packed file whose rows are there is finished, so a
killed run unpacks the others alone.
"""

import errno
import json
import math
import os
import re
import tarfile
import zlib
from collections import ChainMap, Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from glob import glob, has_magic
from itertools import islice
from lzma import LZMAError
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings.description import (
    SEPARATOR,
    SPLIT_NAMES,
    ColumnConfig,
    Description,
    Found,
    describe,
    no_such_column,
)
from wordless.audio.recordings.folders import (
    EXTENSIONS,
    MAX_NAME_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    expand_home,
    files_below,
)
from wordless.audio.recordings.manifest import Rejected, Split, writable
from wordless.base.errors import InputError
from wordless.base.files import flush_folder, locked, named_write_errors, open_regular, remove, write_aside
from wordless.base.text import counted, listed
from wordless.base.values import find_object, list_hash, parse_json, read_json


class DamageError(Exception):
    """A packed file, or a member of it, cannot be read; the message is the reason, for lists of files set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedRow:
    """A recording of a packed file, or a part that was set aside."""

    path: str  # below the folder of the packed file; "/" between folders
    fields: dict[str, str] = field(default_factory=dict)  # what is known of it, as text
    reason: str = ""  # why it was set aside; empty: it was not
    size: int = 0  # bytes, once it is unpacked


Rows = Iterator[tuple[PackedRow, Iterable[bytes]]]  # with the bytes of each recording, which are written as they are


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file that holds recordings."""

    path: Path
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str | None  # the data set's own name of its split, such as "test.clean"; None: unknown
    audio: str | None = None  # column with sound of an Arrow or Parquet file; None: a tar shard, or a damaged file
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
            if self.damage:
                raise DamageError(self.damage)
            yield from _read_shard(self.path) if self.audio is None else _read_rows(self.path, self.audio, self.classes)


ARROW, PARQUET = ".arrow", ".parquet"
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
    found = sorted(
        root / name  # without the caches of `map`
        for name in files_below(root)
        if name.endswith((ARROW, PARQUET)) and not PurePosixPath(name).name.startswith("cache-")
    )
    found = [path for path in found if path.is_file()]
    if not found:
        rule = "it holds no Parquet and no Arrow files: name a folder that save_to_disk wrote, or Parquet files"
        remedy = "a folder of recordings is `root`=FOLDER, tar shards are `shards`=FILES"
        raise InputError(option="dataset", value=root, rule=rule, remedy=remedy)
    return _packed([path for path in found if path.suffix == PARQUET] or found)


def shard_files(pattern: str) -> list[PackedFile]:
    """Find the tar files that a pattern names.

    Raises:
        InputError: one of them is not there.
    """
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


def known_split(name: str) -> Split | None:
    """Return the split that a word of a name stands for, such as test of ``test.clean``; the first word counts."""
    known: dict[str, Split] = {each: split for split, names in SPLIT_NAMES.items() for each in names}
    return next((known[word] for word in re.split(r"[^a-z]+", name.lower()) if word in known), None)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Name the damage that a library finds while it reads a packed file.

    An error of the disk or of permissions is no damage: `InputError` ends the run, and nothing is recorded. A damaged
    header may name a position that no file can have (EINVAL).
    """
    try:
        yield
    except InputError:  # a ValueError as well
        raise
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        LZMAError,
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            problem = f"{path} cannot be read: {error.strerror}"
            raise InputError(problem, remedy="check the path and its permissions") from error
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error


# Rows of Parquet and Arrow files

METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
NO_CLASS = -1  # a class label that is not known
ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
_FORMATS = {  # first bytes of a file -> its usual ending
    **{b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg"},
    **{b"ID3": "mp3", b"FORM": "aiff", b".snd": "au", b"caff": "caf"},
}


def table_columns(path: Path, wanted: str | None) -> tuple[str, dict[str, Sequence[str] | None]]:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists.

    Raises:
        InputError: no column holds sound, several do, or the wanted one does not.
        DamageError: the file is damaged, or of another kind.
    """
    with _damage(path), _open(path) as (schema, _):
        sounds = [each.name for each in schema if _holds_sound(each.type)]
        there = f"its columns are {', '.join(schema.names)}"
        if wanted is not None and wanted not in sounds:
            problem = "holds no bytes of recordings" if wanted in schema.names else "is not there"
            rule = f"this column of {path} {problem}; {there}"
            remedy = (
                "name a column of bytes or of the type Audio (save decoded samples as files first; list paths of files "
                "in a `table`)"
            )
            raise InputError(option="columns.audio", value=wanted, rule=rule, remedy=remedy)
        if wanted is None and len(sounds) != 1:
            several = f"the columns {', '.join(sounds)} may hold" if sounds else "no column holds bytes of"
            remedy = f"name the column, `columns.audio`=NAME ({there})"
            raise InputError(f"{path}: {several} recordings", remedy=remedy)
        try:  # the features that `datasets` describes in the file, or beside it
            features = json.loads((schema.metadata or {}).get(METADATA, b"{}"))["info"]["features"]
        except (ValueError, KeyError, TypeError, RecursionError):
            features = (find_object(path.parent / "dataset_info.json") or {}).get("features")
        known = features if isinstance(features, dict) else {}
        audio = wanted or sounds[0]
        read = [each.name for each in schema if each.name != audio and _is_readable(each.type)]
        return audio, {name: _class_names(known.get(name)) for name in read}


def _class_names(feature: object) -> Sequence[str] | None:
    """Return the names of the classes of a feature, or of the items of a list."""
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


def _is_readable(kind: pa.DataType) -> bool:
    """Return whether values are text, numbers or times, or lists of text or whole numbers: floats are vectors."""
    types = pa.types
    several = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    value = kind.value_type if several else kind
    text = value.value_type if types.is_dictionary(value) else value
    if types.is_string(text) or types.is_large_string(text) or types.is_integer(value):
        return True
    single = (types.is_floating, types.is_boolean, types.is_decimal, types.is_temporal)
    return not several and any(is_kind(kind) for is_kind in single)


def as_text(value: object, names: Sequence[str] | None) -> str:
    """Write a value as text, a list with `SEPARATOR` between its values; empty where it is not known."""
    if isinstance(value, list | tuple):
        return SEPARATOR.join(text for each in value if (text := as_text(each, names)))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if names is not None and isinstance(value, int):
        return "" if value == NO_CLASS else names[value] if 0 <= value < len(names) else f"class {value}"
    return " ".join(str(value).split())


def _read_rows(path: Path, audio: str, classes: Mapping[str, Sequence[str] | None]) -> Rows:
    """Give the sound and the facts of each row, in order."""
    taken: set[str] = set()  # names in the folder
    with _open(path, [audio, *classes]) as (_, batches):
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows):
            if number % ROWS_IN_A_FOLDER == 0:
                taken.clear()
            folder, sound = f"{number // ROWS_IN_A_FOLDER:04d}", row[audio]
            content, place = (sound.get("bytes"), sound.get("path")) if isinstance(sound, dict) else (sound, None)
            if not isinstance(content, bytes):
                elsewhere = f": it names the file {place!r:.200}, which `table` can list" if place else ""
                yield PackedRow(path=f"{folder}/{number:07d}", reason=f"no sound in the data set{elsewhere}"), ()
                continue
            texts = {column: as_text(row[column], names) for column, names in classes.items()}
            fields = {column: text for column, text in texts.items() if text}
            path_of_row = f"{folder}/{_row_name(place, content, number, taken)}"
            yield PackedRow(path=path_of_row, fields=fields), [content]


def _row_name(place: object, content: bytes, number: int, taken: set[str]) -> str:
    """Return the name of the file that a recording once was, without folders; else the number of its row."""
    name = PurePosixPath(place.replace("\\", "/") if isinstance(place, str) else "")
    fitting = name.name.isprintable() and writable(name.name) and len(name.name.encode()) <= MAX_PART_BYTES
    if not fitting or name.name.startswith(".") or name.suffix.lower().lstrip(".") not in EXTENSIONS:
        mp3 = content[:1] == b"\xff" and content[1:2] >= b"\xe0"
        endings = (ending for first, ending in _FORMATS.items() if content.startswith(first))
        name = PurePosixPath(f"{number:07d}.{next(endings, 'mp3' if mp3 else 'bin')}")
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


# Members of tar shards

TEXTS = ("cls", "txt", "text", "transcript", "id", "index")  # endings of members that hold one value
JSON = "json"
MOST_KINDS = 20  # unknown endings of members that are listed; all further ones are "others"
MAX_FACT_BYTES = 1 << 20  # of a member that is no recording
BLOCK = 1 << 20  # bytes read at once
_SAMPLE = re.compile(r"((?:.*/)?[^./][^/]*)\.([^./]+)", re.DOTALL)  # key and ending
_HIDDEN = re.compile(r"(?:.*/)?\.[^/]*", re.DOTALL)
_COMPRESSED = (b"\x1f\x8b", b"BZ", b"\xfd7")  # first bytes of gzip, bzip2 and xz


def _read_shard(path: Path) -> Rows:
    """Give the recordings of a shard with their facts, and its members that cannot be used as set aside."""
    with (
        open_regular(path) as handle,
        os.fdopen(os.dup(handle), "rb") as source,
        tarfile.open(fileobj=source, mode="r:*") as archive,
    ):
        sounds: list[tuple[str, int, int]] = []  # name, place of the first byte, bytes
        facts: dict[str, dict[str, str]] = defaultdict(dict)  # of each key, the name before the ending
        faults: set[str] = set()  # keys with a member that cannot be used
        others: Counter[str] = Counter()  # unknown endings, which somebody may have meant as sounds or facts
        examples: dict[str, str] = {}  # a member of each
        seen: set[str] = set()
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # a list that grows with the shard otherwise
            name = member.name
            if member.isdir():
                continue
            if reason := _fault(member):
                yield PackedRow(path=name, reason=reason), ()
                continue
            if _HIDDEN.fullmatch(name):
                continue
            sample = _SAMPLE.fullmatch(name)
            key, ending = (sample[1], sample[2].lower()) if sample else (name, "")
            if ending not in (*EXTENSIONS, *TEXTS, JSON):
                kind = f"*.{ending}" if ending else "*"
                kind = kind if kind in others or len(others) < MOST_KINDS else "others"
                others[kind] += 1
                examples.setdefault(kind, name)
                continue
            if name.casefold() in seen:  # the first one is kept
                yield PackedRow(path=name, reason="another member of the shard has the same name"), ()
                continue
            seen.add(name.casefold())
            if ending in EXTENSIONS:
                sounds.append((name, member.offset_data, member.size))
                continue
            # one byte more shows that a member is too long
            content = b"".join(_blocks(path, archive, name, member.offset_data, min(member.size, MAX_FACT_BYTES + 1)))
            try:
                fields = _facts(content, ending)
                facts[key].update(fields)
            except InputError as error:
                faults.add(key)
                yield PackedRow(path=name, reason=f"it {error}"), ()
        # `tarfile` takes a header that it does not understand for the end; compression has checksums of its own
        if os.pread(handle, 2, 0) not in _COMPRESSED and os.pread(handle, 512, archive.offset) != bytes(512):
            raise DamageError("its end mark is not there: the shard is cut off, or damaged")
        for kind, count in others.items():
            such = f"{counted(count, 'member')}, {'such as ' if count > 1 else ''}{examples[kind]}"
            reason = f"not read, because the ending is not one of sound or facts: {such}"
            yield PackedRow(path=kind, reason=reason), ()

        named, described = {name.rpartition(".")[0] for name, _, _ in sounds}, facts.keys() | faults
        told: set[str] = set()  # keys of facts about recordings
        for name, place, size in sounds:
            key = name.rpartition(".")[0]
            folder, slash, base = key.rpartition("/")
            words = base.split(".")
            shorter = [f"{folder}{slash}{'.'.join(words[:count])}" for count in range(len(words) - 1, 0, -1)]
            keys = [key, *(each for each in shorter if key not in described or each not in named)]
            told.update(keys)
            if faults.isdisjoint(keys):  # a fault is a row of its own
                fields = dict(ChainMap(*(facts.get(each, {}) for each in keys)))
                yield PackedRow(path=name, fields=fields), _blocks(path, archive, name, place, size)
        if alone := [key for key in facts if key not in told]:
            such = f"no recording has their names: facts of {counted(len(alone), 'sample')}, such as {alone[0]}"
            yield PackedRow(path=alone[0], reason=such), ()


def _fault(member: tarfile.TarInfo) -> str:
    """Return why a member must not be unpacked: it is no regular file, or its name is no place in a folder."""
    name, parts = member.name, member.name.split("/")
    if member.issym() or member.islnk():
        return f"it is a link to {member.linkname!r:.100}"
    if not member.isreg() or member.issparse():
        return "it is not a regular file"
    if not writable(name) or not name.isprintable():
        return "its name holds control characters or bytes that are not UTF-8"
    if name.startswith("/") or ".." in parts or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "its name leads out of the shard"
    if (
        len(parts) > MAX_PARTS
        or len(name.encode()) > MAX_NAME_BYTES
        or max(map(len, map(str.encode, parts))) > MAX_PART_BYTES
    ):
        return "its name is too long"
    return ""


def _facts(content: bytes, ending: str) -> dict[str, str]:
    """Return the values of a member as text by their names; values that are not known are left out."""
    if len(content) > MAX_FACT_BYTES:
        raise InputError(f"has more than {MAX_FACT_BYTES} bytes")
    if ending == JSON:
        values = parse_json(content)
        if not isinstance(values, dict):
            raise InputError("is not a JSON object")
        given = {
            str(name): value for name, value in values.items() if name not in TEXTS and not isinstance(value, dict)
        }
    else:
        try:
            given = {ending: content.decode("utf-8-sig")}
        except UnicodeDecodeError as error:
            raise InputError("is not text in UTF-8") from error
    return {name: text for name, value in given.items() if (text := as_text(value, None))}


def _blocks(path: Path, archive: tarfile.TarFile, name: str, place: int, size: int) -> Iterator[bytes]:
    """Give the bytes of a member; raises `DamageError` where they cannot be read."""
    member = tarfile.TarInfo(name)
    member.offset_data, member.size = place, size
    with _damage(path):
        file = archive.extractfile(member)
        while file and (block := file.read(BLOCK)):
            yield block


# The folder

VERSION = 4  # of the layout: raise it when the same files are unpacked in another way
SOUNDS, ROWS, PARTIAL = "sounds", "rows", ".partial"
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


def missing_bytes(data_set: PackedDataSet, place: Path) -> int:
    """Return about how many bytes `unpack` will write, without those that a killed process has finished."""
    begun = place if place.is_dir() else place.with_suffix(PARTIAL)
    return sum(_unpacked_bytes(data_set.files[number]) for number in _missing(data_set, begun))


def _unpacked_bytes(file: PackedFile) -> int:
    """Return about how many bytes the recordings of a packed file take: Parquet may compress the column of sound."""
    if file.path.suffix != PARQUET or file.damage:
        return file.path.stat().st_size
    with _damage(file.path):
        found = pq.read_metadata(file.path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    sizes = [each.total_uncompressed_size for each in chunks if each.path_in_schema.partition(".")[0] == file.audio]
    return int(sum(sizes))


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
                rows = [_unpacked_row(file.name, *each, partial / SOUNDS, progress) for each in file.read()]
            except DamageError as error:
                remove(partial / SOUNDS / file.name)
                rows = [PackedRow(path=file.name, reason=f"the file is damaged: {error}")]
            os.sync()  # one call for all recordings; flushing each by itself took 8 ms a file
            lines = "".join(f"{json.dumps(asdict(row))}\n" for row in rows)
            write_aside(partial / ROWS / f"{number:05d}.jsonl", lines)
        if unpacked_place(data_set, place.parent) != place:
            remove(partial)  # nobody knows which of its recordings are of which version
            rule = "one of its files changed while it was read: run it again"
            raise InputError(option=data_set.option, value=data_set.name, rule=rule)
        partial.rename(place)
        flush_folder(place.parent)


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


def described(data_set: PackedDataSet, place: Path, columns: ColumnConfig, *, own_splits: bool) -> Found:
    """Describe the recordings of an unpacked data set by chosen columns.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in rows_of(place, number)]
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
        for kind in (kind for kind in without if not row.reason and not fields[kind]):
            without[kind].append(row.path)
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
    return Found(root=place / SOUNDS, described=dict(sorted(found.items())), rejected=tuple(rejected), notices=notices)
