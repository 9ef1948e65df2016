"""Slow and plain versions of what the package computes fast."""

import math

import torch
from torch import Tensor, nn

from lm.samples.networks import SampleModel


def windowed_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Attention of each position to the last ``window`` positions, one after the other: ``(batch, time, heads, K)``."""
    rows = []
    for position in range(q.shape[1]):
        past = slice(max(position - window + 1, 0), position + 1)
        scores = torch.einsum("nhk,nshk->nhs", q[:, position], k[:, past]) / math.sqrt(q.shape[3])
        rows.append(torch.einsum("nhs,nshk->nhk", scores.softmax(dim=2), v[:, past]))
    return torch.stack(rows, dim=1)


@torch.inference_mode()
def uncached_logits(model: SampleModel, previous: Tensor) -> Tensor:
    """Logits ``(batch, time, levels)`` of each sample by a whole forward pass; nothing is kept between samples.

    ``previous (batch, history + time)`` are the levels before each sample.
    """
    history = model.config.history
    times = range(history + 1, previous.shape[1] + 1)
    return torch.cat([model(previous[:, :time], 1) for time in times], dim=1)


def linear_multiply_adds(module: nn.Module) -> int:
    """The weights of all matrices of a network, each of which is multiplied once for a sample."""
    kinds = (nn.Linear,)
    return sum(each.weight.numel() for each in module.modules() if isinstance(each, kinds))
