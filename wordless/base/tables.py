"""Tables of rows, written whole or not at all; the suffix of the file decides the format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.base.files import aside, write_aside


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the same columns as JSON (``.json``), as Parquet (``.parquet``), or separated by tabs."""
    match path.suffix.lower():
        case ".json":
            write_aside(path, json.dumps([dict(row) for row in rows], indent=1) + "\n")
        case ".parquet":
            with aside(path) as beside:
                pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), beside)
        case _:
            columns = list(rows[0]) if rows else []
            lines = ["\t".join(str(row[name]) for name in columns) for row in rows]
            write_aside(path, "\n".join(["\t".join(columns), *lines]) + "\n")
