"""What a training has read of its recordings: passes, and the share of their sound, counted from its batches.

Batches that can say where they read have a method ``passages(step)``. As a batch is a function of the step alone, the
passages of all steps are known after the training, whether or not it was resumed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np

from wordless.base.arrays import IndexArray


class Passages(NamedTuple):
    """The pieces of recordings that a batch reads, ``(pieces,)`` each; starts and stops are counted in units."""

    recordings: IndexArray
    starts: IndexArray
    stops: IndexArray


class Coverage(TypedDict):
    """What a training has read: the content of ``coverage.json``."""

    hours: float  # of all training recordings
    read_hours: float  # what is read twice counts twice
    passes: float  # read_hours over hours
    share: float  # of the sound of the training recordings, read once or more
    recordings: int | None  # training recordings; None: batches of a sample of patches
    read_recordings: int | None  # of which something was read


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSound:
    """The training recordings of some batches, and where each batch reads."""

    lengths: IndexArray  # of the recordings, in units
    unit_seconds: float
    passages: Callable[[int], Passages]  # of a step, over all parts of the batch
    of_sample: int | None = None  # the recordings are units of a sample, drawn from so many

    def coverage(self, steps: int) -> Coverage:
        """Count what the first ``steps`` batches read."""
        total = int(self.lengths.sum()) if self.of_sample is None else self.of_sample
        read, covered, touched = 0, 0, 0
        if steps:
            each = [np.concatenate(parts) for parts in zip(*map(self.passages, range(steps)), strict=True)]
            read = int((each[2] - each[1]).sum())
            covered, touched = _covered(Passages(*each), self.lengths)
        hours = total * self.unit_seconds / 3600
        return Coverage(
            hours=hours,
            read_hours=read * self.unit_seconds / 3600,
            passes=read / max(total, 1),
            share=covered / max(total, 1),
            recordings=len(self.lengths) if self.of_sample is None else None,
            read_recordings=touched if self.of_sample is None else None,
        )


def describe(coverage: Coverage) -> str:
    """Say what a training has read."""
    hours, read = (lasting(coverage[name]) for name in ("hours", "read_hours"))
    share = percent_below_whole(coverage["share"])
    recordings = coverage["recordings"]
    of = f"{share} of the patches" if recordings is None else f"{share} of the sound of {recordings:,} recordings"
    return f"read {read} of sound, {coverage['passes']:.2g} passes of {hours}: {of}"


def lasting(hours: float) -> str:
    """Write a duration in hours, minutes or seconds."""
    for unit, name in ((1.0, "hours"), (1 / 60, "minutes")):
        if hours >= 1.5 * unit:
            return f"{hours / unit:.3g} {name}"
    return f"{3600 * hours:.3g} s"


def percent_below_whole(share: float) -> str:
    """Write a share so that less than all is less than 100 %."""
    return f"{math.floor(share * 1000) / 10:.3g} %"


def _covered(passages: Passages, lengths: IndexArray) -> tuple[int, int]:
    """Return the units that lie in one passage or more, and the number of recordings with such units."""
    begins = np.cumsum(lengths) - lengths  # the recordings one after the other
    recordings, starts, stops = passages
    starts, stops = (begins[recordings] + np.minimum(each, lengths[recordings]) for each in (starts, stops))
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], stops[order]
    before = np.concatenate([[0], np.maximum.accumulate(stops)[:-1]])  # the end of all passages before
    new = np.maximum(stops - np.maximum(starts, before), 0)
    return int(new.sum()), len(np.unique(recordings))
