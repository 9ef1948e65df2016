"""Each training on two processes, undisturbed and after the loss of a process."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.wordless.training.model_worker import FIT, NEVER, train
from tests.wordless.training.test_gangs import together
from wordless.training.gangs import Alone

WORKER = str(Path(__file__).with_name("model_worker.py"))
KILLED_AT = 3

pytestmark = pytest.mark.slow  # two processes train each model; tests/wordless/training/test_gangs.py has a quick one


def losses(folder: Path, name: str) -> list[tuple[float, float]]:
    """Training and validation loss of each step."""
    points = json.loads((folder / f"{name}.json").read_text())["curve"]
    return [(point["train_loss"], point["validation_loss"]) for point in points]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    names = ("autoencoder", "wavenet", "gpt", "gpt_accumulated")
    done = together(WORKER, str(folder), str(NEVER), *names)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["autoencoder", "wavenet", "gpt", "gpt_accumulated"])
def test_each_training_learns_the_same_in_two_processes(name: str, two: Path, tmp_path: Path) -> None:
    train(name, tmp_path, Alone(torch.device("cpu")))
    assert len(losses(two, name)) == FIT.steps
    np.testing.assert_allclose(losses(two, name), losses(tmp_path, name), atol=1e-4)


def test_a_lost_process_is_restarted_and_training_goes_on_from_the_checkpoint(two: Path, tmp_path: Path) -> None:
    done = together("--max-restarts=3", WORKER, str(tmp_path), str(KILLED_AT), "gpt")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "gpt") == files(two / "gpt")
    assert losses(tmp_path, "gpt") == losses(two, "gpt")
    for rank in (0, 1):
        steps = [tuple(map(int, line.split())) for line in (tmp_path / f"gpt-{rank}").read_text().splitlines()]
        again = [step for attempt, step in steps if attempt > 0]  # gloo may need several attempts to connect
        assert again == list(range(KILLED_AT, FIT.steps))


def files(folder: Path) -> dict[str, str]:
    """Name -> hash of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
