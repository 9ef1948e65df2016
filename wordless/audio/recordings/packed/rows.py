"""Recordings in the rows of Parquet and Arrow files.

pyarrow alone reads them. `datasets` would open the same bytes, but it decodes sound by yet another library, and knows
how to download; features are a few values of JSON in the metadata of the files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings.manifest import writable
from wordless.audio.recordings.packed.columns import FileColumns, columns_of
from wordless.audio.recordings.packed.parts import Broken, DamageError, Facts, PackedFile, Parts, Sound
from wordless.audio.recordings.packed.places import PARQUET
from wordless.audio.recordings.recording_paths import EXTENSIONS
from wordless.base.errors import InputError

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
