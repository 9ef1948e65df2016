"""Text units: what others write and read."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foundation.errors import InputError
from tests.tokenizer.test_codes import FORMAT as TWO_STREAMS
from tokenizer.codes import Codes
from tokenizer.parquet import CodedClip
from tokenizer.units import read_units, write_units

FORMAT = replace(TWO_STREAMS, streams=1)
VALUES = np.array([[3], [3], [7], [3]], np.int32)
CLIP = CodedClip(path="dir/a.wav", codes=Codes(values=VALUES, num_samples=600, format=FORMAT))


def test_formats(tmp_path: Path) -> None:
    write_units(tmp_path / "a.txt", [CLIP], "name_units")
    write_units(tmp_path / "a.km", [CLIP], "fairseq")
    write_units(tmp_path / "a.jsonl", [CLIP], "jsonl")
    assert (tmp_path / "a.txt").read_text() == "a|3 3 7 3\n"
    assert (tmp_path / "a.km").read_text() == "3 3 7 3\n"
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "file_name": "dir/a.wav",
        "num_samples": 600,
        "units": [3, 3, 7, 3],
    }


def test_repeats_are_merged_on_demand(tmp_path: Path) -> None:
    write_units(tmp_path / "a.txt", [CLIP], "name_units", deduplicate=True)
    assert (tmp_path / "a.txt").read_text() == "a|3 7 3\n"


@pytest.mark.parametrize("kind", ["name_units", "fairseq", "jsonl"])
def test_read_back(tmp_path: Path, kind: str) -> None:
    write_units(tmp_path / "a", [CLIP, CLIP], kind)  # type: ignore[arg-type]  # a parameter is plain text
    clips = read_units(tmp_path / "a", FORMAT)
    assert [clip.codes.values.tolist() for clip in clips] == [VALUES.tolist()] * 2


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    paths = ["x/a.wav", "y/a.wav", "y/b.wav", "z/c.wav", "z/c.flac"]
    write_units(tmp_path / "a.txt", (replace(CLIP, path=path) for path in paths), "name_units")
    names = [line.partition("|")[0] for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert names == ["x/a", "y/a", "b", "z/c.wav", "z/c.flac"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_odd_names_stay_on_one_line(tmp_path: Path) -> None:
    clip = replace(CLIP, path="a\u2028b\x85.wav")
    for kind in ("name_units", "jsonl"):
        write_units(tmp_path / kind, [clip], kind)  # type: ignore[arg-type]  # a parameter is plain text
        assert [each.codes.values.tolist() for each in read_units(tmp_path / kind, FORMAT)] == [VALUES.tolist()]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"PAR1\xff")
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8 text"):
        read_units(tmp_path / "a.txt", FORMAT)


BAD_LINES = [
    *("a|1 x", "a|16", "a|99999999999", '{"file_name": "a"}', "{", '{"file_name": "a", "units": null}'),
    *('{"file_name": "a", "units": [1.5]}', '{"file_name": "a", "units": "12"}', '{"file_name": 1, "units": [1]}'),
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text(f"ok|1 2\n{line}\n")
    with pytest.raises(InputError, match=r"a.txt:2: "):
        read_units(tmp_path / "a.txt", FORMAT)


def test_several_streams_have_no_text(tmp_path: Path) -> None:
    clip = CodedClip(path="a", codes=Codes(values=np.zeros((1, 2), np.int32), num_samples=160, format=TWO_STREAMS))
    with pytest.raises(InputError, match="2 streams"):
        write_units(tmp_path / "a", [clip], "jsonl")


@pytest.mark.parametrize(("suffix", "delimiter"), [("tsv", "\t"), ("csv", ",")])
def test_times_of_codes(tmp_path: Path, suffix: str, delimiter: str) -> None:
    """600 samples at 16 kHz: the last of the four codes of 10 ms ends with the sound."""
    segment = replace(CLIP, path='a, "b".wav', span=(2.0, 2.0375))
    write_units(tmp_path / f"a.{suffix}", [CLIP, segment], "times")
    with (tmp_path / f"a.{suffix}").open(newline="") as file:
        quoting = csv.QUOTE_MINIMAL if suffix == "csv" else csv.QUOTE_NONE
        head, *rows = csv.reader(file, delimiter=delimiter, quoting=quoting)
    assert head == ["path", "start", "end", "code", "stream", "rate"]
    assert [row[0] for row in rows] == ["dir/a.wav"] * 4 + ['a, "b".wav'] * 4
    assert [[float(cell) for cell in row[1:]] for row in rows[:4]] == [
        [0, 0.01, 3, 1, 1],
        [0.01, 0.02, 3, 1, 1],
        [0.02, 0.03, 7, 1, 1],
        [0.03, 0.0375, 3, 1, 1],
    ]
    assert [float(cell) for cell in rows[-1][1:]] == [2.03, 2.0375, 3, 1, 1]


def test_times_of_runs(tmp_path: Path) -> None:
    write_units(tmp_path / "a.tsv", [CLIP], "times", deduplicate=True)
    _, *lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert [[float(cell) for cell in line.split("\t")[1:4]] for line in lines] == [
        [0, 0.02, 3],
        [0.02, 0.03, 7],
        [0.03, 0.0375, 3],
    ]


def test_times_of_several_streams(tmp_path: Path) -> None:
    clip = CodedClip(path="a", codes=Codes(values=np.array([[1, 2]], np.int32), num_samples=160, format=TWO_STREAMS))
    write_units(tmp_path / "a.tsv", [clip], "times")
    _, *lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert [line.split("\t")[1:] for line in lines] == [
        ["0.000000", "0.010000", "1", "1", "1"],
        ["0.000000", "0.010000", "2", "2", "1"],
    ]
