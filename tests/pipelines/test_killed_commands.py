"""Encode, decode and generate, killed where it hurts and called again; tests/slow/test_kills.py kills more often."""

import shutil
from pathlib import Path

import pytest

from tests.killing import Kill, call
from tests.pipelines.tiny import sweep
from tests.slow.scenarios import contents, differences
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer

KILLS = {
    "encode": (
        Kill(path="out/codes-00001.parquet.aside", written=700),  # in the middle of a shard
        Kill(path="out/*.rejected.tsv", count=5),  # the output is whole, but not yet tidy
    ),
    "decode": (
        Kill(path="out/1.wav.aside", written=100),  # in the middle of a sound
        Kill(path="out/3.wav"),  # before the rename of the last one
    ),
    "generate": (Kill(path="out.partial/codes.parquet*", written=4), Kill(path="out")),
}


@pytest.fixture(scope="module")
def inputs(run_folder: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    codes = tmp_path_factory.mktemp("codes") / "codes.parquet"
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    values = [tokenizer.encode(sweep(0.11 + 0.05 * number, 4000), 4000) for number in range(4)]
    clips = [CodedClip(path=f"{number}.wav", codes=each, group="anna") for number, each in enumerate(values)]
    write_shard(codes, clips, values[0].format)
    several = shutil.copytree(recordings, tmp_path_factory.mktemp("several") / "recordings")
    (several / "no sound.wav").write_text("text")
    return {
        "encode": (f"model={run_folder}", f"input={several}", "clips_per_shard=3", "workers=1", "output=out"),
        "decode": (f"model={run_folder}", f"input={codes}", "output=out"),
        "generate": (f"model={run_folder}", "seconds=0.1", "num_samples=2", "output=out"),
    }


@pytest.mark.parametrize("command", KILLS)
def test_a_killed_command_leaves_in_the_end_what_an_undisturbed_one_leaves(
    command: str, inputs: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    done = call(command, *inputs[command], place=tmp_path / "whole")
    assert done.code == 0, done.told
    wanted = contents(tmp_path / "whole")
    assert {path.name for path in (tmp_path / "whole").iterdir()} <= {"out", "out.rejected.tsv"}  # no folder of a run
    for number, kill in enumerate(KILLS[command]):
        place = tmp_path / str(number)
        place.mkdir()
        done = call(command, *inputs[command], place=place, kill=kill)
        assert kill.ended(done.code), (kill, done.told)
        done = call(command, *inputs[command], place=place)
        assert done.code == 0, done.told
        assert not differences(wanted, contents(place)), (kill, differences(wanted, contents(place)))
