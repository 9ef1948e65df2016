"""Recordings in the rows of Parquet and Arrow files.

pyarrow alone reads them. `datasets` would open the same bytes, but it decodes sound by yet another library, and knows
how to download; features are a few values of JSON in the metadata of the files.

One column holds sound; the others become text.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings.description import SEPARATOR
from wordless.audio.recordings.folders import EXTENSIONS
from wordless.audio.recordings.manifest import writable
from wordless.audio.recordings.packed.files import PARQUET, Broken, DamageError, Facts, PackedFile, Parts, Sound
from wordless.base.errors import InputError
from wordless.base.json_values import find_object

METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
NO_CLASS = -1  # a class label that is not known
_SOUND = "bytes"  # the field of an audio column that holds the bytes of a recording


@dataclass(frozen=True, kw_only=True)
class FileColumns:
    """The columns of a file: the one with sound, and those that can be read as text with the names of their classes."""

    audio: str
    classes: Mapping[str, Sequence[str] | None] = field(default_factory=dict)  # None: the values are text themselves

    @property
    def names(self) -> list[str]:
        """All columns to read."""
        return [self.audio, *self.classes]

    def fields(self, row: Mapping[str, object]) -> dict[str, str]:
        """Write the values of a row as text; names of classes replace their numbers."""
        texts = {name: as_text(row[name], names) for name, names in self.classes.items()}
        return {name: text for name, text in texts.items() if text}


def columns_of(schema: pa.Schema, path: Path, wanted: str | None) -> FileColumns:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists.

    Raises:
        InputError: no column holds sound, several do, or the wanted one does not.
    """
    features = _features(schema, path)
    sounds = [each.name for each in schema if _holds_sound(each.type)]
    audio = _choose(sounds, wanted, schema.names, path)
    classes = {
        each.name: _class_names(features.get(each.name))
        for each in schema
        if each.name != audio and (_is_plain(each.type) or _is_list(each.type))
    }
    return FileColumns(audio=audio, classes=classes)


def as_text(value: object, names: Sequence[str] | None) -> str:
    """Write a value as text, a list with `SEPARATOR` between its values; empty where it is not known."""
    if isinstance(value, list | tuple):
        return SEPARATOR.join(text for each in value if (text := as_text(each, names)))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if names is not None and isinstance(value, int):
        return "" if value == NO_CLASS else names[value] if 0 <= value < len(names) else f"class {value}"
    return " ".join(str(value).split())


def _choose(sounds: Sequence[str], wanted: str | None, names: Sequence[str], path: Path) -> str:
    there = f"its columns are {', '.join(names)}"
    if wanted is not None:
        if wanted in sounds:
            return wanted
        problem = "holds no bytes of recordings" if wanted in names else "is not there"
        raise InputError(
            f"corpus.columns.audio={wanted}: this column of {path} {problem}; {there}; name a column of bytes or of "
            "the type Audio (save decoded samples as files first; list paths of files in a corpus.table)"
        )
    if len(sounds) == 1:
        return sounds[0]
    problem = f"the columns {', '.join(sounds)} may hold sound" if sounds else "no column holds bytes of recordings"
    raise InputError(f"{path}: {problem}; name the column, corpus.columns.audio=NAME ({there})")


def _features(schema: pa.Schema, path: Path) -> Mapping[str, Any]:
    """Return the features that `datasets` describes in the file, or beside it."""
    try:
        info = json.loads((schema.metadata or {}).get(METADATA, b"{}"))
        features = info["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        features = (find_object(path.parent / "dataset_info.json") or {}).get("features")
    return features if isinstance(features, dict) else {}


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
        place = kind.get_field_index(_SOUND)
        return place >= 0 and _is_binary(kind.field(place).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    """Return whether values are lists of text or whole numbers; lists of floats are vectors, and no labels."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return bool(_is_text(kind.value_type) or pa.types.is_integer(kind.value_type))


def _is_plain(kind: pa.DataType) -> bool:
    others = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return _is_text(kind) or any(is_kind(kind) for is_kind in others)


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


ROWS_AT_ONCE = 16  # a row of an hour of sound has 100 MB
ROWS_IN_A_FOLDER = 1000
MAX_NAME_BYTES = 200
_FORMATS = (  # first bytes of a file -> its usual ending
    (b"RIFF", "wav"),
    (b"RF64", "wav"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"FORM", "aiff"),
    (b".snd", "au"),
    (b"caff", "caf"),
)


def table_columns(file: PackedFile, audio: str | None) -> FileColumns:
    """Read the columns of a file from its schema.

    Raises:
        InputError: no column holds sound.
        DamageError: the file is damaged, or of another kind.
    """
    with _open(file.path) as (schema, _):
        return columns_of(schema, file.path, audio)


def sound_bytes(file: PackedFile, columns: FileColumns) -> int:
    """Return about how many bytes the recordings of a file take once they are unpacked."""
    if file.path.suffix != PARQUET:
        return file.path.stat().st_size
    found = pq.ParquetFile(file.path).metadata
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    sounds = [each for each in chunks if each.path_in_schema.partition(".")[0] == columns.audio]
    return sum(each.total_uncompressed_size for each in sounds)


def read_rows(file: PackedFile, columns: FileColumns) -> Parts:
    """Give the sound and the facts of each row, in order. A damaged part ends the file."""
    number = 0
    names: set[str] = set()
    try:
        with _open(file.path, columns.names) as (_, batches):
            for batch in batches:
                for row in batch.select(columns.names).to_pylist():
                    if number % ROWS_IN_A_FOLDER == 0:
                        names.clear()
                    yield from _row(row, number, columns, names)
                    number += 1
    except DamageError as error:
        yield Broken(name=f"from row {number} on", reason=str(error))


def _row(row: dict[str, object], number: int, columns: FileColumns, names: set[str]) -> Parts:
    sound = row[columns.audio]
    content, path = (sound.get("bytes"), sound.get("path")) if isinstance(sound, dict) else (sound, None)
    folder, key = f"{number // ROWS_IN_A_FOLDER:04d}", str(number)
    if not isinstance(content, bytes):
        elsewhere = f"no sound in the data set: it names the file {path!r:.200}, which corpus.table can list"
        yield Broken(name=f"{folder}/{number:07d}", reason=elsewhere if path else "no sound in the data set")
        return
    name = _file_name(path if isinstance(path, str) else "", content, number)
    if name.casefold() in names:
        name = f"{PurePosixPath(name).stem}~{number}{PurePosixPath(name).suffix}"
    names.add(name.casefold())
    yield Sound(name=f"{folder}/{name}", key=key, blocks=[content])
    yield Facts(key=key, fields=columns.fields(row))


def _file_name(path: str, content: bytes, number: int) -> str:
    """Return the name of the file that the recording once was, without folders; else the number of the row."""
    name = PurePosixPath(path.replace("\\", "/")).name
    fitting = name.isprintable() and writable(name) and len(name.encode()) <= MAX_NAME_BYTES
    if fitting and not name.startswith(".") and PurePosixPath(name).suffix.lower().lstrip(".") in EXTENSIONS:
        return name
    mp3 = content[:1] == b"\xff" and content[1:2] >= b"\xe0"
    ending = next((ending for magic, ending in _FORMATS if content.startswith(magic)), "mp3" if mp3 else "bin")
    return f"{number:07d}.{ending}"


@contextmanager
def _open(path: Path, columns: list[str] | None = None) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Open a file by its suffix: its schema, and its rows in batches.

    Raises:
        DamageError: it is damaged, also while the batches are read.
    """
    try:
        if path.suffix == PARQUET:
            with pq.ParquetFile(path) as file:
                yield file.schema_arrow, _batches(file, columns)
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                yield stream.schema, _validated(stream)
    except InputError:  # a ValueError as well
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error


def _batches(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Give small batches of one row group after the other: a damaged group does not take rows of the one before."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group], columns=columns)


def _validated(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Give small batches whose offsets were checked: Arrow trusts them, and a stranger may have written them."""
    for batch in stream:
        batch.validate(full=True)
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            yield batch.slice(start, ROWS_AT_ONCE)
