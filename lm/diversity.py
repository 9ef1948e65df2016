"""How varied generated codes are."""

from collections.abc import Sequence

import numpy as np

from foundation.errors import InputError
from tokenizer.codes import IntArray


def distinct(sequences: Sequence[IntArray], n: int) -> float | None:
    """Different n-grams per n-gram, over all sequences ``(time, streams)`` together (Li et al. 2016, arXiv:1510.03055).

    1 where none is said twice; None where no sequence is long enough to have any. An n-gram is of time steps, all
    streams of each. More sound says more twice: compare figures of equally much of it.

    Raises:
        InputError: n is not positive.
    """
    if n < 1:
        raise InputError(f"n is {n}; count single codes (1) or sequences of more")
    found = [tuple(each[start : start + n].ravel()) for each in sequences for start in range(len(each) - n + 1)]
    return len(set(found)) / len(found) if found else None


def perplexity_of(log_probabilities: Sequence[np.ndarray]) -> float | None:
    """exp of the mean negative log-probability over all codes of all sequences; None where there is no code."""
    together = np.concatenate([each.ravel() for each in log_probabilities]) if log_probabilities else np.zeros(0)
    return float(np.exp(-together.mean())) if len(together) else None
