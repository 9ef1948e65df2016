"""The unigram baseline and rates in bits."""

import math

import numpy as np
import pytest

from lm.perplexity import bits_per_second, unigram_perplexity
from tests.lm.tiny import codes_format, random_codes
from tokenizer.codes import Codes
from wordless.base.errors import InputError


def _codes(values: list[list[int]]) -> Codes:
    array = np.array(values, np.int32)
    return Codes(values=array, num_samples=len(array) * 320, format=codes_format(array.shape[1]))


def test_unigram_perplexity_counts_add_one_for_each_stream() -> None:
    train = [_codes([[0, 6], [0, 6], [1, 6]])]
    chances = [3 / 10, 4 / 10, 1 / 10, 1 / 10]  # of 0 in stream 0, 6 in stream 1, then 2 and 2, which train never has
    expected = math.exp(-sum(math.log(chance) for chance in chances) / 4)
    assert unigram_perplexity(train, [_codes([[0, 6], [2, 2]])]) == pytest.approx(expected)


def test_equally_frequent_codes_have_the_perplexity_of_the_codebook() -> None:
    uniform = [_codes([[code] for code in range(7)])]
    assert unigram_perplexity(uniform, [random_codes(20)]) == pytest.approx(7)


def test_bits_per_second() -> None:
    assert bits_per_second(math.log(7), codes_format(2)) == pytest.approx(codes_format(2).bits_per_second)


def test_two_codebooks_have_no_common_frequencies() -> None:
    with pytest.raises(InputError, match="codebook c2"):
        unigram_perplexity([random_codes(3)], [random_codes(3, codebook="c2")])


def test_nothing_to_count_is_refused() -> None:
    with pytest.raises(InputError, match=r"\b1 train\b.*\b0 validation\b"):
        unigram_perplexity([random_codes(3)], [])
