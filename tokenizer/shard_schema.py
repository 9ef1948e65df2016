"""Checks of a Parquet file of codes before any row is read: its columns, and the memory that it needs.

A Parquet file of a kilobyte can stand for a hundred million codes. Another program may have written it with wider
integers, dictionaries or additional columns. These checks need the footer only.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from tokenizer.parquet_layout import RowGroup
from wordless.base.errors import InputError
from wordless.base.memory import machine_memory

MAX_GROUP_CODES = 100_000_000  # of a row group, which is read at once: 0.4 GB; 270 hours at 100 codes per second
MAX_GROUP_ROWS = 1 << 20  # clips
MAX_GROUP_BYTES = 1 << 30  # of a row group's columns, uncompressed
BYTES_PER_CLIP = 1000  # Python objects of a clip, apart from its codes
BYTES_PER_CODE = 4
MAX_TEXT = 1 << 16  # bytes of a path, label or group
COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("offset_frames", pa.int32()),
        ("num_samples", pa.int64()),
        ("values", pa.list_(pa.int32())),  # time-major, stream-minor
    ]
)
SPAN_COLUMNS = ("start", "end")  # seconds within the file ``path``; only in files with segments
SPANS = pa.schema([(name, pa.float64()) for name in SPAN_COLUMNS])
TEXTS = ("path", "split", "label", "group")
OPTIONAL = ("split", "label", "group", *SPAN_COLUMNS)  # columns with missing values


def choose_columns(*, segments: bool) -> pa.Schema:
    """Return the columns of a file, with or without those of segments."""
    return pa.schema([*COLUMNS, *SPANS]) if segments else COLUMNS


def require_columns(schema: pa.Schema, file: Path) -> pa.Schema:
    """Return the columns to read, and refuse a file that lacks one or has one of another type.

    Columns of segments are read only if the file has them; additional columns are ignored.
    """
    wanted = choose_columns(segments=any(name in schema.names for name in SPAN_COLUMNS))
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


def require_memory(groups: Sequence[RowGroup], file: Path) -> int:
    """Return the bytes of all clips of a file in memory; refuse row groups that are too large to be read at once."""
    for group in groups:
        for found, most, what in (
            (group.values, MAX_GROUP_CODES, "values"),
            (group.rows, MAX_GROUP_ROWS, "rows"),
            (group.size, MAX_GROUP_BYTES, "bytes"),
        ):
            if not 0 <= found <= most:
                problem = f"{file} has a row group of {found} {what}"
                raise InputError(f"{problem}; at most {most} are read at once: write it with smaller row groups")
    return sum(BYTES_PER_CODE * group.values + BYTES_PER_CLIP * group.rows for group in groups)


def require_room(needed: int, path: Path) -> None:
    """Refuse codes that need more memory than the machine has."""
    if needed > (there := machine_memory()):
        problem = f"{path} holds codes that take {needed / 1e9:.1f} GB of memory"
        raise InputError(f"{problem}, and this machine has {there / 1e9:.1f} GB; split it into several files")
