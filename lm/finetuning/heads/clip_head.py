"""The module of heads that read a clip as a whole: pooling over time, dropout and a linear layer."""

import torch
from torch import Tensor, nn

from lm.pooling import Means, pool_batch, pooling_parts


class ClipHead(nn.Module):
    """One step of outputs for each clip."""

    def __init__(self, dim: int, width: int, *, pooling: Means, dropout: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(len(pooling_parts(1, pooling)) * dim, width)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map states ``(batch, time, dim)`` of lengths ``(batch,)`` to ``(batch, 1, width)``, and lengths of 1."""
        pooled = pool_batch(states, lengths, self.pooling)
        return self.linear(self.dropout(pooled)).unsqueeze(1), torch.ones_like(lengths)
