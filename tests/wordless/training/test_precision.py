"""``auto`` is bfloat16 where all devices have instructions for it; ``auto_gpu`` where all of them are such GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tests.wordless.training.test_fit import CONFIG, trained
from wordless.base.errors import InputError
from wordless.training.gangs import Alone
from wordless.training.options import FitConfig
from wordless.training.precision import (
    Precision,
    choose_precision,
    fast_products,
    require_right_in_bfloat16,
    with_precision,
)

AUTO = replace(CONFIG, precision="auto")
MEANINGS = pytest.mark.parametrize(("supported", "precision"), [(True, "bf16"), (False, "fp32")])


class Mixed(Alone):
    """A process among others, one of which has a processor without the instructions."""

    def sum(self, values: Sequence[float]) -> list[float]:
        return [value + 1 for value in values]


@dataclass(frozen=True)
class Stage:
    """Options of a stage, as in the settings of a run."""

    fit: FitConfig
    name: str = "x"


@dataclass(frozen=True)
class Run:
    first: Stage
    second: Stage
    fit: FitConfig
    stages: tuple[str, ...] = ("first", "second")


def alone(kind: type[Alone] = Alone) -> Alone:
    return kind(torch.device("cpu"))


@MEANINGS
def test_auto_is_replaced_at_every_depth_and_nothing_else_is(
    supported: bool, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordless.training.precision.multiplies_bf16", lambda device: supported)
    named = [replace(CONFIG, precision=each) for each in ("fp32", "bf16")]
    settings = Run(first=Stage(fit=AUTO), second=Stage(fit=named[0]), fit=named[1])
    expected = replace(settings, first=Stage(fit=replace(CONFIG, precision=precision)))
    assert with_precision(settings, alone()) == expected


def test_bf16_is_taken_where_all_processors_or_gpus_multiply_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordless.training.precision.multiplies_bf16", lambda device: True)
    assert choose_precision(alone()) == "bf16"
    assert choose_precision(alone(Mixed)) == "fp32"
    monkeypatch.setattr("wordless.training.precision.multiplies_bf16", lambda device: True)
    config = replace(CONFIG, precision="auto_gpu")
    gpu = Alone(torch.device("cuda"))
    monkeypatch.setattr(gpu, "sum", list)
    assert with_precision(config, alone()).precision == "fp32"
    assert with_precision(config, gpu).precision == "bf16"


def test_products_are_fast_on_gpus_alone_and_only_in_training() -> None:
    for device, wanted in (("cpu", False), ("cuda", True)):
        with fast_products(torch.device(device)):
            assert torch.backends.cuda.matmul.allow_tf32 == wanted
        assert not torch.backends.cuda.matmul.allow_tf32


class WrongOutput(nn.Conv1d):
    """Wrong in bfloat16 alone, as some sizes are on CPUs with AMX, and only for lengths that 4 divides."""

    def forward(self, sound: Tensor) -> Tensor:
        result = super().forward(sound)
        return result.flip(-1) if torch.is_autocast_enabled("cpu") and sound.shape[-1] % 4 == 0 else result


class WrongGradient(nn.Conv1d):
    """Right outputs, whose gradients are wrong in bfloat16."""

    def forward(self, sound: Tensor) -> Tensor:
        result = super().forward(sound)
        if torch.is_autocast_enabled("cpu"):
            return result.detach() + 0.5 * (result - result.detach())
        return result


class WrongWithoutGradients(nn.Conv1d):
    """Wrong in bfloat16 alone, and only where no gradient is wanted."""

    def forward(self, sound: Tensor) -> Tensor:
        result = super().forward(sound)
        return result if torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu") else result.flip(-1)


@pytest.mark.parametrize("kind", [WrongOutput, WrongGradient, WrongWithoutGradients])
def test_a_wrong_convolution_is_refused_by_name(kind: type[nn.Conv1d]) -> None:
    network = nn.Sequential(nn.Conv1d(1, 8, 3), nn.Sequential(kind(8, 8, 5)))
    with pytest.raises(InputError, match=r"lm\.fit\b.*bf16.*\b8, 8\b.*lm\.fit\.precision=fp32"):
        require_right_in_bfloat16(network, "lm.fit")


def test_training_asks_before_its_first_step(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 3)), WrongOutput(1, 1, 3), nn.Flatten())  # (8, 3) -> (8, 1)
    with pytest.raises(InputError, match="bfloat16"):
        trained(network, replace(CONFIG, precision="bf16"), tmp_path)
    assert not list(tmp_path.iterdir())
    trained(network, CONFIG, tmp_path)  # in full precision


def test_right_convolutions_pass_and_nothing_of_theirs_changes() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ConvTranspose2d(32, 32, 2),
        weight_norm(nn.Conv1d(32, 32, 3, groups=2)),
    )
    before, weights = torch.get_rng_state(), {name: value.clone() for name, value in network.state_dict().items()}
    require_right_in_bfloat16(network, "fit")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
