"""How a clip becomes a vector: frames are pooled over time, and vectors are averaged over views of the clip.

Every method of a comparison has the same poolings and views:

- ``mean``: the mean over the whole recording.
- ``thirds``: the means over its three thirds, side by side.
- ``max``: of each feature, the largest magnitude over time. It finds what happens once, however short it is.
- ``thirds_max``: the three means, followed by the largest magnitudes.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from lm.lm_options import PARTS, POOLINGS, Means, Pooling
from tokenizer.codes import Codes, SoftCodes
from wordless.base.arrays import FloatArray, Floats, IndexArray
from wordless.base.machine import copy_to
from wordless.base.messages import InputError

STEPS_AT_ONCE = 4096  # of soft codes, which take a number for each code of the codebook
ALL_POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# equal parts of the time whose means a pooling has; one with more vectors (`PARTS`) has the largest magnitudes, too
MEANS: dict[Pooling, int] = {"mean": 1, "thirds": 3, "max": 0, "thirds_max": 3}


def pooling_parts(steps: int, parts: int) -> list[range]:
    """Return the time steps of each part; thirds may share the step at their border, so that none is empty."""
    if steps < 1:
        raise InputError("a recording of 0 time steps has no mean; leave it out before pooling")
    return [range(part * steps // parts, -(-(part + 1) * steps // parts)) for part in range(parts)]


class RunningPools:
    """Pools of named sequences of frames that arrive in blocks; only sums and largest magnitudes are kept."""

    def __init__(
        self, steps: Mapping[str, int], poolings: Sequence[Pooling] = POOLINGS, *, frames_per_step: int = 1
    ) -> None:
        """Prepare for sequences of the given numbers of time steps, of ``frames_per_step`` frames each."""
        self._poolings, size = tuple(poolings), frames_per_step
        self._parts = {  # of each sequence, the frames of each part, by the number of parts and its own number
            name: {
                (parts, number): range(part.start * size, part.stop * size)
                for parts in {MEANS[pooling] for pooling in poolings}
                for number, part in enumerate(pooling_parts(count, parts))
            }
            for name, count in steps.items()
        }
        self._sums = {name: {key: np.zeros(()) for key in parts} for name, parts in self._parts.items()}
        self._largest = {name: np.zeros(()) for name in steps}
        self._seen = dict.fromkeys(steps, 0)

    def add(self, name: str, frames: Floats) -> None:
        """Add the next frames ``(frames, features)`` of one sequence."""
        seen, sums = self._seen[name], self._sums[name]
        for key, part in self._parts[name].items():
            own = frames[max(part.start - seen, 0) : max(part.stop - seen, 0)]
            sums[key] = sums[key] + own.sum(0, dtype=np.float64)
        if len(frames) and any(PARTS[pooling] > MEANS[pooling] for pooling in self._poolings):
            self._largest[name] = np.maximum(self._largest[name], np.abs(frames).max(0))
        self._seen[name] += len(frames)

    @property
    def pooled(self) -> dict[str, FloatArray]:
        """The vectors ``name:pooling`` -> ``(parts * features,)``, once all frames were added."""
        found: dict[str, FloatArray] = {}
        for name, parts in self._parts.items():
            for pooling in self._poolings:
                means = [self._sums[name][key] / len(part) for key, part in parts.items() if key[0] == MEANS[pooling]]
                largest = [self._largest[name]] if PARTS[pooling] > MEANS[pooling] else []
                found[f"{name}:{pooling}"] = np.concatenate([*means, *largest]).astype(np.float32)
        return found


def pool(frames: Floats, pooling: Pooling) -> FloatArray:
    """Pool ``(time, features)`` to ``(parts * features,)``."""
    pools = RunningPools({"": len(frames)}, [pooling])
    pools.add("", frames)
    return pools.pooled[f":{pooling}"]


Frames = tuple[Tensor, Tensor]  # states (batch, states, dim), and the number of states of each clip (batch,)
# of each row: the number of its recording, and its first state that counts; and the states of each layer
StatesOfBatch = tuple[Sequence[tuple[int, int]], Mapping[str, Frames]]


def pool_states(
    read: Iterable[StatesOfBatch],
    steps: Sequence[Sequence[int]],
    poolings: Sequence[Pooling],
    *,
    states_per_step: int = 1,
) -> list[dict[str, FloatArray]]:
    """Pool states of recordings that are read part by part: ``layer_1:mean`` and so on; ``steps`` by layer."""
    for count in {*chain(*steps)}:
        pooling_parts(count, 0)  # refuses a recording of no time steps
    pools = list[RunningPools]()
    for places, states in read:
        if not pools:
            named = [dict(zip(states, own, strict=True)) for own in steps]
            pools = [RunningPools(own, poolings, frames_per_step=states_per_step) for own in named]
        together = torch.cat([each.flatten() for each, _ in states.values()]).cpu()
        parts = torch.split(together, [each.numel() for each, _ in states.values()])
        for (name, (each, ends)), part in zip(states.items(), parts, strict=True):
            for (number, begin), own, end in zip(places, part.view(each.shape).numpy(), ends.tolist(), strict=True):
                pools[number].add(name, own[begin:end])
    return [own.pooled for own in pools]


def pool_batch(frames: Tensor, lengths: Tensor, pooling: Means) -> Tensor:
    """Apply `pool` to each clip's first ``lengths`` frames: ``(batch, time, dim)`` -> ``(batch, parts * dim)``.

    Keep ``lengths`` on the CPU: reading them from a GPU would wait for all its work.
    """
    weights = torch.zeros(len(frames), PARTS[pooling], frames.shape[1], dtype=torch.float32)
    for clip, length in enumerate(lengths.tolist()):
        for row, part in zip(weights[clip], pooling_parts(length, MEANS[pooling]), strict=True):
            row[part.start : part.stop] = 1 / len(part)
    return (copy_to(weights.to(frames.dtype), frames.device) @ frames).flatten(1)


def bags_of_codes(codes: Codes | SoftCodes, poolings: Sequence[Pooling]) -> dict[Pooling, FloatArray]:
    """Compute each code's share of the time ``(parts * streams * codes,)``: pools of one-hot codes, or of shares."""
    if isinstance(codes, SoftCodes):
        steps = len(codes.codes.values)
        pools = RunningPools({"bag": steps}, poolings)
        for start in range(0, steps, STEPS_AT_ONCE):
            pools.add("bag", codes.shares(start, min(start + STEPS_AT_ONCE, steps)).flatten(1).cpu().numpy())
        pooled = pools.pooled
        return {pooling: pooled[f"bag:{pooling}"] for pooling in poolings}
    # Codes are counted: one-hot codes took a number for each code of the codebook and up to 800 times as long.
    streams, size = codes.format.spectral_streams, codes.format.codebook_size
    # the place of each code among those of all streams
    return bags_of_places(codes.spectral.values + size * np.arange(streams), streams * size, poolings)


def bags_of_places(places: IndexArray, count: int, poolings: Sequence[Pooling]) -> dict[Pooling, FloatArray]:
    """Compute the share of the time of each of ``count`` places in ``(time, streams)``: pools of one-hot vectors."""
    counts, found = partial(np.bincount, minlength=count), dict[Pooling, FloatArray]()
    for pooling in poolings:
        parts = pooling_parts(len(places), MEANS[pooling])
        shares = [counts(places[part.start : part.stop].ravel()) / len(part) for part in parts]
        shares += [np.minimum(counts(places.ravel()), 1.0)] if PARTS[pooling] > MEANS[pooling] else []
        found[pooling] = np.concatenate(shares).astype(np.float32)
    return found


CLASS_SCORES = "scores"  # beside the vectors of a network with a head: class probabilities ``(classes,)``


def average(vectors: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Average the arrays of each key over views, in float64; the arrays of a single view are returned as they are."""
    rows = [*vectors]
    if len(rows) == 1:
        return dict(rows[0])
    means = {key: np.mean([row[key] for row in rows], axis=0, dtype=np.float64) for key in rows[0]}
    return {key: np.asarray(mean, np.float32) for key, mean in means.items()}
