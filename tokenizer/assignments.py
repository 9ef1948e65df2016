"""Soft assignments of bottlenecks to codes."""

import torch
from torch import Tensor


def soft_assignments(bottlenecks: Tensor, codebooks: Tensor) -> Tensor:
    """Compute how much a bottleneck belongs to each code: ``(..., bands, bottleneck)`` -> ``(..., streams, codes)``.

    It is the softmax of -|b - c|^2 / m, with m the median over centroids of the squared distance to the nearest other
    centroid. ``codebooks (levels, codes, bottleneck)`` are coarse to fine; a finer level is assigned what the nearest
    centroid of the coarser level leaves over.
    """
    residual, levels = bottlenecks, []
    for centroids in codebooks:
        squares = torch.cdist(residual, centroids).square()  # (..., bands, codes)
        levels.append((-squares / _spacing(centroids)).softmax(-1))
        residual = residual - centroids[squares.argmin(-1)]
    return torch.stack(levels, -2).flatten(-3, -2)  # (..., bands, levels, codes) -> (..., streams, codes)


def _spacing(centroids: Tensor) -> Tensor:
    """Return the median squared distance of a centroid ``(codes, bottleneck)`` to its nearest neighbour."""
    squares = torch.cdist(centroids, centroids).square()
    squares.fill_diagonal_(torch.inf)
    return squares.amin(-1).median().clamp(min=1e-12)
