"""One vector per recording from one per time step: the same pooling for every representation that is compared."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from audio.errors import InputError
from tokenizer.codes import Codes

FloatArray = npt.NDArray[np.float32]
Pooling = Literal["mean", "thirds"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def pooling_weights(steps: int, pooling: Pooling) -> FloatArray:
    """The weight of each time step in each part ``(parts, steps)``; every row sums to one.

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
    weights = np.zeros((parts, steps), np.float32)
    for part in range(parts):
        start, stop = part * steps // parts, -(-(part + 1) * steps // parts)
        weights[part, start:stop] = 1 / (stop - start)
    return weights


def pool(frames: npt.NDArray[np.floating], pooling: Pooling) -> FloatArray:
    """``(time, features)`` -> ``(parts * features,)``: the mean over the whole, or over each third, in a row."""
    return (pooling_weights(len(frames), pooling) @ frames.astype(np.float32)).reshape(-1)


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
