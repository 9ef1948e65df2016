"""Batches of labelled clips for the training loop."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from foundation.devices import copy_to
from lm.baselines.clip_batches import ClipViews, StoredClips
from lm.sequences import IndexArray


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatch:
    """Inputs of clips, and what a head shall make of them."""

    inputs: Tensor  # (batch, time, ...)
    lengths: Tensor  # (batch,) inputs
    targets: Tensor  # (batch, ...), as `Task.targets` gives them

    def to(self, device: torch.device) -> "LabelledBatch":
        """Return the same batch on a device."""
        return replace(
            self, **{name: copy_to(getattr(self, name), device) for name in ("inputs", "lengths", "targets")}
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingBatches:
    """Training batches of changed clips; there is a target for each."""

    views: ClipViews
    targets: Tensor  # (clips, ...)

    def batch(self, step: int, part: int, parts: int) -> LabelledBatch:
        """Return share ``part`` of ``parts`` of the batch of a step."""
        clips, [(inputs, lengths)] = self.views.batch(step, part, parts, views=1)
        return LabelledBatch(inputs=inputs, lengths=lengths, targets=self.targets[torch.from_numpy(clips)])


def batches_by_length(
    clips: StoredClips, *, batch_size: int, most_inputs: int | None = None
) -> Iterator[tuple[IndexArray, Tensor, Tensor]]:
    """Give all clips, whole, in batches of similar length, the short ones first: rows, inputs and lengths.

    With ``most_inputs``, a batch of several clips has at most so many inputs, padding included: one long recording
    among short ones does not fill the memory with padding.
    """
    order = np.argsort(clips.lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = order[begin : begin + batch_size]
        if most_inputs is not None:
            padded = clips.lengths[rows] * np.arange(1, len(rows) + 1)  # inputs of the first 1, 2, ... rows
            rows = rows[: max(int(np.searchsorted(padded, most_inputs, side="right")), 1)]
        yield rows, *clips.read(rows, at_most=int(clips.lengths[rows].max()))
        begin += len(rows)


def validation_batches(
    clips: StoredClips, targets: Tensor, *, batch_size: int, most_inputs: int
) -> list[LabelledBatch]:
    """Return batches of every clip once, whole and unchanged; ``most_inputs`` is that of `batches_by_length`."""
    return [
        LabelledBatch(inputs=inputs, lengths=lengths, targets=targets[torch.from_numpy(rows)])
        for rows, inputs, lengths in batches_by_length(clips, batch_size=batch_size, most_inputs=most_inputs)
    ]
