"""Vocoder and language model at the same time: the bytes of one after the other, and one line for an error."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from pipelines.settings.run import run_settings
from tests.killing import call
from tests.pipelines.tiny_chain import TINY, composed, stored
from wordless.base.machine import limited_threads

PARTS = ("threads=1", "vocoder.fit.steps=24", "compare.methods=[log_mel,bag_of_codes,gpt]")
SAVED = ("lm.fit.checkpoint_minutes=0", "vocoder.fit.checkpoint_minutes=0")
AT_ONCE = "parallel=2"


def words(place: Path, *more: str) -> tuple[str, ...]:
    return (*TINY, *PARTS, *SAVED, f"store.root={place / 'store'}", f"hydra.run.dir={place / 'run'}", *more)


def stages(place: Path) -> list[tuple[str, str, bool]]:
    rows = json.loads((place / "run/results.json").read_text())["stages"]
    return [(row["stage"], row["key"], row["reused"]) for row in rows]


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("parts")
    assert call("run", *words(place), place=place).code == 0
    return place


@pytest.mark.slow
def test_both_orders_give_the_same_bytes(one_after_the_other: Path, tmp_path: Path) -> None:
    shutil.copytree(one_after_the_other / "store/embedded", tmp_path / "store/embedded")
    assert call("run", *words(tmp_path, AT_ONCE), place=tmp_path).code == 0
    log = (tmp_path / "run/log.txt").read_text().splitlines()
    assert any(line.startswith("vocoder  finished ") for line in log)
    assert any(line.startswith("language model  finished ") for line in log)
    assert any(line.startswith("other methods  finished ") for line in log)
    assert stored(tmp_path / "store") == stored(one_after_the_other / "store")
    assert stages(tmp_path) == stages(one_after_the_other)
    curves = {path.name for path in (tmp_path / "run/tensorboard").iterdir()}
    assert curves == {path.name for path in (one_after_the_other / "run/tensorboard").iterdir()}
    (tmp_path / "run/log.txt").unlink()
    assert call("run", *words(tmp_path, AT_ONCE), place=tmp_path).code == 0
    assert not [line for line in (tmp_path / "run/log.txt").read_text().splitlines() if "at the same time" in line]
    assert all(reused for _, _, reused in stages(tmp_path))


@pytest.mark.slow
def test_tests_of_the_language_model_go_on_beside_its_probes(tmp_path: Path) -> None:
    tested = ("stages=[tokenizer,lm,probe,zerospeech,vocoder,report]", "zerospeech.voices=2", "zerospeech.sentences=3")
    spoken = ("embedded.words=null", "embedded.takes=null", "embedded.sentences=4", "lm.fit.steps=200")
    for name, more in (("one", ()), ("two", (AT_ONCE,))):
        assert call("run", *words(tmp_path / name, *tested, *spoken, *more), place=tmp_path).code == 0
    lines = (tmp_path / "two/run/log.txt").read_text().splitlines()
    made = dict(line.split("  finished ")[::-1] for line in lines if "  finished " in line)
    where = {title.split()[0]: part for title, part in made.items()}
    assert where["spoken_pairs"] != where["gpt_features"] == where["lm"]
    assert stored(tmp_path / "two/store") == stored(tmp_path / "one/store")
    assert stages(tmp_path / "two") == stages(tmp_path / "one")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Pretend a machine with a number of cores, and as many threads, until the test ends."""

    def pretend(number: int, *, memory: int = 2**40) -> None:
        monkeypatch.setattr("pipelines.settings.parallel.cores", lambda: number)
        monkeypatch.setattr("pipelines.settings.parallel.machine_memory", lambda: memory)
        torch.set_num_threads(number)

    before = torch.get_num_threads()
    yield pretend
    torch.set_num_threads(before)


@pytest.mark.parametrize(("number", "threads", "at_once"), [(2, 1, 2), (3, 1, 3), (5, 2, 2), (8, 4, 2), (16, 8, 2)])
def test_parts_use_no_more_threads_than_there_are_cores(
    number: int, threads: int, at_once: int, tmp_path: Path, machine: Callable[..., None]
) -> None:
    machine(number)
    settings = run_settings(composed(tmp_path, "parallel=null", "device=cpu"))
    with limited_threads(settings.part_threads):
        assert torch.get_num_threads() == threads
        assert (settings.part_threads, settings.parts_at_once) == (threads, at_once)
    assert run_settings(composed(tmp_path, "parallel=1", "device=cpu")).part_threads == threads


def test_parts_that_are_never_made_at_the_same_time_keep_all_threads(
    tmp_path: Path, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_parts(*words: str) -> int | None:
        return run_settings(composed(tmp_path, "parallel=null", "device=cpu", *words)).part_threads

    machine(8)
    assert of_parts() == 4
    assert of_parts("threads=3") == 3
    assert of_parts("stages=[tokenizer,lm]") is None
    machine(8, memory=3 * 2**30)
    assert of_parts() is None
    machine(1)
    assert of_parts() is None
    machine(8)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert of_parts() is None


def test_parts_of_a_run_with_ray_keep_all_threads(tmp_path: Path, machine: Callable[..., None]) -> None:
    pytest.importorskip("ray", reason="engine.name=ray needs Ray: pip install 'wordless[ray]'")
    machine(8)
    words = ("parallel=null", "device=cpu", "engine.name=ray", "engine.address=auto")
    settings = run_settings(composed(tmp_path, *words))
    assert (settings.part_threads, settings.parts_at_once) == (None, 1)


def test_both_parts_need_cores_for_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.settings.parallel.cores", lambda: 2)
    monkeypatch.setattr("pipelines.settings.parallel.machine_memory", lambda: 2**40)

    def at_once(*words: str) -> int:
        return run_settings(composed(tmp_path, "device=cpu", *words)).parts_at_once

    assert at_once("parallel=null", "threads=1") == 2
    assert at_once("parallel=null", "threads=2") == 1
    assert at_once("parallel=1", "threads=1") == 1
    assert at_once("parallel=null", "threads=1", "stages=[tokenizer,vocoder]") == 1
    assert at_once("parallel=2", "threads=4") == 2
    monkeypatch.setattr("pipelines.settings.parallel.machine_memory", lambda: 3 * 2**30)
    assert at_once("parallel=null", "threads=1") == 1
