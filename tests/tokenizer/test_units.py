"""Codes in files: Parquet, also of other programs, and text units as others write and read them.

`tests/test_hostile_models.py` reads some hundred more, with other formats, odd lines of units, and any bytes changed.
"""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.codes_files import codes_table, parquet_bytes
from tests.hostile.measured import succeeds_or_names
from tests.tokenizer.test_codes import BOTH, FORMAT, LEVEL, PITCHED, codes
from tests.wordless.audio.conftest import most_bytes
from tokenizer.codes import Codes
from tokenizer.parquet import (
    METADATA_KEY,
    CodedClip,
    mark_complete,
    read_codes,
    read_num_samples,
    shard_path,
    write_shard,
)
from tokenizer.units import read_units, write_units
from wordless.base.messages import InputError

ONE_STREAM = replace(FORMAT, streams=1)
VALUES = np.array([[3], [3], [7], [3]], np.int32)
CLIP = CodedClip(path="dir/a.wav", codes=Codes(values=VALUES, num_samples=600, format=ONE_STREAM))


@pytest.mark.parametrize(("deduplicate", "line"), [(False, "3 3 7 3\n"), (True, "3 7 3\n")])
def test_each_clip_is_a_line(deduplicate: bool, line: str, tmp_path: Path) -> None:
    write_units(tmp_path / "a.km", [CLIP, CLIP], deduplicate=deduplicate)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.km": 2 * line}


def test_units_are_read_back_as_the_same_codes(tmp_path: Path) -> None:
    rng, clips = np.random.default_rng(0), list[CodedClip]()
    for size in (1, 50, 400):
        values = rng.integers(0, 2, (size, 1)).astype(np.int32)
        codes = Codes(values=values, num_samples=size * ONE_STREAM.samples_per_code, format=ONE_STREAM)
        clips.append(CodedClip(path=f"{size}.wav", codes=codes))
    write_units(tmp_path / "a.km", clips)
    assert [read.codes for read in read_units(tmp_path / "a.km", ONE_STREAM)] == [clip.codes for clip in clips]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3 3\na|3 7 3\n", r"units:2: .*a\|3.*\b1 2 3$"),
        *((f"3 3\n{unit}\n", "units:2: ") for unit in ("-1", "1.5", "\u0663", "9" * 5_000)),
        ("PAR1\udcff", r"units\b.*UTF-8"),
    ],
)
def test_what_is_no_unit_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "units").write_text(text, errors="surrogateescape", encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_units(tmp_path / "units", ONE_STREAM)


def test_merged_repeats_are_not_shortened_without_a_word(tmp_path: Path) -> None:
    (path := tmp_path / "a.km").write_text("3 7 3\n1 2\n")
    with pytest.raises(InputError, match="codes_per_unit"):
        read_units(path, ONE_STREAM)
    first = read_units(path, ONE_STREAM, codes_per_unit=2)[0]
    assert first.path == f"{path}:1"
    assert first.codes.values[:, 0].tolist() == [3, 3, 7, 7, 3, 3]
    assert first.codes.num_samples == 6 * ONE_STREAM.samples_per_code


def test_units_that_fill_no_time_step_are_refused(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("3 7 3\n")
    with pytest.raises(InputError, match=r"units:1: .*\b3 units\b.*\b2 streams"):
        read_units(tmp_path / "units", FORMAT)


def test_several_streams_are_no_units(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 streams"):
        write_units(tmp_path / "a.km", [CodedClip(path="a", codes=codes(1))])


CLIPS = [
    CodedClip(path="a b/(ü).wav", codes=codes(3), split="train", label="x", group="g"),
    CodedClip(path="c.wav", codes=codes(2, 200), split="test", offset_frames=1),
    CodedClip(path="empty.wav", codes=codes(0), split="validation"),
]


def rows_of(place: Path) -> list[dict[str, object]]:
    """All that is known of each clip."""
    return [*map(vars, read_codes(place)[1])]


def test_a_file_and_a_folder_round_trip_and_clips_are_counted_without_their_codes(tmp_path: Path) -> None:
    for number, clip in enumerate(CLIPS):
        write_shard(shard_path(tmp_path, number), [clip], FORMAT)
    mark_complete(tmp_path, shards=3, clips=3)
    assert read_codes(tmp_path)[0] == FORMAT
    assert rows_of(tmp_path) == [*map(vars, CLIPS)]
    assert rows_of(shard_path(tmp_path, 1)) == [vars(CLIPS[1])]
    assert read_num_samples(tmp_path).tolist() == [480, 200, 0]
    write_shard(tmp_path / "none.parquet", [], PITCHED)
    assert read_codes(tmp_path / "none.parquet")[0] == PITCHED
    assert read_num_samples(tmp_path / "none.parquet").tolist() == list(read_codes(tmp_path / "none.parquet")[1]) == []


def test_codes_and_pitch_have_columns_of_their_own(tmp_path: Path) -> None:
    values = np.array([[3, 0], [1, 5], [4, 6]], np.int32)
    clip = CodedClip(path="a.wav", codes=Codes(values=values, num_samples=480, format=PITCHED))
    write_shard(tmp_path / "a.parquet", [clip], PITCHED)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("codes").to_pylist() == [[3, 1, 4]]
    assert table.column("pitch").to_pylist() == [[0, 5, 6]]
    assert rows_of(tmp_path / "a.parquet") == [vars(clip)]
    both = clip.codes.with_side_streams(BOTH, {LEVEL: np.array([20, 29, 0])})
    write_shard(tmp_path / "both.parquet", [replace(clip, codes=both)], BOTH)
    assert pq.read_table(tmp_path / "both.parquet").column("level").to_pylist() == [[20, 29, 0]]
    (read,) = read_codes(tmp_path / "both.parquet")[1]
    assert read.codes == both
    assert read.codes.with_side_streams(PITCHED) == clip.codes
    for pitch, told in (([0, 5], r"\b2 values of the pitch\b.*\b3 time steps"), (None, "0 columns 'pitch'")):
        less = table.drop_columns(["pitch"])
        changed = less if pitch is None else less.append_column("pitch", pa.array([pitch]))
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata), tmp_path / "codes.parquet")
        assert re.search(told, refused(tmp_path / "codes.parquet"))
    write_shard(tmp_path / "b.parquet", CLIPS, FORMAT)
    assert "pitch" not in pq.read_schema(tmp_path / "b.parquet").names


def test_segments_keep_their_place_in_the_file(tmp_path: Path) -> None:
    segments = [replace(CLIPS[0], span=(0.0, 0.03)), replace(CLIPS[0], span=(0.03, 1 / 3))]
    write_shard(tmp_path / "a.parquet", [CLIPS[1], *segments], FORMAT, segments=True)
    names = [clip.name for clip in read_codes(tmp_path / "a.parquet")[1]]
    assert names == ["c.wav", "a b/(ü).wav#t=0,0.03", "a b/(ü).wav#t=0.03,0.333333"]
    assert rows_of(tmp_path / "a.parquet") == [*map(vars, (CLIPS[1], *segments))]
    write_shard(tmp_path / "b.parquet", CLIPS, FORMAT)
    assert not {"start", "end"} & set(pq.read_schema(tmp_path / "b.parquet").names)


def test_long_recordings_are_written_and_read_a_few_at_a_time(tmp_path: Path) -> None:
    long = CodedClip(path="long.wav", codes=codes(1_000_000))  # 5.5 hours, 8 MB
    read, pyarrow_before = 0, pa.total_allocated_bytes()
    with most_bytes(40_000_000):  # a list of one clip's numbers takes 16 million, the shard's codes 64 million
        write_shard(tmp_path / "a.parquet", (long for _ in range(8)), FORMAT)
        for clip in read_codes(tmp_path / "a.parquet")[1]:
            read += 1
            assert np.array_equal(clip.codes.values, long.codes.values)
            assert pa.total_allocated_bytes() - pyarrow_before < 40_000_000
    assert read == 8


def test_a_folder_that_is_not_whole_or_of_two_codebooks_is_refused(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 0), CLIPS, FORMAT)
    with pytest.raises(InputError, match="not whole"):
        read_codes(tmp_path)
    other = replace(FORMAT, codebook="other")
    write_shard(shard_path(tmp_path, 0), CLIPS, FORMAT)
    write_shard(shard_path(tmp_path, 1), [replace(CLIPS[0], codes=replace(CLIPS[0].codes, format=other))], other)
    mark_complete(tmp_path, shards=2, clips=4)
    with pytest.raises(InputError, match=r"codes-00001\.parquet\b.*\bother\b"):
        list(read_codes(tmp_path)[1])


def test_rows_that_pandas_wrote_need_the_schema_of_their_file(tmp_path: Path) -> None:
    write_shard(tmp_path / "codes.parquet", CLIPS, FORMAT)
    rows = pandas.read_parquet(tmp_path / "codes.parquet").iloc[1:]
    rows.to_parquet(tmp_path / "lost.parquet")
    with pytest.raises(InputError, match=r"lost\.parquet\b.*\.read_schema\("):
        read_codes(tmp_path / "lost.parquet")
    table = pa.Table.from_pandas(rows, pq.read_schema(tmp_path / "codes.parquet"))  # as the message and docs say
    pq.write_table(table, tmp_path / "some.parquet")
    found, clips = read_codes(tmp_path / "some.parquet")
    assert (found, [clip.path for clip in clips]) == (FORMAT, [clip.path for clip in CLIPS[1:]])


TABLE = codes_table(FORMAT)
ABOUT = json.dumps(asdict(FORMAT)).encode()


def written_table(folder: Path, columns: pa.Table) -> Path:
    (path := folder / "codes.parquet").write_bytes(parquet_bytes(columns, ABOUT))
    return path


def with_column(name: str, values: object) -> pa.Table:
    """The table with another column of this name."""
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, values)


def refused(path: Path) -> str:
    """The one line in which reading all of a file is refused."""
    told = list[str]()
    with succeeds_or_names(path, told):
        list(read_codes(path)[1])
    (message,) = told
    return message


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (TABLE.drop_columns(["codes"]), "0 columns 'codes'"),
        (TABLE.append_column("path", pa.array(["c", "d"])), "2 columns 'path'"),
        (with_column("path", pa.array(["a\0", "b"])), r"path\b.*'a\\x00'"),
        (with_column("num_samples", pa.array([None, 640])), r"'num_samples'.* without"),
        (with_column("num_samples", pa.array([-960, 640])), r"num_samples\b.*-960\b.*\b0\b"),
        (with_column("num_samples", pa.array([2**62, 640])), r"\bsamples\b"),
        (with_column("offset_frames", pa.array([0, -1])), r"offset_frames\b.*-1\b"),
        (with_column("codes", pa.array([[1] * 12, [-1, *[1] * 7]])), r"values\b.*\[-1, 1\]"),
        (with_column("codes", pa.array([[1] * 12, [2**40, *[1] * 7]])), "range"),
        (with_column("codes", pa.array([[1] * 12, [1, 1, 1]])), r"\b3 codes\b.*\b2 streams\b"),
        (with_column("codes", pa.array([[[1]] * 12, [[1]] * 8])), r"'codes'.*\blist<"),
    ],
)
def test_columns_that_are_no_codes_are_refused(tmp_path: Path, columns: pa.Table, told: str) -> None:
    assert re.search(told, refused(written_table(tmp_path, columns)))


def test_the_same_codes_in_wider_types_and_dictionaries_are_read(tmp_path: Path) -> None:
    wide = with_column("codes", pa.array(TABLE.column("codes").to_pylist(), pa.large_list(pa.int64())))
    for name, kind in (("path", pa.large_string()), ("split", pa.dictionary(pa.int32(), pa.string()))):
        wide = wide.set_column(wide.schema.get_field_index(name), name, wide.column(name).cast(kind))
    wide = wide.append_column("further", pa.array([1.5, 2.5]))
    read = list(read_codes(written_table(tmp_path, wide))[1])
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
    path = written_table(tmp_path, with_column("codes", values))
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
