"""Codes files that other programs, or nobody sane, wrote: each is read as what it says, or refused in one line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.test_codes import FORMAT, codes
from tokenizer.parquet import METADATA_KEY, CodedClip, read_codes, read_num_samples, shard_path, write_shard
from tokenizer.units import read_units
from wordless.base.errors import InputError

ONE_STREAM = replace(FORMAT, streams=1)


def table() -> pa.Table:
    """Two clips, three and two time steps of two streams."""
    return pa.table(
        {
            "path": ["a.wav", "b.wav"],
            "split": ["train", "test"],
            "label": ["x", None],
            "group": pa.nulls(2, pa.string()),
            "offset_frames": pa.array([0, 0], pa.int32()),
            "num_samples": pa.array([480, 300], pa.int64()),
            "values": pa.array([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10]], pa.list_(pa.int32())),
        }
    )


def written(folder: Path, columns: pa.Table, about: object = None) -> Path:
    """A Parquet file of such columns whose schema says ``about``, by default the truth."""
    path = folder / "codes.parquet"
    told = about if isinstance(about, bytes) else json.dumps(asdict(FORMAT) if about is None else about).encode()
    pq.write_table(columns.replace_schema_metadata({METADATA_KEY: told}), path)
    return path


def with_column(name: str, values: object) -> pa.Table:
    """The table with another column of this name."""
    whole = table()
    return whole.set_column(whole.schema.get_field_index(name), name, values)


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
    ("about", "told"),
    [
        ({**asdict(FORMAT), "extra": 1}, r"\bextra\b"),
        ({**asdict(FORMAT), "codebook_size": 0}, r"codebook_size\b.*\b0\b"),
        ({**asdict(FORMAT), "streams": -1}, r"streams\b.*-1\b"),
        ({**asdict(FORMAT), "streams": None}, r"streams is null\b.*whole number"),
        ({**asdict(FORMAT), "codebook_size": 2.5}, r"codebook_size is 2\.5\b"),
        ({**asdict(FORMAT), "codebook": ""}, r"codebook\b.*\bempty"),
        ({}, r"codebook_size\b.*missing"),
        ([1], r"\bgroup\b"),
        (b"{", "JSON"),
        (b"[" * 100_000, "nested"),
        (b'{"codebook_size": ' + b"9" * 5000 + b"}", "JSON"),
        (b'{"codebook_size": 1, "codebook_size": 2}', "'codebook_size' twice"),
        (b'{"codebook_size": NaN}', "NaN"),
    ],
)
def test_metadata_that_is_no_format_is_refused(tmp_path: Path, about: object, told: str) -> None:
    assert re.search(told, refused(written(tmp_path, table(), about)))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (table().drop_columns(["values"]), "no column 'values'"),
        (table().append_column("path", pa.array(["c", "d"])), "2 columns 'path'"),
        (with_column("path", pa.array([None, "b"])), r"'path'.* without"),
        (with_column("path", pa.array(["a\0", "b"])), r"path\b.*'a\\x00'"),
        (with_column("path", pa.array([1, 2])), r"'path'.*\bint64\b.*\bstring\b"),
        (with_column("num_samples", pa.array([None, 300])), r"'num_samples'.* without"),
        (with_column("num_samples", pa.array([-480, 300])), r"num_samples\b.*-480\b.*\b0\b"),
        (with_column("num_samples", pa.array([2**62, 300])), r"\bsamples\b"),
        (with_column("num_samples", pa.array([480.5, 300.0])), r"'num_samples'.*\bdouble\b"),
        (with_column("offset_frames", pa.array([0, -1])), r"offset_frames\b.*-1\b"),
        (with_column("offset_frames", pa.array([0, 2**40])), "range"),
        (with_column("values", pa.array([[1] * 6, None], pa.list_(pa.int32()))), r"'values'.* without"),
        (with_column("values", pa.array([[1] * 6, [-1, 1, 1, 1]])), r"values\b.*\[-1, 1\]"),
        (with_column("values", pa.array([[1] * 6, [2**40, 1, 1, 1]])), "range"),
        (with_column("values", pa.array([[1] * 6, [1, 1, 1]])), r"\b3 values\b.*\b2 streams\b"),
        (with_column("values", pa.array([[[1]] * 6, [[1]] * 4])), r"'values'.*\blist<"),
        (with_column("label", pa.array(["x" * 70_000, None]).dictionary_encode()), r"\b70000 bytes"),
    ],
)
def test_columns_that_are_no_codes_are_refused(tmp_path: Path, columns: pa.Table, told: str) -> None:
    assert re.search(told, refused(written(tmp_path, columns)))


def test_the_same_codes_in_wider_types_and_dictionaries_are_read(tmp_path: Path) -> None:
    wide = with_column("values", pa.array(table().column("values").to_pylist(), pa.large_list(pa.int64())))
    for name, kind in (("path", pa.large_string()), ("split", pa.dictionary(pa.int32(), pa.string()))):
        wide = wide.set_column(wide.schema.get_field_index(name), name, wide.column(name).cast(kind))
    wide = wide.append_column("further", pa.array([1.5, 2.5]))
    read = list(read_codes(written(tmp_path, wide))[1])
    assert [(clip.path, clip.split, clip.label) for clip in read] == [("a.wav", "train", "x"), ("b.wav", "test", None)]
    assert [clip.codes.values.tolist() for clip in read] == [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10]]]
    assert read[0].codes.values.dtype == np.int32


def test_a_small_file_that_tells_of_very_many_codes_is_refused_before_they_are_read(tmp_path: Path) -> None:
    values = pa.ListArray.from_arrays(pa.array([0, MANY, MANY], pa.int32()), pa.array(np.zeros(MANY, np.int32)))
    path = written(tmp_path, with_column("values", values))
    path.write_bytes(path.read_bytes().replace(variable_length(MANY + 1), variable_length(MOST)))  # in the footer
    assert path.stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    assert f"{MOST} values" in refused(path)
    assert pa.total_allocated_bytes() == before


MANY, MOST = (1 << 20) + 1, (1 << 27) - 1  # codes; both take four bytes in a footer


def variable_length(number: int) -> bytes:
    """A number as the footer has it: zigzag, seven bits a byte, the lowest first."""
    rest, written = 2 * number, bytearray()
    while rest > 127:
        written.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*written, rest])


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


def read_whole(path: Path) -> None:
    """Read all that a codes file holds."""
    read_num_samples(path)
    assert all(clip.codes.values.dtype == np.int32 for clip in read_codes(path)[1])


@contextmanager
def succeeds_or_refuses(path: Path) -> Iterator[None]:
    """The block must end well, or in one line that names the file; any other error fails the test."""
    message = str(path)
    try:
        yield
    except InputError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message


@settings(max_examples=30)
@given(st.data())
def test_any_bytes_of_a_codes_file_may_change(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = written(tmp_path_factory.mktemp("fuzz"), table())
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with succeeds_or_refuses(path):
        read_whole(path)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part))


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(list(asdict(FORMAT))), JSON))
def test_the_format_may_be_anything(tmp_path_factory: pytest.TempPathFactory, change: dict[str, object]) -> None:
    path = written(tmp_path_factory.mktemp("fuzz"), table(), {**asdict(FORMAT), **change})
    with succeeds_or_refuses(path):
        read_whole(path)


LINES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.lists(st.integers(-1, 20) | st.integers()).map(lambda units: f"a|{' '.join(map(str, units))}".encode()),
    st.fixed_dictionaries({}, optional={"file_name": JSON, "units": JSON | st.lists(st.integers(0, 20))}).map(
        lambda row: json.dumps(row).encode()
    ),
)


@settings(max_examples=30)
@given(st.lists(LINES))
def test_text_units_may_be_anything(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.txt"
    path.write_bytes(b"\n".join(lines))
    with succeeds_or_refuses(path):
        assert all(clip.path.encode() for clip in read_units(path, ONE_STREAM))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"file_name": ' * 100_000, "nested"),
        ('{"file_name": "a", "units": [' + "9" * 5000 + "]}", "JSON"),
        ("a|" + "9" * 5000, "5000 digits"),
        ('{"file_name": "a", "units": [1], "units": [2]}', "'units' twice"),
        ('{"file_name": "a", "units": [NaN]}', "NaN"),
        ('{"file_name": "\\ud800", "units": [1]}', "path"),
        ('{"file_name": "a\\u0000b", "units": [1]}', "path"),
        ('{"file_name": "a", "units": [1180591620717411303424]}', "codebook"),
        ("a|1_0", "'1_0'"),
        ("a|-1", "'-1'"),
        ("[1]", "'[1]'"),
        *(
            ("a|1 x", "'x'"),
            ("a|16", "16"),
            ('{"file_name": "a"}', ""),
            ("{", ""),
            ('{"file_name": 1, "units": [1]}', ""),
        ),
        *((f'{{"file_name": "a", "units": {units}}}', "") for units in ("null", "[1.5]", '"12"')),
    ],
)
def test_odd_lines_of_units_are_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "a.txt").write_text(f"ok|1 2\n{line}\n")
    with pytest.raises(InputError) as error:
        read_units(tmp_path / "a.txt", ONE_STREAM)
    assert f"{tmp_path / 'a.txt'}:2: " in str(error.value)
    assert told in str(error.value)
    assert len(str(error.value)) < 500


def test_what_is_no_file_of_units_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a file"):
            read_units(path, ONE_STREAM)
