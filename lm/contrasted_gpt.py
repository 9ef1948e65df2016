"""Next-code prediction with an additional contrastive loss between two views of a clip.

From a warped copy, next-code prediction learns only that such voices occur. The contrastive loss teaches the model's
states that both copies are the same sound: two views of a passage are pulled together and other clips of the batch
pushed away, on a projection head that is dropped after training. Each process contrasts within its share of a batch,
and with accumulation within the share of a step, as in `lm.baselines.simclr`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.batches import TokenBatch, cross_entropy, loss
from lm.contrast import ContrastConfig, nt_xent, project, projection_head
from lm.gpt import GPT


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
