"""Clips of different lengths in one batch: which of its values are a clip's own."""

import torch
from torch import Tensor

from foundation.devices import copy_to


def inside(values: Tensor, lengths: Tensor) -> Tensor:
    """Return which of ``(batch, time, ...)`` lie before the end of their clip ``(batch, time)``, on the same device."""
    return torch.arange(values.shape[1], device=values.device) < copy_to(lengths, values.device)[:, None]
