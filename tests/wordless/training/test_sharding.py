"""Each training on two processes, with whole and with divided weights, undisturbed and after the loss of a process."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lm.model import LanguageModel
from tests.wordless.training.model_worker import FIT, NEVER, train
from tests.wordless.training.test_gangs import together
from wordless.training.gangs import Alone

WORKER = str(Path(__file__).with_name("model_worker.py"))
SHARDED = ("sharded", "sharded_accumulated")
KILLED_AT = 3

pytestmark = pytest.mark.slow  # two processes train each model; tests/wordless/training/test_gangs.py has a quick one


def weights(folder: Path) -> dict[str, Tensor]:
    """Those of a language model folder, as a user opens it."""
    return LanguageModel.from_pretrained(folder).gpt.state_dict()


def losses(folder: Path, name: str) -> list[tuple[float, float]]:
    """Training and validation loss of each step."""
    points = json.loads((folder / f"{name}.json").read_text())["curve"]
    return [(point["train_loss"], point["validation_loss"]) for point in points]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    names = ("autoencoder", "wavenet", "gpt", "gpt_accumulated", *SHARDED, "sharded_bf16")
    done = together(WORKER, str(folder), str(NEVER), *names)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["autoencoder", "wavenet", "gpt", "gpt_accumulated"])
def test_each_training_learns_the_same_in_two_processes(name: str, two: Path, tmp_path: Path) -> None:
    train(name, tmp_path, Alone(torch.device("cpu")))
    assert len(losses(two, name)) == FIT.steps
    np.testing.assert_allclose(losses(two, name), losses(tmp_path, name), atol=1e-4)


@pytest.mark.parametrize("name", SHARDED)
def test_divided_weights_learn_what_whole_weights_of_one_process_learn(name: str, two: Path, tmp_path: Path) -> None:
    train("gpt", tmp_path, Alone(torch.device("cpu")))
    np.testing.assert_allclose(losses(two, name), losses(tmp_path, "gpt"), atol=1e-4)
    sharded, whole = weights(two / name), weights(tmp_path / "gpt")
    assert sharded.keys() == whole.keys()
    for key, value in whole.items():
        torch.testing.assert_close(sharded[key], value, atol=1e-4, rtol=1e-3)


def test_divided_weights_in_bf16_learn_nearly_what_whole_weights_learn(two: Path, tmp_path: Path) -> None:
    train("gpt_bf16", tmp_path, Alone(torch.device("cpu")))
    np.testing.assert_allclose(losses(two, "sharded_bf16"), losses(tmp_path, "gpt_bf16"), rtol=0.02)
    assert all(value.dtype == torch.float32 for value in weights(two / "sharded_bf16").values())


def test_each_process_saves_its_own_share(two: Path) -> None:
    """So a checkpoint takes as long for each process as its share is large, whatever the size of the model."""
    first, second = sorted((two / "sharded.checkpoints").iterdir(), key=lambda path: len(path.name))
    assert (first.name, second.name) == ("fit.safetensors", f"fit-1-{FIT.steps}.safetensors")
    (whole,) = (two / "gpt.checkpoints").iterdir()
    assert first.stat().st_size + second.stat().st_size < 1.5 * whole.stat().st_size


@pytest.mark.parametrize("name", ["gpt", "sharded"])
def test_a_lost_process_is_restarted_and_training_goes_on_from_the_checkpoint(
    name: str, two: Path, tmp_path: Path
) -> None:
    done = together("--max-restarts=3", WORKER, str(tmp_path), str(KILLED_AT), name)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / name) == files(two / name)
    assert losses(tmp_path, name) == losses(two, name)
    for rank in (0, 1):
        steps = [tuple(map(int, line.split())) for line in (tmp_path / f"{name}-{rank}").read_text().splitlines()]
        again = [step for attempt, step in steps if attempt > 0]  # gloo may need several attempts to connect
        assert again == list(range(KILLED_AT, FIT.steps))


def files(folder: Path) -> dict[str, str]:
    """Name -> hash of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
