"""Codes files that other programs wrote: each is read as what it says, or refused by what is wrong with it.

`tests/test_hostile_models.py` reads some hundred more, with other formats, odd lines of units, and any bytes changed.
"""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.codes_files import codes_table, parquet_bytes
from tests.tokenizer.test_codes import FORMAT, codes
from tokenizer.parquet import METADATA_KEY, CodedClip, read_codes, shard_path, write_shard
from tokenizer.units import read_units
from wordless.base.errors import InputError

TABLE = codes_table(FORMAT)
ABOUT = json.dumps(asdict(FORMAT)).encode()


def written(folder: Path, columns: pa.Table) -> Path:
    """A Parquet file of such columns."""
    path = folder / "codes.parquet"
    path.write_bytes(parquet_bytes(columns, ABOUT))
    return path


def with_column(name: str, values: object) -> pa.Table:
    """The table with another column of this name."""
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, values)


def refused(path: Path) -> str:
    """The one line in which reading all of a file is refused."""
    with pytest.raises(InputError) as error:
        list(read_codes(path)[1])
    message = str(error.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    return message


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (TABLE.drop_columns(["values"]), "0 columns 'values'"),
        (TABLE.append_column("path", pa.array(["c", "d"])), "2 columns 'path'"),
        (with_column("path", pa.array(["a\0", "b"])), r"path\b.*'a\\x00'"),
        (with_column("num_samples", pa.array([None, 640])), r"'num_samples'.* without"),
        (with_column("num_samples", pa.array([-960, 640])), r"num_samples\b.*-960\b.*\b0\b"),
        (with_column("num_samples", pa.array([2**62, 640])), r"\bsamples\b"),
        (with_column("offset_frames", pa.array([0, -1])), r"offset_frames\b.*-1\b"),
        (with_column("values", pa.array([[1] * 12, [-1, *[1] * 7]])), r"values\b.*\[-1, 1\]"),
        (with_column("values", pa.array([[1] * 12, [2**40, *[1] * 7]])), "range"),
        (with_column("values", pa.array([[1] * 12, [1, 1, 1]])), r"\b3 values\b.*\b2 streams\b"),
        (with_column("values", pa.array([[[1]] * 12, [[1]] * 8])), r"'values'.*\blist<"),
    ],
)
def test_columns_that_are_no_codes_are_refused(tmp_path: Path, columns: pa.Table, told: str) -> None:
    assert re.search(told, refused(written(tmp_path, columns)))


def test_the_same_codes_in_wider_types_and_dictionaries_are_read(tmp_path: Path) -> None:
    wide = with_column("values", pa.array(TABLE.column("values").to_pylist(), pa.large_list(pa.int64())))
    for name, kind in (("path", pa.large_string()), ("split", pa.dictionary(pa.int32(), pa.string()))):
        wide = wide.set_column(wide.schema.get_field_index(name), name, wide.column(name).cast(kind))
    wide = wide.append_column("further", pa.array([1.5, 2.5]))
    read = list(read_codes(written(tmp_path, wide))[1])
    assert [(clip.path, clip.split, clip.label) for clip in read] == [("a.wav", "train", "x"), ("b.wav", "test", None)]
    assert [clip.codes.values.tolist() for clip in read] == [codes(6).values.tolist(), codes(4).values.tolist()]
    assert read[0].codes.values.dtype == np.int32


def test_a_small_file_that_tells_of_very_many_codes_is_refused_before_they_are_read(tmp_path: Path) -> None:
    many, most = (1 << 20) + 1, (1 << 27) - 1  # codes; both take four bytes in a footer

    def in_footer(number: int) -> bytes:
        """A number as the footer has it: zigzag, seven bits a byte, the lowest first."""
        parts = [2 * number >> 7 * place & 127 for place in range(4)]
        return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])

    values = pa.ListArray.from_arrays(pa.array([0, many, many], pa.int32()), pa.array(np.zeros(many, np.int32)))
    path = written(tmp_path, with_column("values", values))
    path.write_bytes(path.read_bytes().replace(in_footer(many + 1), in_footer(most)))
    assert path.stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    assert f"{most} values" in refused(path)
    assert pa.total_allocated_bytes() == before


def test_a_long_text_that_many_rows_share_is_not_copied_for_each(tmp_path: Path) -> None:
    rows, path = pa.concat_tables([TABLE] * 20_000).combine_chunks(), tmp_path / "codes.parquet"
    names = pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), ["x" * 20_000])
    rows = rows.set_column(0, "path", names)
    with pq.ParquetWriter(path, rows.schema, store_schema=False) as file:  # it does not say that names are a dictionary
        file.add_key_value_metadata({METADATA_KEY: ABOUT})
        file.write_table(rows)
    before = pa.default_memory_pool().max_memory()
    assert "path" in refused(path)
    assert pa.default_memory_pool().max_memory() < max(before + 1, 400_000_000)


def test_what_is_no_codes_folder_is_refused(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 0), [CodedClip(path="a.wav", codes=codes(3))], FORMAT)
    for content in ("", "{", "[1]", '{"shards": null}', '{"shards": 0}', '{"shards": 10000000000000}', "{}"):
        (tmp_path / "complete.json").write_text(content)
        with pytest.raises(InputError, match=r"complete\.json"):
            read_codes(tmp_path)
    (tmp_path / "complete.json").write_text('{"shards": 1}')
    assert len(list(read_codes(tmp_path)[1])) == 1
    shard_path(tmp_path, 0).unlink()
    shard_path(tmp_path, 0).mkdir()
    with pytest.raises(InputError, match="not a file"):
        read_codes(tmp_path)


def test_what_is_no_file_of_units_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a file"):
            read_units(path, replace(FORMAT, streams=1))
