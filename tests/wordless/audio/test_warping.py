"""Warps of spectrograms, against every point read by itself."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.lm.reference import warped_by_loops
from wordless.audio.spectrogram import warp


def _spectrograms(clips: int, time: int, mels: int) -> torch.Tensor:
    return torch.randn(clips, time, mels, generator=torch.Generator().manual_seed(0))


@given(
    passages=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=3),
    warps=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)),
    mels=st.integers(1, 6),
)
def test_every_point_is_read_between_its_neighbours(
    passages: list[tuple[int, int]], warps: tuple[float, float], mels: int
) -> None:
    spectrograms = _spectrograms(len(passages), 17, mels)
    starts, lengths = (torch.tensor(column) for column in zip(*passages, strict=True))
    speeds = torch.linspace(1, warps[0], len(passages), dtype=torch.float64)
    formants = torch.linspace(1, warps[1], len(passages), dtype=torch.float64)
    found, new = warp(spectrograms, lengths, speeds=speeds, formants=formants, starts=starts)
    for row, (start, length) in enumerate(passages):
        wanted = warped_by_loops(spectrograms[row].tolist(), start, length, float(speeds[row]), float(formants[row]))
        assert int(new[row]) == len(wanted)
        np.testing.assert_allclose(found[row, : len(wanted)].numpy(), wanted, atol=1e-5)
        assert not found[row, len(wanted) :].any()


def test_neither_faster_nor_higher_is_the_same_bytes() -> None:
    spectrograms = _spectrograms(2, 9, 5)
    ones = torch.ones(2)
    found, lengths = warp(spectrograms, torch.tensor([9, 9]), speeds=ones, formants=ones)
    assert torch.equal(found, spectrograms)
    assert lengths.tolist() == [9, 9]


def test_twice_as_fast_is_half_as_long_and_a_formant_above_one_lowers() -> None:
    ramp = torch.arange(8.0)[None, None, :].expand(1, 10, 8)
    found, lengths = warp(ramp, torch.tensor([10]), speeds=torch.tensor([2.0]), formants=torch.tensor([2.0]))
    assert lengths.tolist() == [5]
    assert found[0, 0].tolist() == [0.5, 2.5, 4.5, 6.5, 7, 7, 7, 7]
