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

_STEPS_AT_ONCE = 256  # whose passages are in memory together


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
        begins = np.cumsum(self.lengths) - self.lengths  # the recordings one after the other
        touched, read = np.zeros(len(self.lengths), bool), 0
        covered = np.zeros((2, 0), np.int64)  # starts and stops of what was read, apart from each other
        for first in range(0, steps, _STEPS_AT_ONCE):
            drawn = map(self.passages, range(first, min(first + _STEPS_AT_ONCE, steps)))
            recordings, *ends = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
            touched[recordings] = True
            read += int((ends[1] - ends[0]).sum())
            places = begins[recordings] + np.minimum(ends, self.lengths[recordings])
            covered = _joined(np.concatenate([covered, places], axis=1))
        hours = total * self.unit_seconds / 3600
        return Coverage(
            hours=hours,
            read_hours=read * self.unit_seconds / 3600,
            passes=read / max(total, 1),
            share=int((covered[1] - covered[0]).sum()) / max(total, 1),
            recordings=len(self.lengths) if self.of_sample is None else None,
            read_recordings=int(touched.sum()) if self.of_sample is None else None,
        )


def describe_coverage(coverage: Coverage) -> str:
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


def _joined(places: IndexArray) -> IndexArray:
    """Join places ``(2, places)``, their starts and stops, that overlap or touch; the rest is in order and apart."""
    starts, stops = places[:, np.argsort(places[0], kind="stable")]
    ends = np.maximum.accumulate(stops)
    first = np.concatenate([[True], starts[1:] > ends[:-1]])  # places that begin behind all before
    last = np.concatenate([first[1:], [True]])
    return np.stack([starts[first], ends[last]])
