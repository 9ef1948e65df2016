"""Judging by pairs of recordings, against a loop."""

import numpy as np
import pytest

from lm.judging.pairs import item_accuracies, mean_log_probability
from lm.model import LanguageModel
from tests.lm.judging.reference import accuracy_of_item
from tests.lm.tiny import random_codes


def test_an_item_has_the_share_of_its_pairs_that_are_right() -> None:
    rng = np.random.default_rng(0)
    scores = {str(number): float(rng.integers(4)) for number in range(30)}  # whole numbers, so that some are equal
    drawn = [(f"item {rng.integers(4)}", *(str(n) for n in rng.choice(30, size=2))) for _ in range(60)]
    pairs = [(item, right, wrong) for item, right, wrong in drawn]
    items, found = item_accuracies(scores, pairs)
    assert items == tuple(dict.fromkeys(item for item, _, _ in pairs))
    assert found.tolist() == pytest.approx([accuracy_of_item(scores, pairs, item) for item in items])


def test_a_score_does_not_grow_with_the_length(model: LanguageModel) -> None:
    codes = random_codes(7, streams=model.format.streams)
    each = model.log_probabilities(codes)
    assert mean_log_probability(model, codes) == pytest.approx(float(each.sum()) / codes.values.size)
