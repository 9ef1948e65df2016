"""A layer of WaveNet and its own backward pass, against PyTorch's."""

import pytest
import torch
from torch import Tensor

from tests import reference
from vocoder.wavenet.network import gated_layer

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


def test_under_autocast_it_computes_in_bfloat16_and_gives_gradients_in_float32() -> None:
    inputs = [weights(BATCH, FRAMES * HOP, RESIDUAL, seed=0), weights(BATCH, FRAMES, GATES, seed=1)]
    inputs += [weights(GATES, 2 * RESIDUAL, seed=2), weights(RESIDUAL, GATES // 2, seed=3)]
    hidden, condition, *learned = (each.detach().float() for each in inputs)
    dilated, residual = (each.requires_grad_() for each in learned)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = gated_layer(hidden.bfloat16(), condition.bfloat16(), dilated, residual, dilation=4)
    slow = reference.gated_layer(hidden, condition, dilated, residual, dilation=4)
    assert {each.dtype for each in fast} == {torch.bfloat16}
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one.float(), other, atol=0.05, rtol=0.05)
    gradients = [torch.autograd.grad(each[0].float().sum() + each[1].float().sum(), learned) for each in (fast, slow)]
    assert {each.dtype for each in gradients[0]} == {torch.float32}
    torch.testing.assert_close(*gradients, atol=0.3, rtol=0.05)
