"""Folds, seeds and branches of a run at the same time: the bytes of one after the other, and nothing left running."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.chain.parts import first_marked
from pipelines.settings.parallel import choose_parallel, obstacle
from pipelines.settings.run_rules import run_settings
from pipelines.store.store import Entry
from tests.killing import Call, call
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import TINY, composed, run, stored
from wordless.audio.recordings.manifest import read_manifest
from wordless.base.errors import InputError
from wordless.base.machine import limited_threads

FOLDS = ("stages=[tokenizer,probe]", "compare.folds=group", "quick=true", "threads=1")
OF_FOLDS = (*FOLDS, "compare.methods=[bag_of_codes,gpt,simclr]", "lm.fit.steps=400", "lm.fit.checkpoint_minutes=0")
COSTS = ("seconds", "peak_memory")


def stages(folder: Path) -> list[dict[str, Any]]:
    """Return the stages in results.json without their costs."""
    rows = json.loads((folder / "results.json").read_text())["stages"]
    return [{name: value for name, value in row.items() if name not in COSTS} for row in rows]


def comparison(folder: Path) -> list[object]:
    content = json.loads((folder / "results.json").read_text())
    figures = [row for row in content["figures"] if row["stage"] == "probe" and row["name"] not in COSTS]
    return [content["comparison"], *figures]


@pytest.mark.slow
def test_folds_at_the_same_time_give_the_bytes_of_one_after_the_other(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    paths = [clip.path for clip in read_manifest(finished_run.folder / "manifest.tsv", tmp_path).clips]
    vectors = np.random.default_rng(0).normal(size=(len(paths), 4))
    np.savez(tmp_path / "mine.npz", paths=np.array(paths), mine=vectors)  # the folds share this entry
    compared = ("compare.methods=[bag_of_codes]", f"compare.features={{mine: {tmp_path / 'mine.npz'}}}")
    for name, words in (("one", ()), ("two", ("parallel=2",))):
        shutil.copytree(finished_run.store / "embedded", tmp_path / name / "embedded")
        (tmp_path / f"run_{name}").mkdir()
        assert run(tmp_path / name, tmp_path / f"run_{name}", *FOLDS, *compared, *words) == 0
    assert stored(tmp_path / "two") == stored(tmp_path / "one")
    assert not list((tmp_path / "two").glob("*/*.partial"))
    told = (tmp_path / "run_two/log.txt").read_text().splitlines()
    assert sum("finished  pitches" in line for line in told) == 2  # which are read while the folds are planned
    first, second = stages(tmp_path / "run_one"), stages(tmp_path / "run_two")
    assert second == first
    assert {row["reused"] for row in first} == {False, True}
    assert comparison(tmp_path / "run_two") == comparison(tmp_path / "run_one")


def entry(folder: str, *, reused: bool = False) -> Entry:
    return Entry(stage="tokenizer", key=folder, place=Path(folder), reused=reused)


def test_an_entry_counts_as_made_in_its_first_place_alone() -> None:
    made = {
        ("a", 0): {"one": entry("a"), "two": entry("a", reused=True)},
        ("b", 0): {"one": entry("a"), "two": entry("b", reused=True)},
        ("c", 0): {"one": entry("c"), "two": entry("d", reused=True)},
    }
    ordered = first_marked(made)
    reused = {(key, name): each.reused for key, entries in ordered.items() for name, each in entries.items()}
    assert [place for place, found in reused.items() if not found] == [(("a", 0), "one"), (("c", 0), "one")]


def test_stages_at_the_same_time_need_no_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(InputError, match=r"parallel\b.*\b2\b.*torchrun"):
        run_settings(composed(tmp_path, "parallel=2", "threads=1"))


def test_processes_that_would_start_ray_clusters_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="engine.name=ray needs Ray: pip install 'wordless[ray]'")
    ray = ("threads=1", "engine.name=ray")
    with pytest.raises(InputError, match=r"parallel\b.*\b2\b.*engine\.address=auto\b.*\b1\b"):
        run_settings(composed(tmp_path, "parallel=2", *ray))
    assert run_settings(composed(tmp_path, "parallel=null", *ray)).processes == 1
    settings = run_settings(composed(tmp_path, "parallel=null", "engine.name=ray", "engine.address=auto"))
    assert (settings.branch_threads, settings.processes) == (None, 1)  # threads is null


def test_without_a_number_the_cores_and_threads_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.settings.parallel.cores", lambda: 6)
    assert [choose_parallel(None, threads=threads, device="cpu") for threads in (1, 2, 4, 8)] == [6, 3, 1, 1]
    assert choose_parallel(None, threads=None, device="cpu") == 1
    assert choose_parallel(4, threads=2, device="cpu") == 4
    assert obstacle(1, "cpu") == ""
    assert "threads=1" in obstacle(None, "cpu")


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
    running = Call("run", *words(tmp_path, *OF_FOLDS, "parallel=2", "tracking=[]"), place=tmp_path)
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
    for entry in tmp_path.glob("store/codes/*/"):
        if entry.name != kept:  # so that the other fold has something to do
            shutil.rmtree(entry)
    done = call("run", *words(tmp_path, *OF_FOLDS, "parallel=2"), place=tmp_path)
    assert done.code == 2, done.told
    assert f"wordless run: {damaged} " in done.told
    assert "Traceback" not in done.told


OF_BRANCHES = (
    *("threads=1", "vocoder.fit.steps=24", "compare.methods=[log_mel,bag_of_codes,gpt]"),
    *("lm.fit.checkpoint_minutes=0", "vocoder.fit.checkpoint_minutes=0"),
)


@pytest.mark.slow
def test_both_orders_give_the_same_bytes(one_after_the_other: Callable[..., Path], tmp_path: Path) -> None:
    before, at_once = one_after_the_other(*OF_BRANCHES), words(tmp_path, *OF_BRANCHES, "parallel=2")
    shutil.copytree(before / "store/embedded", tmp_path / "store/embedded")
    assert call("run", *at_once, place=tmp_path).code == 0
    log = (tmp_path / "run/log.txt").read_text().splitlines()
    assert {"lm", "listening"} <= {line.split()[1] for line in log if line.startswith("finished ")}
    assert stored(tmp_path / "store") == stored(before / "store")
    assert stages(tmp_path / "run") == stages(before / "run")
    curves = {path.name for path in (tmp_path / "run/tensorboard").iterdir()}
    assert curves == {path.name for path in (before / "run/tensorboard").iterdir()}
    (tmp_path / "run/log.txt").unlink()
    assert call("run", *at_once, place=tmp_path).code == 0
    assert not [line for line in (tmp_path / "run/log.txt").read_text().splitlines() if "at the same time" in line]
    assert all(row["reused"] for row in stages(tmp_path / "run"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Pretend a machine with a number of cores, and as many threads, until the test ends."""

    def pretend(number: int) -> None:
        monkeypatch.setattr("pipelines.settings.parallel.cores", lambda: number)
        torch.set_num_threads(number)

    before = torch.get_num_threads()
    yield pretend
    torch.set_num_threads(before)


@pytest.mark.parametrize(("number", "threads", "at_once"), [(2, 1, 2), (3, 1, 3), (5, 2, 2)])
def test_branches_use_no_more_threads_than_there_are_cores(
    number: int, threads: int, at_once: int, tmp_path: Path, machine: Callable[..., None]
) -> None:
    machine(number)
    settings = run_settings(composed(tmp_path, "parallel=null", "device=cpu"))
    with limited_threads(settings.branch_threads):
        assert torch.get_num_threads() == threads
        assert (settings.branch_threads, settings.processes) == (threads, at_once)
    assert run_settings(composed(tmp_path, "parallel=1", "device=cpu")).branch_threads == threads


def test_branches_that_are_never_made_at_the_same_time_keep_all_threads(
    tmp_path: Path, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_branches(*words: str) -> int | None:
        return run_settings(composed(tmp_path, "parallel=null", "device=cpu", *words)).branch_threads

    machine(8)
    assert of_branches() == 4
    assert of_branches("threads=3") == 3
    assert run_settings(composed(tmp_path, "device=cpu", "parallel=2", "threads=4")).processes == 2
    assert of_branches("stages=[tokenizer,lm]") is None
    machine(1)
    assert of_branches() is None
    machine(8)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert of_branches() is None
