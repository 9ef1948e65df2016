"""Soft assignments of bottlenecks to codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer.codes import Codes


def soft_assignments(bottlenecks: Tensor, codebooks: Tensor, spacings: Sequence[float]) -> Tensor:
    """Compute how much a bottleneck belongs to each code: ``(..., bands, bottleneck)`` -> ``(..., streams, codes)``.

    It is the softmax of -|b - c|^2 / m, with m the level's spacing, as `spacings_of` gives it. ``codebooks (levels,
    codes, bottleneck)`` are coarse to fine; a finer level is assigned what the nearest centroid of the coarser level
    leaves over.
    """
    residual, levels = bottlenecks, []
    for centroids, spacing in zip(codebooks, spacings, strict=True):
        squares = torch.cdist(residual, centroids).square()  # (..., bands, codes)
        levels.append((-squares / squares.new_tensor(spacing)).softmax(-1))
        residual = residual - centroids[squares.argmin(-1)]
    return torch.stack(levels, -2).flatten(-3, -2)  # (..., bands, levels, codes) -> (..., streams, codes)


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftCodes:
    """The codes of a recording, and the bottlenecks between whose neighbouring codes they chose."""

    codes: Codes
    bottlenecks: Tensor  # (time, bands, bottleneck)
    codebooks: Tensor  # (levels, codes, bottleneck)
    spacings: tuple[float, ...]  # of `spacings_of`

    def shares(self, start: int, stop: int) -> Tensor:
        """Compute `soft_assignments` of the time steps ``[start, stop)``: ``(steps, streams, codes)``."""
        return soft_assignments(self.bottlenecks[start:stop], self.codebooks, self.spacings)


def spacings_of(codebooks: Tensor) -> tuple[float, ...]:
    """Return each level's median squared distance of a centroid to its nearest neighbour."""
    return tuple(map(_spacing, codebooks))


def _spacing(centroids: Tensor) -> float:
    squares = torch.cdist(centroids, centroids).square()
    squares.fill_diagonal_(torch.inf)
    return float(squares.amin(-1).median().clamp(min=1e-12))
