"""Logistic regression: the fit of many clips beside the exact one, and that of a device beside NumPy's."""

import numpy as np
import pytest
import torch

from lm.probing.linear import (
    COMPUTES_WITH_TENSORS,
    MANY_CLIPS,
    TOLERANCE,
    TOLERANCE_OF_MANY,
    LogisticProbe,
    standardise,
    tolerance_of,
    tolerance_options,
)


def test_the_tolerance_of_many_clips_gives_nearly_the_same_answers() -> None:
    rng = np.random.default_rng(0)
    number = rng.integers(5, size=3000)
    hidden = rng.standard_normal((3000, 8)) + 0.8 * rng.standard_normal((5, 8))[number]
    features = np.tanh(0.4 * hidden @ rng.standard_normal((8, 40))).astype(
        np.float32
    )  # correlated, as pooled states are
    rows = {"train": np.arange(2000), "test": np.arange(2000, 3000)}
    standard = standardise(features, rows)
    scores = {}
    for tolerance in (TOLERANCE, TOLERANCE_OF_MANY):
        probe = LogisticProbe(
            standard["train"],
            np.eye(5, dtype=bool)[number[:2000]],
            multi_label=False,
            max_iterations=100,
            tolerance=tolerance,
        )
        reached = []
        for penalty in (1e-3, 0.1, 10.0):  # each fit starts from the previous one
            probe.fit(penalty)
            reached.append(probe.scores(standard["test"]))
        scores[tolerance] = np.stack(reached)
    exact, loose = scores[TOLERANCE], scores[TOLERANCE_OF_MANY]
    assert not np.array_equal(exact, loose)
    assert np.abs(exact - loose).mean() < 0.01
    assert (exact.argmax(2) == loose.argmax(2)).mean() > 0.97
    truth = number[2000:]
    accuracies = [(each.argmax(2) == truth).mean(1) for each in (exact, loose)]
    assert np.abs(accuracies[0] - accuracies[1]).max() <= 0.01


def test_small_tasks_are_fitted_exactly_and_recipes_name_the_tolerance_of_others() -> None:
    assert tolerance_of(MANY_CLIPS) == TOLERANCE < tolerance_of(MANY_CLIPS + 1)
    assert tolerance_options(MANY_CLIPS, logistic=True) == {}
    assert tolerance_options(MANY_CLIPS + 1, logistic=True) == {"tolerance": TOLERANCE_OF_MANY}
    assert tolerance_options(MANY_CLIPS + 1, logistic=False) == {}


def test_standardising_leaves_the_features_as_they_are() -> None:
    features = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    before = features.copy()
    standardise(features, {"train": np.arange(10)})
    np.testing.assert_array_equal(features, before)


@pytest.mark.skipif(not COMPUTES_WITH_TENSORS, reason="scikit-learn 1.9 is the first that fits tensors")
@pytest.mark.parametrize("multi_label", [False, True])
def test_a_fit_on_a_device_is_that_of_numpy(multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, 20)).astype(np.float32)
    values = features @ rng.standard_normal((20, 4))
    targets = values > 0 if multi_label else np.eye(4, dtype=bool)[values.argmax(1)]
    targets[:, 0] |= multi_label  # a label of every clip is not fitted
    scores, weights = [], []
    for device in (None, torch.device("cpu")):
        probe = LogisticProbe(features, targets, multi_label=multi_label, max_iterations=200, device=device)
        for penalty in (1e-3, 0.1):
            probe.fit(penalty)
        scores.append(probe.scores(features))
        weights.append(np.concatenate(probe.linear()[:1]))
    np.testing.assert_allclose(scores[1], scores[0], atol=2e-3)
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-2)
    assert (scores[1].argmax(1) == scores[0].argmax(1)).mean() > 0.99
