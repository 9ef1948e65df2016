"""One vector per recording from one per time step: the same pooling for every representation that is compared."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from foundation.errors import InputError
from tokenizer.codes import Codes

FloatArray = npt.NDArray[np.float32]
Pooling = Literal["mean", "thirds"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def pooling_weights(steps: int, pooling: Pooling) -> FloatArray:
    """The weight of each time step in each part ``(parts, steps)``; every row sums to one."""
    parts = pooling_parts(steps, pooling)
    weights = np.zeros((len(parts), steps), np.float32)
    for row, part in zip(weights, parts, strict=True):
        row[part.start : part.stop] = 1 / len(part)
    return weights


def pooling_parts(steps: int, pooling: Pooling) -> tuple[range, ...]:
    """The time steps of each part.

    Thirds that do not come out even share the step between them, so that none is empty even where there is one step.

    Raises:
        InputError: there is nothing to pool.
    """
    if steps < 1:
        raise InputError("a recording of 0 time steps has no mean; leave it out before pooling")
    match pooling:
        case "mean":
            parts = 1
        case "thirds":
            parts = 3
    return tuple(range(part * steps // parts, -(-(part + 1) * steps // parts)) for part in range(parts))


class RunningPool:
    """What `pool` makes of frames that arrive in blocks; no more is kept than their sums."""

    def __init__(self, steps: int, pooling: Pooling) -> None:
        self._parts = pooling_parts(steps, pooling)
        self._sums: list[npt.NDArray[np.float64]] = [np.zeros(0)] * len(self._parts)
        self._seen = 0

    def add(self, frames: npt.NDArray[np.floating]) -> None:
        """The next frames ``(time, features)``."""
        for number, part in enumerate(self._parts):
            own = frames[max(part.start - self._seen, 0) : max(part.stop - self._seen, 0)]
            total = own.sum(0, dtype=np.float64)
            self._sums[number] = self._sums[number] + total if self._sums[number].size else total
        self._seen += len(frames)

    @property
    def pooled(self) -> FloatArray:
        """``(parts * features,)``, once all frames were given."""
        means = [total / len(part) for total, part in zip(self._sums, self._parts, strict=True)]
        return np.concatenate(means).astype(np.float32)


class RunningPools:
    """Every pooling of several sequences of frames by name, whose frames arrive in blocks."""

    def __init__(self, steps: Mapping[str, int]) -> None:
        """For sequences of so many time steps."""
        self._pools = {
            name: {pooling: RunningPool(count, pooling) for pooling in POOLINGS} for name, count in steps.items()
        }

    def add(self, name: str, frames: npt.NDArray[np.floating]) -> None:
        """The next frames ``(time, features)`` of one sequence."""
        for pool in self._pools[name].values():
            pool.add(frames)

    @property
    def pooled(self) -> dict[str, FloatArray]:
        """``name:pooling`` -> ``(parts * features,)``, once all frames were given."""
        return {f"{name}:{pooling}": pool.pooled for name, own in self._pools.items() for pooling, pool in own.items()}


def pool(frames: npt.NDArray[np.floating], pooling: Pooling) -> FloatArray:
    """``(time, features)`` -> ``(parts * features,)``: the mean over the whole, or over each third, in a row."""
    return (pooling_weights(len(frames), pooling) @ frames.astype(np.float32)).reshape(-1)


def pooled(frames: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """What `pool` makes of each clip's first ``lengths`` frames: ``(batch, time, dim)`` -> ``(batch, parts * dim)``."""
    weights = torch.zeros(len(frames), len(pooling_parts(1, pooling)), frames.shape[1])
    for clip, length in enumerate(lengths.tolist()):
        weights[clip, :, :length] = torch.from_numpy(pooling_weights(length, pooling))
    return (weights.to(frames) @ frames).flatten(1)


def bag_of_codes(codes: Codes, pooling: Pooling) -> FloatArray:
    """How often each code sounds, as a share of the time: ``(parts * streams * codebook_size,)``.

    What `pool` makes of one-hot codes, without writing the zeros down.
    """
    weights = pooling_weights(len(codes.values), pooling)
    bags = np.zeros((len(weights), codes.format.streams, codes.format.codebook_size), np.float32)
    for part, shares in enumerate(weights):
        for stream in range(codes.format.streams):
            np.add.at(bags[part, stream], codes.values[:, stream], shares)
    return bags.reshape(-1)
