"""Slow oracles of the baselines: what a fast path computes, written as plainly as the formula."""

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
