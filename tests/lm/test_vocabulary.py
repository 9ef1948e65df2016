"""Tokens of codes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.vocabulary import Vocabulary
from wordless.base.errors import InputError


@given(size=st.integers(2, 50), streams=st.integers(1, 4), steps=st.integers(0, 20), seed=st.integers(0, 100))
def test_tokens_and_codes_are_one_to_one(size: int, streams: int, steps: int, seed: int) -> None:
    vocabulary = Vocabulary(codebook_size=size, streams=streams)
    values = np.random.default_rng(seed).integers(size, size=(steps, streams), dtype=np.int32)
    tokens = vocabulary.tokens(values)
    stream, code = np.divmod(tokens, size)
    np.testing.assert_array_equal(stream, np.arange(tokens.size) % streams)
    np.testing.assert_array_equal(code, values.reshape(-1))


def test_order_is_time_major_and_streams_have_tokens_of_their_own() -> None:
    vocabulary = Vocabulary(codebook_size=10, streams=2)
    tokens = vocabulary.tokens(np.array([[1, 2], [3, 4]], np.int32))
    assert tokens.tolist() == [1, 12, 3, 14]
    assert (vocabulary.bos, vocabulary.pad, vocabulary.size) == (20, 21, 22)


def test_a_model_that_reads_both_ways_has_one_token_more() -> None:
    vocabulary = Vocabulary(codebook_size=10, streams=2, backward=True)
    assert (vocabulary.bos, vocabulary.pad, vocabulary.end, vocabulary.size) == (20, 21, 22, 23)


def test_a_vocabulary_of_one_code_is_refused() -> None:
    with pytest.raises(InputError, match=r"codebook_size\b.*\b1\b"):
        Vocabulary(codebook_size=1, streams=1)
