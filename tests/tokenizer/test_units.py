"""Codes in files: Parquet, and text units as others write and read them."""

import csv
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tokenizer.test_codes import FORMAT as TWO_STREAMS
from tests.tokenizer.test_codes import PITCHED, codes
from tokenizer.codes import Codes
from tokenizer.parquet import CodedClip, mark_complete, read_codes, read_num_samples, shard_path, write_shard
from tokenizer.units import UnitsFormat, read_units, write_units
from wordless.base.errors import InputError

FORMAT = replace(TWO_STREAMS, streams=1)
VALUES = np.array([[3], [3], [7], [3]], np.int32)
CLIP = CodedClip(path="dir/a.wav", codes=Codes(values=VALUES, num_samples=600, format=FORMAT))


ROW = {"file_name": "dir/a.wav", "num_samples": 600}


@pytest.mark.parametrize(
    ("kind", "deduplicate", "files"),
    [
        ("name_units", False, {"a": "a|3 3 7 3", "a.lengths": "a|600"}),
        ("name_units", True, {"a": "a|3 7 3", "a.lengths": "a|600", "a.durations": "a|2 1 1"}),
        ("fairseq", False, {"a": "3 3 7 3", "a.lengths": "600"}),
        ("fairseq", True, {"a": "3 7 3", "a.lengths": "600", "a.durations": "2 1 1"}),
        ("jsonl", False, {"a": json.dumps({**ROW, "units": [3, 3, 7, 3]})}),
        ("jsonl", True, {"a": json.dumps({**ROW, "units": [3, 7, 3], "duration": [2, 1, 1]})}),
    ],
)
def test_formats(kind: UnitsFormat, deduplicate: bool, files: dict[str, str], tmp_path: Path) -> None:
    write_units(tmp_path / "a", [CLIP], kind, deduplicate=True)  # durations of an earlier call go
    write_units(tmp_path / "a", [CLIP], kind, deduplicate=deduplicate)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {k: f"{v}\n" for k, v in files.items()}


def test_names_of_units_are_short_and_tell_files_and_parts_apart(tmp_path: Path) -> None:
    clips = [
        replace(CLIP, path=path, span=span)
        for path, span in (
            *(("x/a.wav", span) for span in ((0.5, 1.25), (1.5, 2.0))),
            *(("x/b.wav", span) for span in ((1.0, 2.0), None)),
            *(("y/b.wav", (1.0, 2.0)), ("x/c.wav", None), ("y/c.wav", None)),
            *(("z/d.wav", None), ("z/d.flac", None)),
        )
    ]
    write_units(tmp_path / "a.txt", clips, "name_units")
    names = [read.path for read in read_units(tmp_path / "a.txt", FORMAT, codes_per_unit=1)]
    assert names == ["a#t=0.5,1.25", "a#t=1.5,2", "x/b#t=1,2", "b", "y/b#t=1,2", "x/c", "y/c", "z/d.wav", "z/d.flac"]


@pytest.mark.parametrize("kind", ["name_units", "fairseq", "jsonl"])
@pytest.mark.parametrize("deduplicate", [False, True])
def test_units_are_read_back_as_the_same_codes_and_samples(
    tmp_path: Path, kind: UnitsFormat, deduplicate: bool
) -> None:
    rng, clips = np.random.default_rng(0), list[CodedClip]()
    for size in (1, 50, 400):
        values = rng.integers(0, 2, (size, 1)).astype(np.int32)
        codes = Codes(values=values, num_samples=len(values) * FORMAT.samples_per_code - 7, format=FORMAT)
        clips.append(CodedClip(path=f"a\u2028{size}\x85.wav", codes=codes))  # names of one line
    write_units(tmp_path / "a", clips, kind, deduplicate=deduplicate)
    assert [read.codes for read in read_units(tmp_path / "a", FORMAT)] == [clip.codes for clip in clips]


@pytest.mark.parametrize(
    "row",
    [
        *({"duration": [1, 2]}, {"duration": [0, 1, 1]}, {"duration": [-1, 1, 1]}, {"duration": [1.5, 1, 1]}),
        *({"duration": [True, 1, 1]}, {"duration": "2 1 1"}, {"duration": [10**30, 1, 1]}, {"num_samples": 600}),
        *({"duration": [2, 1, 1], "num_samples": 10**6}, {"num_samples": -1}, {"num_samples": 479.5}),
    ],
)
def test_durations_that_contradict_the_units_are_refused(tmp_path: Path, row: dict[str, object]) -> None:
    rows = {"file_name": "a", "units": [1, 1]}, {"file_name": "b", "units": [3, 7, 3], **row}
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    with pytest.raises(InputError, match=r"a\.jsonl:2: "):
        read_units(tmp_path / "a.jsonl", FORMAT)


@pytest.mark.parametrize(
    ("suffix", "text", "line"),
    [
        *((".durations", text, 2) for text in ("a|2 1 1\nb|1\n", "a|2 1 1\nb|0 1 1\n", "a|2 1 1\nb|-1 1 1\n")),
        *((".durations", text, 2) for text in ("a|2 1 1\nb|1.5 1 1\n", "a|2 1 1\n")),
        (".durations", "b|2 1 1\na|2 1 1\n", 1),
        (".durations", "a|2 1 1\nb|2 1 1\nc|1\n", 3),
        *((".lengths", text, 2) for text in ("a|480\n", "a|480\nb|480 1\n", "a|480\nb|481\n", "a|480\nc|480\n")),
    ],
)
def test_files_beside_the_units_that_contradict_them_are_refused(
    tmp_path: Path, suffix: str, text: str, line: int
) -> None:
    (tmp_path / "a.txt").write_text("a|3 7 3\nb|3 7 3\n")
    (tmp_path / f"a.txt{suffix}").write_text(text)
    with pytest.raises(InputError, match=rf"a\.txt({suffix})?:{line}: "):
        read_units(tmp_path / "a.txt", FORMAT)


def test_merged_repeats_without_durations_are_not_shortened_without_a_word(tmp_path: Path) -> None:
    for name, text in (("a.txt", "a|3 7 3\nb|1 2\n"), ("a.jsonl", '{"file_name": "a", "units": [3, 7, 3]}\n')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="codes_per_unit"):
            read_units(tmp_path / name, FORMAT)
        first = read_units(tmp_path / name, FORMAT, codes_per_unit=2)[0]
        assert first.codes.values[:, 0].tolist() == [3, 3, 7, 7, 3, 3]
    (tmp_path / "a.txt.durations").write_text("a|2 1 1\nb|1 1\n")
    with pytest.raises(InputError, match="codes_per_unit"):
        read_units(tmp_path / "a.txt", FORMAT, codes_per_unit=2)


def test_files_of_textlesslib_and_slamkit_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.units").write_text("a.wav\t3 7 3\n")
    (tmp_path / "x.durations").write_text("a.wav\t2 1 1\n")
    (tmp_path / "x.jsonl").write_text('{"units": [3, 7, 3], "duration": [2, 1, 1], "file_name": "a.wav"}\n')
    for name in ("x.units", "x.jsonl"):
        (clip,) = read_units(tmp_path / name, FORMAT)
        assert (clip.path, clip.codes.values.tolist()) == ("a.wav", VALUES.tolist())


def test_what_is_no_text_and_several_streams_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"PAR1\xff")
    with pytest.raises(InputError, match=r"a\.txt\b.*UTF-8"):
        read_units(tmp_path / "a.txt", FORMAT)
    clip = CodedClip(path="a", codes=Codes(values=np.zeros((1, 2), np.int32), num_samples=160, format=TWO_STREAMS))
    with pytest.raises(InputError, match="2 streams"):
        write_units(tmp_path / "a", [clip], "jsonl")


@pytest.mark.parametrize(("suffix", "delimiter"), [("tsv", "\t"), ("csv", ",")])
def test_times_of_codes(tmp_path: Path, suffix: str, delimiter: str) -> None:
    """600 samples at 16 kHz: the last of the four codes of 10 ms ends with the sound."""
    segment = replace(CLIP, path='a, "b".wav', span=(2.0, 2.0375))

    def rows(deduplicate: bool) -> list[list[str]]:
        write_units(tmp_path / f"a.{suffix}", [CLIP, segment], "times", deduplicate=deduplicate)
        with (tmp_path / f"a.{suffix}").open(newline="") as file:
            quoting = csv.QUOTE_MINIMAL if suffix == "csv" else csv.QUOTE_NONE
            return [*csv.reader(file, delimiter=delimiter, quoting=quoting)]

    head, *whole = rows(deduplicate=False)
    assert head == ["path", "start", "end", "code", "stream", "rate"]
    assert [row[0] for row in whole] == ["dir/a.wav"] * 4 + ['a, "b".wav'] * 4
    times = [(0, 0.01, 3), (0.01, 0.02, 3), (0.02, 0.03, 7), (0.03, 0.0375, 3)]
    assert [[float(cell) for cell in row[1:]] for row in whole[:4]] == [[*time, 1, 1] for time in times]
    assert [float(cell) for cell in whole[-1][1:]] == [2.03, 2.0375, 3, 1, 1]
    runs = [[float(cell) for cell in row[1:4]] for row in rows(deduplicate=True)[1:4]]
    assert runs == [[0, 0.02, 3], [0.02, 0.03, 7], [0.03, 0.0375, 3]]


CLIPS = [
    CodedClip(path="a b/(ü).wav", codes=codes(3), split="train", label="x", group="g"),
    CodedClip(path="c.wav", codes=codes(2, 200), split="test", offset_frames=1),
    CodedClip(path="empty.wav", codes=codes(0), split="validation"),
]


def test_a_file_and_a_folder_round_trip_and_clips_are_counted_without_their_codes(tmp_path: Path) -> None:
    for number, clip in enumerate(CLIPS):
        write_shard(shard_path(tmp_path, number), [clip], TWO_STREAMS)
    mark_complete(tmp_path, shards=3, clips=3)
    codes_format, clips = read_codes(tmp_path)
    assert (codes_format, [*map(vars, clips)]) == (TWO_STREAMS, [*map(vars, CLIPS)])
    assert [*map(vars, read_codes(shard_path(tmp_path, 1))[1])] == [vars(CLIPS[1])]
    assert read_num_samples(tmp_path).tolist() == [480, 200, 0]
    write_shard(tmp_path / "none.parquet", [], PITCHED)
    assert read_codes(tmp_path / "none.parquet")[0] == PITCHED
    assert read_num_samples(tmp_path / "none.parquet").tolist() == list(read_codes(tmp_path / "none.parquet")[1]) == []


def test_segments_keep_their_place_in_the_file(tmp_path: Path) -> None:
    segments = [replace(CLIPS[0], span=(0.0, 0.03)), replace(CLIPS[0], span=(0.03, 1 / 3))]
    write_shard(tmp_path / "a.parquet", [CLIPS[1], *segments], TWO_STREAMS, segments=True)
    read = list(read_codes(tmp_path / "a.parquet")[1])
    assert [clip.span for clip in read] == [None, (0.0, 0.03), (0.03, 1 / 3)]
    assert [clip.name for clip in read] == ["c.wav", "a b/(ü).wav#t=0,0.03", "a b/(ü).wav#t=0.03,0.333333"]
    assert [*map(vars, read)] == [*map(vars, (CLIPS[1], *segments))]
    write_shard(tmp_path / "b.parquet", CLIPS, TWO_STREAMS)
    assert not {"start", "end"} & set(pq.read_schema(tmp_path / "b.parquet").names)


def test_long_recordings_are_written_and_read_a_few_at_a_time(tmp_path: Path) -> None:
    long = CodedClip(path="long.wav", codes=codes(1_000_000))  # 5.5 hours, 8 MB
    tracemalloc.start()
    read, pyarrow_before = 0, pa.total_allocated_bytes()
    try:
        write_shard(tmp_path / "a.parquet", (long for _ in range(8)), TWO_STREAMS)
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
    write_shard(shard_path(tmp_path, 0), CLIPS, TWO_STREAMS)
    with pytest.raises(InputError, match="not whole"):
        read_codes(tmp_path)
    other = replace(TWO_STREAMS, codebook="other")
    write_shard(shard_path(tmp_path, 0), CLIPS, TWO_STREAMS)
    write_shard(shard_path(tmp_path, 1), [replace(CLIPS[0], codes=replace(CLIPS[0].codes, format=other))], other)
    mark_complete(tmp_path, shards=2, clips=4)
    with pytest.raises(InputError, match=r"codes-00001\.parquet\b.*\bother\b"):
        list(read_codes(tmp_path)[1])
