"""Batches of labelled clips for the training loop."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lm.baselines.clip_batches import ClipViews, StoredClips
from lm.sequences import IndexArray
from wordless.base.devices import copy_to
from wordless.base.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatch:
    """Inputs and targets of clips."""

    inputs: Tensor  # (batch, time, ...)
    lengths: Tensor  # (batch,) number of inputs of each clip; on the host, where groups of clips are formed
    targets: Tensor  # (batch,) classes, (batch, classes) of 0 and 1, or as a fine-tuning task gives them

    def to(self, device: torch.device) -> "LabelledBatch":
        """Return the same batch on a device."""
        return replace(self, inputs=copy_to(self.inputs, device), targets=copy_to(self.targets, device))


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatches:
    """Training batches of views of clips, with one target for each clip."""

    views: ClipViews
    targets: Tensor  # (clips, ...)

    def __post_init__(self) -> None:
        _require_targets(self.views.clips, self.targets, "train")

    def batch(self, step: int, part: int, parts: int) -> LabelledBatch:
        """Return share ``part`` of ``parts`` of the batch of a step."""
        clips, [(inputs, lengths)] = self.views.batch(step, part, parts, views=1)
        return LabelledBatch(inputs=inputs, lengths=lengths, targets=self.targets[torch.from_numpy(clips)])


def batches_by_length(
    clips: StoredClips, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> Iterator[tuple[IndexArray, Tensor, Tensor]]:
    """Give all clips in batches of similar length, the short ones first: rows, inputs and lengths.

    Only the first ``at_most`` inputs of each clip are read; None reads all. With ``most_inputs``, a batch of several
    clips has at most so many inputs, padding included: one long recording among short ones does not fill the memory.
    """
    order = np.argsort(clips.lengths, kind="stable")
    lengths = clips.lengths if at_most is None else np.minimum(clips.lengths, at_most)
    begin = 0
    while begin < len(order):
        rows = order[begin : begin + batch_size]
        if most_inputs is not None:
            padded = lengths[rows] * np.arange(1, len(rows) + 1)  # inputs of the first 1, 2, ... rows
            rows = rows[: max(int(np.searchsorted(padded, most_inputs, side="right")), 1)]
        yield rows, *clips.read(rows, at_most=int(lengths[rows].max()))
        begin += len(rows)


def validation_batches(
    clips: StoredClips, targets: Tensor, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> list[LabelledBatch]:
    """Return batches of every clip once and unchanged; the other options are those of `batches_by_length`."""
    _require_targets(clips, targets, "validation")
    batches = batches_by_length(clips, batch_size=batch_size, at_most=at_most, most_inputs=most_inputs)
    return [
        LabelledBatch(inputs=inputs, lengths=lengths, targets=targets[torch.from_numpy(rows)])
        for rows, inputs, lengths in batches
    ]


def _require_targets(clips: StoredClips, targets: Tensor, split: str) -> None:
    if not len(clips) or len(clips) != len(targets):
        raise InputError(
            f"there are {len(clips)} {split} clips and {len(targets)} labels of them; training needs at least one "
            "clip, and one label for each clip: label more recordings"
        )
