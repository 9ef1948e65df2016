"""The whole chain on two processes with divided weights: undisturbed, and after the loss of a process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.model import LanguageModel
from tests.pipelines.tiny_chain import CHECKPOINTS, ROOT, STEPS, TINY, entries, run, stored
from tests.wordless.training.test_gangs import EACH_STEP, FP32, TORCHRUN, losses

pytestmark = pytest.mark.slow

WORDS = (*FP32, *EACH_STEP, *CHECKPOINTS, "stages=[tokenizer,lm]")
SHARDED = (*TINY, *WORDS, "lm.fit.sharding=fsdp", "lm.fit.accumulation=2")


def torchrun(place: Path, *words: str) -> subprocess.Popen[str]:
    """Start the chain in two processes; its store and its run folder are in ``place``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    where = (f"store.root={place / 'store'}", f"hydra.run.dir={place / 'run'}")
    place.mkdir()
    return subprocess.Popen(
        [*TORCHRUN, *words, "-m", "pipelines.run", *SHARDED, *where],
        cwd=place,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_a_rank(torchrun: subprocess.Popen[str], *, when: Callable[[], bool]) -> None:
    """Kill the process of rank 1."""
    while not when():
        assert torchrun.poll() is None
        time.sleep(0.02)
    ranks = [int(pid) for pid in Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()]
    (second,) = (pid for pid in ranks if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes())
    os.kill(second, signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sharded") / "undisturbed"
    process = torchrun(place)
    _, told = process.communicate()
    assert process.returncode == 0, told
    return place


def test_divided_weights_make_the_ordinary_model_of_one_process(undisturbed: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "store", tmp_path / "run", *WORDS) == 0
    assert len(losses(undisturbed / "store", "lm")) == STEPS
    np.testing.assert_allclose(losses(undisturbed / "store", "lm"), losses(tmp_path / "store", "lm"), atol=1e-4)
    sharded, whole = (LanguageModel.from_pretrained(place / "run" / "lm") for place in (undisturbed, tmp_path))
    assert sharded.format == whole.format
    for name, value in whole.gpt.state_dict().items():
        torch.testing.assert_close(sharded.gpt.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    files = [sorted(path.name for path in (place / "run" / "lm").iterdir()) for place in (undisturbed, tmp_path)]
    assert files[0] == files[1]


def test_a_lost_process_costs_the_steps_since_the_last_checkpoint(undisturbed: Path, tmp_path: Path) -> None:
    place = tmp_path / "killed"
    process = torchrun(place, "--max-restarts=3")
    kill_a_rank(process, when=lambda: any((place / "store").glob("lm/*.checkpoints/fit.safetensors")))
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert stored(place / "store") == stored(undisturbed / "store")
    assert {path.name for path in entries(place / "store")} == {path.name for path in entries(undisturbed / "store")}
    assert not list((place / "store").glob("*/*.checkpoints"))
