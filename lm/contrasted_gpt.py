"""Next-code prediction that is also told which sequences of codes are one sound.

A next-code objective alone learns of a warped copy that such voices occur; here the model's own states are told, too,
that it says the same: two views of a clip are to be alike, other clips of the batch different, behind a projection head
that is thrown away after training. Each process contrasts within its share of a batch, as in `lm.baselines.simclr`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.batches import UNCOUNTED, TokenBatch, cross_entropy
from lm.contrast import ContrastConfig, ProjectionHead, nt_xent
from lm.gpt import GPT


class ContrastedGPT(nn.Module):
    """A GPT, and a head that its last states are contrasted behind."""

    def __init__(self, gpt: GPT, config: ContrastConfig) -> None:
        super().__init__()
        self.gpt = gpt
        self.projection = ProjectionHead(gpt.config.model_dim, config)

    def forward(self, inputs: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of tokens, of which each has a number of codes ``(batch,)`` -> logits as `GPT`'s, and unit vectors.

        Codes are counted without begin-of-sequence, and with the last, which is predicted only: as many as there are
        states from which one is predicted.
        """
        decoded = self.gpt.decoded(inputs)
        per_state = self.gpt.vocabulary.streams if self.gpt.by_step else 1
        logits = self.gpt.logits(decoded)[:, : inputs.shape[1]]
        return logits, self.projection(decoded, codes // per_state)


def create_contrasted(gpt: GPT, config: ContrastConfig, *, seed: int) -> ContrastedGPT:
    """The model around a GPT; the head's weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ContrastedGPT(gpt, config)


@dataclass(frozen=True, kw_only=True)
class ContrastedLoss:
    """Nats per code, plus NT-Xent per view times a weight; of what is no pair, such as validation, nats alone.

    Minimised is the sum; the value is that of the nats alone, so that the curves of training and validation compare.
    """

    weight: float
    temperature: float

    def __call__(self, model: nn.Module, batch: TokenBatch) -> tuple[Tensor, int]:
        """The sum over the codes of the batch, and their number."""
        codes = (batch.targets != UNCOUNTED).sum(1)
        logits, vectors = model(batch.inputs, codes)
        summed = cross_entropy(logits, batch.targets)
        if batch.clips is None:
            return summed, batch.codes
        contrast, views = nt_xent(vectors, batch.clips, temperature=self.temperature)
        weighted = self.weight * contrast / views * batch.codes
        return summed + weighted - weighted.detach(), batch.codes
