"""Compiled steps: the same training but for rounding, and never one that is wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.wordless.training.test_fit import CONFIG, Pairs, Slope, squared_error, trained
from wordless.base.errors import InputError


def network() -> nn.Sequential:
    """With dropout and running statistics; each weight has a gradient, because AdamW makes steps of rounding errors."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))


COMPILED = replace(CONFIG, compile="always")


@pytest.mark.slow  # the compiler takes ten seconds
def test_a_compiled_training_is_the_same_but_for_rounding(tmp_path: Path) -> None:
    lines: list[str] = []
    plain, compiled = network(), network()
    one = trained(plain, CONFIG, tmp_path / "plain")
    other = trained(compiled, COMPILED, tmp_path / "compiled", say=lines.append)
    for first, second in zip(one["curve"], other["curve"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    for name, value in plain.state_dict().items():  # running statistics too, which the comparison must not change
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert "lm.fit" in lines[0]
    assert "instead of" in lines[0]


def test_auto_compiles_nothing_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _never)
    trained(network(), CONFIG, tmp_path)


def _never(loss: object, **options: object) -> object:
    raise AssertionError("compiled")


def _doubled(model: nn.Module, batch: Pairs) -> tuple[Tensor, int]:
    summed, items = squared_error(model, batch)
    return 2 * summed, items


def _failing(model: nn.Module, batch: Pairs) -> tuple[Tensor, int]:
    raise RuntimeError("no compiler here\nand more")


@pytest.mark.parametrize(("loss", "reason"), [(_doubled, "100%"), (_failing, "no compiler here")])
def test_a_wrong_or_failing_compilation_is_refused(
    loss: Callable[[nn.Module, Pairs], tuple[Tensor, int]],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", lambda given, **options: loss)
    with pytest.raises(InputError) as refused:
        trained(network(), COMPILED, tmp_path)
    message = str(refused.value)
    assert all(part in message for part in ("lm.fit.compile", reason, "never"))
    assert "and more" not in message


def test_a_resumed_training_keeps_to_what_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether steps are compiled stands in the checkpoint: nothing is compared again, and nothing else is chosen."""
    config = replace(CONFIG, checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        trained(network(), config, tmp_path, Slope(stop_at=7))
    monkeypatch.setattr(torch, "compile", _never)
    trained(network(), replace(config, compile="always"), tmp_path)


@pytest.mark.slow
def test_a_killed_compiled_training_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    config, whole, killed = replace(COMPILED, checkpoint_minutes=0.0), network(), network()
    trained(whole, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(killed, config, tmp_path / "killed", Slope(stop_at=7))
    resumed = network()
    trained(resumed, config, tmp_path / "killed")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)
