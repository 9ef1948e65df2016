"""Contrastive learning of two views of a clip: the NT-Xent loss, and the projection head it is computed on.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations", 2020
(arXiv:2002.05709).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.pooling import Means, pool_batch, pooling_parts
from wordless.base.ranges import require_positive


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """Options of the contrastive loss."""

    pooling: Means = "thirds"  # over time, of the head's inputs
    hidden: int = 256  # of the projection head
    dim: int = 128  # of the head's outputs
    temperature: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "contrast", "hidden", "dim", "temperature")


def projection_head(dim: int, config: ContrastConfig) -> nn.Sequential:
    """Build the projection head of pooled frames with ``dim`` features; only training needs it."""
    return nn.Sequential(
        nn.Linear(len(pooling_parts(1, config.pooling)) * dim, config.hidden),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, config.dim),
    )


def project(head: nn.Sequential, frames: Tensor, lengths: Tensor, pooling: Means) -> Tensor:
    """Project frames ``(batch, time, dim)`` of lengths ``(batch,)`` to unit vectors ``(batch, config.dim)``."""
    return nn.functional.normalize(head(pool_batch(frames, lengths, pooling)).float(), dim=1)


def nt_xent(vectors: Tensor, clips: Tensor, *, temperature: float) -> tuple[Tensor, int]:
    """Compute the NT-Xent loss: cross entropy of finding each view's other view, by cosine; its sum and view count.

    Rows i and i + clips of the unit vectors ``(2 * clips, dim)`` are views of one clip, whose index is in ``clips
    (clips,)``. If a clip is in the batch twice, its two occurrences are not negatives of each other. A smaller
    ``temperature`` gives the nearest negatives more weight.
    """
    views = len(vectors)
    other = (torch.arange(views, device=vectors.device) + len(clips)) % views
    same = clips.repeat(2)[:, None] == clips.repeat(2)[None]
    same[torch.arange(views, device=vectors.device), other] = False
    similarity = (vectors @ vectors.T / temperature).masked_fill(same, -torch.inf)
    return nn.functional.cross_entropy(similarity, other, reduction="sum"), views
