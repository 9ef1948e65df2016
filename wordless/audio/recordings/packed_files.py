"""Recordings inside other files: rows of Parquet and Arrow files, and tar shards of WebDataset.

``data-{000..009}.tar`` and ``{train,test}.parquet`` are expanded as in bash and in WebDataset, ``*`` as in a shell.
A reader gives each file's recordings and facts as parts.

**Rows.** pyarrow alone reads them. `datasets` would open the same bytes, but it decodes sound by yet another library,
and knows how to download. One column holds sound; the others become text.

**Shards.** Members of a sample share the name before a dot: ``a/0001.flac`` is the recording, ``a/0001.cls``,
``a/0001.txt`` and ``a/0001.json`` are its facts, in any order. The ending is what follows the last dot:
``008 Track 2.0.json`` is about ``008 Track 2.0.flac``. WebDataset itself divides names at the first dot: ``a.json`` is
about ``a.left.flac`` and ``a.right.flac``, too. The standard library reads shards: `webdataset` would decode members by
their endings, and some of its endings are pickles.
"""

import json
import math
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import islice
from lzma import LZMAError
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings.description import SEPARATOR, SPLIT_NAMES
from wordless.audio.recordings.folders import EXTENSIONS, expand_home, files_below
from wordless.audio.recordings.manifest import Split, writable
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.json_values import find_object, parse_json, read_json
from wordless.base.text import counted


class DamageError(Exception):
    """A part of a packed file cannot be read; the message is the reason, for lists of files that were set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """The bytes of one recording, which are written as they are."""

    name: str  # of the file to write, below the folder of the packed file; "/" between folders
    # of its sample: `Facts` with this key are about this recording, and so are those with a key that ends at an earlier
    # dot of the file's name: see `wordless.audio.recordings.unpacking`
    key: str
    blocks: Iterable[bytes]  # raises `DamageError` where they cannot be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Values of a sample by their names, as text; values that are not known are left out."""

    key: str
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A part that is set aside; ``key`` also sets aside the sounds of its sample."""

    name: str
    reason: str
    key: str | None = None


Part = Sound | Facts | Broken
Parts = Iterator[Part]


@dataclass(frozen=True, kw_only=True)
class FileColumns:
    """The columns of a file: the one with sound, and those that can be read as text with the names of their classes."""

    audio: str
    classes: Mapping[str, Sequence[str] | None] = field(default_factory=dict)  # None: the values are text themselves


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file that holds recordings."""

    path: Path
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str | None  # the data set's own name of its split, such as "test.clean"; None: unknown
    columns: FileColumns | None = None  # of an Arrow or Parquet file; None: a tar shard, or a damaged file
    damage: str = ""

    def read(self) -> Parts:
        """Give the recordings and facts of the file."""
        if self.damage:
            yield Broken(name="the file", reason=self.damage)
        elif self.columns is None:
            yield from _read_shard(self.path)
        else:
            yield from _read_rows(self.path, self.columns)

    @property
    def size(self) -> int:
        """About how many bytes its recordings take once they are unpacked; those of compressed shards take more."""
        if self.damage:
            return 0
        if self.columns is None or self.path.suffix != PARQUET:
            return self.path.stat().st_size
        found = pq.ParquetFile(self.path).metadata
        groups = [found.row_group(number) for number in range(found.num_row_groups)]
        chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
        sounds = [each for each in chunks if each.path_in_schema.partition(".")[0] == self.columns.audio]
        return sum(each.total_uncompressed_size for each in sounds)


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
        if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
            raise InputError(f"{dictionary} has no list of splits; save the data set again")
        if bad := [name for name in names if not re.fullmatch(r"[\w][\w.-]*", name)]:
            raise InputError(f"{dictionary} names the split {bad[0]!r:.80}; use letters, digits, . and _")
        return [file for name in names for file in _saved_files(root / name, name)]
    if (root / "state.json").is_file():
        return _saved_files(root, None)
    if not root.is_dir():
        return _packed(_named_files(place, option="dataset", kinds=(PARQUET, ARROW)))
    found = [
        root / name  # without the caches of `map`
        for name in files_below(root)
        if name.endswith((ARROW, PARQUET)) and not PurePosixPath(name).name.startswith("cache-")
    ]
    found = sorted(path for path in found if path.is_file())
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
    state_file = folder / "state.json"
    if not state_file.is_file():
        raise InputError(f"{state_file} is missing; save the data set again with save_to_disk")
    state = read_json(state_file)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InputError(
            f"{state_file} selects rows by indices; save the data set again by a newer version of datasets"
        )
    listed = state.get("_data_files")
    names = [each.get("filename") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    files = []
    for number, name in enumerate(names):
        if not isinstance(name, str) or name != PurePosixPath(name).name or not (folder / name).is_file():
            raise InputError(f"{state_file} names the file {name!r:.80}, which is not there; save the data set again")
        own = f"{number:05d}" if split is None else f"{split}/{number:05d}"
        files.append(PackedFile(path=folder / name, name=own, split=split))
    return files


def _packed(paths: Sequence[Path]) -> list[PackedFile]:
    """Name each file after its place below the folder that holds all of them, and find its split in this name."""
    absolute = [path.absolute() for path in paths]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    ending = re.compile(r"\.(?:parquet|arrow|tar|tgz|tar\.\w+)$")
    names = [ending.sub("", path.relative_to(root).as_posix()) for path in absolute]
    if twice := [name for name, times in Counter(name.casefold() for name in names).items() if times > 1]:
        raise InputError(f"several files below {root} have the name {twice[0]}; rename one")
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    if both := [name for name in names if name in folders]:
        raise InputError(f"{root} has files and a folder of the name {both[0]}; rename one")
    if bad := [name for name in names if not writable(name)]:
        raise InputError(f"{root / bad[0]!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
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


# Rows of Parquet and Arrow files

METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
NO_CLASS = -1  # a class label that is not known
ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
MAX_PART_BYTES = 200  # of a name of a file or folder; file systems take 255
_FORMATS = {  # first bytes of a file -> its usual ending
    **{b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg"},
    **{b"ID3": "mp3", b"FORM": "aiff", b".snd": "au", b"caff": "caf"},
}


def table_columns(path: Path, wanted: str | None) -> FileColumns:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists.

    Raises:
        InputError: no column holds sound, several do, or the wanted one does not.
        DamageError: the file is damaged, or of another kind.
    """
    with _open(path) as (schema, _):
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
        described = features if isinstance(features, dict) else {}
        audio = wanted or sounds[0]
        read = [each.name for each in schema if each.name != audio and _is_readable(each.type)]
        return FileColumns(audio=audio, classes={name: _class_names(described.get(name)) for name in read})


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
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and not pa.types.is_struct(kind.field(place).type) and _holds_sound(kind.field(place).type)
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


def _read_rows(path: Path, columns: FileColumns) -> Parts:
    """Give the sound and the facts of each row, in order. A damaged part ends the file."""
    number, names = 0, [columns.audio, *columns.classes]
    taken: set[str] = set()  # names in the folder
    try:
        with _open(path, names) as (_, batches):
            for row in (row for batch in batches for row in batch.select(names).to_pylist()):
                if number % ROWS_IN_A_FOLDER == 0:
                    taken.clear()
                yield from _row(row, number, columns, taken)
                number += 1
    except DamageError as error:
        yield Broken(name=f"from row {number} on", reason=str(error))


def _row(row: dict[str, object], number: int, columns: FileColumns, taken: set[str]) -> Parts:
    sound = row[columns.audio]
    content, path = (sound.get("bytes"), sound.get("path")) if isinstance(sound, dict) else (sound, None)
    folder, key = f"{number // ROWS_IN_A_FOLDER:04d}", str(number)
    if not isinstance(content, bytes):
        elsewhere = f"no sound in the data set: it names the file {path!r:.200}, which `table` can list"
        yield Broken(name=f"{folder}/{number:07d}", reason=elsewhere if path else "no sound in the data set")
        return
    # the name of the file that the recording once was, without folders; else the number of the row
    name = PurePosixPath(path.replace("\\", "/") if isinstance(path, str) else "")
    fitting = name.name.isprintable() and writable(name.name) and len(name.name.encode()) <= MAX_PART_BYTES
    if not fitting or name.name.startswith(".") or name.suffix.lower().lstrip(".") not in EXTENSIONS:
        mp3 = content[:1] == b"\xff" and content[1:2] >= b"\xe0"
        endings = (ending for first, ending in _FORMATS.items() if content.startswith(first))
        name = PurePosixPath(f"{number:07d}.{next(endings, 'mp3' if mp3 else 'bin')}")
    if name.name.casefold() in taken:
        name = name.with_name(f"{name.stem}~{number}{name.suffix}")
    taken.add(name.name.casefold())
    yield Sound(name=f"{folder}/{name.name}", key=key, blocks=[content])
    texts = {column: as_text(row[column], classes) for column, classes in columns.classes.items()}
    yield Facts(key=key, fields={column: text for column, text in texts.items() if text})


@contextmanager
def _open(path: Path, columns: list[str] | None = None) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open a file by its suffix: its schema, and its rows in small batches.

    Raises:
        DamageError: it is damaged, also while the batches are read.
    """

    def of_groups(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        for group in range(file.num_row_groups):  # a damaged group does not take rows of the one before
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group], columns=columns)

    def of_stream(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in stream:
            batch.validate(full=True)  # Arrow trusts offsets, and a stranger may have written them
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield batch.slice(start, ROWS_AT_ONCE)

    try:
        if path.suffix == PARQUET:
            with pq.ParquetFile(path) as file:
                yield file.schema_arrow, of_groups(file)
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                yield stream.schema, of_stream(stream)
    except InputError:  # a ValueError as well
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error


# Members of tar shards

TEXTS = ("cls", "txt", "text", "transcript", "id", "index")  # endings of members that hold one value
JSON = "json"
MOST_KINDS = 20  # unknown endings of members that are listed; all further ones are "others"
MAX_FACT_BYTES = 1 << 20  # of a member that is no recording
MAX_PARTS, MAX_BYTES = 32, 1024  # of a name with its folders
BLOCK = 1 << 20  # bytes read at once
_SAMPLE = re.compile(r"((?:.*/)?[^./][^/]*)\.([^./]+)", re.DOTALL)  # key and ending
_HIDDEN = re.compile(r"(?:.*/)?\.[^/]*", re.DOTALL)
_COMPRESSED = (b"\x1f\x8b", b"BZ", b"\xfd7")  # first bytes of gzip, bzip2 and xz


def _read_shard(path: Path) -> Parts:
    """Give the sounds and facts of a shard in its order, and its members with unsafe names as broken."""
    # first and number of the members of unknown endings, which somebody may have meant as sounds or facts
    others: dict[str, tuple[str, int]] = {}
    seen: set[str] = set()
    try:
        with (
            open_regular(path) as handle,
            _damage(),
            os.fdopen(os.dup(handle), "rb") as source,
            tarfile.open(fileobj=source, mode="r:*") as archive,
        ):
            while member := archive.next():
                yield from _member(archive, member, seen, others)
                archive.members = []  # type: ignore[attr-defined]  # a list that grows with the shard otherwise
            # `tarfile` takes a header that it does not understand for the end; compression has checksums of its own
            compressed = os.pread(handle, 2, 0) in _COMPRESSED
            if not compressed and os.pread(handle, 512, archive.offset) != bytes(512):
                raise DamageError("its end mark is not there: the shard is cut off, or damaged from here on")
    except DamageError as error:
        yield Broken(name="the rest of the shard", reason=str(error))
    except OSError as error:
        yield Broken(name="the shard", reason=f"cannot be read: {error.strerror or error}")
    for kind, (first, count) in others.items():
        such = f"such as {first}" if count > 1 else first
        reason = f"not read, because the ending is not one of sound or facts: {counted(count, 'member')}, {such}"
        yield Broken(name=kind, reason=reason)


def _member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, seen: set[str], others: dict[str, tuple[str, int]]
) -> Parts:
    name = member.name
    if member.isdir():
        return
    if reason := _fault(member):
        yield Broken(name=name, reason=reason)
        return
    if _HIDDEN.fullmatch(name):
        return
    sample = _SAMPLE.fullmatch(name)
    key, ending = (sample[1], sample[2].lower()) if sample else (name, "")
    if ending not in (*EXTENSIONS, *TEXTS, JSON):
        kind = f"*.{ending}" if ending else "*"
        kind = kind if kind in others or len(others) < MOST_KINDS else "others"
        first, count = others.get(kind, (name, 0))
        others[kind] = (first, count + 1)
    elif name.casefold() in seen:
        yield Broken(name=name, reason="another member of the shard has the same name", key=key)
    else:
        seen.add(name.casefold())
        if ending in (*TEXTS, JSON):
            yield _facts(archive, member, key, ending)
        else:
            yield Sound(name=name, key=key, blocks=_blocks(archive, member))


def _fault(member: tarfile.TarInfo) -> str | None:
    """Return why a member must not be unpacked: it is no regular file, or its name is no place in a folder."""
    parts = member.name.split("/")
    if member.issym() or member.islnk():
        return f"it is a link to {member.linkname!r:.100}"
    if not member.isreg() or member.issparse():
        return "it is not a regular file"
    if not writable(member.name) or not member.name.isprintable():
        return "its name holds control characters or bytes that are not UTF-8"
    if member.name.startswith("/") or PurePosixPath(member.name).is_absolute():
        return "its name is absolute"
    if ".." in parts or "\\" in member.name or re.match(r"[A-Za-z]:", member.name):
        return "its name leads out of the shard"
    longest = max(len(part.encode()) for part in parts)
    if len(parts) > MAX_PARTS or len(member.name.encode()) > MAX_BYTES or longest > MAX_PART_BYTES:
        return "its name is too long"
    return None


def _facts(archive: tarfile.TarFile, member: tarfile.TarInfo, key: str, ending: str) -> Facts | Broken:
    if member.size > MAX_FACT_BYTES:
        return Broken(name=member.name, reason=f"it has {member.size} bytes, more than {MAX_FACT_BYTES}", key=key)
    content = b"".join(_blocks(archive, member))
    try:
        values = {ending: content.decode("utf-8-sig")} if ending != JSON else parse_json(content)
    except (InputError, UnicodeDecodeError) as error:
        told = str(error) if isinstance(error, InputError) else "is not text in UTF-8"
        return Broken(name=member.name, reason=f"it {told}", key=key)
    if not isinstance(values, dict):
        return Broken(name=member.name, reason="it is not a JSON object", key=key)
    texts = {str(name): as_text(value, None) for name, value in values.items() if not isinstance(value, dict)}
    known = {name: text for name, text in texts.items() if text and (ending != JSON or name not in TEXTS)}
    return Facts(key=key, fields=known)


def _blocks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Give the bytes of a member.

    Raises:
        DamageError: the shard ends within the member, or its compression is damaged.
    """
    with _damage():
        file = archive.extractfile(member)
        left = member.size
        while left:
            block = file.read(min(left, BLOCK)) if file else b""
            if not block:
                raise DamageError("the shard ends within it")
            left -= len(block)
            yield block


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError, ValueError, OverflowError) as error:
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error
