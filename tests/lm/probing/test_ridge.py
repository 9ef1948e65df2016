"""Ridge regression, and choice by cross-validation over whole groups, against scikit-learn's own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, average_precision_score, make_scorer
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from lm.options import ProbeConfig
from lm.probing.linear import LogisticProbe, RidgeProbe, normal_equations
from lm.probing.probe import method_record, probe
from lm.probing.task import FOLDS, ProbeTask, divisions, penalty_grid, with_parts
from tests.reference import unit
from wordless.base.errors import InputError


def _clips(clips: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features ``(clips, dim)`` and targets ``(clips, 3)``."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((clips, dim)).astype(np.float32)
    return features, np.eye(3, dtype=bool)[(features @ rng.standard_normal((dim, 3))).argmax(1)]


@pytest.mark.parametrize("device", [None, torch.device("cpu")], ids=["NumPy", "PyTorch"])
@pytest.mark.parametrize(("clips", "dim"), [(200, 12), (20, 50)], ids=["more clips", "more features"])
def test_every_penalty_has_the_solution_of_scikit_learn(clips: int, dim: int, device: torch.device | None) -> None:
    features, targets = _clips(clips, dim)
    features, others = features + 1, _clips(7, dim)[0]
    ridge = RidgeProbe(features, targets, device=device)
    for penalty in (1e-3, 0.1, 10.0):
        ridge.fit(penalty)
        np.testing.assert_allclose(ridge.scores(others), _oracle(features, targets, others, penalty), atol=1e-4)


def _oracle(features: np.ndarray, targets: np.ndarray, others: np.ndarray, penalty: float) -> np.ndarray:
    """What scikit-learn's ridge regression answers for other features."""
    model = Ridge(alpha=unit(features) / penalty)
    found: np.ndarray = model.fit(features.astype(np.float64), targets.astype(np.float64)).predict(others)
    return found


@pytest.mark.parametrize(("clips", "dim"), [(300, 120), (100, 120)], ids=["more clips", "more features"])
def test_nearly_collinear_features_are_scored_as_in_64_bits(clips: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    few = rng.standard_normal((clips, 5)) @ rng.standard_normal((5, dim))
    features = (few + 1e-4 * rng.standard_normal((clips, dim))).astype(np.float32)
    targets = np.eye(3, dtype=bool)[few[:, :3].argmax(1)]
    ridge = RidgeProbe(features, targets)
    ridge.fit(10.0)
    weights, bias = ridge.linear()
    np.testing.assert_allclose(ridge.scores(features), features.astype(np.float64) @ weights + bias, atol=1e-5)


def test_normal_equations_in_blocks_are_those_of_all_clips() -> None:
    features, targets = _clips(100, 5)
    wanted = targets.astype(np.float64)
    products, answers = normal_equations(features, wanted, at_once=7)
    np.testing.assert_allclose(products, features.T.astype(np.float64) @ features, rtol=1e-5)
    np.testing.assert_allclose(answers, features.T.astype(np.float64) @ wanted, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("directions", [1, 20])
def test_rounded_products_of_few_directions_are_no_weights(directions: int) -> None:
    """Clips that were not fitted are scored, because an error of rounding cannot hide there."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((directions, 2000))
    features, others = ((rng.standard_normal((clips, directions)) @ basis).astype(np.float32) for clips in (300, 200))
    others, features = others / features.std(0), features / features.std(0)
    targets = np.eye(3, dtype=bool)[(features @ rng.standard_normal((2000, 3))).argmax(1)]
    ridge = RidgeProbe(features, targets)
    ridge.fit(1e3 * unit(features))
    wanted = _oracle(features, targets, others, 1e3 * unit(features))
    np.testing.assert_allclose(ridge.scores(others), wanted, atol=1e-4)


LOGISTIC = partial(LogisticProbe, multi_label=False, max_iterations=1000, tolerance=1e-7)


@pytest.mark.parametrize("kind", [RidgeProbe, LOGISTIC])
@pytest.mark.parametrize(("clips", "dim"), [(200, 12), (20, 50)], ids=["more clips", "more features"])
def test_wider_features_and_other_units_have_the_same_answers(
    kind: Callable[..., LogisticProbe | RidgeProbe], clips: int, dim: int
) -> None:
    """The mutation: an absolute penalty is harder on few features, and on small numbers."""
    features, targets = _clips(clips, dim)
    others, found = _clips(7, dim)[0], []
    for change in (lambda values: values, lambda values: np.tile(values, 9), lambda values: values / 100):
        fitted = kind(change(features), targets)
        fitted.fit(1.0)
        found.append(fitted.scores(fitted.prepare(change(others))))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=2e-3)


GROUPS = ("ann", "bob", "cem", "dee", "eve")
SPLIT = {"ann": "train", "bob": "train", "cem": "train", "dee": "validation", "eve": "test"}
CONFIG = ProbeConfig(penalties=5, resamples=10, classifier="ridge", choose_by="group")


def _task(*, several: bool = False) -> ProbeTask:
    """200 clips of speakers, with one label or several, and the speakers as parts."""
    rng, groups = np.random.default_rng(0), [GROUPS[clip % 5] for clip in range(200)]
    labels = ["abc"[clip // 5 % 3] for clip in range(200)]
    if several:
        labels = [";".join(name for name in "abc" if rng.random() < 0.4) or "a" for _ in groups]
    splits = [SPLIT[group] for group in groups]
    return replace(ProbeTask.of(labels, splits, label_separator=";" if several else None), parts=groups)


def _features(task: ProbeTask, dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    return (rng.normal(size=(len(task.targets), dim)) + task.targets @ rng.normal(0, 0.8, (3, dim))).astype(np.float32)


@pytest.mark.parametrize(("dim", "several"), [(4, False), (300, False), (30, True)])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_choice_is_that_of_scikit_learn(dim: int, several: bool, power: float) -> None:
    """By accuracy, or by mean average precision for several labels."""
    task = _task(several=several)
    features, config = _features(task, dim), replace(CONFIG, power=power)
    found = probe(features, task, config, of="x")
    known = np.concatenate([task.rows["train"], task.rows["validation"]])
    groups = [task.parts[row] for row in known]  # type: ignore[index]  # there are parts
    right = make_scorer(lambda truth, scores: accuracy_score(truth.argmax(1), scores.argmax(1)))
    scoring, error = (
        (make_scorer(average_precision_score), 0.002) if several else (right, 0.011)
    )  # a clip at the border
    for (penalty, reached), wanted_one in zip(found.tries.items(), penalty_grid(5, config), strict=True):
        assert penalty == wanted_one
        rooted = FunctionTransformer(lambda values: np.sign(values) * np.abs(values) ** power)
        model = make_pipeline(rooted, StandardScaler(), Ridge(alpha=dim / penalty))  # the mean squared norm is dim
        wanted, by = task.targets[known].astype(float), LeaveOneGroupOut()
        own = cross_val_score(model, features[known], wanted, groups=groups, cv=by, scoring=scoring).mean()
        assert reached == pytest.approx(own, abs=error), penalty
    assert found.penalty == max(found.tries, key=lambda each: found.tries[each])
    assert len(found.parts) == len({*groups})
    assert np.mean(found.parts) == pytest.approx(found.validation_accuracy)
    assert method_record("x", found, task, config)["validation_clips"] == len(known)


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_the_winner_is_fitted_on_train_alone(classifier: str) -> None:
    task = _task()
    config = replace(CONFIG, classifier=classifier)  # type: ignore[arg-type]  # any text
    features = _features(task, 20)
    found = probe(features, task, config, of="x")
    penalty = found.penalty or 0.0
    alone = replace(config, penalties=1, penalty_low=penalty, penalty_high=penalty)
    validated = probe(features, replace(task, parts=None), alone, of="x")
    np.testing.assert_allclose(found.scores["test"], validated.scores["test"], atol=0.02)


@pytest.mark.parametrize(("clips", "dim"), [(60, 40), (40, 60)], ids=["more clips", "more features"])
def test_hardly_any_penalty_on_repeated_features_fits_the_clips(clips: int, dim: int) -> None:
    """The products of such features have no Cholesky factor."""
    few, targets = _clips(clips, 10)
    features = np.tile(few, dim // 10)
    ridge = RidgeProbe(features, targets)
    ridge.fit(1e17)
    wanted = Ridge(alpha=1e-6).fit(few, targets.astype(float)).predict(few)
    np.testing.assert_allclose(ridge.scores(features), wanted, atol=1e-3)


def _spoken(sizes: list[int], labels: str = "ab") -> tuple[ProbeTask, list[str | None]]:
    """Clips of speakers, each with all labels in turn; one more speaker is tested."""
    groups: list[str | None] = [f"speaker {number}" for number, count in enumerate(sizes) for _ in range(count)]
    groups += ["tested"] * 4
    places = {"tested": "test", "speaker 0": "validation"}
    named = [labels[number % len(labels)] for number in range(len(groups))]
    return ProbeTask.of(named, [places.get(str(name), "train") for name in groups]), groups


def _folds(task: ProbeTask) -> list[list[int]]:
    return [rows["validation"].tolist() for rows in divisions(task)]


@given(st.lists(st.integers(2, 9), min_size=5, max_size=30), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_folds_hold_whole_groups_of_about_the_same_number_of_clips(sizes: list[int], seed: int) -> None:
    task, groups = _spoken(sizes)
    config = ProbeConfig(seed=seed)
    folded = with_parts(task, config, groups=groups, folds=[])
    folds = _folds(folded)
    assert len(folds) == FOLDS
    assert sorted(chain(*folds)) == sorted([*task.rows["train"], *task.rows["validation"]])
    members = [{groups[row] for row in fold} for fold in folds]
    assert sum(map(len, members)) == len(set().union(*members)) == len(sizes)
    assert max(map(len, folds)) - min(map(len, folds)) <= max(sizes) + 1
    assert not {*task.rows["test"]} & {*chain(*folds)}
    again = with_parts(task, config, groups=groups, folds=[])
    assert again.parts == folded.parts


def test_folds_share_classes_where_each_group_has_one() -> None:
    """As in recordings of single sources: five dogs and five bells give a dog and a bell to each fold."""
    groups: list[str | None] = [f"{kind} {clip // 2}" for kind in ("dog", "bell") for clip in range(12)]
    labels = [str(group).split()[0] for group in groups]
    splits = [
        "test" if str(group).endswith(" 5") else "validation" if clip == 0 else "train"
        for clip, group in enumerate(groups)
    ]
    task = with_parts(ProbeTask.of(labels, splits), ProbeConfig(), groups=groups, folds=[])
    for fold in _folds(task):
        assert sorted(labels[row] for row in fold) == ["bell", "bell", "dog", "dog"]


@pytest.mark.parametrize(
    ("speakers", "change", "wanted"),
    [
        (5, {}, True),
        (4, {}, False),
        (30, {}, True),
        (5, {7: None}, False),  # a clip without a group
        (6, {-1: "speaker 0"}, False),  # the test has the speakers, too: others say little of it
    ],
)
def test_groups_are_held_out_where_there_are_enough_and_the_test_has_others(
    speakers: int, change: dict[int, str | None], wanted: bool
) -> None:
    task, groups = _spoken([4] * speakers)
    for row, group in change.items():
        groups[row] = group
    found = with_parts(task, ProbeConfig(choose_by="auto"), groups=groups, folds=[])
    assert (found.parts is not None) == wanted


def test_classes_of_one_group_or_fold_cannot_be_held_out() -> None:
    labels = [*"abab" * 6, "c", "c", "c"]
    groups: list[str | None] = [*(f"speaker {clip // 4}" for clip in range(24)), "speaker 0", "speaker 0", "speaker 5"]
    splits = [*(["train"] * 16), *(["validation"] * 4), *(["test"] * 4), "train", "train", "test"]
    task = ProbeTask.of(labels, splits)
    assert with_parts(task, ProbeConfig(), groups=groups, folds=[]).parts is None
    with pytest.raises(InputError, match=r"'c'.*speaker 0"):
        with_parts(task, ProbeConfig(choose_by="group"), groups=groups, folds=[])
    labels, splits = ["a", "b", "c"] * 4, [*["train"] * 6, *["validation"] * 3, *["test"] * 3]
    parts: list[str | None] = ["c" if label == "c" else "ab"[clip % 2] for clip, label in enumerate(labels)]
    with pytest.raises(InputError, match=r"'c'.*'c'"):
        with_parts(ProbeTask.of(labels, splits), ProbeConfig(choose_by="fold"), groups=parts, folds=parts)


@pytest.mark.parametrize("by", ["group", "fold"])
def test_what_cannot_be_held_out_is_refused(by: str) -> None:
    config = ProbeConfig(choose_by=by)  # type: ignore[arg-type]  # any text
    cases: list[tuple[list[str | None], str]] = [
        ([None] * 200, rf"\b160 of 160\b.*clips\b.*{by}"),
        (["x"] * 200, r"\b1 \(x\)"),
        *([([f"{clip // 2}" for clip in range(200)], r"\b100\b.*\b50\b")] if by == "fold" else []),
    ]
    for names, told in cases:
        with pytest.raises(InputError, match=told):
            with_parts(replace(_task(), parts=None), config, groups=names, folds=names)
