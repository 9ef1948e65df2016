"""What two views of one clip have in common and no other clip has: NT-Xent, and the head that it is computed behind.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations", 2020
(arXiv:2002.05709).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foundation.ranges import require_positive
from lm.pooling import Pooling, pooled, pooling_parts


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """What is contrasted, and how sharply."""

    pooling: Pooling = "thirds"  # over time, of what the head is given
    hidden: int = 256  # of the projection head
    dim: int = 128  # of what is contrasted
    temperature: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "contrast", "hidden", "dim", "temperature")


def projection_head(dim: int, config: ContrastConfig) -> nn.Sequential:
    """What frames of ``dim``, pooled, are contrasted behind; only training needs it."""
    return nn.Sequential(
        nn.Linear(len(pooling_parts(1, config.pooling)) * dim, config.hidden),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, config.dim),
    )


def projected(head: nn.Sequential, frames: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """Frames ``(batch, time, dim)`` of clips of some lengths ``(batch,)`` -> unit vectors ``(batch, config.dim)``."""
    return nn.functional.normalize(head(pooled(frames, lengths, pooling)).float(), dim=1)


def nt_xent(vectors: Tensor, clips: Tensor, *, temperature: float) -> tuple[Tensor, int]:
    """Cross entropy of finding each view's other view among all others, by cosine; its sum, and the number of views.

    A clip that stands in the batch twice is not contrasted with itself.

    Args:
        vectors: unit vectors ``(2 * clips, dim)``; rows i and i + clips are views of one clip.
        clips: which clip it is ``(clips,)``.
        temperature: the smaller, the more the nearest others count.
    """
    views = len(vectors)
    other = (torch.arange(views, device=vectors.device) + len(clips)) % views
    same = clips.repeat(2)[:, None] == clips.repeat(2)[None]
    same[torch.arange(views, device=vectors.device), other] = False
    similarity = (vectors @ vectors.T / temperature).masked_fill(same, -torch.inf)
    return nn.functional.cross_entropy(similarity, other, reduction="sum"), views
