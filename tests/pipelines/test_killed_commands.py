"""Encode, decode and generate, killed or on a full disk, and called again. tests/slow/test_kills.py kills more."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from pipelines.commandline.command import os_problem
from pipelines.commandline.run_folders import Job, note
from pipelines.jobs.sweep_runs import SweepPage
from tests.calling import decode, encode, generate, options_of
from tests.killing import Kill, call
from tests.pipelines.jobs.conftest import OWN
from tests.pipelines.tiny import sweep
from tests.slow.scenarios import contents, differences
from tokenizer.parquet import CodedClip, write_shard
from tokenizer.tokenizer import Tokenizer

KILLS = {
    "encode": (
        Kill(path="store/encoded/*.partial/codes-00001.parquet.aside", written=700),  # in the middle of a shard
        Kill(path="out"),  # the output is whole, but does not have its name
    ),
    "decode": (
        Kill(path="store/sounds/*.partial/00000001.wav.aside", written=100),  # in the middle of a sound
        Kill(path="out.partial/3.wav"),
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
    assert {path.name for path in (tmp_path / "whole").iterdir()} <= {
        "out", "out.rejected.tsv", "store"
    }  # fmt: skip

    for number, kill in enumerate(KILLS[command]):
        place = tmp_path / str(number)
        place.mkdir()
        done = call(command, *inputs[command], place=place, kill=kill)
        assert kill.ended(done.code), (kill, done.told)
        done = call(command, *inputs[command], place=place)
        assert done.code == 0, done.told
        assert not differences(wanted, contents(place)), (kill, differences(wanted, contents(place)))


PAGE = 4096  # bytes in which a tmpfs counts
FREE = (0, 1, 3, 8)  # pages that are left: different files find no room
Command = Callable[[dict[str, object]], None]


def content(folder: Path) -> Mapping[str, bytes]:
    """All files below a folder, or the file itself."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


OPTIONS: dict[Command, Callable[..., dict[str, object]]] = {
    encode: options_of("encode", "input", "output", **OWN["encode"]),
    decode: options_of("decode", "input", "output", **OWN["decode"]),
    generate: options_of("generate", "output", **OWN["generate"]),
}


@pytest.mark.parametrize(
    ("name", "command", "more"),
    [
        *(("codes", encode, {}), ("codes.parquet", encode, {}), ("units.km", encode, {})),
        *(("sounds", decode, {"synthesis": "griffin_lim"}), ("spoken", decode, {})),
        ("more", generate, {"synthesis": "griffin_lim"}),
        ("one.wav", generate, {"synthesis": "griffin_lim", "num_samples": 1}),
    ],
)
def test_a_disk_that_fills_up(
    name: str, command: Command, more: Any, run_folder: Path, recordings: Path, small_disk: Path, tmp_path: Path
) -> None:
    codes = tmp_path / "codes.parquet"
    encode(OPTIONS[encode](run_folder, recordings, codes))
    given = [run_folder, *{encode: [recordings], decode: [codes]}.get(command, [])]

    def options(place: Path) -> dict[str, object]:
        return OPTIONS[command](*given, place, **more)

    (tmp_path / "undisturbed").mkdir()
    command(options(tmp_path / "undisturbed" / name))
    undisturbed = content(tmp_path / "undisturbed" / name)
    place, filling = small_disk / "folder" / name, small_disk / "filling"
    for pages in FREE:
        place.parent.mkdir()
        fill(filling, leave=pages * PAGE)
        error = refusal(command, options(place))
        assert error or pages
        if error is not None:
            assert re.match(rf"{small_disk}\b.*\bfull\b", str(os_problem(error, [str(place)])))
            assert not list(small_disk.rglob("*.aside"))
        filling.unlink()
        if error is not None:
            command(options(place))
        assert content(place) == undisturbed
        assert [path.name for path in place.parent.iterdir() if path.suffix != ".tsv"] == [name]
        shutil.rmtree(place.parent)


def test_the_page_of_a_sweep(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note(small_disk, Job(number=0, overrides={"seed": "1"}, folder="0", state="failed", reason="why"))
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(small_disk)}}})
    fill(small_disk / "filling", leave=0)
    with pytest.raises(SystemExit, match="2"):
        SweepPage().on_multirun_end(config)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"wordless run: {small_disk}/sweep\.csv: .*\bfull\b", line)
    assert sorted(path.name for path in small_disk.iterdir()) == [".jobs", "filling"]
    (small_disk / "filling").unlink()
    with pytest.raises(SystemExit, match="2"):  # since a job failed
        SweepPage().on_multirun_end(config)
    assert (small_disk / "sweep.html").is_file()


def refusal(command: Command, config: dict[str, object]) -> OSError | None:
    try:
        command(config)
    except OSError as error:
        return error
    return None


def fill(path: Path, *, leave: int) -> None:
    """Write a file until so many bytes are left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            file.truncate(max(file.tell() - leave, 0))
