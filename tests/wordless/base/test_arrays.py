"""Tables as files."""

import json
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wordless.base.arrays import write_table

ROWS = [{"name": 'a "quoted"\ttext', "value": number / 3, "none": None} for number in range(7)]


@pytest.mark.parametrize("suffix", ["json", "tsv", "parquet"])
def test_a_table_holds_its_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    write_table(path, ROWS)
    match suffix:
        case "json":
            assert path.read_text() == json.dumps(ROWS, indent=1) + "\n"
        case "tsv":
            assert pandas.read_csv(path, sep="\t", keep_default_na=False).name.tolist() == [row["name"] for row in ROWS]
        case _:
            assert pq.read_table(path) == pa.Table.from_pylist(ROWS)
