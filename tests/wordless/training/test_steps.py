"""A step leaves the device alone: nothing is read from it before the next step is queued."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.wordless.training.test_fit import CONFIG, Slope, network, squared_error, trained
from wordless.base.errors import InputError
from wordless.training.fit import Steps
from wordless.training.gangs import Alone
from wordless.training.state import Training

READ = torch.ops.aten._local_scalar_dense.default  # what .item(), float(), int() and bool() of a tensor call


class Reads(TorchDispatchMode):
    """Counts the numbers that the host reads from tensors, each of which a GPU would have to finish first."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is READ
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("accumulation", [1, 4])
def test_no_number_is_read_during_a_step(accumulation: int) -> None:
    config = replace(CONFIG, accumulation=accumulation, ema_decay=0.9)
    model = network()
    steps = Steps(Training(model, config, "fit"), model, Slope(), squared_error, Alone(torch.device("cpu")))
    with Reads() as reads:
        steps.take()
        steps.take()
    assert reads.count == 0


def test_the_figures_of_a_step_are_read_after_the_next_step() -> None:
    model = network()
    training = Training(model, CONFIG, "fit")
    steps = Steps(training, model, Slope(), squared_error, Alone(torch.device("cpu")))
    steps.take()
    assert training.running == [0.0, 0.0]
    steps.take()
    first, items = training.running
    assert (first > 0, items) == (True, 8.0)
    steps.settle()
    assert training.running[1] == 16.0


def test_a_loss_that_is_not_finite_is_refused_with_the_next_step() -> None:
    """Rank 0 asks before a checkpoint, and all processes refuse the loss after the next step."""
    model = network()
    steps = Steps(Training(model, CONFIG, "fit"), model, Slope(), squared_error, Alone(torch.device("cpu")))
    assert steps.finite
    steps.take()
    assert steps.finite
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    steps.take()
    assert not steps.finite
    with pytest.raises(InputError, match=r"step 1\b.*\bnan\b"):
        steps.take()


def test_all_figures_are_in_the_curve_and_in_checkpoints(tmp_path: Path) -> None:
    """Points and checkpoints wait for the last step, whatever their order."""
    often = replace(CONFIG, checkpoint_minutes=0.0)
    assert trained(network(), often, tmp_path / "often") == trained(network(), CONFIG, tmp_path / "seldom")
