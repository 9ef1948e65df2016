"""Unigram and bigram models of codes, against counting by dictionaries."""

import numpy as np
import pytest

from lm.judging.scores import Bigram, Unigram, fit_bigram
from tests.lm.reference import bigram_log_probability, unigram_log_probability
from tests.lm.tiny import codes_format, random_codes
from tokenizer.codes import Codes
from wordless.base.errors import InputError


@pytest.mark.parametrize("streams", [1, 3])
def test_models_give_what_counting_gives(streams: int) -> None:
    train = [random_codes(steps, streams=streams, seed=steps) for steps in (9, 1, 30, 0)]
    codes = random_codes(12, streams=streams, seed=5)
    unigram, bigram = Unigram(train), Bigram(train, strength=2.5)
    assert unigram.log_probabilities(codes).shape == bigram.log_probabilities(codes).shape == (12, streams)
    assert unigram.log_probabilities(codes).sum() == pytest.approx(unigram_log_probability(train, codes))
    assert bigram.log_probabilities(codes).sum() == pytest.approx(bigram_log_probability(train, codes, 2.5))


def test_the_prior_is_chosen_on_validation() -> None:
    cycle = np.arange(70, dtype=np.int32)[:, None] % 7
    ordered = Codes(values=cycle, num_samples=70 * 320, format=codes_format())
    assert fit_bigram([ordered], [ordered]).strength == 1
    assert fit_bigram([ordered], [random_codes(70)]).strength == 1000


@pytest.mark.parametrize("model", [Unigram, Bigram])
def test_wrong_codes_are_refused(model: type[Unigram] | type[Bigram]) -> None:
    with pytest.raises(InputError, match=r"\b1 clips\b.*codes"):
        model([random_codes(0)])
    with pytest.raises(InputError, match="codebook"):
        model([random_codes(3)]).log_probabilities(random_codes(3, codebook="c2"))
    with pytest.raises(InputError, match="codebook"):
        model([random_codes(3), random_codes(3, codebook="c2")])
