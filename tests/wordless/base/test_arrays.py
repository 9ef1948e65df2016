"""Tables of rows that are made while they are written."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wordless.base import arrays
from wordless.base.arrays import write_table

ROWS = [{"name": 'a "quoted"\ttext', "value": number / 3, "none": None} for number in range(7)]


@pytest.mark.parametrize("at_once", [2, 7, 100])
@pytest.mark.parametrize("suffix", ["json", "tsv", "parquet"])
def test_rows_are_written_some_at_a_time(
    suffix: str, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made = tmp_path / f"table.{suffix}", list[int]()

    def rows() -> Iterator[dict[str, object]]:
        for number, row in enumerate(ROWS):
            made.append(number)
            yield row

    monkeypatch.setattr(arrays, "TABLE_ROWS_AT_ONCE", at_once)
    write_table(path, rows())
    assert made == [*range(7)]
    match suffix:
        case "json":
            assert path.read_text() == json.dumps(ROWS, indent=1) + "\n"
        case "tsv":
            assert pandas.read_csv(path, sep="\t", keep_default_na=False).name.tolist() == [row["name"] for row in ROWS]
        case _:
            assert pq.read_table(path) == pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize("suffix", ["json", "tsv", "parquet"])
def test_a_table_whose_rows_fail_is_not_written(suffix: str, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        yield ROWS[0]
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        write_table(tmp_path / f"table.{suffix}", rows())
    assert not list(tmp_path.iterdir())
