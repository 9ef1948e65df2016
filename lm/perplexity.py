"""Figures of next-code prediction: the unigram baseline, and rates in bits."""

import math
from collections.abc import Sequence

import numpy as np

from lm.model import LanguageModel
from tokenizer.codes import Codes, CodesFormat, require_same_codebook
from wordless.base.errors import InputError


def unigram_perplexity(train: Sequence[Codes], validation: Sequence[Codes]) -> float:
    """Compute the perplexity on ``validation`` of code frequencies in ``train``, per stream, with add-one smoothing.

    This is the result of a model that knows the frequencies of codes but nothing of their order.
    """
    if not any(codes.values.size for codes in train) or not any(codes.values.size for codes in validation):
        problem = f"there are {len(train)} train and {len(validation)} validation clips"
        raise InputError(f"{problem}; perplexity needs codes in both: have corpus.split give both some recordings")
    codes_format = (*train, *validation)[0].format
    for codes in (*train, *validation):
        require_same_codebook(codes_format, codes.format, owner="the unigram model")
    counts = 1.0 + _counts(train, codes_format)
    log_shares = np.log(counts / counts.sum(axis=1, keepdims=True))
    seen = _counts(validation, codes_format)
    return math.exp(-float((seen * log_shares).sum() / seen.sum()))


def bits_per_second(nats_per_code: float, codes_format: CodesFormat) -> float:
    """Compute the bit rate of codes that cost ``nats_per_code`` each."""
    return nats_per_code / math.log(2) * codes_format.codes_per_second * codes_format.streams


def perplexities(model: LanguageModel, train: Sequence[Codes], validation: Sequence[Codes]) -> dict[str, float]:
    """Measure a model on validation clips, beside the frequencies on train of the codes that it predicts."""
    nats = model.nats_per_code(validation)
    known, held_out = ([codes.finest for codes in clips] for clips in (train, validation))
    return {
        "perplexity": math.exp(nats),
        "unigram_perplexity": unigram_perplexity(known, held_out),
        "bits_per_second": bits_per_second(nats, model.predicted),
    }


def _counts(clips: Sequence[Codes], codes_format: CodesFormat) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    counts = np.zeros((codes_format.streams, codes_format.codebook_size))
    for codes in clips:
        for stream in range(codes_format.streams):
            counts[stream] += np.bincount(codes.values[:, stream], minlength=codes_format.codebook_size)
    return counts
