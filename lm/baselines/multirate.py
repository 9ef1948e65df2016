"""Sequences of embeddings at several rates: average pooling, and a Haar decomposition of some dimensions.

::

    steps         [0][1][2][3][4][5][6]      a clip of seven steps
    pooled        [ 0 ][ 1 ][ 2 ][ 3]        half the rate; the last window has a single step

    decomposed    [0][1][2][3][4][5][6]      half of the dimensions keep their rate
                  [  0 ][  2 ][  4 ][6]      some hold the mean of each window of 2 steps
                  [    0     ][    4  ]      some that of 4, 8, ... steps
                  [         0         ]      and the last ones have one value for the whole clip

A window mean that is held is a Haar wavelet transform without the details of the finer levels (Haar, 1910). Windows are
counted from the start of a clip, and steps beyond its end take no part in a mean. Neither function has parameters.
"""

import torch
from torch import Tensor

from wordless.audio.padding import inside


def pool_pairs(states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Average pairs of steps: ``(batch, time, dim)`` -> ``(batch, time / 2, dim)`` and the lengths, rounded up."""
    return _window_means(states, lengths, 2), -(-lengths // 2)


def decompose(states: Tensor, lengths: Tensor, *, levels: int) -> Tensor:
    """Replace the second half of the dimensions by window means: 2 steps, 4, ... in ``levels`` equal parts.

    The windows of the last part are whole clips. States beyond a clip's end become zeros.
    """
    time, kept = states.shape[1], states.shape[2] // 2
    parts = states[:, :, kept:].tensor_split(levels, dim=2)
    windows = [*(2**level for level in range(1, levels)), max(time, 1)]
    held = [
        _window_means(part, lengths, window).repeat_interleave(window, dim=1)[:, :time]
        for part, window in zip(parts, windows, strict=True)
    ]
    return torch.cat([states[:, :, :kept], *held], dim=2) * inside(states, lengths)[:, :, None]


def _window_means(states: Tensor, lengths: Tensor, window: int) -> Tensor:
    """Average the steps of each window that belong to the clip: ``(batch, ceil(time / window), dim)``."""
    batch, time, dim = states.shape
    counted = inside(states, lengths)[:, :, None].to(states.dtype)
    both = torch.cat([states * counted, counted], dim=2)
    padded = torch.nn.functional.pad(both, (0, 0, 0, -time % window))
    sums = padded.reshape(batch, -1, window, dim + 1).sum(2)  # (N, T, D + 1) -> (N, T / window, D + 1)
    return sums[:, :, :dim] / sums[:, :, dim:].clamp(min=1)
