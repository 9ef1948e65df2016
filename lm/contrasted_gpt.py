"""Next-code prediction that is also told which sequences of codes are one sound.

A next-code objective alone learns of a warped copy that such voices occur; here the model's own states are told, too,
that it says the same: two views of a passage are to be alike, other clips of the batch different, behind a projection
head that is thrown away after training. Each process contrasts within its share of a batch, and with accumulation
within the share of a step, as in `lm.baselines.simclr`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm.batches import TokenBatch, cross_entropy, loss
from lm.contrast import ContrastConfig, nt_xent, projected, projection_head
from lm.gpt import GPT


class ContrastedGPT(nn.Module):
    """A GPT, and a head that its last states are contrasted behind."""

    def __init__(self, gpt: GPT, config: ContrastConfig) -> None:
        super().__init__()
        self.gpt = gpt
        self.config = config
        self.projection = projection_head(gpt.config.model_dim, config)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of tokens ``(batch, positions)`` -> logits as `GPT`'s, and unit vectors ``(batch, config.dim)``.

        A window's length counts its codes, without begin-of-sequence and with the last, which is predicted only: there
        are as many states from which one is predicted, or in parallel one for each time step.
        """
        decoded = self.gpt.decoded(inputs)
        logits = self.gpt.logits(decoded)[:, : inputs.shape[1]]
        states = lengths // (self.gpt.vocabulary.streams if self.gpt.by_step else 1)
        return logits, projected(self.projection, decoded, states, self.config.pooling)


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
        if batch.pairs is None:
            assert not model.training
            return loss(model.get_submodule("gpt"), batch)
        logits, vectors = model(batch.inputs, batch.pairs.lengths)
        summed = cross_entropy(logits, batch.targets)
        contrast, views = nt_xent(vectors, batch.pairs.clips, temperature=self.temperature)
        weighted = self.weight * contrast / views * batch.codes
        return summed + weighted - weighted.detach(), batch.codes
