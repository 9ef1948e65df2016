"""Logistic regression: the fit of many clips beside the exact one."""

import numpy as np

from lm.probing.logistic import (
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


def test_small_tasks_are_fitted_exactly() -> None:
    assert tolerance_of(MANY_CLIPS) == TOLERANCE < tolerance_of(MANY_CLIPS + 1)


def test_standardising_leaves_the_features_as_they_are() -> None:
    features = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    before = features.copy()
    standardise(features, {"train": np.arange(10)})
    np.testing.assert_array_equal(features, before)


def test_recipes_name_the_tolerance_of_many_clips_alone() -> None:
    assert tolerance_options(MANY_CLIPS, logistic=True) == {}
    assert tolerance_options(MANY_CLIPS + 1, logistic=True) == {"tolerance": TOLERANCE_OF_MANY}
    assert tolerance_options(MANY_CLIPS + 1, logistic=False) == {}
