"""Arrays: their types; ``.npy`` files, allocated before they are filled in place or written whole; tables of rows."""

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wordless.base.files import aside, named_write_errors

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int32]  # of codes
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
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


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same columns, whole or not at all: JSON (``.json``), Parquet (``.parquet``), or tabs."""
    with aside(path) as beside:
        match path.suffix.lower():
            case ".parquet":
                pq.write_table(pa.Table.from_pylist([*map(dict, rows)]), beside)
            case ".json":
                beside.write_text(json.dumps([*map(dict, rows)], indent=1) + "\n", encoding="utf-8")
            case _:
                with beside.open("w", encoding="utf-8", newline="") as file:
                    lines = csv.writer(file, delimiter="\t", lineterminator="\n")  # quotes cells with quotation marks
                    lines.writerow(rows[0])
                    lines.writerows([str(row[name]) for name in rows[0]] for row in rows)
