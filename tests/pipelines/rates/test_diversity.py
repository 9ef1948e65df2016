"""Diversity of continuations beside that of the recordings: equally many n-grams of each."""

import numpy as np
import pytest

from pipelines.stages.rate_continuations import diversities


def codes(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(values, np.int32)[:, None]


def test_a_model_that_says_all_recordings_again_is_as_diverse_as_they_are() -> None:
    """The model has three times as many codes; without a cut its share would be a third."""
    once = codes(*range(100))
    rows = {row["of"]: row for row in diversities({"recordings": [once], "flat": [once, once, once]}, seed=0)}
    assert {of: (row["steps"], row["distinct_1"], row["distinct_3"]) for of, row in rows.items()} == {
        "recordings": (100, 1.0, 1.0),
        "flat": (100, 1.0, 1.0),
    }


def test_short_recordings_are_compared_over_as_many_pairs_as_they_have() -> None:
    """Four recordings of two codes have four pairs, and a continuation of eight codes has seven."""
    short = [codes(0, 1), codes(0, 1), codes(2, 3), codes(2, 3)]
    rows = {row["of"]: row for row in diversities({"recordings": short, "rates": [codes(*range(8))]}, seed=0)}
    assert rows["recordings"]["distinct_2"] == pytest.approx(2 / 4)
    assert rows["rates"]["distinct_2"] == 1.0
    assert rows["recordings"]["distinct_3"] is None  # no recording has three codes
    assert rows["rates"]["distinct_3"] is None
