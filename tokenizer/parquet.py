"""Codes on disk: Parquet shards with one row per clip, the format in the schema's metadata, and a completion marker.

A Parquet file of a kilobyte can stand for a hundred million codes, so the sizes of its row groups are checked by the
footer before any row is read. Another program may have written it with wider integers, dictionaries or further columns.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.codes import Codes, CodesFormat, require_same_codebook
from wordless.audio.recordings.manifest import clip_name
from wordless.base.arrays import IndexArray, IntArray
from wordless.base.files import aside, parse_json, read_json, why_no_file, write_aside
from wordless.base.messages import InputError, first_line, written
from wordless.base.options import build

# Errors of pyarrow for damaged files.
UNREADABLE = (pa.ArrowException, OSError, UnicodeError, LookupError, OverflowError, MemoryError)
MAX_PATH = 4096  # bytes; the limit of file systems
METADATA_KEY = b"wordless.codes"
COMPLETE = "complete.json"
GROUP_CODES = 1 << 20  # least codes of a row group, which is written and read at once
_ROWS = 1024  # rows of a row group that are converted to clips at once
MAX_GROUP_CODES = 100_000_000  # of a row group, which is read at once: 0.4 GB; 270 hours at 100 codes per second
MAX_GROUP_ROWS = 1 << 20  # clips
MAX_GROUP_BYTES = 1 << 30  # of a row group's columns, uncompressed
_TEXTS = ("path", "split", "label", "group")
_NUMBERS = (("offset_frames", pa.int32()), ("num_samples", pa.int64()))
CODES = "codes"  # column of the spectrum, time-major, stream-minor; a stream beside it has a column of its own name
_COLUMNS = pa.schema([*((name, pa.string()) for name in _TEXTS), *_NUMBERS])
SPAN_COLUMNS = ("start", "end")  # seconds within the file ``path``; only in files with segments
OPTIONAL = ("split", "label", "group", *SPAN_COLUMNS)  # columns with missing values
_REMEDY = "name a file that wordless encode wrote"
FILTER = "pyarrow.parquet.write_table(pyarrow.Table.from_pandas(rows, pyarrow.parquet.read_schema(FIRST)), FILE)"


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedClip:
    """Codes of a recording or of a segment, with its entry in the manifest.

    Code ``k`` of a segment starts ``span[0] * sample_rate + k * samples_per_code`` samples after the begin of its file.
    """

    path: str  # of the file
    codes: Codes
    span: tuple[float, float] | None = None  # begin and end of a segment in seconds; None: the whole recording
    split: str | None = None  # None: the recording is of no corpus, or this is a changed view of it
    label: str | None = None
    group: str | None = None
    offset_frames: int = 0  # frames skipped before the first patch: another view of the same sound
    notices: tuple[str, ...] = ()  # what the user should know of the recording, such as why it is silent; not written

    @property
    def name(self) -> str:
        """The clip's name in the manifest: its path, and for a segment also its span."""
        return clip_name(self.path, self.span)


def _schema(numbers: Iterable[str], *, segments: bool) -> pa.Schema:
    """Return the columns of a file whose codes are in the columns ``numbers``."""
    lists = [(name, pa.list_(pa.int32())) for name in numbers]
    return pa.schema([*_COLUMNS, *lists, *((name, pa.float64()) for name in SPAN_COLUMNS if segments)])


def _number_columns(format: CodesFormat) -> list[str]:
    return [CODES, *(each.name for each in format.side_streams)]


def write_shard(path: Path, clips: Iterable[CodedClip], format: CodesFormat, *, segments: bool = False) -> None:
    """Write one Parquet file atomically, as the clips arrive; ``segments`` adds the columns that segments need."""
    about, streams = {METADATA_KEY: json.dumps(format.as_dict(), sort_keys=True).encode()}, format.side_streams
    schema = _schema([CODES, *(each.name for each in streams)], segments=segments).with_metadata(about)
    with aside(path) as beside, pq.ParquetWriter(beside, schema) as writer:
        rows, held = list[dict[str, object]](), 0
        for clip in clips:
            if clip.codes.format != format:
                raise InputError(f"{clip.path} has codes of another format than the shard; write them apart")
            if clip.span is not None and not segments:
                raise InputError(f"{clip.name} is a segment; write the shard with segments=True")
            if clip.codes.values.size > MAX_GROUP_CODES:
                problem = f"{clip.path} has {clip.codes.values.size} codes, and a codes file at most {MAX_GROUP_CODES}"
                raise InputError(f"{problem} of one recording: cut it into several")
            start, end = clip.span or (None, None)
            own = {"num_samples": clip.codes.num_samples, CODES: clip.codes.spectral.values.reshape(-1)}
            own |= {each.name: clip.codes.side_stream(each) for each in streams} | {"start": start, "end": end}
            rows.append(vars(clip) | own)  # Arrow takes those that the schema names
            held += clip.codes.values.size
            if held >= GROUP_CODES or len(rows) == MAX_GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows, held = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of shard ``number`` of a codes folder."""
    return folder / f"codes-{number:05d}.parquet"


def mark_complete(folder: Path, *, shards: int, clips: int) -> None:
    """Mark a codes folder as complete; this file is written last."""
    write_aside(folder / COMPLETE, json.dumps({"shards": shards, "clips": clips}) + "\n")


def read_codes(path: Path | str) -> tuple[CodesFormat, Iterator[CodedClip]]:
    """Read the format and an iterator of the clips, in order, from a Parquet file or a complete codes folder.

    Codes of other programs are read as well if only their types differ: wider integers, large lists, dictionaries. The
    iterator refuses values outside the codebook.
    """
    files, format = _files(Path(path))
    return format, _clips(files, format)


def read_num_samples(path: Path) -> IndexArray:
    """Read the number of samples of each clip ``(clips,)``, in order, without reading any code."""
    columns = list[IndexArray]()
    for file in _files(path)[0]:
        with _readable(file):
            table = pq.read_table(file, columns=["num_samples"])
            columns.append(_column(table, _COLUMNS.field("num_samples")).to_numpy())
    return np.concatenate(columns)


def _files(path: Path) -> tuple[list[Path], CodesFormat]:
    """Return the Parquet files of a codes file or folder, all of one format, and the format."""
    files = _shards(path) if path.is_dir() else [path]
    first, *others = map(_read_footer, files)
    for file, found in zip(files[1:], others, strict=True):
        require_same_codebook(first, found, owner=f"the first shard beside {file}")
    return files, first


def _shards(folder: Path) -> list[Path]:
    if not (folder / COMPLETE).is_file():
        problem = f"{folder} has no {COMPLETE}: it is not a codes folder, or not whole"
        raise InputError(f"{problem}; run the command that writes it again")
    shards = read_json(folder / COMPLETE).get("shards")
    there = sum(1 for _ in folder.glob("codes-*.parquet"))
    if type(shards) is not int or not 1 <= shards <= there:
        problem = f"{folder / COMPLETE} tells of {written(str(shards))} shards, and {there} are there"
        raise InputError(f"{problem}; run the command that writes them again")
    return [shard_path(folder, number) for number in range(shards)]


def _read_footer(file: Path) -> CodesFormat:
    """Return the format of the codes; refuse row groups that are too large to be read at once."""
    if not file.is_file():
        raise InputError(f"{file} {why_no_file(file)}; name a Parquet file or folder that wordless encode wrote")
    try:
        footer = pq.read_metadata(file)
        about = footer.schema.to_arrow_schema().metadata or {}
    except UNREADABLE as error:
        raise InputError(f"{file} is not a Parquet file ({first_line(error)}); {_REMEDY}") from error
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
    if METADATA_KEY not in about:
        problem, remedy = f"{file} holds no codes (its schema has no {METADATA_KEY.decode()})", _REMEDY
        if {*_COLUMNS.names} <= {*footer.schema.to_arrow_schema().names}:  # such as pandas
            problem = f"{file} has rows of codes, but the program that wrote them has left out what the codes are"
            remedy = f"write them with the schema of the first file: {FILTER}"
        raise InputError(problem, remedy=remedy)
    try:
        return build(CodesFormat, cast(Mapping[str, object], parse_json(about[METADATA_KEY])), name="")
    except InputError as error:
        problem = f"{file} does not say what its codes are ({METADATA_KEY.decode()} in its schema: {first_line(error)})"
        raise InputError(f"{problem}; {_REMEDY}") from error


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
        with _readable(file):
            footer = pq.read_metadata(file)
            there = footer.schema.to_arrow_schema().names
            shared = [name for name in _TEXTS if name in there]  # texts of many rows are not copied
            wanted = _schema(_number_columns(format), segments=bool({*SPAN_COLUMNS} & {*there}))
            with pq.ParquetFile(file, metadata=footer, read_dictionary=shared) as shard:
                for group in range(shard.num_row_groups):
                    table = shard.read_row_group(group, columns=wanted.names)
                    for start in range(0, len(table), _ROWS):
                        yield from _batch(table.slice(start, _ROWS), wanted, format)


def _batch(table: pa.Table, wanted: pa.Schema, format: CodesFormat) -> list[CodedClip]:
    """Convert rows to clips. Each clip copies its codes, so that keeping one clip does not keep all rows."""
    columns = {field.name: _column(table, field) for field in wanted}
    lists = {name: columns.pop(name) for name in _number_columns(format)}
    rows = pa.RecordBatch.from_pydict(columns).to_pylist()
    found = {name: (each.offsets.to_numpy(), each.values.to_numpy()) for name, each in lists.items()}
    return [
        _clip(row, {name: each[ends[number] : ends[number + 1]] for name, (ends, each) in found.items()}, format)
        for number, row in enumerate(rows)
    ]


def _column(table: pa.Table, field: pa.Field) -> pa.Array:
    """Convert a column to its own type; refuse one that is missing, of another type or without values."""
    count = table.column_names.count(field.name)
    if count != 1:
        raise InputError(f"it has {count} columns {field.name!r}, not one; {_REMEDY}")
    column = table.column(field.name)
    try:
        column = column.cast(field.type).combine_chunks()
    except pa.ArrowException as error:
        problem = f"the column {field.name!r} of type {column.type} cannot be {field.type} ({first_line(error)})"
        raise InputError(f"{problem}; {_REMEDY}") from error
    gaps = column.null_count if field.name not in OPTIONAL else 0
    if gaps or (pa.types.is_list(field.type) and column.flatten().null_count):
        raise InputError(f"the column {field.name!r} has a row without a value")
    return column


def _clip(row: dict[str, Any], numbers: Mapping[str, IntArray], format: CodesFormat) -> CodedClip:
    path, num_samples, offset = row["path"], row.pop("num_samples"), row["offset_frames"]
    require_clip_path(path)
    start, end = row.pop("start", None), row.pop("end", None)
    span = None if start is None and end is None else (start, end)
    if span and (start is None or end is None or not 0 <= start < end < math.inf):
        raise InputError(f"start is {start} and end {end} seconds; a segment has 0 <= start < end, or neither")
    [(name, values), *others] = numbers.items()
    streams = format.spectral_streams
    if len(values) % streams:
        raise InputError(f"clip {path}: {len(values)} {name} are no whole time steps of {streams} streams")
    steps = values.reshape(-1, streams)
    for name, own in others:
        if len(own) != len(steps):
            raise InputError(f"clip {path}: {len(own)} values of the {name} stand beside {len(steps)} time steps")
        steps = np.column_stack([steps, own])
    if offset < 0:
        raise InputError(f"clip {path}: offset_frames is {offset}; it must be 0 or more")
    try:
        codes = Codes(values=steps.copy(), num_samples=num_samples, format=format)
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
        raise InputError(f"a clip's path is {written(path)}; it must be UTF-8 text of 1 to {MAX_PATH} bytes")
