"""Slow oracles of the baselines: what a fast path computes, written as plainly as the formula."""

import math
from collections.abc import Sequence


def warped_by_loops(
    spectrogram: Sequence[Sequence[float]], start: int, length: int, speed: float, formant: float
) -> list[list[float]]:
    """Every point of a warped passage, read between its four neighbours."""
    mels = len(spectrogram[0])
    rows = []
    for step in range(max(round(length / speed), 1)):
        early, late, share = _neighbours((step + 0.5) * speed - 0.5, length)
        row = []
        for band in range(mels):
            low, high, part = _neighbours((band + 0.5) * formant - 0.5, mels)
            ends = [
                spectrogram[start + time][low] * (1 - part) + spectrogram[start + time][high] * part
                for time in (early, late)
            ]
            row.append(ends[0] * (1 - share) + ends[1] * share)
        rows.append(row)
    return rows


def _neighbours(position: float, count: int) -> tuple[int, int, float]:
    clamped = min(max(position, 0.0), count - 1.0)
    lower = int(clamped)
    return lower, min(lower + 1, count - 1), clamped - lower


def blurred_by_loops(spectrogram: Sequence[Sequence[float]], deviation: float, radius: int) -> list[list[float]]:
    """Every point: the mean of its neighbours inside the clip, weighted by a Gaussian of their distance."""
    time, mels = len(spectrogram), len(spectrogram[0])
    rows = []
    for t in range(time):
        row = []
        for m in range(mels):
            total = weights = 0.0
            for other in range(max(t - radius, 0), min(t + radius + 1, time)):
                for band in range(max(m - radius, 0), min(m + radius + 1, mels)):
                    weight = math.exp(-((other - t) ** 2 + (band - m) ** 2) / (2 * deviation**2))
                    total += weight * spectrogram[other][band]
                    weights += weight
            row.append(total / weights)
        rows.append(row)
    return rows


def window_means_by_loops(states: Sequence[Sequence[float]], window: int) -> list[list[float]]:
    """The mean of each window of steps of one clip, the last window shorter."""
    windows = [states[start : start + window] for start in range(0, len(states), window)]
    return [[sum(values) / len(values) for values in zip(*steps, strict=True)] for steps in windows]


def decomposed_by_loops(states: Sequence[Sequence[float]], levels: int) -> list[list[float]]:
    """Each dimension of the second half at its own rate: the parts as `numpy.array_split` has them."""
    time, dim = len(states), len(states[0])
    kept = dim // 2
    sizes = [(dim - kept) // levels + (level < (dim - kept) % levels) for level in range(levels)]
    windows = [1] * kept + [
        time if level == levels - 1 else 2 ** (level + 1) for level, size in enumerate(sizes) for _ in range(size)
    ]
    return [
        [window_means_by_loops([[row[d]] for row in states], windows[d])[step // windows[d]][0] for d in range(dim)]
        for step in range(time)
    ]
