"""Files that hold recordings: rows of Parquet and Arrow files, and members of tar shards.

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
"""

import errno
import json
import math
import os
import re
import tarfile
import zlib
from collections import ChainMap, Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings.description import SEPARATOR
from wordless.audio.recordings.folders import EXTENSIONS, MAX_NAME_BYTES, MAX_PART_BYTES, MAX_PARTS
from wordless.audio.recordings.manifest import writable
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.text import counted
from wordless.base.values import find_object, nan_as_none, parse_json

ARROW, PARQUET = ".arrow", ".parquet"
# what libraries raise when a file is damaged
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, LZMAError, pa.ArrowException, OSError, ValueError, OverflowError)


class DamageError(Exception):
    """A packed file, or a member of it, cannot be read; the message is the reason, for lists of files set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedRow:
    """A recording of a packed file, or a part that was set aside."""

    path: str  # below the folder of the packed file; "/" between folders
    fields: dict[str, str] = field(default_factory=dict)  # what is known of it, as text
    reason: str = ""  # why it was set aside; empty: it was not


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
        with damage(self.path):
            if self.damage:
                raise DamageError(self.damage)
            yield from _read_shard(self.path) if self.audio is None else _read_rows(self.path, self.audio, self.classes)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Name the damage that a library finds while it reads a packed file.

    An error of the disk or of permissions is no damage: `InputError` ends the run, and nothing is recorded. A damaged
    header may name a position that no file can have (EINVAL).
    """
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
NO_CLASS = -1  # a class label that is not known
ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
_FORMATS = {  # first bytes of a file -> its usual ending
    **{b"RIFF": "wav", b"RF64": "wav", b"fLaC": "flac", b"OggS": "ogg", b"FORM": "aiff", b".snd": "au", b"caff": "caf"},
    **dict.fromkeys((b"ID3", *(bytes([0xFF, second]) for second in range(0xE0, 0x100))), "mp3"),
}


def table_columns(path: Path, wanted: str | None) -> tuple[str, dict[str, Sequence[str] | None]]:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists.

    Raises:
        InputError: no column holds sound, several do, or the wanted one does not.
        DamageError: the file is damaged, or of another kind.
    """
    with damage(path), _open(path) as (schema, _):
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
            raise InputError(f"{path}: {several} recordings", remedy=f"name the column, `columns.audio`=NAME ({there})")
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
    return not (types.is_nested(value) or _holds_sound(value) or (several and types.is_floating(value)))


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


# Members of tar shards

TEXTS = ("cls", "txt", "text", "transcript", "id", "index")  # endings of members that hold one value
JSON = "json"
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
        others: dict[str, str] = {}  # unknown endings, which somebody may have meant as sounds or facts: a member
        counts: Counter[str] = Counter()  # of each
        seen: set[str] = set()
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # a list that grows with the shard otherwise
            name, reason = member.name, _fault(member)
            if member.isdir() or (_HIDDEN.fullmatch(name) and not reason):
                continue
            sample = _SAMPLE.fullmatch(name)
            key, ending = (sample[1], sample[2].lower()) if sample else (name, "")
            if not reason and ending not in (*EXTENSIONS, *TEXTS, JSON):
                kind = f"*.{ending}" if ending else "*"
                counts[kind] += 1
                others.setdefault(kind, name)
                continue
            if not reason and name.casefold() in seen:  # the first one is kept
                reason = "another member of the shard has the same name"
            if reason:
                yield PackedRow(path=name, reason=reason), ()
                continue
            seen.add(name.casefold())
            if ending in EXTENSIONS:
                sounds.append((name, member.offset_data, member.size))
                continue
            # one byte more shows that a member is too long
            content = b"".join(_blocks(path, archive, name, member.offset_data, min(member.size, MAX_FACT_BYTES + 1)))
            try:
                facts[key].update(_facts(content, ending))
            except InputError as error:
                faults.add(key)
                yield PackedRow(path=name, reason=f"it {error}"), ()
        # `tarfile` takes a header that it does not understand for the end; compression has checksums of its own
        if os.pread(handle, 2, 0) not in _COMPRESSED and os.pread(handle, 512, archive.offset) != bytes(512):
            raise DamageError("its end mark is not there: the shard is cut off, or damaged")
        for kind, example in others.items():
            such = f"{counted(counts[kind], 'member')}, such as {example}"
            yield PackedRow(path=kind, reason=f"not read, because the ending is not one of sound or facts: {such}"), ()

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
    fits = len(parts) <= MAX_PARTS and len(name.encode()) <= MAX_NAME_BYTES
    return "" if fits and max(len(part.encode()) for part in parts) <= MAX_PART_BYTES else "its name is too long"


def _facts(content: bytes, ending: str) -> dict[str, str]:
    """Return the values of a member as text by their names; values that are not known are left out."""
    if len(content) > MAX_FACT_BYTES:
        raise InputError(f"has more than {MAX_FACT_BYTES} bytes")
    if ending == JSON:
        whole = parse_json(content, nan_as_none)
        if not isinstance(whole, dict):
            raise InputError("is not a JSON object")
        given = {name: value for name, value in whole.items() if name not in TEXTS and not isinstance(value, dict)}
    else:
        try:
            given = {ending: content.decode("utf-8-sig")}
        except UnicodeDecodeError as error:
            raise InputError("is not text in UTF-8") from error
    return {str(name): text for name, value in given.items() if (text := as_text(value, None))}


def _blocks(path: Path, archive: tarfile.TarFile, name: str, place: int, size: int) -> Iterator[bytes]:
    """Give the bytes of a member; raises `DamageError` where they cannot be read."""
    member = tarfile.TarInfo(name)
    member.offset_data, member.size = place, size
    with damage(path):
        file = archive.extractfile(member)
        while file and (block := file.read(BLOCK)):
            yield block
