"""Arrays in ``.npy`` files, allocated before they are filled in place or written whole, and tables of rows."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wordless.base.array_types import Array
from wordless.base.files import aside, named_write_errors, write_aside

ALLOCATED_AT_ONCE = 1 << 24  # bytes


def allocate(file: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Create an array of zeros on disk with all blocks: writing in place to a full disk would kill the process."""
    with named_write_errors(file):
        np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape).flush()
        with file.open("r+b") as whole:
            size = whole.seek(0, os.SEEK_END)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(whole.fileno(), 0, size)
                return
            begin = whole.seek(size - np.dtype(dtype).itemsize * math.prod(shape))  # macOS: behind the header
            for place in range(begin, size, ALLOCATED_AT_ONCE):
                whole.write(bytes(min(ALLOCATED_AT_ONCE, size - place)))


def write_array(path: Path, array: Array) -> None:
    """Write a ``.npy`` file whole or not at all."""
    with aside(path) as beside, beside.open("wb") as file:
        np.save(file, array)


def fill(place: Array, pieces: Iterable[Array]) -> None:
    """Write pieces one after another."""
    start = 0
    for piece in pieces:
        place[start : start + len(piece)] = piece
        start += len(piece)


def write_table(path: Path, rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] = ()) -> None:
    """Write rows of the same columns, whole or not at all: JSON (``.json``), Parquet (``.parquet``), or tabs.

    ``columns`` are those of a table that may have no row.
    """
    match path.suffix.lower():
        case ".json":
            write_aside(path, json.dumps([dict(row) for row in rows], indent=1) + "\n")
        case ".parquet":
            with aside(path) as beside:
                table = pa.Table.from_pylist([dict(row) for row in rows])
                pq.write_table(table if rows else pa.table({name: [] for name in columns}), beside)
        case _:
            named, text = [*(rows[0] if rows else columns)], io.StringIO()
            lines = csv.writer(text, delimiter="\t", lineterminator="\n")  # quotes cells with quotation marks
            lines.writerows([named, *([str(row[name]) for name in named] for row in rows)])
            write_aside(path, text.getvalue())
