"""Codes survive the disk with their contract; what is not whole or not ours is refused."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tokenizer.test_codes import FORMAT, codes
from tokenizer.parquet import CodedClip, mark_complete, read_codes, read_num_samples, shard_path, write_shard
from wordless.base.errors import InputError

CLIPS = [
    CodedClip(path="a b/(ü).wav", codes=codes(3), split="train", label="x", group="g"),
    CodedClip(path="c.wav", codes=codes(2, 200), split="test", offset_frames=1),
    CodedClip(path="empty.wav", codes=codes(0), split="validation"),
]


def same(one: CodedClip, other: CodedClip) -> bool:
    about = lambda clip: (clip.path, clip.split, clip.label, clip.group, clip.offset_frames, clip.codes.num_samples)  # noqa: E731
    return about(one) == about(other) and np.array_equal(one.codes.values, other.codes.values)


def test_a_file_and_a_folder_round_trip(tmp_path: Path) -> None:
    for number, clip in enumerate(CLIPS):
        write_shard(shard_path(tmp_path, number), [clip], FORMAT)
    mark_complete(tmp_path, shards=3, clips=3)
    codes_format, clips = read_codes(tmp_path)
    assert codes_format == FORMAT
    assert all(same(*pair) for pair in zip(CLIPS, clips, strict=True))
    assert same(next(read_codes(shard_path(tmp_path, 1))[1]), CLIPS[1])


def test_segments_keep_their_place_in_the_file(tmp_path: Path) -> None:
    segments = [replace(CLIPS[0], span=(0.0, 0.03)), replace(CLIPS[0], span=(0.03, 1 / 3))]
    write_shard(tmp_path / "a.parquet", [CLIPS[1], *segments], FORMAT, segments=True)
    read = list(read_codes(tmp_path / "a.parquet")[1])
    assert [clip.span for clip in read] == [None, (0.0, 0.03), (0.03, 1 / 3)]
    assert [clip.name for clip in read] == ["c.wav", "a b/(ü).wav#t=0,0.03", "a b/(ü).wav#t=0.03,0.333333"]
    assert all(same(*pair) for pair in zip([CLIPS[1], *segments], read, strict=True))
    write_shard(tmp_path / "b.parquet", CLIPS, FORMAT)
    assert not {"start", "end"} & set(pq.read_schema(tmp_path / "b.parquet").names)
    with pytest.raises(InputError, match=r"#t=0,0\.03\b.*segment.*columns"):
        write_shard(tmp_path / "c.parquet", segments, FORMAT)


def test_clips_are_counted_without_their_codes(tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path, 0), CLIPS[:2], FORMAT)
    write_shard(shard_path(tmp_path, 1), CLIPS[2:], FORMAT)
    mark_complete(tmp_path, shards=2, clips=3)
    assert read_num_samples(tmp_path).tolist() == [480, 200, 0]
    write_shard(tmp_path / "none.parquet", [], FORMAT)
    assert read_num_samples(tmp_path / "none.parquet").tolist() == list(read_codes(tmp_path / "none.parquet")[1]) == []


def test_long_recordings_are_written_and_read_a_few_at_a_time(tmp_path: Path) -> None:
    long = CodedClip(path="long.wav", codes=codes(1_000_000))  # 5.5 hours, 8 MB
    tracemalloc.start()
    read, pyarrow_before = 0, pa.total_allocated_bytes()
    try:
        write_shard(tmp_path / "a.parquet", (long for _ in range(8)), FORMAT)
        for clip in read_codes(tmp_path / "a.parquet")[1]:
            read += 1
            assert np.array_equal(clip.codes.values, long.codes.values)
            assert pa.total_allocated_bytes() - pyarrow_before < 40_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == 8
    assert peak < 40_000_000  # bytes; a list of one clip's numbers takes 16 million, the shard's codes 64 million


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
    with pytest.raises(InputError, match="apart"):
        write_shard(tmp_path / "x.parquet", CLIPS, other)


def test_values_outside_the_codebook_name_file_and_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, CLIPS, FORMAT)
    table = pq.read_table(path)
    values = table.column("values").to_pylist()
    values[0][0] = 99
    pq.write_table(
        table.set_column(6, table.schema.field("values"), pa.array(values, table.schema.field("values").type)), path
    )
    with pytest.raises(InputError, match=r"a\.parquet\b.*a b/\(ü\)\.wav\b"):
        list(read_codes(path)[1])


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="Parquet"):
        read_codes(tmp_path / "text.parquet")
    with pytest.raises(InputError, match="no codes"):
        read_codes(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="missing"):
        read_codes(tmp_path / "none.parquet")
