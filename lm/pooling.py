"""Pooling of time steps to one vector per recording, the same for every compared representation."""

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
    """Return the weight of each time step in each part ``(parts, steps)``; every row sums to one."""
    parts = pooling_parts(steps, pooling)
    weights = np.zeros((len(parts), steps), np.float32)
    for row, part in zip(weights, parts, strict=True):
        row[part.start : part.stop] = 1 / len(part)
    return weights


def pooling_parts(steps: int, pooling: Pooling) -> tuple[range, ...]:
    """Return the time steps of each part.

    If the steps cannot be divided by three, thirds share the step at their border, so no third is empty even with one
    step.
    """
    if steps < 1:
        raise InputError("a recording of 0 time steps has no mean; leave it out before pooling")
    parts = 1 if pooling == "mean" else 3
    return tuple(range(part * steps // parts, -(-(part + 1) * steps // parts)) for part in range(parts))


class RunningPools:
    """Incremental `pool` of several named sequences of frames that arrive in blocks; only sums are kept in memory."""

    def __init__(self, steps: Mapping[str, int]) -> None:
        """Prepare for sequences of the given numbers of time steps."""
        self._parts = {
            (name, pooling): pooling_parts(count, pooling) for name, count in steps.items() for pooling in POOLINGS
        }
        self._sums: dict[tuple[str, Pooling], list[npt.NDArray[np.float64]]] = {
            key: [np.zeros(())] * len(parts) for key, parts in self._parts.items()
        }
        self._seen = dict.fromkeys(steps, 0)

    def add(self, name: str, frames: npt.NDArray[np.floating]) -> None:
        """Add the next frames ``(time, features)`` of one sequence."""
        seen = self._seen[name]
        for pooling in POOLINGS:
            sums = self._sums[name, pooling]
            for number, part in enumerate(self._parts[name, pooling]):
                own = frames[max(part.start - seen, 0) : max(part.stop - seen, 0)]
                sums[number] = sums[number] + own.sum(0, dtype=np.float64)
        self._seen[name] += len(frames)

    @property
    def pooled(self) -> dict[str, FloatArray]:
        """The vectors ``name:pooling`` -> ``(parts * features,)``, once all frames were added."""
        return {
            f"{name}:{pooling}": np.concatenate(
                [total / len(part) for total, part in zip(self._sums[name, pooling], parts, strict=True)]
            ).astype(np.float32)
            for (name, pooling), parts in self._parts.items()
        }


def pool(frames: npt.NDArray[np.floating], pooling: Pooling) -> FloatArray:
    """Pool ``(time, features)`` to ``(parts * features,)``: the mean over the whole, or the means of the thirds."""
    return (pooling_weights(len(frames), pooling) @ frames.astype(np.float32)).reshape(-1)


def pool_batch(frames: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """Apply `pool` to each clip's first ``lengths`` frames: ``(batch, time, dim)`` -> ``(batch, parts * dim)``."""
    weights = torch.zeros(len(frames), len(pooling_parts(1, pooling)), frames.shape[1])
    for clip, length in enumerate(lengths.tolist()):
        weights[clip, :, :length] = torch.from_numpy(pooling_weights(length, pooling))
    return (weights.to(frames) @ frames).flatten(1)


def bag_of_codes(codes: Codes, pooling: Pooling) -> FloatArray:
    """Compute each code's share of the time: ``(parts * streams * codebook_size,)``.

    The result equals `pool` of one-hot codes.
    """
    weights = pooling_weights(len(codes.values), pooling)
    bags = np.zeros((len(weights), codes.format.streams, codes.format.codebook_size), np.float32)
    for part, shares in enumerate(weights):
        for stream in range(codes.format.streams):
            np.add.at(bags[part, stream], codes.values[:, stream], shares)
    return bags.reshape(-1)
