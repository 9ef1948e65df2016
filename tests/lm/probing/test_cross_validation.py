"""Choice by cross-validation over groups, and ridge regression, against scikit-learn's own."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, average_precision_score, make_scorer
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from foundation.errors import InputError
from lm.probing.config import ProbeConfig, penalty_grid
from lm.probing.cross_validation import divisions
from lm.probing.probe import probe
from lm.probing.ridge import RidgeProbe
from lm.probing.task import ProbeTask

GROUPS = ("ann", "bob", "cem", "dee", "eve")
SPLIT = {"ann": "train", "bob": "train", "cem": "train", "dee": "validation", "eve": "test"}
CONFIG = ProbeConfig(tries=5, resamples=10, classifier="ridge", choose_by="group", penalty_high=1.0)


def _task(clips: int = 200, *, parts: bool = True) -> ProbeTask:
    groups = [GROUPS[clip % 5] for clip in range(clips)]
    labels = ["abc"[clip // 5 % 3] for clip in range(clips)]
    return ProbeTask.of(labels, [SPLIT[group] for group in groups], parts=groups if parts else None)


def _features(task: ProbeTask, dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    return (rng.normal(size=(len(task.targets), dim)) + task.targets @ rng.normal(0, 0.8, (3, dim))).astype(np.float32)


@pytest.mark.parametrize("dim", [4, 300])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_choice_is_that_of_scikit_learn(dim: int, power: float) -> None:
    task = _task()
    features, config = _features(task, dim), replace(CONFIG, power=power)
    found = probe(features, task, config, of="x")
    known = np.concatenate([task.rows["train"], task.rows["validation"]])
    right = make_scorer(lambda truth, scores: accuracy_score(truth.argmax(1), scores.argmax(1)))
    for tried, penalty in zip(found.tries, penalty_grid(5, config), strict=True):
        rooted = FunctionTransformer(lambda values: np.sign(values) * np.abs(values) ** power)
        model = make_pipeline(rooted, StandardScaler(), Ridge(alpha=1 / penalty))
        groups = [task.parts[row] for row in known]  # type: ignore[index]  # there are parts
        wanted, by = task.targets[known].astype(float), LeaveOneGroupOut()
        own = cross_val_score(model, features[known], wanted, groups=groups, cv=by, scoring=right).mean()
        assert tried.validation_accuracy == pytest.approx(own, abs=0.011), penalty  # a clip may lie on the border
    assert found.penalty == max(found.tries, key=lambda each: each.validation_accuracy).penalty
    assert len(found.parts) == len({*groups})
    assert np.mean(found.parts) == pytest.approx(found.validation_accuracy)
    assert (found.validation_clips, found.validation_scores) == (len(known), None)


def test_the_accuracies_of_logistic_regression_are_scikit_learns() -> None:
    task = _task()
    config = replace(CONFIG, classifier="logistic", power=1.0, max_iterations=2000)
    features = _features(task, 6)
    found = probe(features, task, config, of="x")
    known = np.concatenate([task.rows["train"], task.rows["validation"]])
    groups = [task.parts[row] for row in known]  # type: ignore[index]  # there are parts
    for tried, penalty in zip(found.tries, penalty_grid(config.tries, config), strict=True):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000, tol=1e-6))
        classes = task.targets[known].argmax(1)
        own = cross_val_score(model, features[known], classes, groups=groups, cv=LeaveOneGroupOut()).mean()
        assert tried.validation_accuracy == pytest.approx(own, abs=0.011), penalty  # a clip may lie on the border


def test_several_labels_are_chosen_by_mean_average_precision() -> None:
    rng = np.random.default_rng(0)
    groups = [GROUPS[clip % 5] for clip in range(200)]
    names = [";".join(name for name in "abc" if rng.random() < 0.4) or "a" for _ in groups]
    task = ProbeTask.of(names, [SPLIT[group] for group in groups], parts=groups, label_separator=";")
    features, config = _features(task, 30), replace(CONFIG, classifier="ridge")
    found = probe(features, task, config, of="x")
    known = np.concatenate([task.rows["train"], task.rows["validation"]])
    by_group = np.array([groups[row] for row in known])
    for tried, penalty in zip(found.tries, penalty_grid(config.tries, config), strict=True):
        each = []
        for group in sorted({*by_group}):
            fitted, held_out = known[by_group != group], known[by_group == group]
            model = make_pipeline(StandardScaler(), Ridge(alpha=1 / penalty))
            scores = model.fit(features[fitted], task.targets[fitted].astype(float)).predict(features[held_out])
            each.append(average_precision_score(task.targets[held_out], scores, average="macro"))
        assert tried.validation_accuracy == pytest.approx(np.mean(each), abs=0.002), penalty


def test_ridge_is_scikit_learns_with_an_intercept() -> None:
    task = _task()
    train, test = task.rows["train"], task.rows["test"]
    for dim in (4, 300):
        features = _features(task, dim) + 1  # the mean of a share of the clips is not 0
        own = Ridge(alpha=2.0).fit(features[train], task.targets[train].astype(float))
        probe_of = RidgeProbe(features[train], task.targets[train])
        probe_of.fit(0.5)
        np.testing.assert_allclose(probe_of.scores(features[test]), own.predict(features[test]), atol=1e-3)


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_the_winner_is_fitted_on_train_alone(classifier: str) -> None:
    task = _task()
    config = replace(CONFIG, classifier=classifier)  # type: ignore[arg-type]  # any text
    features = _features(task, 20)
    found = probe(features, task, config, of="x")
    penalty = found.penalty or 0.0
    alone = replace(config, choose_by="validation", tries=1, penalty_low=penalty, penalty_high=penalty)
    np.testing.assert_allclose(found.scores, probe(features, task, alone, of="x").scores, atol=0.02)


def test_each_part_of_train_and_validation_is_held_out_once_and_test_never() -> None:
    task = _task()
    test = {*task.rows["test"].tolist()}
    found = list(divisions(task))
    assert len(found) == 4
    for rows, name in zip(found, GROUPS, strict=False):
        assert {task.parts[row] for row in rows["validation"]} == {name}  # type: ignore[index]  # there are parts
        assert not test & {*rows["train"].tolist(), *rows["validation"].tolist()}
        assert len(rows["train"]) + len(rows["validation"]) == 160


def test_what_cannot_be_held_out_is_refused() -> None:
    with pytest.raises(InputError, match=r"\b160 of 160\b.*clips\b.*group"):
        list(divisions(_task(parts=False)))
    alike = ProbeTask.of(
        ["a", "b"] * 6, ["train", "train", "validation", "validation", "test", "test"] * 2, parts=["x"] * 12
    )
    with pytest.raises(InputError, match=r"\b1 \(x\)"):
        list(divisions(alike))
    labels, splits = ["a", "b", "c"] * 4, [*["train"] * 6, *["validation"] * 3, *["test"] * 3]
    parts = ["c" if label == "c" else "ab"[clip % 2] for clip, label in enumerate(labels)]
    with pytest.raises(InputError, match=r"'c'.*'c'"):
        list(divisions(ProbeTask.of(labels, splits, parts=parts)))
