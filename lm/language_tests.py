"""Tests that judge a language model of sound by its probabilities and states, without labels or training.

Unigram and bigram models of each stream of codes show how much of a test needs no more than the frequencies of codes or
of their pairs. The bigram is smoothed by a Dirichlet prior with the unigram as its mean (MacKay and Peto 1995)::

    p(b | a) = (count(a, b) + strength * p(b)) / (count(a) + strength)
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from lm.model import LanguageModel
from tokenizer.codes import Codes, CodesFormat, join_codes, require_same_codebook
from wordless.base.arrays import DoubleArray, Floats, IntArray
from wordless.base.messages import InputError, require

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)  # of the bigram's prior, in counts
FREQUENCIES = "the model of code frequencies"


class Unigram:
    """Frequencies of codes of the spectrum in training clips, with add-one smoothing."""

    def __init__(self, clips: Sequence[Codes]) -> None:
        self.format: CodesFormat = clips[0].format.spectral
        counts = np.ones(self.format.code_shape)
        for codes in clips:
            require_same_codebook(self.format, codes.format.spectral, owner=FREQUENCIES)
            counts += codes.counts
        self.shares: DoubleArray = counts / counts.sum(axis=1, keepdims=True)  # (streams, codes)

    def log_probabilities(self, codes: Codes) -> DoubleArray:
        require_same_codebook(self.format, codes.format.spectral, owner=FREQUENCIES)
        values = codes.spectral.values
        each: DoubleArray = np.log(np.stack([p[v] for p, v in zip(self.shares, values.T, strict=True)], axis=1))
        return each


class Bigram(Unigram):
    """Frequencies of pairs of neighbouring codes in training clips."""

    def __init__(self, clips: Sequence[Codes], *, strength: float = 10.0) -> None:
        super().__init__(clips)
        self.strength = strength
        self._counts: list[dict[tuple[int, int], int]] = []  # of pairs, by stream
        self._totals = np.zeros(self.format.code_shape)  # of the first code of each pair
        for stream in range(self.format.streams):
            every = np.concatenate([_pairs(codes.values[:, stream]) for codes in clips])
            found, counts = np.unique(every, axis=0, return_counts=True)
            self._counts.append({(a, b): n for (a, b), n in zip(found.tolist(), counts.tolist(), strict=True)})
            np.add.at(self._totals[stream], found[:, 0], counts)

    def log_probabilities(self, codes: Codes) -> DoubleArray:
        """Compute log-probabilities ``(time, streams)`` given the code before; the first code has the unigram's."""
        shares = np.exp(super().log_probabilities(codes))
        for stream, known in enumerate(self._counts):
            pairs = _pairs(codes.values[:, stream])
            seen = np.array([known.get((a, b), 0) for a, b in pairs.tolist()])
            total = self._totals[stream, pairs[:, 0]]
            shares[1:, stream] = (seen + self.strength * shares[1:, stream]) / (total + self.strength)
        return np.asarray(np.log(shares))


def fit_bigram(train: Sequence[Codes], validation: Sequence[Codes]) -> Bigram:
    """Count pairs in training clips; the strength is chosen that gives validation clips the highest probability."""
    models = [Bigram(train, strength=strength) for strength in STRENGTHS]
    return max(models, key=lambda model: sum(float(model.log_probabilities(codes).sum()) for codes in validation))


def _pairs(values: IntArray) -> IntArray:
    """Pair each code with the next: ``(time,)`` -> ``(time - 1, 2)``."""
    return np.stack([values[:-1], values[1:]], axis=1)


def unigram_perplexity(train: Sequence[Codes], validation: Sequence[Codes]) -> float:
    """Compute the perplexity on ``validation`` of code frequencies in ``train``, per stream, with add-one smoothing."""
    if not any(codes.values.size for codes in train) or not any(codes.values.size for codes in validation):
        problem = f"there are {len(train)} train and {len(validation)} validation clips"
        raise InputError(f"{problem}; perplexity needs codes in both: have corpus.split give both some recordings")
    unigram = Unigram(train)
    for codes in validation:
        require_same_codebook(unigram.format, codes.format.spectral, owner=FREQUENCIES)
    seen = np.sum([codes.counts for codes in validation], axis=0)
    return math.exp(-float((seen * np.log(unigram.shares)).sum() / seen.sum()))


def bits_per_second(nats_per_code: float, codes_format: CodesFormat) -> float:
    """Compute the bit rate of codes that cost ``nats_per_code`` each."""
    return nats_per_code / math.log(2) * codes_format.codes_per_second * codes_format.streams


def perplexities(model: LanguageModel, train: Sequence[Codes], validation: Sequence[Codes]) -> dict[str, float]:
    """Measure a model on validation clips, beside the frequencies of its codes on train, and its codes per token."""
    nats = model.nats_per_code(validation)
    known, held_out = ([model.own(codes) for codes in clips] for clips in (train, validation))
    return {
        "perplexity": math.exp(nats),
        "unigram_perplexity": unigram_perplexity(known, held_out),
        "bits_per_second": bits_per_second(nats, model.predicted),
    }


@dataclass(frozen=True, kw_only=True)
class Score:
    """How probable a language model finds one recording."""

    codes: int  # in all streams
    seconds: float
    log_probability: float  # of all codes together, in nats
    log_probability_per_second: float  # of one recording, models of different tokenizers can be compared by it
    nats_per_code: float  # only models with the same tokenizer can be compared by it
    bits_per_second: float  # that the model needs to write the codes
    perplexity: float  # exp(nats per code)


def score(model: LanguageModel, codes: Codes) -> Score:
    """Score the codes of one recording; refuse codes of another codebook, and a recording without any."""
    if codes.format.rates:
        raise InputError(f"{model.name} has several rates, and a score is of one: score each rate by its own model")
    of_codes = model.log_probabilities(codes)
    log_probability, count = float(of_codes.astype(float).sum()), of_codes.size
    require(count > 0, "the recording", "empty", "score a recording that is longer than one code")
    nats = -log_probability / count
    return Score(
        codes=count,
        seconds=codes.seconds,
        log_probability=log_probability,
        log_probability_per_second=log_probability / codes.seconds,
        nats_per_code=nats,
        bits_per_second=bits_per_second(nats, model.predicted),
        perplexity=math.exp(nats),
    )


class Scorer(Protocol):
    """A language model of any kind."""

    format: CodesFormat

    def log_probabilities(self, codes: Codes) -> Floats:
        """Compute the log-probability of each code, given the codes before it: ``(time, streams)``."""


NGRAMS = (1, 2, 3)


def diversity(
    model: LanguageModel,
    prompts: Sequence[Codes | None],
    codes: Sequence[Codes],
    recoded: Sequence[Codes],
    *,
    other: Scorer | None = None,
) -> dict[str, float | None]:
    """Compute how varied generated codes are, and the perplexity of the codes and of those of their sound, ``recoded``.

    ``other`` is a model of the finest codes that did not generate them. Of several rates, n-grams are of the finest,
    and the model's perplexity is that of all codes of a finest step. N-grams have no pitch.
    """
    return {
        **{f"distinct_{n}": distinct_ngrams([each.finest.spectral.values for each in codes], n) for n in NGRAMS},
        **plausibility([prompt and prompt.finest for prompt in prompts], [each.finest for each in codes], other=other),
        "perplexity": _perplexity_after(model.log_probabilities_after, prompts, codes),
        "recoded_perplexity": _perplexity_after(model.log_probabilities_after, prompts, recoded),
    }


def plausibility(
    prompts: Sequence[Codes | None], codes: Sequence[Codes], *, other: Scorer | None
) -> dict[str, float | None]:
    """Compute auto-BLEU of codes that follow prompts, and their perplexity under a model that did not generate them."""

    def after(model: Scorer, prompt: Codes | None, more: Codes) -> Floats:
        whole = more if prompt is None else join_codes(prompt, more)
        return model.log_probabilities(whole)[len(whole.values) - len(more.values) :]

    return {
        "auto_bleu": auto_bleu([each.spectral.values for each in codes]),
        "other_perplexity": None if other is None else _perplexity_after(partial(after, other), prompts, codes),
    }


def _perplexity_after(
    after: Callable[[Codes | None, Codes], Floats], prompts: Sequence[Codes | None], codes: Sequence[Codes]
) -> float | None:
    """Compute exp of the mean negative log-probability over all codes of all sequences; None if there are no codes."""
    found = [after(prompt, each).ravel() for prompt, each in zip(prompts, codes, strict=True) if len(each.values)]
    return float(np.exp(-np.concatenate(found).mean())) if found else None


def distinct_ngrams(sequences: Sequence[IntArray], n: int, *, at_most: int | None = None) -> float | None:
    """Compute different n-grams per n-gram of ``(time, streams)`` (Li et al. 2016, arXiv:1510.03055)."""
    found = [tuple(each[start : start + n].ravel()) for each in sequences for start in range(len(each) - n + 1)]
    found = found[:at_most]
    return len(set(found)) / len(found) if found else None


AUTO_BLEU = (1, 2)  # lengths of the n-grams


def auto_bleu(sequences: Sequence[IntArray]) -> float | None:
    """Compute how much sequences ``(time, streams)`` repeat themselves (Lakhotia et al. 2021, arXiv:2102.01192).

    The auto-BLEU of a sequence is the share of its n-grams that occur in it once more; the result is the geometric mean
    of the means for `AUTO_BLEU`, None without two time steps.
    """
    means = []
    for n in AUTO_BLEU:
        grams = ([tuple(each[start : start + n].ravel()) for start in range(len(each) - n + 1)] for each in sequences)
        counted = [Counter(each) for each in grams if each]
        if not counted:
            return None
        shares = [sum(count for count in each.values() if count > 1) / each.total() for each in counted]
        means.append(float(np.mean(shares)))
    return math.prod(means) ** (1 / len(means))
