"""What is left of a spectrogram without its mean, whole and in pieces."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.options import MeanRemoval
from wordless.audio.spectrogram import limit_range, subtract_mean

FRAMES = torch.from_numpy(np.random.default_rng(0).normal(-3, 2, (37, 5)).astype(np.float32))


def removed(how: MeanRemoval, cuts: tuple[int, ...] = ()) -> torch.Tensor:
    return torch.cat(list(subtract_mean(torch.tensor_split(FRAMES, sorted(cuts)), how)))


@given(cuts=st.lists(st.integers(0, len(FRAMES)), max_size=5), how=st.sampled_from(["none", "clip", "running"]))
def test_pieces_give_what_the_whole_gives(cuts: list[int], how: MeanRemoval) -> None:
    torch.testing.assert_close(removed(how, tuple(cuts)), removed(how), rtol=0, atol=1e-5)


def test_a_clip_has_no_mean_left() -> None:
    torch.testing.assert_close(removed("clip").mean(0), torch.zeros(5), rtol=0, atol=1e-6)


def test_the_running_mean_is_that_of_the_frames_so_far() -> None:
    wanted = torch.stack([FRAMES[t] - FRAMES[: t + 1].mean(0) for t in range(len(FRAMES))])
    torch.testing.assert_close(removed("running"), wanted, rtol=0, atol=1e-5)


def test_the_running_mean_looks_at_nothing_later() -> None:
    other = torch.cat([FRAMES[:20], FRAMES[20:] + 5])
    assert torch.equal(removed("running")[:20], next(iter(subtract_mean([other], "running")))[:20])


def test_a_channel_is_forgotten() -> None:
    """A fixed filter adds a constant to each band of the log-mel."""
    coloured = FRAMES + torch.tensor([3.0, -1.0, 0.0, 2.0, 5.0])
    torch.testing.assert_close(next(iter(subtract_mean([coloured], "clip"))), removed("clip"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("how", ["none", "clip", "running"])
def test_nothing_stays_nothing(how: MeanRemoval) -> None:
    assert list(subtract_mean([], how)) == []


def test_a_range_raises_what_lies_too_far_below_the_loud() -> None:
    """A recording of twice the level, noise and all, is told apart in the same way."""
    frames = torch.linspace(-20, 0, 400).reshape(40, 10)
    (told,) = limit_range([frames], 40.0)
    floor = np.quantile(frames.numpy(), 0.99) - 4 * np.log(10)
    assert told.min().item() == pytest.approx(floor, abs=0.1)
    torch.testing.assert_close(told[-1], frames[-1], rtol=0, atol=1e-3)
    (louder,) = limit_range([frames + np.log(4.0)], 40.0)
    torch.testing.assert_close(louder, told + np.log(4.0), rtol=0, atol=1e-4)
    assert torch.equal(torch.cat(list(limit_range([frames[:7], frames[7:]], 40.0))), told)
    assert list(limit_range([frames], None)) == [frames]
    assert list(limit_range([], 40.0)) == []
