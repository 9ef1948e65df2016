"""Judging by pairs: of two recordings of which one is right, a language model should find the right one more probable.

The score of a recording is its log-probability divided by its number of codes, so that a longer recording is not less
probable for its length alone. An item, such as a word, is in several pairs: in several voices, and against several
made-up words. Its accuracy is the share of its pairs in which the right recording has the higher score; a tie counts
half. Chance is 0.5. Items are what a bootstrap resamples, since the pairs of an item are not independent.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tokenizer.codes import Codes, CodesFormat

FloatArray = npt.NDArray[np.floating]


class Scorer(Protocol):
    """A language model of any kind."""

    format: CodesFormat

    def log_probabilities(self, codes: Codes) -> npt.NDArray[np.floating]:
        """Compute the log-probability of each code, given the codes before it: ``(time, streams)``."""


def mean_log_probability(model: Scorer, codes: Codes) -> float:
    """Compute the log-probability of a recording divided by its number of codes, in nats."""
    return float(model.log_probabilities(codes).astype(float).mean())


def item_accuracies(
    scores: Mapping[str, float], pairs: Sequence[tuple[str, str, str]]
) -> tuple[tuple[str, ...], FloatArray]:
    """Compute the accuracy of each item over its pairs; return the names of the items and ``(items,)``.

    Args:
        scores: score of each recording.
        pairs: item, right recording and wrong recording of each pair.
    """
    by_item: dict[str, list[float]] = {}
    for item, right, wrong in pairs:
        by_item.setdefault(item, []).append(0.5 + 0.5 * float(np.sign(scores[right] - scores[wrong])))
    return tuple(by_item), np.array([np.mean(each) for each in by_item.values()])
