"""Baselines without a network: the last level again, and frequencies of levels and of pairs of levels.

Each is a table of log-probabilities of the next level given the last one, called like a network.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vocoder.options import LEVELS

Counts = npt.NDArray[np.int64]  # (levels before, levels after)
Baseline = Literal["repeat", "histogram", "markov"]
BASELINES: tuple[Baseline, ...] = ("repeat", "histogram", "markov")
SMOOTHING = 1.0  # imagined counts: of each level in the histogram, of all pairs of each level before in the chain


def count_pairs(pieces: Iterable[Tensor]) -> Counts:
    """Count pairs of neighbouring levels in pieces ``(time,)`` that overlap by one sample."""
    counts = np.zeros(LEVELS**2, np.int64)
    for levels in pieces:
        pairs = levels[:-1] * LEVELS + levels[1:]
        counts += torch.bincount(pairs, minlength=LEVELS**2).numpy()
    return counts.reshape(LEVELS, LEVELS)


class LevelTable(nn.Module):
    """A first-order Markov chain: log-probabilities ``(levels before, levels)`` that are looked up."""

    table: Tensor

    def __init__(self, table: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)), persistent=False)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Look up the log-probabilities of the last samples ``(batch, last, levels)``."""
        return self.table[previous[:, -last:]]


def create_baseline(kind: Baseline, counts: Counts) -> LevelTable:
    """Build a baseline from counts of pairs. The repeated level has no probabilities: its rows only point at it."""
    frequencies = counts.sum(0) + SMOOTHING
    shares = frequencies / frequencies.sum()
    match kind:
        case "repeat":
            return LevelTable(np.eye(LEVELS))
        case "histogram":
            return LevelTable(np.tile(np.log(shares), (LEVELS, 1)))
        case "markov":
            pairs = counts + SMOOTHING * shares
            return LevelTable(np.log(pairs / pairs.sum(1, keepdims=True)))


def table_size(kind: Baseline) -> int:
    """Return how many numbers a baseline has learned."""
    return {"repeat": 0, "histogram": LEVELS, "markov": LEVELS**2}[kind]
