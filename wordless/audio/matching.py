"""Places of a recording that are like a query: subsequence dynamic time warping over frames of any kind.

A path aligns every frame of the query, and as many frames of the recording as it likes, at half to double the query's
speed. Its cost is the mean distance over the query's frames. These are the steps of Sakoe and Chiba (1978,
doi:10.1109/TASSP.1978.1163055) for a slope of 1/2 to 2, in the form that counts the query's frames::

    query frame i      .   .   b   .         a  both go on by one frame: distance (i, j)
                       .   c   a   .         b  two query frames, one of the recording: (i-1, j) + (i, j)
             i - 1     .   .   .             c  one query frame, two of the recording: the mean of (i, j-1) and (i, j)
                      recording frame j

No step stays in a row of the query, so a row of all places is computed at once, and memory does not grow with the rows.
``librosa.sequence.dtw`` has neither these weights nor a form without the matrix of all costs and steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wordless.audio.waveform import equal_blocks
from wordless.base.arrays import FloatArray, IndexArray

FRAMES_AT_ONCE = 1 << 14  # of a recording


@dataclass(frozen=True, kw_only=True)
class Match:
    """A place of a recording that is like the query."""

    start: int  # first frame
    stop: int  # frame after the last one
    cost: float  # mean distance over the query's frames, 0 to 2


def unit_frames(frames: FloatArray) -> FloatArray:
    """Scale frames ``(time, dim)`` to length 1; a frame of zeros stays zero."""
    scaled: FloatArray = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), np.float32(1e-12))
    return scaled


def warp(query: FloatArray, frames: FloatArray) -> tuple[FloatArray, IndexArray]:
    """Compute the best path of ``query (frames, dim)`` that ends at each of ``frames (time, dim)``, all of length 1.

    The distance of two frames is 1 minus their cosine. Of equal paths, the one that goes on by one frame counts.

    Returns:
        Costs ``(time,)``, infinite where no path ends, and the first frame of each path ``(time,)``.
    """
    distances = np.float32(1) - query @ frames.T  # (Q, T)
    # Place p of these arrays is frame p - 2. Before the query's first frame, a path may begin at every frame.
    cost, start = np.zeros(len(frames) + 2, np.float32), np.arange(-1, len(frames) + 1)
    cost[0] = np.inf
    cost_below, start_below, last = np.full_like(cost, np.inf), start, np.zeros(len(frames), np.float32)
    for row in distances:
        earlier = np.append(np.zeros(1, np.float32), row[:-1])
        ways = np.stack([cost[1:-1] + row, cost[:-2] + (earlier + row) / 2, cost_below[1:-1] + last + row])
        starts = np.choose(ways.argmin(0), [start[1:-1], start[:-2], start_below[1:-1]])
        cost_below, start_below, last = cost, start, row
        cost, start = np.pad(ways.min(0), (2, 0), constant_values=np.inf), np.pad(starts, (2, 0))
    costs: FloatArray = cost[2:] / np.float32(len(query))
    return costs, start[2:]


def find_matches(
    queries: Sequence[FloatArray], blocks: Iterable[FloatArray], *, most: int
) -> tuple[list[list[Match]], int]:
    """Find the ``most`` best places of a recording for each query ``(frames, dim)``, the best first.

    ``blocks (time, dim)`` are the recording's frames, in blocks of any sizes; they and the queries have length 1. No
    two places of a query share more than half of the shorter one. Memory grows by two numbers for a frame and query.
    A query with more frames than the recording has no place.

    Returns:
        The places of each query, and the number of the recording's frames.
    """
    reach = 2 * max(map(len, queries))  # frames of the longest path
    found: list[list[tuple[FloatArray, IndexArray]]] = [[] for _ in queries]
    before: FloatArray = np.empty((0, queries[0].shape[1]), np.float32)
    length = 0
    for block in equal_blocks(blocks, FRAMES_AT_ONCE):
        frames = np.concatenate([before, block])
        for query, ends in zip(queries, found, strict=True):
            costs, starts = warp(query, frames)
            ends.append((costs[len(before) :], starts[len(before) :] + length - len(before)))
        before, length = frames[-reach:], length + len(block)
    matches = []
    for query, ends in zip(queries, found, strict=True):
        if len(query) > length:
            matches.append(list[Match]())
            continue
        costs, starts = (np.concatenate(each) for each in zip(*ends, strict=True))
        matches.append(best_matches(costs, starts, most=most))
    return matches, length


def best_matches(costs: FloatArray, starts: IndexArray, *, most: int) -> list[Match]:
    """Choose the ``most`` best of the paths that end at each frame, the best first, as `find_matches` does.

    ``costs`` and ``starts`` ``(time,)`` are those of `warp`.
    """
    around = np.pad(costs, 1, constant_values=np.inf)
    # the best of its neighbours; of equal ones the first
    ends = np.flatnonzero(np.isfinite(costs) & (costs < around[:-2]) & (costs <= around[2:]))
    ends = ends[np.argsort(costs[ends], kind="stable")]
    found: list[Match] = []
    while len(ends) and len(found) < most:
        start, stop = int(starts[ends[0]]), int(ends[0]) + 1
        found.append(Match(start=start, stop=stop, cost=float(costs[ends[0]])))
        begins, lengths = starts[ends], ends + 1 - starts[ends]
        shared = np.minimum(ends + 1, stop) - np.maximum(begins, start)
        ends = ends[2 * shared <= np.minimum(lengths, stop - start)]
    return found
