"""Convolutions that a machine computes wrongly in bfloat16 are refused, and others are let through."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tests.wordless.training.test_fit import CONFIG, trained
from wordless.base.errors import InputError
from wordless.training.precision import require_right_in_bfloat16


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
