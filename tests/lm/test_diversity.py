import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.diversity import distinct_ngrams, perplexity_of
from wordless.base.errors import InputError


def codes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)[:, None]


def test_counts_what_is_said_twice_in_one_sequence_or_in_two() -> None:
    assert distinct_ngrams([codes(1, 2, 1, 2)], 1) == 0.5
    assert distinct_ngrams([codes(1, 2, 1, 2)], 2) == pytest.approx(2 / 3)
    assert distinct_ngrams([codes(1, 2, 3), codes(1, 2, 3)], 3) == 0.5
    assert distinct_ngrams([codes(1, 2), codes(2, 1)], 2) == 1  # none reaches from one sequence into the next


def test_a_step_is_all_its_streams() -> None:
    assert distinct_ngrams([np.array([[1, 2], [1, 3]], np.int32)], 1) == 1


def test_too_short_to_have_any() -> None:
    assert distinct_ngrams([codes(1)], 2) is None
    assert distinct_ngrams([], 1) is None
    with pytest.raises(InputError, match=r"\bn\b.*\b0\b"):
        distinct_ngrams([codes(1)], 0)


@given(st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=4), st.integers(1, 4))
def test_one_step_more_tells_no_fewer_apart(sequences: list[list[int]], n: int) -> None:
    arrays = [codes(*each) for each in sequences]
    shorter, longer = distinct_ngrams(arrays, n), distinct_ngrams(arrays, n + 1)
    if shorter is not None and longer is not None and len(arrays) == 1:
        total = sum(max(len(each) - n + 1, 0) for each in arrays)
        assert longer * (total - 1) >= shorter * total - 1


def test_perplexity_of_even_chances_is_their_number() -> None:
    assert perplexity_of([np.full((3, 1), -np.log(8)), np.full((5, 1), -np.log(8))]) == pytest.approx(8)
    assert perplexity_of([]) is None
