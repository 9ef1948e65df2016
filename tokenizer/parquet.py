"""Codes on disk: Parquet shards with one row per clip, the format in the schema's metadata, and a completion marker.

A Parquet file of a kilobyte can stand for a hundred million codes. Another program may have written it with wider
integers, dictionaries or additional columns. So columns and memory are checked by the footer before any row is read.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute  # as pa.compute
import pyarrow.parquet as pq

from tokenizer.codes import Codes, CodesFormat, IntArray, require_same_codebook
from wordless.audio.recordings.manifest import clip_name
from wordless.base.errors import InputError
from wordless.base.files import aside, write_aside
from wordless.base.machine import machine_memory
from wordless.base.saved_models import first_line
from wordless.base.values import build, parse_json, read_json, shortened

# Errors of pyarrow for damaged files.
UNREADABLE = (pa.ArrowException, OSError, UnicodeError, LookupError, OverflowError, MemoryError)
MAX_PATH = 4096  # bytes; the limit of file systems
METADATA_KEY = b"wordless.codes"
COMPLETE = "complete.json"
GROUP_CODES = 1 << 20  # least codes of a row group, which is written and read at once
ROWS = 1024  # rows of a row group that are converted to clips at once
MAX_GROUP_CODES = 100_000_000  # of a row group, which is read at once: 0.4 GB; 270 hours at 100 codes per second
MAX_GROUP_ROWS = 1 << 20  # clips
MAX_GROUP_BYTES = 1 << 30  # of a row group's columns, uncompressed
BYTES_PER_CLIP = 1000  # Python objects of a clip, apart from its codes
BYTES_PER_CODE = 4
MAX_TEXT = 1 << 16  # bytes of a path, label or group
TEXTS = ("path", "split", "label", "group")
_NUMBERS = (("offset_frames", pa.int32()), ("num_samples", pa.int64()))
_VALUES = ("values", pa.list_(pa.int32()))  # time-major, stream-minor
COLUMNS = pa.schema([*((name, pa.string()) for name in TEXTS), *_NUMBERS, _VALUES])
SPAN_COLUMNS = ("start", "end")  # seconds within the file ``path``; only in files with segments
WITH_SPANS = pa.schema([*COLUMNS, *((name, pa.float64()) for name in SPAN_COLUMNS)])
OPTIONAL = ("split", "label", "group", *SPAN_COLUMNS)  # columns with missing values


def require_columns(schema: pa.Schema, file: Path) -> pa.Schema:
    """Return the columns to read, and refuse a file that lacks one or has one of another type.

    Columns of segments are read only if the file has them; additional columns are ignored.
    """
    wanted = WITH_SPANS if any(name in schema.names for name in SPAN_COLUMNS) else COLUMNS
    for field in wanted:
        places = schema.get_all_field_indices(field.name)
        if len(places) != 1:
            count = "no column" if not places else f"{len(places)} columns"
            raise InputError(f"{file} has {count} {field.name!r}; name a file that wordless encode wrote")
        found = schema.field(places[0]).type
        if not _fits(found, field.type):
            problem = f"{file} has the column {field.name!r} of type {found}"
            raise InputError(f"{problem}; it must be {field.type}: name a file that wordless encode wrote")
    return wanted


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether a type can be read as the wanted one: any width of integers and any encoding of text."""
    if pa.types.is_dictionary(found):
        return _fits(found.value_type, wanted)
    if pa.types.is_list(wanted):
        return (pa.types.is_list(found) or pa.types.is_large_list(found)) and _fits(found.value_type, pa.int32())
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    return bool(pa.types.is_integer(found) or (pa.types.is_floating(wanted) and pa.types.is_floating(found)))


def require_memory(footer: pq.FileMetaData, file: Path) -> int:
    """Return the bytes of all clips of a file in memory; refuse row groups that are too large to be read at once."""
    needed = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        values = max((group.column(place).num_values for place in range(group.num_columns)), default=0)
        for found, most, what in (
            (values, MAX_GROUP_CODES, "values"),
            (group.num_rows, MAX_GROUP_ROWS, "rows"),
            (group.total_byte_size, MAX_GROUP_BYTES, "bytes"),
        ):
            if not 0 <= found <= most:
                problem = f"{file} has a row group of {found} {what}"
                raise InputError(f"{problem}; at most {most} are read at once: write it with smaller row groups")
        needed += BYTES_PER_CODE * values + BYTES_PER_CLIP * group.num_rows
    return needed


def require_room(needed: int, path: Path) -> None:
    """Refuse codes that need more memory than the machine has."""
    if needed > (there := machine_memory()):
        problem = f"{path} holds codes that take {needed / 1e9:.1f} GB of memory"
        raise InputError(f"{problem}, and this machine has {there / 1e9:.1f} GB; split it into several files")


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedClip:
    """Codes of a recording or of a segment, with its entry in the manifest.

    Code ``k`` of a segment stands for ``samples_per_code`` samples of its file, at the codes' sample rate, starting at
    ``span[0] * sample_rate + k * samples_per_code``.
    """

    path: str  # of the file
    codes: Codes
    span: tuple[float, float] | None = None  # begin and end of a segment in seconds; None: the whole recording
    split: str | None = None  # None: the recording is of no corpus
    label: str | None = None
    group: str | None = None
    offset_frames: int = 0  # frames skipped before the first patch: another view of the same sound
    notices: tuple[str, ...] = ()  # what the user should know of the recording, such as why it is silent; not written

    @property
    def name(self) -> str:
        """The clip's name in the manifest: its path, and for a segment also its span."""
        return clip_name(self.path, self.span)


def write_shard(path: Path, clips: Iterable[CodedClip], format: CodesFormat, *, segments: bool = False) -> None:
    """Write one Parquet file atomically, as the clips arrive; about `GROUP_CODES` codes are in memory at a time.

    ``segments`` adds the columns ``start`` and ``end``, which segments of recordings need.

    Raises:
        InputError: a clip has codes of another format, has too many codes, or is a segment while ``segments`` is false.
    """
    about = {METADATA_KEY: json.dumps(format.as_dict(), sort_keys=True).encode()}
    schema = (WITH_SPANS if segments else COLUMNS).with_metadata(about)
    with aside(path) as beside, pq.ParquetWriter(beside, schema) as writer:
        for group in _groups(clips):
            for clip in group:
                _require_fit(clip, format, segments=segments)
            writer.write_table(pa.Table.from_pylist([_row(clip) for clip in group], schema=schema))


def _groups(clips: Iterable[CodedClip]) -> Iterator[list[CodedClip]]:
    """Group clips, in order, into groups of `GROUP_CODES` codes or a little more."""
    group, held = list[CodedClip](), 0
    for clip in clips:
        group.append(clip)
        held += clip.codes.values.size
        if held >= GROUP_CODES or len(group) == MAX_GROUP_ROWS:
            yield group
            group, held = [], 0
    if group:
        yield group


def _require_fit(clip: CodedClip, format: CodesFormat, *, segments: bool) -> None:
    if clip.codes.values.size > MAX_GROUP_CODES:
        problem = (
            f"{clip.path} has {clip.codes.values.size} codes; a row of a codes file holds at most {MAX_GROUP_CODES}"
        )
        raise InputError(f"{problem}: cut the recording into several")
    if clip.codes.format != format:
        raise InputError(f"{clip.path} has codes of {clip.codes.format}, the shard is of {format}; write them apart")
    if clip.span is not None and not segments:
        raise InputError(f"{clip.name} is a segment, and the shard has no columns for its span; write segments=True")


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of shard ``number`` of a codes folder."""
    return folder / f"codes-{number:05d}.parquet"


def mark_complete(folder: Path, *, shards: int, clips: int) -> None:
    """Mark a codes folder as complete; this file is written last."""
    write_aside(folder / COMPLETE, json.dumps({"shards": shards, "clips": clips}) + "\n")


def read_codes(path: Path) -> tuple[CodesFormat, Iterator[CodedClip]]:
    """Read the format and an iterator of the clips, in order, from a Parquet file or a complete codes folder.

    Codes of other programs are read as well if only their types differ: wider integers, large lists, dictionaries.

    Raises:
        InputError: the path does not exist, the folder is not complete, or a file holds no codes or needs more memory
            than `tokenizer.parquet` allows; the iterator raises it for values outside the codebook.
    """
    files = _shards(path) if path.is_dir() else [path]
    formats, _, memory = zip(*map(_read_footer, files), strict=True)
    for file, found in zip(files, formats, strict=True):
        _require_same_format(file, found, formats[0])
    require_room(sum(memory), path)
    return formats[0], _clips(files, formats[0])


def read_num_samples(path: Path) -> npt.NDArray[np.int64]:
    """Read the number of samples of each clip ``(clips,)``, in order, without reading any code."""
    files, columns = _shards(path) if path.is_dir() else [path], list[npt.NDArray[np.int64]]()
    format = read_format(files[0])
    for file in files:
        _require_same_format(file, read_format(file), format)
        with _readable(file):
            column = pq.read_table(file, columns=["num_samples"]).column(0).cast(pa.int64())
            if column.null_count:
                raise InputError("the column 'num_samples' has a row without a value")
            columns.append(column.to_numpy())
    return np.concatenate(columns)


def read_format(file: Path) -> CodesFormat:
    """Read the format of codes from a Parquet file's metadata."""
    return _read_footer(file)[0]


def _read_footer(file: Path) -> tuple[CodesFormat, pa.Schema, int]:
    """Check a file's footer: the format of the codes, the columns to read, and the bytes of all clips in memory."""
    if not file.is_file():
        state = "is not a file" if file.is_symlink() or file.exists() else "is missing"
        raise InputError(f"{file} {state}; name a Parquet file or folder that wordless encode wrote")
    try:
        footer = pq.read_metadata(file)
        schema = footer.schema.to_arrow_schema()
    except UNREADABLE as error:
        problem = f"{file} is not a Parquet file ({first_line(error)})"
        raise InputError(f"{problem}; name one that wordless encode wrote") from error
    memory, about = require_memory(footer, file), schema.metadata or {}
    if METADATA_KEY not in about:
        problem = f"{file} holds no codes (its schema has no {METADATA_KEY.decode()})"
        raise InputError(f"{problem}; name a file that wordless encode wrote")
    try:
        format = build(CodesFormat, cast(Mapping[str, object], parse_json(about[METADATA_KEY])), name="")
    except InputError as error:
        problem = f"{file} does not say what its codes are ({METADATA_KEY.decode()} in its schema: {first_line(error)})"
        raise InputError(f"{problem}; name a file that wordless encode wrote") from error
    return format, require_columns(schema, file), memory


def _shards(folder: Path) -> list[Path]:
    if not (folder / COMPLETE).is_file():
        problem = f"{folder} has no {COMPLETE}: it is not a codes folder, or not whole"
        raise InputError(f"{problem}; run the command that writes it again")
    shards = read_json(folder / COMPLETE).get("shards")
    there = sum(1 for _ in folder.glob("codes-*.parquet"))
    if type(shards) is not int or not 1 <= shards <= there:
        problem = f"{folder / COMPLETE} tells of {shortened(shards)} shards, and {there} are there"
        raise InputError(f"{problem}; run the command that writes them again")
    return [shard_path(folder, number) for number in range(shards)]


def _require_same_format(file: Path, found: CodesFormat, format: CodesFormat) -> None:
    if found.codebook != format.codebook:
        problem = f"{file} is of codebook {found.codebook}, the shards before it of {format.codebook}"
        raise InputError(f"{problem}; write them apart")
    require_same_codebook(format, found, owner=f"the first shard beside {file}")


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Add the file's name to every error of its content."""
    try:
        yield
    except UNREADABLE as error:
        problem = f"{file} cannot be read ({first_line(error)}): it is damaged"
        raise InputError(f"{problem}; write it again (wordless encode)") from error
    except InputError as error:
        raise InputError(f"{file}, {error}") from error


def _clips(files: Iterable[Path], format: CodesFormat) -> Iterator[CodedClip]:
    for file in files:
        _, columns, _ = _read_footer(file)
        with pq.ParquetFile(file, read_dictionary=TEXTS) as shard:
            for group in range(shard.num_row_groups):
                with _readable(file):
                    table = shard.read_row_group(group, columns=columns.names)
                for batch in table.to_batches(max_chunksize=ROWS):
                    with _readable(file):
                        clips = _batch(batch, columns, format)
                    yield from clips


def _batch(batch: pa.RecordBatch, wanted: pa.Schema, format: CodesFormat) -> list[CodedClip]:
    """Convert a batch to clips. Each clip copies its codes, so that keeping one clip does not keep the whole batch."""
    columns = {field.name: _column(batch.column(field.name), field) for field in wanted}
    values = columns.pop("values")
    rows = pa.RecordBatch.from_pydict(columns).to_pylist()
    offsets, codes = values.offsets.to_numpy(), values.values.to_numpy()
    return [_clip(row, codes[offsets[number] : offsets[number + 1]], format) for number, row in enumerate(rows)]


def _column(column: pa.Array, field: pa.Field) -> pa.Array:
    """Convert a column to its own type and refuse missing values."""
    if pa.types.is_dictionary(column.type):
        longest = pa.compute.max(pa.compute.binary_length(column.dictionary.cast(pa.large_string()))).as_py() or 0
        if longest > MAX_TEXT:
            raise InputError(f"the column {field.name!r} has a text of {longest} bytes; at most {MAX_TEXT} are read")
    column = column.cast(field.type)
    gaps = column.null_count if field.name not in OPTIONAL else 0
    if gaps or (field.name == "values" and column.flatten().null_count):
        raise InputError(f"the column {field.name!r} has a row without a value")
    return column


def _clip(row: dict[str, Any], values: IntArray, format: CodesFormat) -> CodedClip:
    path, num_samples, offset = row["path"], row.pop("num_samples"), row["offset_frames"]
    require_clip_path(path)
    start, end = row.pop("start", None), row.pop("end", None)
    span = None if start is None and end is None else (start, end)
    if span and (start is None or end is None or not 0 <= start < end < math.inf):
        raise InputError(f"start is {start} and end {end} seconds; a segment has 0 <= start < end, or neither")
    if len(values) % format.streams:
        raise InputError(f"clip {path}: {len(values)} values are no whole time steps of {format.streams} streams")
    if offset < 0:
        raise InputError(f"clip {path}: offset_frames is {offset}; it must be 0 or more")
    try:
        codes = Codes(values=values.reshape(-1, format.streams).copy(), num_samples=num_samples, format=format)
    except InputError as error:
        raise InputError(f"clip {path}: {error}") from error
    return CodedClip(codes=codes, span=span, **row)


def require_clip_path(path: str) -> None:
    """Refuse a clip's path that no file can have."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= MAX_PATH or "\0" in path:
        raise InputError(f"a clip's path is {shortened(path)}; it must be UTF-8 text of 1 to {MAX_PATH} bytes")


def _row(clip: CodedClip) -> dict[str, object]:
    """Return a clip's cells, and others: Arrow takes those that the schema names."""
    start, end = clip.span or (None, None)
    codes = {"num_samples": clip.codes.num_samples, "values": clip.codes.values.reshape(-1)}
    return {**vars(clip), "start": start, "end": end, **codes}
