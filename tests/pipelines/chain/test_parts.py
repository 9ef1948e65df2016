"""Folds, seeds and branches of a run at the same time: the bytes of one after the other, and nothing left running."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pipelines.chain.chain import first_marked
from pipelines.jobs.run_rules import run_settings
from pipelines.store.store import CachedArtifact
from tests.killing import Call, call
from tests.pipelines.tiny_chain import TINY, composed, stored
from wordless.base.messages import InputError


def test_an_entry_counts_as_made_in_its_first_place_alone() -> None:
    def artifact(folder: str, *, reused: bool = False) -> CachedArtifact:
        return CachedArtifact(stage="tokenizer", key=folder, place=Path(folder), reused=reused)

    made = {
        ("a", 0): {"one": artifact("a"), "two": artifact("a", reused=True)},
        ("b", 0): {"one": artifact("a"), "two": artifact("b", reused=True)},
        ("c", 0): {"one": artifact("c"), "two": artifact("d", reused=True)},
    }
    ordered = first_marked(made).items()
    found = [(key, name) for key, artifacts in ordered for name, each in artifacts.items() if not each.reused]
    assert found == [(("a", 0), "one"), (("c", 0), "one")]


OF_FOLDS = (
    *("stages=[tokenizer,probe]", "compare.folds=group", "quick=true", "threads=1", "lm.fit.steps=400"),
    *("compare.methods=[bag_of_codes,gpt,simclr]", "checkpoint_minutes=0"),
)


def words(place: Path, *more: str) -> tuple[str, ...]:
    return (*TINY, f"store.root={place / 'store'}", f"hydra.run.dir={place / 'run'}", *more)


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The place of a run with these options whose stages were made one after the other."""

    @cache
    def made(*options: str) -> Path:
        place = tmp_path_factory.mktemp("one_after_the_other")
        assert call("run", *words(place, *options), place=place).code == 0
        return place

    return made


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_no_process_and_resumes_to_the_same_bytes(
    number: signal.Signals, one_after_the_other: Callable[..., Path], tmp_path: Path
) -> None:
    running = Call("run", *words(tmp_path, *OF_FOLDS, "parallel=2", "tensorboard=false"), place=tmp_path)
    while len(list(tmp_path.glob("store/lm/*.checkpoints/fit.safetensors"))) < 2:
        assert not running.ended_within(0.05), running.told
    running.end(number)
    done = running.wait()  # it waits for all processes of the run
    assert done.code == (130 if number is signal.SIGINT else -number), done.told
    assert "Traceback" not in done.told
    assert (tmp_path / "run/log.txt").is_file()
    assert call("run", *words(tmp_path, *OF_FOLDS, "parallel=2"), place=tmp_path).code == 0
    assert stored(tmp_path / "store") == stored(one_after_the_other(*OF_FOLDS) / "store")


@pytest.mark.slow
def test_an_error_of_a_fold_ends_the_run_in_one_line(one_after_the_other: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(one_after_the_other(*OF_FOLDS) / "store", tmp_path / "store")
    damaged = min(tmp_path.glob("store/codes/*/*.parquet"))
    damaged.write_bytes(b"damaged")
    kept = damaged.parent.name
    for artifact in tmp_path.glob("store/codes/*/"):
        if artifact.name != kept:  # so that the other fold has something to do
            shutil.rmtree(artifact)
    done = call("run", *words(tmp_path, *OF_FOLDS, "parallel=2"), place=tmp_path)
    assert done.code == 2, done.told
    assert f"wordless run: {damaged} " in done.told
    assert "Traceback" not in done.told


OF_BRANCHES = (
    *("threads=1", "vocoder.fit.steps=24", "compare.methods=[log_mel,bag_of_codes,gpt]"),
    "checkpoint_minutes=0",
)


@pytest.mark.slow
def test_both_orders_give_the_same_bytes(one_after_the_other: Callable[..., Path], tmp_path: Path) -> None:
    def stages(place: Path) -> list[tuple[object, ...]]:
        rows = json.loads((place / "run/results.json").read_text())["stages"]
        return [(row["stage"], row["key"], row["reused"]) for row in rows]

    before, at_once = one_after_the_other(*OF_BRANCHES), words(tmp_path, *OF_BRANCHES, "parallel=2")
    shutil.copytree(before / "store/embedded", tmp_path / "store/embedded")
    assert call("run", *at_once, place=tmp_path).code == 0
    log = (tmp_path / "run/log.txt").read_text().splitlines()
    assert {"lm", "listening"} <= {line.split()[1] for line in log if line.startswith("finished ")}
    assert stored(tmp_path / "store") == stored(before / "store")
    assert stages(tmp_path) == stages(before)
    curves = {path.name for path in (tmp_path / "run/tensorboard").iterdir()}
    assert curves == {path.name for path in (before / "run/tensorboard").iterdir()}
    assert call("run", *at_once, place=tmp_path).code == 0
    assert all(reused for *_, reused in stages(tmp_path))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Pretend a machine with a number of cores, and as many threads, until the test ends."""

    def pretend(number: int) -> None:
        monkeypatch.setattr("pipelines.settings.run_settings.cores", lambda: number)
        torch.set_num_threads(number)

    before = torch.get_num_threads()
    yield pretend
    torch.set_num_threads(before)


SMALL = "stages=[tokenizer,lm]"  # one branch
RAY = pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'wordless[ray]'")


@pytest.mark.parametrize(
    ("number", "words", "threads", "at_once"),
    [
        *((2, "", 1, 2), (3, "", 1, 3), (5, "", 2, 2), (8, "", 4, 2), (1, "", None, 1), (8, SMALL, None, 1)),
        *((8, "threads=3", 3, 2), (8, "threads=4 parallel=2", 4, 2), (2, "parallel=1", 1, 1)),
        *((6, f"{SMALL} threads={threads}", threads, at_once) for threads, at_once in ((1, 6), (2, 3), (4, 1), (8, 1))),
        pytest.param(8, "engine.name=ray threads=1", 1, 1, marks=RAY),
        pytest.param(8, "engine.name=ray engine.address=auto", None, 1, marks=RAY),
    ],
)
def test_stages_at_the_same_time_use_no_more_threads_than_there_are_cores(
    number: int, words: str, threads: int | None, at_once: int, tmp_path: Path, machine: Callable[..., None]
) -> None:
    machine(number)
    settings = run_settings(composed(tmp_path, "parallel=null", "device=cpu", *words.split()))
    assert (settings.branch_threads, settings.processes) == (threads, at_once)


@pytest.mark.parametrize("launcher", ["torchrun", pytest.param("ray", marks=RAY)])
def test_stages_at_the_same_time_are_refused_where_they_would_share_a_training_or_start_clusters(
    launcher: str, tmp_path: Path, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(8)
    words, told = ["engine.name=ray"], r"engine\.address=auto\b.*\b1\b"
    if launcher == "torchrun":
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("WORLD_SIZE", "1")
        words, told = [], "torchrun"
    assert run_settings(composed(tmp_path, "parallel=null", "device=cpu", *words)).branch_threads is None
    with pytest.raises(InputError, match=rf"parallel\b.*\b2\b.*{told}"):
        run_settings(composed(tmp_path, "parallel=2", "threads=1", *words))
