"""Contrastive learning of two views of a clip: the NT-Xent loss, and the projection head it is computed on.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations", 2020
(arXiv:2002.05709).

SimCLR uses the loss (`lm.bodies.simclr`), and the GPT may add it to next-code prediction. From a warped copy, next-code
prediction learns only that such voices occur. The contrastive loss teaches the model's states that both copies are the
same sound: two views of a passage are pulled together and other clips of the batch pushed away, on a projection head
that is dropped after training. Each process contrasts within its share of a batch, and with accumulation within the
share of a step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.batches import TokenBatch, cross_entropy, loss
from lm.gpt import GPT
from lm.options import ContrastConfig, Means
from lm.probing.vectors import pool_batch, pooling_parts


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


class ContrastedGPT(nn.Module):
    """A GPT with a projection head for the contrastive loss on its last states."""

    def __init__(self, gpt: GPT, config: ContrastConfig) -> None:
        super().__init__()
        self.gpt = gpt
        self.config = config
        self.projection = projection_head(gpt.config.model_dim, config)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map windows of tokens ``(batch, positions)`` to `GPT`'s logits, and to unit vectors ``(batch, config.dim)``.

        The length of a window counts its codes, without begin-of-sequence and with the last code, which is only a
        target. The number of states is the same, or with parallel streams one per time step.
        """
        decoded = self.gpt.decoded(inputs)
        logits = self.gpt.logits(decoded)[:, : inputs.shape[1]]
        states = lengths // (self.gpt.vocabulary.streams if self.gpt.by_step else 1)
        return logits, project(self.projection, decoded, states, self.config.pooling)


def create_contrasted(gpt: GPT, config: ContrastConfig, *, seed: int) -> ContrastedGPT:
    """Build the model around a GPT; the head's weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ContrastedGPT(gpt, config)


@dataclass(frozen=True, kw_only=True)
class ContrastedLoss:
    """Nats per code plus weighted NT-Xent per view; without pairs, as in validation, only the nats.

    The sum is minimised. The reported value is the nats alone, so that training and validation curves are comparable.
    """

    weight: float
    temperature: float

    def __call__(self, model: nn.Module, batch: TokenBatch) -> tuple[Tensor, int]:
        """Compute the sum over the codes of the batch, and their number."""
        if batch.pairs is None:
            assert not model.training
            return loss(model.get_submodule("gpt"), batch)
        logits, vectors = model(batch.inputs, batch.pairs.lengths)
        summed = cross_entropy(logits, batch.targets)
        contrast, views = nt_xent(vectors, batch.pairs.clips, temperature=self.temperature)
        weighted = self.weight * contrast / views * batch.codes
        return summed + weighted - weighted.detach(), batch.codes
