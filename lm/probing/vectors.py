"""How a clip becomes a vector: frames are pooled over time, and vectors are averaged over views of the clip.

Every method of a comparison has the same poolings and views:

- ``mean``: the mean over the whole recording.
- ``thirds``: the means over its three thirds, side by side.
- ``max``: of each feature, the largest magnitude over time. It finds what happens once, however short it is.
- ``thirds_max``: the three means, followed by the largest magnitudes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lm.options import PARTS, POOLINGS, Means, Pooling
from tokenizer.codes import Codes, SoftCodes
from wordless.base.errors import InputError
from wordless.base.machine import copy_to

FloatArray = npt.NDArray[np.float32]
F = TypeVar("F", bound=np.floating)
STEPS_AT_ONCE = 4096  # of soft codes, which take a number for each code of the codebook
ALL_POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
_MEANS: dict[Pooling, Means | None] = {"mean": "mean", "thirds": "thirds", "max": None, "thirds_max": "thirds"}


def pooling_parts(steps: int, pooling: Means) -> tuple[range, ...]:
    """Return the time steps of each part; thirds may share the step at their border, so that none is empty."""
    if steps < 1:
        raise InputError("a recording of 0 time steps has no mean; leave it out before pooling")
    parts = 1 if pooling == "mean" else 3
    return tuple(range(part * steps // parts, -(-(part + 1) * steps // parts)) for part in range(parts))


def pooling_weights(steps: int, pooling: Means) -> FloatArray:
    """Return the weight of each time step in each part ``(parts, steps)``; every row sums to one."""
    parts = pooling_parts(steps, pooling)
    weights = np.zeros((len(parts), steps), np.float32)
    for row, part in zip(weights, parts, strict=True):
        row[part.start : part.stop] = 1 / len(part)
    return weights


def means_of(poolings: Iterable[Pooling]) -> tuple[Means, ...]:
    """Return the means that some poolings need, each once."""
    return tuple(dict.fromkeys(means for pooling in poolings if (means := _MEANS[pooling]) is not None))


def assemble(pooling: Pooling, means: Mapping[Means, npt.NDArray[F]], largest: npt.NDArray[F]) -> npt.NDArray[F]:
    """Join the parts of a pooling ``(..., parts, dim)``: its means, and the largest magnitudes ``(..., 1, dim)``."""
    wanted = _MEANS[pooling]
    parts = [] if wanted is None else [means[wanted]]
    return np.concatenate([*parts, largest] if takes_max(pooling) else parts, axis=-2)


def takes_max(pooling: Pooling) -> bool:
    """Return whether a pooling has the largest magnitudes, as its last part."""
    return pooling in ("max", "thirds_max")


class RunningPools:
    """Incremental `pool` of named sequences of frames that arrive in blocks; sums and largest magnitudes are kept."""

    def __init__(self, steps: Mapping[str, int], poolings: Sequence[Pooling] = POOLINGS) -> None:
        """Prepare for sequences of the given numbers of time steps."""
        for count in steps.values():
            pooling_parts(count, "mean")  # refuses a recording of no time steps
        self._poolings, means = tuple(poolings), means_of(poolings)
        self._parts = {name: {each: pooling_parts(count, each) for each in means} for name, count in steps.items()}
        self._sums: dict[str, dict[Means, list[npt.NDArray[np.float64]]]] = {
            name: {each: [np.zeros(())] * len(own) for each, own in parts.items()}
            for name, parts in self._parts.items()
        }
        self._largest: dict[str, npt.NDArray[np.float64]] = {name: np.zeros(()) for name in steps}
        self._seen = dict.fromkeys(steps, 0)

    def add(self, name: str, frames: npt.NDArray[np.floating]) -> None:
        """Add the next frames ``(time, features)`` of one sequence."""
        seen = self._seen[name]
        for means, parts in self._parts[name].items():
            sums = self._sums[name][means]
            for number, part in enumerate(parts):
                own = frames[max(part.start - seen, 0) : max(part.stop - seen, 0)]
                sums[number] = sums[number] + own.sum(0, dtype=np.float64)
        if len(frames) and any(map(takes_max, self._poolings)):
            self._largest[name] = np.maximum(self._largest[name], np.abs(frames).max(0))
        self._seen[name] += len(frames)

    @property
    def pooled(self) -> dict[str, FloatArray]:
        """The vectors ``name:pooling`` -> ``(parts * features,)``, once all frames were added."""
        found: dict[str, FloatArray] = {}
        for name, parts in self._parts.items():
            sums, largest = self._sums[name], self._largest[name][None]
            means = {
                each: np.stack([total / len(part) for total, part in zip(sums[each], own, strict=True)])
                for each, own in parts.items()
            }
            for pooling in self._poolings:
                found[f"{name}:{pooling}"] = assemble(pooling, means, largest).reshape(-1).astype(np.float32)
        return found


def pool(frames: npt.NDArray[np.floating], pooling: Pooling) -> FloatArray:
    """Pool ``(time, features)`` to ``(parts * features,)``."""
    pooling_parts(len(frames), "mean")  # refuses a recording of no time steps
    values = frames.astype(np.float32)
    means = {each: pooling_weights(len(values), each) @ values for each in means_of([pooling])}
    return assemble(pooling, means, np.abs(values).max(0, keepdims=True)).reshape(-1)


def pool_batch(frames: Tensor, lengths: Tensor, pooling: Means) -> Tensor:
    """Apply `pool` to each clip's first ``lengths`` frames: ``(batch, time, dim)`` -> ``(batch, parts * dim)``.

    Keep ``lengths`` on the CPU: reading them from a GPU would wait for all its work.
    """
    weights = torch.zeros(len(frames), len(pooling_parts(1, pooling)), frames.shape[1], dtype=torch.float32)
    for clip, length in enumerate(lengths.tolist()):
        weights[clip, :, :length] = torch.from_numpy(pooling_weights(length, pooling))
    return (copy_to(weights.to(frames.dtype), frames.device) @ frames).flatten(1)


def bags_of_codes(codes: Codes | SoftCodes, poolings: Sequence[Pooling]) -> dict[Pooling, FloatArray]:
    """Compute each code's share of the time ``(parts * streams * codes,)``, as `pool` of one-hot codes or shares."""
    found: dict[Pooling, FloatArray] = {}
    if isinstance(codes, SoftCodes):
        steps = len(codes.codes.values)
        pools = RunningPools({"bag": steps}, poolings)
        for start in range(0, steps, STEPS_AT_ONCE):
            pools.add("bag", codes.shares(start, min(start + STEPS_AT_ONCE, steps)).flatten(1).cpu().numpy())
        pooled = pools.pooled
        return {pooling: pooled[f"bag:{pooling}"] for pooling in poolings}
    for pooling in poolings:
        weights = [row for each in means_of([pooling]) for row in pooling_weights(len(codes.values), each)]
        bags = np.zeros((PARTS[pooling], *codes.format.code_shape), np.float32)
        for stream in range(codes.format.spectral_streams):
            for part, shares in enumerate(weights):
                np.add.at(bags[part, stream], codes.values[:, stream], shares)
            if takes_max(pooling):
                bags[-1, stream, codes.values[:, stream]] = 1
        found[pooling] = bags.reshape(-1)
    return found


CLASS_SCORES = "scores"  # beside the vectors of a network with a head: class probabilities ``(classes,)``


def average(vectors: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Average the arrays of each key over views, in float64; the arrays of a single view are returned as they are."""
    rows = [*vectors]
    if len(rows) == 1:
        return dict(rows[0])
    means = {key: np.mean([row[key] for row in rows], axis=0, dtype=np.float64) for key in rows[0]}
    return {key: np.asarray(mean, np.float32) for key, mean in means.items()}
