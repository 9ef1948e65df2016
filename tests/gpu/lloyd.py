"""k-means in PyTorch by Lloyd's algorithm, for machines without FAISS."""

import torch
from torch import Tensor


def lloyd(points: Tensor, *, codes: int, iterations: int, seed: int) -> tuple[Tensor, Tensor]:
    """Cluster ``(n, dim)`` points: centroids ``(codes, dim)``, and each iteration's objective ``(iterations,)``."""
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:codes]
    centroids, objective = points[chosen.to(points.device)], []
    for _ in range(iterations):
        sums, counts = torch.zeros_like(centroids), points.new_zeros(codes)
        error = points.new_zeros(())
        for block in points.split(1 << 18):
            distances = centroids.square().sum(1) - 2 * block @ centroids.T  # |p|^2 is the same for all centroids
            nearest, code = distances.min(1)
            error += (nearest + block.square().sum(1)).sum()
            sums.index_add_(0, code, block)
            counts.index_add_(0, code, torch.ones_like(nearest))
        objective.append(error / len(points))
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centroids)
    return centroids, torch.stack(objective)
