"""The log-probability of a recording under a language model, and the rates that follow from it."""

import math
from dataclasses import dataclass

import numpy as np

from lm.model import LanguageModel
from lm.perplexity import bits_per_second
from tokenizer.codes import Codes
from wordless.base.ranges import require


@dataclass(frozen=True, kw_only=True)
class Score:
    """How probable a language model finds one recording."""

    codes: int  # of all streams
    seconds: float  # of sound
    log_probability: float  # of all codes together, in nats
    # the same for each second of the sound: of one recording, it can be compared over tokenizers
    log_probability_per_second: float
    nats_per_code: float  # minus the log-probability divided by the number of codes
    bits_per_second: float  # that the model needs to write the codes
    perplexity: float  # exp(nats per code)


def score(model: LanguageModel, codes: Codes) -> Score:
    """Score the codes of one recording, at all rates.

    Raises:
        InputError: the codes are of another codebook, or there are none.
    """
    of_codes = np.concatenate([found.reshape(-1) for found in model.log_probabilities_of_rates(codes)])
    log_probability, count = float(of_codes.astype(float).sum()), of_codes.size
    require(count > 0, "the recording", "empty", "score a recording that is longer than one code")
    nats = -log_probability / count
    return Score(
        codes=count,
        seconds=codes.seconds,
        log_probability=log_probability,
        log_probability_per_second=log_probability / codes.seconds,
        nats_per_code=nats,
        bits_per_second=bits_per_second(nats, codes.format),
        perplexity=math.exp(nats),
    )
