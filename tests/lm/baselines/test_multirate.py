"""Window means against a loop over the formula, and the Haar decomposition against PyWavelets."""

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.baselines.multirate import decompose, pool_pairs
from tests.lm.baselines.reference import decomposed_by_loops, window_means_by_loops


def states_of(lengths: list[int], dim: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random states, also beyond the ends of the clips."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), dim, generator=generator), torch.tensor(lengths)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(0, 100))
def test_pooling_halves_the_rate(lengths: list[int], seed: int) -> None:
    states, ends = states_of(lengths, 3, seed=seed)
    pooled, halves = pool_pairs(states, ends)
    assert halves.tolist() == [-(-length // 2) for length in lengths]
    assert pooled.shape[1] == -(-max(lengths) // 2)
    for row, length in enumerate(lengths):
        wanted = window_means_by_loops(states[row, :length].tolist(), 2)
        np.testing.assert_allclose(pooled[row, : len(wanted)], wanted, atol=1e-5)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 100))
def test_the_decomposition_is_that_of_a_loop(lengths: list[int], levels: int, seed: int) -> None:
    states, ends = states_of(lengths, 12, seed=seed)
    found = decompose(states, ends, levels=levels)
    for row, length in enumerate(lengths):
        wanted = decomposed_by_loops(states[row, :length].tolist(), levels)
        np.testing.assert_allclose(found[row, :length], wanted, atol=1e-5)
        assert not found[row, length:].any()


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_decomposition_is_a_haar_transform_without_its_details(levels: int) -> None:
    """PyWavelets: transform, set the details of the finer levels to zero, transform back."""
    states, ends = states_of([2**levels], 2 * levels)
    found = decompose(states, ends, levels=levels)[0].numpy()
    np.testing.assert_array_equal(found[:, :levels], states[0, :, :levels])
    for level in range(1, levels + 1):
        parts = pywt.wavedec(states[0, :, levels + level - 1].numpy(), "haar", level=level)
        wanted = pywt.waverec([parts[0], *(np.zeros_like(part) for part in parts[1:])], "haar")
        np.testing.assert_allclose(found[:, levels + level - 1], wanted, atol=1e-5)


def test_gradients_reach_every_step_of_a_clip_and_no_other() -> None:
    states, ends = states_of([5, 3], 8)
    states.requires_grad_()
    decompose(states, ends, levels=3).sum().backward()
    assert states.grad is not None
    assert (states.grad[0] != 0).all()
    assert (states.grad[1, :3] != 0).all()
    assert not states.grad[1, 3:].any()
