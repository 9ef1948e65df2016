"""Steps: nothing is read from the device before the next is queued, and compiled ones are the same but for rounding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.wordless.training.test_fit import CONFIG, Slope, network, squared_error, trained
from wordless.base.errors import InputError
from wordless.training.fit import Steps
from wordless.training.gangs import Gang
from wordless.training.state import Training


def normalised_network() -> nn.Sequential:
    """With dropout and running statistics; each weight has a gradient, because AdamW makes steps of rounding errors."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))


COMPILED = replace(CONFIG, compile=True)


@pytest.mark.slow  # the compiler takes ten seconds
def test_a_compiled_training_is_the_same_but_for_rounding(tmp_path: Path) -> None:
    plain, compiled = normalised_network(), normalised_network()
    one = trained(plain, CONFIG, tmp_path / "plain")
    other = trained(compiled, COMPILED, tmp_path / "compiled")
    for first, second in zip(one["curve"], other["curve"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def _failing(graph: object, inputs: object) -> Callable[..., object]:
    raise RuntimeError("no compiler here")


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_cannot_be_compiled_is_computed_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other = normalised_network(), normalised_network()
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda loss, **options: compiled(loss, backend=_failing))
    trained(plain, CONFIG, tmp_path / "plain")
    trained(other, COMPILED, tmp_path / "compiled")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in plain.state_dict().items())


def test_a_loss_that_is_not_finite_is_refused_with_the_next_step() -> None:
    """Rank 0 asks before a checkpoint, and all processes refuse the loss after the next step."""
    model = network()
    steps = Steps(Training(model, CONFIG, "fit"), model, Slope(), squared_error, Gang(torch.device("cpu")))
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
