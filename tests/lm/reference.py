"""Slow oracles of the language model's objectives, written as plainly as the formula."""

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


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))
