"""A layer of WaveNet and its own backward pass, against PyTorch's."""

import pytest
import torch
from torch import Tensor

from tests import reference
from vocoder.wavenet.gated_layer import gated_layer

BATCH, FRAMES, HOP, RESIDUAL, GATES = 2, 3, 5, 4, 6


def weights(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("taps", [2, 3])
@pytest.mark.parametrize("dilation", [1, 4, 7, 15, 100])  # the longest reach beyond the beginning, or as far as it
@pytest.mark.parametrize("last", [False, True])
def test_values_and_gradients_are_those_of_the_convolution(taps: int, dilation: int, last: bool) -> None:
    inputs = [weights(BATCH, FRAMES * HOP, RESIDUAL, seed=0), weights(BATCH, FRAMES, GATES, seed=1)]
    inputs.append(weights(GATES, taps * RESIDUAL, seed=2))
    residual = None if last else weights(RESIDUAL, GATES // 2, seed=3)
    fast = gated_layer(*inputs, residual, dilation=dilation)
    slow = reference.gated_layer(*inputs, residual, dilation=dilation)
    torch.testing.assert_close(fast, slow)
    learned = inputs if residual is None else [*inputs, residual]
    upstream = [weights(*each.shape, seed=4 + number).detach() for number, each in enumerate(slow)]
    gradients = [torch.autograd.grad(each, learned, upstream) for each in (fast, slow)]
    torch.testing.assert_close(*gradients)
