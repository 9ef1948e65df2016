"""Unigram and bigram models of codes: how much of a test needs no more than the frequencies of codes or of their pairs.

The bigram is smoothed by a Dirichlet prior with the unigram as its mean (MacKay and Peto 1995)::

    p(b | a) = (count(a, b) + strength * p(b)) / (count(a) + strength)

Each stream of codes has its own model, whose context is the code before in the same stream.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tokenizer.codes import Codes, CodesFormat, IntArray, require_same_codebook
from wordless.base.errors import InputError
from wordless.base.ranges import require

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)  # of the bigram's prior, in counts
FloatArray = npt.NDArray[np.float64]


class Unigram:
    """Frequencies of codes in training clips, with add-one smoothing."""

    def __init__(self, clips: Sequence[Codes]) -> None:
        if not any(codes.values.size for codes in clips):
            raise InputError(f"there are {len(clips)} clips, and none has a code; give clips to count codes in")
        self.format: CodesFormat = clips[0].format
        counts = np.ones(self.format.code_shape)
        for codes in clips:
            require_same_codebook(self.format, codes.format, owner="the model of code frequencies")
            counts += codes.counts
        self.shares: FloatArray = counts / counts.sum(axis=1, keepdims=True)  # (streams, codes)

    def log_probabilities(self, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code: ``(time, streams)``."""
        require_same_codebook(self.format, codes.format, owner="the model of code frequencies")
        each: FloatArray = np.log(np.stack([p[v] for p, v in zip(self.shares, codes.values.T, strict=True)], axis=1))
        return each


class Bigram:
    """Frequencies of pairs of neighbouring codes in training clips."""

    def __init__(self, clips: Sequence[Codes], *, strength: float = 10.0) -> None:
        require(strength > 0, "strength", strength, "it must be positive")
        self.unigram = Unigram(clips)
        self.format = self.unigram.format
        self.strength = strength
        self._counts: list[dict[tuple[int, int], int]] = []  # of pairs, by stream
        self._totals = np.zeros(self.format.code_shape)  # of the first code of each pair
        for stream in range(self.format.streams):
            pairs = [_pairs(codes.values[:, stream]) for codes in clips]
            found, counts = np.unique(np.concatenate(pairs), axis=0, return_counts=True)
            self._counts.append({(int(a), int(b)): int(n) for (a, b), n in zip(found, counts, strict=True)})
            np.add.at(self._totals[stream], found[:, 0], counts)

    def log_probabilities(self, codes: Codes) -> FloatArray:
        """Compute the log-probability of each code, given the code before it: ``(time, streams)``.

        The first code has the unigram's probability.
        """
        shares = np.exp(self.unigram.log_probabilities(codes))
        for stream, known in enumerate(self._counts):
            pairs = _pairs(codes.values[:, stream])
            seen = np.array([known.get((int(a), int(b)), 0) for a, b in pairs])
            total = self._totals[stream, pairs[:, 0]]
            shares[1:, stream] = (seen + self.strength * shares[1:, stream]) / (total + self.strength)
        return np.asarray(np.log(shares))


def fit_bigram(train: Sequence[Codes], validation: Sequence[Codes]) -> Bigram:
    """Count pairs in training clips.

    The strength that gives validation clips the highest probability is chosen.
    """
    models = [Bigram(train, strength=strength) for strength in STRENGTHS]
    return max(models, key=lambda model: sum(float(model.log_probabilities(codes).sum()) for codes in validation))


def _pairs(values: IntArray) -> IntArray:
    """Pair each code with the next: ``(time,)`` -> ``(time - 1, 2)``."""
    return np.stack([values[:-1], values[1:]], axis=1)
