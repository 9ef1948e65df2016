"""Batches of clips of different lengths: which values belong to a clip, and how groups of clips become one batch.

Padding takes as much time as sound on a CPU, so clips of similar length are read together. Clips of a batch differ in
length, even where training puts similar clips in a batch. Of 32 wake words, which last 0.86 seconds on average, the
longest lasts 1.4 seconds. As one batch, more than a third of them is padding::

    as one batch           by length
    [ clip ............]   [ clip ]
    [ clip .. .........]   [ clip ..]
    [ clip ... ........]   [ clip ...]
    [ clip ............]   [ clip ............]

Networks to which padding changes nothing give the same values either way, up to rounding.
"""

import math
from collections.abc import Callable, Sequence

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


SIMILAR_RATIO = 1.5  # longest of a group's lengths divided by the shortest
EQUAL_RATIO = 1.0


def similar_ratio(device: torch.device) -> float:
    """Return the ratio of lengths within a group: any on a GPU, which is faster with one large convolution."""
    return SIMILAR_RATIO if device.type == "cpu" else math.inf


def group_by_length(lengths: Tensor, *, ratio: float) -> list[Tensor]:
    """Group the rows of clips of ``lengths (batch,)``, none longer than ``ratio`` times the first, the shortest."""
    groups, shortest = list[list[int]](), 0
    known = lengths.tolist()
    for row in sorted(range(len(known)), key=known.__getitem__):
        if not groups or known[row] > ratio * shortest:
            groups.append([])
            shortest = known[row]
        groups[-1].append(row)
    return [torch.tensor(group) for group in groups]


def read_by_length(read: Callable[[Tensor, int], Tensor], lengths: Tensor, *, ratio: float) -> Tensor:
    """Read clips of ``lengths (batch,)`` group by group.

    Args:
        read: maps rows of the batch, and the length of the longest of them, to values ``(rows, ..., frames, width)``.
        lengths: of all clips of the batch; on the host.
        ratio: of lengths within a group, as for `group_by_length`.

    Returns:
        Values ``(batch, ..., frames, width)`` in the order of the batch; zeros after the frames of a group.
    """
    groups = group_by_length(lengths, ratio=ratio)
    return join_groups([read(rows, int(lengths[rows[-1]])) for rows in groups], torch.cat(groups))
