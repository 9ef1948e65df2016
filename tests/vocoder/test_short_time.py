from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import SPECTROGRAM
from vocoder.filters import analyse, overlap_add, synthesise, windows


@pytest.mark.parametrize("window", [160, 200, 250])
def test_what_was_analysed_comes_back_but_for_the_fading_end(window: int) -> None:
    config = replace(SPECTROGRAM, window_length=window)
    samples = torch.randn(30 * config.hop_length, generator=torch.Generator().manual_seed(0))
    again = synthesise(analyse(samples, config), config)
    assert len(again) == len(samples)
    kept = len(samples) - config.left_context
    torch.testing.assert_close(again[:kept], samples[:kept], rtol=0, atol=1e-5)


def test_frames_stand_where_the_front_end_puts_them() -> None:
    """Frame t ends with sample (t + 1) * hop_length, and nothing before the beginning sounds."""
    sound = torch.arange(SPECTROGRAM.left_context + 3 * SPECTROGRAM.hop_length).float()
    cut = windows(sound, SPECTROGRAM)
    starts = SPECTROGRAM.hop_length * np.arange(3)
    assert cut[:, 0].tolist() == starts.tolist()
    assert cut[:, -1].tolist() == (starts + SPECTROGRAM.window_length - 1).tolist()


def test_overlapping_pieces_are_added() -> None:
    config = replace(SPECTROGRAM, window_length=3, hop_length=2, n_mels=1)
    total = overlap_add(torch.tensor([[1.0, 2, 3], [10, 20, 30]]), config)
    assert total.tolist() == [1, 2, 13, 20, 30]
