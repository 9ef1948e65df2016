"""Batches of clips of different lengths: which values belong to a clip, and how groups of clips become one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wordless.base.devices import copy_to


def inside(values: Tensor, lengths: Tensor) -> Tensor:
    """Return which of ``(batch, time, ...)`` lie before the end of their clip ``(batch, time)``, on the same device."""
    return torch.arange(values.shape[1], device=values.device) < copy_to(lengths, values.device)[:, None]


def join_groups(groups: Sequence[Tensor], rows: Tensor) -> Tensor:
    """Join groups of clips ``(clips, ..., time, width)`` into one batch, padded with zeros to the longest.

    ``rows (batch,)`` has the row of each clip in the batch, in the order of the groups; on any device.
    """
    longest = max(group.shape[-2] for group in groups)
    padded = torch.cat([nn.functional.pad(group, (0, 0, 0, longest - group.shape[-2])) for group in groups])
    return padded[copy_to(rows.argsort(), padded.device)]
