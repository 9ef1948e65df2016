"""Slow oracles of the baselines: what a fast path computes, written as plainly as the formula."""

import math
from collections.abc import Sequence


def nt_xent_by_loops(vectors: Sequence[Sequence[float]], clips: Sequence[int], temperature: float) -> float:
    """The sum over views of equation 1 of SimCLR (arXiv:2002.05709), cosine by cosine."""
    pairs, total = len(clips), 0.0
    of_clip = [*clips, *clips]
    for view in range(2 * pairs):
        partner = view + pairs if view < pairs else view - pairs
        contrasted = [
            other
            for other in range(2 * pairs)
            if other == partner or (other != view and of_clip[other] != of_clip[view])
        ]
        agreement = {other: math.exp(_cosine(vectors[view], vectors[other]) / temperature) for other in contrasted}
        total -= math.log(agreement[partner] / sum(agreement.values()))
    return total


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


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))
