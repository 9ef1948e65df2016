"""Soft assignments of bottlenecks to codes."""

import math

import pytest
import torch
from torch import Tensor

from tokenizer.codes import soft_assignments, spacings_of


def by_loops(bottleneck: list[float], centroids: list[list[float]]) -> list[float]:
    """The softmax of minus the squared distance over the median squared distance to the nearest neighbour."""

    def squared(one: list[float], other: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

    nearest = sorted(
        min(squared(one, other) for place, other in enumerate(centroids) if place != number)
        for number, one in enumerate(centroids)
    )
    median = nearest[(len(nearest) - 1) // 2]
    powers = [math.exp(-squared(bottleneck, each) / median) for each in centroids]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("codes", [2, 5, 8])
def test_assignments_are_what_loops_find(codes: int) -> None:
    generator = torch.Generator().manual_seed(codes)
    codebook = torch.randn(codes, 3, generator=generator)
    bottlenecks = torch.randn(4, 2, 3, generator=generator)  # (time, bands, bottleneck)
    found = soft_assignments(bottlenecks, codebook[None], spacings_of(codebook[None]))
    assert found.shape == (4, 2, codes)
    for time in range(4):
        for band in range(2):
            wanted = by_loops(bottlenecks[time, band].tolist(), codebook.tolist())
            torch.testing.assert_close(found[time, band], torch.tensor(wanted), atol=1e-5, rtol=1e-4)


def test_a_finer_level_is_assigned_what_the_nearest_coarser_centroid_leaves_over() -> None:
    generator = torch.Generator().manual_seed(0)
    codebooks = torch.randn(2, 6, 3, generator=generator)
    bottlenecks, spacings = torch.randn(4, 2, 3, generator=generator), spacings_of(codebooks)
    found = soft_assignments(bottlenecks, codebooks, spacings).unflatten(1, (2, 2))  # (time, bands, levels, codes)
    torch.testing.assert_close(found[:, :, 0], soft_assignments(bottlenecks, codebooks[:1], spacings[:1]))
    rest = bottlenecks - codebooks[0][_nearest(bottlenecks, codebooks[0])]
    torch.testing.assert_close(found[:, :, 1], soft_assignments(rest, codebooks[1:], spacings[1:]))


def _nearest(bottlenecks: Tensor, centroids: Tensor) -> Tensor:
    return (bottlenecks[..., None, :] - centroids).square().sum(-1).argmin(-1)
