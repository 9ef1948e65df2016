"""Slow oracles of the sequence head: probabilities of texts from all alignments, and edits by recursion."""

from collections import defaultdict
from functools import cache
from itertools import groupby, product

import numpy as np

from lm.pooling import FloatArray


def text_probabilities(outputs: FloatArray, characters: tuple[str, ...]) -> dict[str, float]:
    """The probability of each text: the sum over all its alignments with the logits ``(steps, 1 + characters)``."""
    shares = np.exp(outputs.astype(np.float64))
    shares /= shares.sum(1, keepdims=True)
    found: dict[str, float] = defaultdict(float)
    for path in product(range(shares.shape[1]), repeat=len(shares)):
        text = "".join(characters[number - 1] for number, _ in groupby(path) if number)
        found[text] += float(np.prod([share[number] for share, number in zip(shares, path, strict=True)]))
    return found


def edits(one: str, other: str) -> int:
    """The fewest insertions, deletions and substitutions from one text to the other."""

    @cache
    def rest(a: int, b: int) -> int:
        if a == len(one) or b == len(other):
            return len(one) - a + len(other) - b
        return min(rest(a + 1, b) + 1, rest(a, b + 1) + 1, rest(a + 1, b + 1) + (one[a] != other[b]))

    return rest(0, 0)
