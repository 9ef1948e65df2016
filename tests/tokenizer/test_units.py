"""Text units: what others write and read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio.errors import InputError
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


@pytest.mark.parametrize("line", ["a|1 x", "a|16", '{"file_name": "a"}', "{"])
def test_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text(f"ok|1 2\n{line}\n")
    with pytest.raises(InputError, match=r"a.txt:2: "):
        read_units(tmp_path / "a.txt", FORMAT)


def test_several_streams_have_no_text(tmp_path: Path) -> None:
    clip = CodedClip(path="a", codes=Codes(values=np.zeros((1, 2), np.int32), num_samples=160, format=TWO_STREAMS))
    with pytest.raises(InputError, match="2 streams"):
        write_units(tmp_path / "a", [clip], "jsonl")
