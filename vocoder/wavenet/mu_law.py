"""Mu-law companding of samples into few levels (ITU-T G.711, the continuous formula with mu = levels - 1).

``F(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu)`` spaces the levels finely near zero, where most samples of speech are.
"""

import math

import torch
from torch import Tensor

from vocoder.options import LEVELS


def encode(samples: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Convert samples ``(...)`` in [-1, 1] to levels ``(...)`` int64 in [0, levels); larger samples are clipped."""
    mu = levels - 1
    samples = samples.to(torch.float32).clamp(-1.0, 1.0)
    companded = samples.sign() * torch.log1p(mu * samples.abs()) / math.log1p(mu)
    return ((companded + 1) / 2 * mu + 0.5).to(torch.int64)


def decode(values: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Convert levels ``(...)`` int64 to samples ``(...)`` float32 in [-1, 1]."""
    companded = companded_scale(values, levels=levels)
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(levels - 1)) / (levels - 1)


def companded_scale(values: Tensor, *, levels: int = LEVELS) -> Tensor:
    """Map levels ``(...)`` int64 to the companded scale ``(...)`` float32, evenly spaced over [-1, 1]."""
    return values.to(torch.float32) / (levels - 1) * 2 - 1


def silence(*, levels: int = LEVELS) -> int:
    """Return the level of a zero sample: the model's input before a recording begins."""
    return int(encode(torch.zeros(1), levels=levels))
