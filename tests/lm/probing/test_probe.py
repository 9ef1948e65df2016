"""Linear probes, ridge regression, choice by cross-validation, shares of the labels, and fitted probes."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, average_precision_score, make_scorer
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_info

from lm.heads import probe_numbers
from lm.probing import linear
from lm.probing.linear import COMPUTES_WITH_TENSORS, LogisticProbe, RidgeProbe, normal_equations, row_space
from lm.probing.probe import (
    DRAWS,
    FittedProbe,
    ProbeResult,
    create_classifier,
    labelled_clips,
    last_point,
    learning_curve,
    method_record,
    noise_points,
    place_of_clipping,
    probe_method,
    scored_method,
)
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import FOLDS, LARGE_FIT, ProbeTask, c_grid, divisions, require_equal_counts, with_parts
from tests.reference import clipped_features, divided, two_steps, unit
from wordless.audio.views import LEARNED, Noise
from wordless.base.messages import InputError

CONFIG = ProbeConfig(layer_regularisation_strengths=3, regularisation_strengths=6, resamples=200)


SPLITS = ("train", "train", "validation", "test")


def _task(clips: int = 300, classes: int = 3, *, labels: list[str | None] | None = None) -> ProbeTask:
    named = labels or [f"class {clip % classes}" for clip in range(clips)]
    return ProbeTask.of(named, [SPLITS[clip // classes % 4] for clip in range(clips)])


def _several(clips: int = 400, classes: int = 4) -> ProbeTask:
    """Clips of none (which have no label), one or several classes."""
    present = np.random.default_rng(3).random((clips, classes)) < 0.4
    names = ["; ".join(f"class {number}" for number in np.flatnonzero(row)) for row in present]
    labels = [each or (None, ";")[clip % 2] for clip, each in enumerate(names)]
    task = ProbeTask.of(labels, [SPLITS[clip % 4] for clip in range(clips)], label_separator=";")
    assert (task.classes, task.unlabelled) == (tuple(f"class {n}" for n in range(4)), names.count(""))
    assert np.array_equal(task.targets, present)
    return task


def _separable(task: ProbeTask, features: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((len(task.classes), features))
    return (task.targets @ means + rng.standard_normal((len(task.targets), features))).astype(np.float32)


def _noise(task: ProbeTask, features: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(task.targets), features)).astype(np.float32)


def probe(features: np.ndarray, task: ProbeTask, config: ProbeConfig, *, of: str) -> ProbeResult:
    return probe_method({of: features}, task, config)[0]


def _record(features: np.ndarray, task: ProbeTask, config: ProbeConfig = CONFIG) -> dict[str, Any]:
    return method_record("x", probe(features, task, config, of="x"), task, config)


def test_separable_classes_are_told_apart() -> None:
    task = _task()
    row, truth = _record(_separable(task), task), task.names(task.targets[task.rows["test"]])
    assert row["test_accuracy"] == row["macro_f1"] == row["validation_accuracy"] == row["mean_average_precision"] == 1
    assert 0.9 < row["low"] < 1 == row["high"]
    assert row["predictions"] == truth
    assert row["inverse_regularisation"] == c_grid(6, CONFIG)[0]  # the strongest regularisation among equals
    task = _several()
    row = _record(_separable(task), task, replace(CONFIG, c_low=1.0))
    assert row["test_accuracy"] == row["mean_average_precision"] > 0.97
    assert row["low"] <= row["test_accuracy"] <= row["high"]
    truth = task.names(task.targets[task.rows["test"]])
    assert np.mean([one == other for one, other in zip(row["predictions"], truth, strict=True)]) > 0.8


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nothing_is_learned_from_what_is_held_out(split: str) -> None:
    """The features of other splits may be anything: what is fitted, and so any other answer, stays the same."""
    task = _task()
    features = _separable(task) + _noise(task)
    changed = features.copy()
    changed[task.rows[split]] += 100
    one, other = (
        probe(x, task, ProbeConfig(regularisation_strengths=1, resamples=10), of="x") for x in (features, changed)
    )
    if split == "validation":
        np.testing.assert_array_equal(one.scores["test"], other.scores["test"])
    else:
        assert one.tries == other.tries


@pytest.mark.parametrize("by", ["validation", "group"])
def test_a_layer_is_not_chosen_on_test_clips(by: str) -> None:
    """One candidate knows the classes of all clips but test clips; another knows those of test clips, too, alone."""
    plain = _task()
    groups = [f"speaker {number}" for number in np.arange(300) // 12]
    task = with_parts(plain, replace(CONFIG, choose_by=by), groups=groups, folds=groups)
    clear, noise, test = _separable(plain), _noise(plain), plain.rows["test"]
    honest, spy = clear.copy(), noise.copy()
    honest[test], spy[test], spy[plain.rows["train"][::2]] = noise[test], clear[test], clear[plain.rows["train"][::2]]
    assert probe(spy, plain, CONFIG, of="x").test_accuracy > 0.9 > probe(honest, plain, CONFIG, of="x").test_accuracy
    assert probe_method({"x/spy": spy, "x/honest": honest}, task, CONFIG)[0].of == "x/honest"
    values = (plain.targets @ np.arange(3)).astype(np.float32)
    _, chosen = probe_numbers({"spy": spy, "honest": honest}, values, plain.rows, CONFIG, threads=1)
    assert chosen == "honest"


@pytest.mark.parametrize("dims", [200, 1000])
def test_rotated_features_give_the_same_classifier(dims: int) -> None:
    """The oracle fits the features as they are."""
    rng = np.random.default_rng(0)
    labels, mix = rng.integers(3, size=150), rng.standard_normal((40, dims))
    every = (rng.standard_normal((3, dims))[labels] + rng.standard_normal((150, 40)) @ mix).astype(np.float32)
    train, test = every[:100] - every[:100].mean(0), every[100:] - every[:100].mean(0)
    rotation = row_space(train)
    assert rotation is not None
    assert (train @ rotation).shape[1] <= 100
    own = LogisticProbe(train, np.eye(3, dtype=bool)[labels[:100]], multi_label=False, max_iterations=500)
    own.fit(1.0)
    weights, bias = own.linear()
    np.testing.assert_allclose(softmax(test @ weights + bias, 1), own.scores(own.prepare(test)), atol=1e-4)
    for c in (1e-5, 1e-2):
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
        plain, other = (
            model.fit(fitted.astype(np.float64), labels[:100]).predict_proba(judged.astype(np.float64))
            for fitted, judged in ((train, test), (train @ rotation, test @ rotation))
        )
        np.testing.assert_allclose(plain, other, atol=1e-3)


@given(st.integers(1, 40))
def test_regularisation_strengths_are_spread_over_the_range(count: int) -> None:
    grid = c_grid(count, CONFIG)
    assert len(grid) == count
    assert CONFIG.c_low < grid[0] <= grid[-1] < CONFIG.c_high
    np.testing.assert_allclose(np.diff(np.log(grid)), np.log(1e5) / count)


@pytest.mark.parametrize("candidates", [1, 4, 6])
def test_every_candidate_and_every_chosen_one_is_tried_equally_often(candidates: int) -> None:
    """A method with one candidate has no more regularisation strengths for it than another has for its chosen one."""
    task = _task(60)
    winner, tried = probe_method({f"x/{n}": _noise(task, seed=n) for n in range(candidates)}, task, CONFIG)
    assert [len(each.tries) for each in (*tried, winner)] == [3] * candidates + [6]
    assert winner.linear is not None
    assert not any(each.linear for each in tried)  # of many layers and classes they are gigabytes
    require_equal_counts({"one": 6, "other": 6, "head": 0})  # a head tries nothing
    with pytest.raises(InputError, match=r"\(one 6, other 6, luck 60\)"):
        require_equal_counts({"one": 6, "other": 6, "head": 0, "luck": 60})


OTHERS = [pytest.param(*case, marks=pytest.mark.slow) for case in (("validation", 8.0, 6.0), ("group", 0.0, 2.0))]


@pytest.mark.parametrize(("by", "rare", "clipping"), [("validation", 0.0, 2.0), ("group", 8.0, 6.0), *OTHERS])
def test_candidate_bound_and_penalty_are_those_of_a_double_loop(by: str, rare: float, clipping: float) -> None:
    """The oracle fits scikit-learn's classifiers for each candidate, clipping, regularisation strength and fold.

    A rare and large value in one of 30 features tells the class, and a smaller one in another feature does not.
    """
    plain, rng = _task(240), np.random.default_rng(1)
    groups = [f"speaker {number}" for number in np.arange(240) // 12]
    config = replace(CONFIG, choose_by=by, max_iterations=1000, feature_clipping=(2.0, 6.0, 9.0))
    task = with_parts(plain, config, groups=groups, folds=groups)
    clear, clips = plain.targets @ rng.standard_normal((3, 30)) * 0.3 * (rare == 0), np.arange(240)
    clear[clips, 3 * rng.integers(10, size=240) + plain.targets.argmax(1)] += rare
    clear[clips, 3 * rng.integers(10, size=240) + rng.integers(3, size=240)] += rare / 3
    candidates = {
        f"x/{place}": (clear + noise * rng.standard_normal((240, 30))).astype(np.float32)
        for place, noise in enumerate((8.0, 0.7, 5.0))
    }
    found, _ = probe_method(candidates, task, config)
    layers, strengths = (
        c_grid(config.layer_regularisation_strengths, config),
        c_grid(config.regularisation_strengths, config),
    )
    divisions = divided(task.rows, task.parts)
    wanted = two_steps(candidates, task.targets, divisions, layers, strengths, clippings=config.feature_clipping)
    assert (found.of, found.clipping, found.c) == (*wanted[:2], pytest.approx(wanted[2]))
    assert found.clipping == clipping


def test_candidates_that_are_probed_side_by_side_have_a_thread_each_and_reach_the_same() -> None:
    pools = linear.side_by_side(lambda job: {each["num_threads"] for each in threadpool_info()}, range(2), threads=2)
    assert pools == [{1}, {1}]
    task = _task(60)
    candidates = {f"x/{n}": _noise(task, features=5 + n, seed=n) for n in range(5)}
    (winner, alone), (same, together) = (probe_method(candidates, task, CONFIG, threads=threads) for threads in (1, 3))
    for one, other in zip((*alone, winner), (*together, same), strict=True):
        assert (one.of, one.tries, one.low, one.high) == (other.of, other.tries, other.low, other.high)
        np.testing.assert_array_equal(one.scores["test"], other.scores["test"])


def test_a_classifier_s_own_scores_are_measured_and_not_fitted() -> None:
    task = _task()
    result = scored_method(task.targets.astype(np.float32), task, CONFIG, of="head")
    assert (result.test_accuracy, result.validation_accuracy, result.tries, result.c) == (1, 1, {}, None)
    with pytest.raises(InputError, match=r"\b2 classes\b.*\b3\b"):
        scored_method(np.zeros((300, 2), np.float32), task, CONFIG, of="head")


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_a_code_that_one_training_clip_has_and_all_clips_with_noise_have_does_not_decide(classifier: str) -> None:
    """As rare codes do: noise uses codes that training clips hardly have, and their deviations are tiny.

    Larger clippings are no worse on validation, which lacks the code, and are not chosen.
    """
    clips, count = 480, 120
    labels = [f"class {clip % 4}" for clip in range(clips)] + [f"class {clip % 4}" for clip in range(count)]
    splits = [SPLITS[clip // 4 % 4] for clip in range(clips)] + ["noisy"] * count
    noise = [None] * clips + [Noise("white", 20.0)] * count
    task = ProbeTask.of(labels, splits, noise=noise)
    features = _separable(task) + 3 * _noise(task)
    clean = features[task.rows["test"]]
    features[clips:] = clean[:count]  # the same clips, but for one more code
    rare = np.zeros((len(features), 1), np.float32)
    rare[task.rows["train"][0]], rare[clips:] = 0.001, 0.9
    features = np.concatenate([features, rare], axis=1)
    config = replace(CONFIG, classifier=classifier, power=0.5, feature_clipping=(2.0, 5.0, 1e9))  # type: ignore[arg-type]  # any text
    candidates = {"x/one:mean": features, "x/other:mean": np.repeat(features, 2, axis=1) * np.float32(0.5)}
    winner, tried = probe_method(candidates, task, config)
    row = method_record("x", winner, task, config, candidates=tried)
    assert {row["feature_clipping"], *(each["feature_clipping"] for each in row["candidates"])} == {2.0}
    assert row["noise"][0]["test_accuracy"] > row["test_accuracy"] - 0.05 > 0.7
    assert row["noise"][0]["kept"] > 0.95
    deviation = np.sqrt(0.001 * (1 - 1 / 240) / 240)
    assert row["noise"][0]["largest_input"] == pytest.approx(
        (np.sqrt(0.9) - np.sqrt(0.001) / 240) / deviation, rel=0.01
    )
    free = _record(features, task, replace(config, feature_clipping=(1e9,)))
    assert free["feature_clipping"] == 1e9
    assert free["noise"][0]["test_accuracy"] < row["noise"][0]["test_accuracy"] - 0.2
    assert free["noise"][0]["kept"] < row["noise"][0]["kept"] - 0.2


@pytest.mark.parametrize(
    ("reached", "clips", "place"),
    [
        ((0.8, 0.83, 0.79), 100, 0),  # a standard error is 4 points
        ((0.8, 0.85, 0.9), 100, 2),
        ((0.8, 0.87, 0.9), 100, 1),
        ((0.8, 0.808, 0.7), 10_000, 0),  # half a point, but a clipping must gain more than one point
        ((0.8, 0.812, 0.8), 10_000, 1),
        ((0.99, 1.0), 50, 0),  # all right, which half as many clips would often be, too
        ((0.96, 1.0), 50, 1),
        ((0.5,), 3, 0),
    ],
)
def test_a_larger_bound_must_gain_more_than_a_standard_error_and_a_point(
    reached: tuple[float, ...], clips: int, place: int
) -> None:
    assert place_of_clipping(reached, clips) == place


def test_numbers_are_probed_with_bounded_inputs() -> None:
    plain, rng = _task(300), np.random.default_rng(0)
    features = rng.standard_normal((300, 4)).astype(np.float32)
    values = features.clip(-1, 1).sum(1).astype(np.float32)
    features[plain.rows["test"]] *= 1000
    wanted = np.sign(features[plain.rows["test"]]).sum(1)
    predicted, _ = probe_numbers(
        {"x": features}, values, plain.rows, replace(CONFIG, feature_clipping=(1.0,)), threads=1
    )
    np.testing.assert_allclose(predicted, wanted, atol=0.5)
    # A larger clipping must gain a point of R2: it does where values follow features beyond the smaller one.
    features = rng.uniform(-(3**0.5), 3**0.5, (300, 4)).astype(np.float32)
    values = features.sum(1)
    features[plain.rows["test"]] *= 1000
    for clippings, largest in (((1.7, 50.0), 1.7), ((1.0, 50.0), 50.0)):
        config = replace(CONFIG, feature_clipping=clippings)
        predicted, _ = probe_numbers({"x": features}, values, plain.rows, config, threads=1)
        wanted = largest * np.sign(features[plain.rows["test"]]).sum(1)
        assert np.abs(predicted).max() == pytest.approx(np.abs(wanted).max(), rel=0.2)


@pytest.mark.parametrize(("clippings", "chosen"), [((1.0,), "steps"), ((1.0, 50.0), "exact"), ((50.0,), "exact")])
def test_each_bound_has_its_own_best_candidate_of_number_probes(clippings: tuple[float, ...], chosen: str) -> None:
    """Eighths of a range are the same at every clipping; the number itself needs a large one, and is then better."""
    rows, values = _task(300).rows, np.random.default_rng(0).uniform(-(3**0.5), 3**0.5, 300).astype(np.float32)
    eighths = (values[:, None] > np.linspace(-(3**0.5), 3**0.5, 9)[1:-1]).astype(np.float32)
    candidates, config = {"exact": values[:, None], "steps": eighths}, replace(CONFIG, feature_clipping=clippings)
    assert probe_numbers(candidates, values, rows, config, threads=1)[1] == chosen


@pytest.mark.parametrize(("clippings", "chosen"), [((2.0,), "x/steps"), ((2.0, 50.0), "x/exact"), ((50.0,), "x/exact")])
def test_each_bound_has_its_own_best_candidate(clippings: tuple[float, ...], chosen: str) -> None:
    """One of 30 features has 1 or 3, and which of them is the class: both lie beyond the smaller clipping."""
    plain, rng = _task(600, classes=2), np.random.default_rng(0)
    labels, exact = plain.targets.argmax(1), np.zeros((600, 30))
    exact[np.arange(600), rng.integers(30, size=600)] = 1 + 2 * labels
    steps = np.where(rng.random((600, 1)) < 0.75, labels[:, None], 1 - labels[:, None]).astype(float)
    candidates = {"x/exact": exact.astype(np.float32), "x/steps": steps.astype(np.float32)}
    winner, tried = probe_method(candidates, plain, replace(CONFIG, feature_clipping=clippings))
    assert winner.of == chosen
    assert {each.clipping for each in tried} == {winner.clipping}


def test_clips_without_a_label_are_left_out_and_counted() -> None:
    labels = [None if clip % 10 == 0 else f"class {clip % 3}" for clip in range(300)]
    some = _task(labels=labels)
    assert (some.unlabelled, len(some.notices)) == (30, 1)
    known, features = np.flatnonzero(np.arange(300) % 10), _separable(some) + _noise(some)
    without = ProbeTask.of([labels[clip] for clip in known], [SPLITS[clip // 3 % 4] for clip in known])
    assert _record(features, some) == _record(features[known], without)


def test_a_class_that_is_not_tested_is_told_and_left_out_of_means() -> None:
    held_out = [f"class {clip % 3 if clip // 3 % 4 < 2 else clip % 2}" for clip in range(300)]
    task = _task(labels=[*held_out])
    for notice, split in zip(task.notices, ("validation", "test"), strict=True):
        assert re.search(rf"\b1 of 3 classes\b.*\b{split}\b.*\(class 2\)", notice)
    row = _record(_separable(task), task)
    assert row["macro_f1"] == row["mean_average_precision"] == 1


@pytest.mark.parametrize(
    ("labels", "splits", "message"),
    [
        ([None, None], ["train", "test"], r"\b2 of 2 clips\b.*label"),
        (["a", "a", None], ["train", "test", "train"], r"\b2 clips\b.*'a'"),
        (["a", "b", "a"], ["train", "train", "test"], "2 train, 0 validation, 1 test"),
        (["a", "b", None, "b"], ["train", "train", "validation", "test"], "0 validation"),
        (["a", "b", "b"], ["train", "validation", "test"], r"\b1 of 2 classes\b.*train\b.*\bb\b"),
    ],
)
def test_what_cannot_be_probed_is_refused(labels: list[str | None], splits: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeTask.of(labels, splits)


@pytest.mark.parametrize("separator", [None, ";"])
def test_classes_that_only_held_out_clips_have_are_left_out_and_told(separator: str | None) -> None:
    labels = ["a", "b", None, "a", "b", "a", "finch", "finch", "owl" if separator is None else "b;owl"]
    splits = ["train", "train", "train", "validation", "test", "test", "test", "test", "validation"]
    task = ProbeTask.of(labels, splits, label_separator=separator)
    assert task.classes == ("a", "b")
    found = {split: rows.tolist() for split, rows in task.rows.items()}
    assert found == {"train": [0, 1], "validation": [3] if separator is None else [3, 8], "test": [4, 5]}
    assert task.unlabelled == 1
    told = [notice for notice in task.notices if "no train clip" in notice]
    assert ["1 of 2 validation clips" in told[0], "2 of 4 test clips" in told[1]] == [True, True]
    assert ["owl" in told[0], "finch" in told[1]] == [True, True]
    with pytest.raises(InputError, match="2 of 4 classes have no train clip"):
        ProbeTask.of(labels, splits, label_separator=separator, all_learned=True)


# Noise


@pytest.mark.parametrize("parts", [None, 4])
def test_noise_points_are_those_of_the_chosen_probe(parts: int | None) -> None:
    """Copies without change have the figure of the test clips, and copies without information that of a guess."""
    plain = _task(240)
    clips = [*range(240), *plain.rows["test"], *plain.rows["test"]]
    splits, labels = [SPLITS[clip // 3 % 4] for clip in clips[:240]], [f"class {clip % 3}" for clip in clips]
    count = len(plain.rows["test"])
    soft, loud = Noise("rain", 20.0), Noise("white", 10.0)
    task = ProbeTask.of(labels, splits + ["noisy"] * 2 * count, noise=[None] * 240 + [soft] * count + [loud] * count)
    assert all(np.array_equal(task.rows[split], rows) for split, rows in plain.rows.items())
    if parts:
        groups = [f"part {clip // 12 % parts}" for clip in range(len(labels))]
        task = with_parts(task, replace(CONFIG, choose_by="group"), groups=groups, folds=groups)
    features = _separable(task) * 0.4 + 3 * _noise(task)
    features[task.noisy[soft]] = features[plain.rows["test"]]
    features[task.noisy[loud]] = 100 * _noise(task, seed=1)[task.noisy[loud]]
    result = probe(features, task, CONFIG, of="x")
    same, lost = noise_points(result, task, CONFIG)
    assert [(each["kind"], each["snr"]) for each in (same, lost)] == [("rain", 20.0), ("white", 10.0)]
    assert (same["test_accuracy"], same["low"], same["high"]) == (result.test_accuracy, result.low, result.high)
    assert lost["test_accuracy"] < 0.5 < same["test_accuracy"] < 1
    wanted = task.targets[task.rows["test"]].argmax(1).tolist()
    clean, noisy = (result.scores[split].argmax(1).tolist() for split in ("test", "noise"))
    right = [number for number in range(count) if clean[number] == wanted[number]]
    assert same["kept"] == 1
    assert lost["kept"] == np.mean([noisy[count + number] == wanted[number] for number in right])
    assert noise_points(probe(features[:240], plain, CONFIG, of="x"), plain, CONFIG) == []


CURVE = ProbeConfig(regularisation_strengths=4, resamples=20, learning_curve=(0.01, 0.2, 1.0))


def _copied(plain: ProbeTask, clips: int = 240, *, split: str = "train", noise: Noise | None = LEARNED) -> ProbeTask:
    """The task with a row more for each training clip: its noisy copy, or a clip of a split."""
    rows = [*range(clips), *plain.rows["train"]]
    splits = [SPLITS[row // 3 % 4] for row in range(clips)] + [split] * len(plain.rows["train"])
    added = [None] * clips + [noise] * len(plain.rows["train"])
    groups = [f"part {row // 12 % 4}" for row in rows]
    task = ProbeTask.of([f"class {row % 3}" for row in rows], splits, noise=added, groups=groups)
    return with_parts(task, replace(CONFIG, choose_by="validation"), groups=groups, folds=groups)


def test_copies_are_fitted_like_other_training_clips() -> None:
    """A probe with copies is that of a task whose training has these rows as clips, and its figures count no copy."""
    plain = _task(240)
    copied, more = _copied(plain), _copied(plain, noise=None)
    assert all(np.array_equal(copied.rows[split], rows) for split, rows in plain.rows.items())
    assert np.array_equal(copied.learned_rows(copied.rows["train"]), more.rows["train"])
    assert not copied.noisy
    features = _separable(copied) * 0.3 + 2 * _noise(copied)
    found, expected = (probe(features, task, CONFIG, of="x") for task in (copied, more))
    without = probe(features[:240], plain, CONFIG, of="x")
    assert (found.tries, found.c) == (expected.tries, expected.c)
    assert np.array_equal(found.scores["test"], expected.scores["test"])
    assert not np.array_equal(found.scores["test"], without.scores["test"])
    (*_, whole), (*_, other) = (learning_curve(features, task, CURVE, clipping=2.0) for task in (copied, more))
    assert whole["clips"] == len(plain.rows["train"]) == other["clips"] / 2


def test_a_share_of_the_labels_has_the_copies_of_its_clips_alone() -> None:
    """Only copies tell the class: a tenth of the labels is worse than all, as a tenth of clips that tell it is."""
    plain = _task(240)
    task = _copied(plain)
    features = 0.01 * _noise(task)
    told = np.concatenate([task.rows["test"], np.arange(240, len(task.targets))])
    features[told] = (_separable(task, 40) * 0.5 + 2 * _noise(task, 40, seed=2))[told, :20]
    few, some, whole = learning_curve(features, task, CURVE, clipping=2.0)
    assert few["test_accuracy"] < some["test_accuracy"] < whole["test_accuracy"]
    (alone,) = learning_curve(features[:240], plain, replace(CURVE, learning_curve=(1.0,)), clipping=2.0)
    assert alone["test_accuracy"] < 0.5 < whole["test_accuracy"]


@pytest.mark.parametrize("choose_by", ["group", "validation"])
def test_a_copy_is_held_out_with_its_clip(choose_by: Literal["group", "validation"]) -> None:
    """Clips that tell nothing, and copies that are equal to them: a fit that had the copy would name the clip."""
    task = replace(_copied(_task(240)), parts=None)
    assert task.groups is not None
    task = with_parts(task, replace(CONFIG, choose_by=choose_by), groups=task.groups, folds=task.groups)
    features = _noise(task, 400)
    features[240:] = features[task.rows["train"]]
    assert probe(features, task, CONFIG, of="x").validation_accuracy < 0.5
    curve = learning_curve(features, task, replace(CURVE, learning_curve=(1.0,)), clipping=2.0)
    assert curve[0]["test_accuracy"] < 0.5


@st.composite
def targets(draw: st.DrawFn) -> np.ndarray:
    """Clips of one or several classes, each class of some clip."""
    classes = draw(st.integers(2, 4))
    rows = draw(st.lists(st.integers(1, 2**classes - 1), min_size=5, max_size=40))
    rows += [2**number for number in range(classes)]
    return np.array([[row >> number & 1 for number in range(classes)] for row in rows], bool)


@given(targets(), st.integers(0, 3), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_shares_are_nested_and_hold_every_class(which: np.ndarray, seed: int, shares: list[float]) -> None:
    assert sorted(labelled_clips(which, 1, seed=seed)) == list(range(len(which)))
    parts = [labelled_clips(which, share, seed=seed) for share in sorted(shares)]
    fewest = len(labelled_clips(which, 0, seed=seed))
    for part, share in zip(parts, sorted(shares), strict=True):
        assert which[part].any(0).all()
        assert len(part) == max(round(share * len(which)), fewest)
        assert fewest <= which.shape[1]
    for smaller, larger in pairwise(parts):
        assert set(smaller.tolist()) <= set(larger.tolist())


@pytest.mark.parametrize("share", [0.001, 0.2, 1.0])
def test_a_point_is_ridge_regression_whose_penalty_cross_validation_with_all_labels_chooses(share: float) -> None:
    """The oracle is scikit-learn's, with a person held out at once; labels of validation clips are not looked at.

    The smallest share is one label of each class, which cannot choose.
    """
    speakers = [f"{clip % 8}" for clip in range(640)]
    splits = ["train" if speaker < "4" else "test" if speaker < "6" else "validation" for speaker in speakers]
    task = ProbeTask.of([f"class {clip // 8 % 3}" for clip in range(640)], splits, groups=speakers)
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((8, 40))[np.arange(640) % 8]
    means = task.targets @ rng.standard_normal((3, 40)) + voices
    features = (means + 2 * rng.standard_normal((640, 40))).astype(np.float32)
    train, test = task.rows["train"], task.rows["test"]
    config = replace(CURVE, learning_curve=(share,), feature_clipping=(1.5,))
    scaled = clipped_features(features, features[train], clipping=config.feature_clipping[0])
    targets, reached = task.targets.astype(float), []
    judged = []
    for c in c_grid(config.regularisation_strengths, config):
        held_out = np.zeros((len(train), 3))
        for fitted, held in LeaveOneGroupOut().split(train, groups=[speakers[row] for row in train]):
            rows = train[fitted]
            model = Ridge(alpha=unit(scaled[rows]) / c).fit(scaled[rows], targets[rows])
            held_out[held] = model.predict(scaled[train[held]])
        judged.append((held_out.argmax(1) == targets[train].argmax(1)).mean())
    best = np.flatnonzero(np.array(judged) == max(judged))
    c = c_grid(config.regularisation_strengths, config)[best[(len(best) - 1) // 2]]
    for draw in range(DRAWS if share < 1 else 1):
        kept = train[np.sort(labelled_clips(task.targets[train], share, seed=config.seed, draw=draw))]
        model = Ridge(alpha=unit(scaled[kept]) / c).fit(scaled[kept], targets[kept])
        reached.append((model.predict(scaled[test]).argmax(1) == targets[test].argmax(1)).mean())
    [point] = learning_curve(features, task, config, clipping=1.5)
    assert point["test_accuracy"] == pytest.approx(np.mean(reached), abs=1e-3)
    by_speaker = np.array(point["values"])  # (groups, draws)
    assert by_speaker.shape == (2, len(reached))
    np.testing.assert_allclose(by_speaker.mean(0), reached, atol=1e-3)
    spoilt = replace(task, targets=task.targets.copy())
    spoilt.targets[task.rows["validation"]] = spoilt.targets[task.rows["validation"]][:, ::-1]
    assert learning_curve(features, spoilt, config, clipping=1.5) == [point]
    whole = probe(features, task, CURVE, of="x")
    [last] = last_point(whole, task, CURVE)
    assert (last["clips"], last["test_accuracy"]) == (len(train), whole.test_accuracy)


def test_a_single_labelled_clip_takes_the_middle_penalty() -> None:
    labels: list[str | None] = ["a;b", "a;b", "a;b", "a;b", "a", "b", "a;b", "a", "b"]
    task = ProbeTask.of(labels, ["train"] * 6 + ["validation"] + ["test"] * 2, label_separator=";")
    points = learning_curve(_noise(task), task, replace(CURVE, learning_curve=(0.01, 1.0)), clipping=2)
    assert points[0]["clips"] <= 2
    assert all(0 <= point["test_accuracy"] <= 1 for point in points)


def _with_c(features: np.ndarray, task: ProbeTask, place: int) -> float:
    """The accuracy with all labels and one regularisation strength of the grid alone."""
    c = c_grid(CURVE.regularisation_strengths, CURVE)[place]
    config = replace(CURVE, learning_curve=(1.0,), regularisation_strengths=1, c_low=c, c_high=c)
    return float(learning_curve(features, task, config, clipping=2)[0]["test_accuracy"])


def test_the_penalty_of_a_curve_is_judged_on_clips_that_are_not_fitted() -> None:
    """With about as many features as clips, hardly any regularisation fits all training clips and knows no other."""
    rng, clips = np.random.default_rng(0), 480
    task = ProbeTask.of(
        [f"class {clip // 4 % 2}" for clip in range(clips)], ["train", "train", "test", "validation"] * 120
    )
    features = rng.standard_normal((clips, 200)).astype(np.float32)
    features[:, :3] += 1.5 * task.targets[:, :1]
    strong, weak = (_with_c(features, task, place) for place in (0, CURVE.regularisation_strengths - 1))
    [point] = learning_curve(features, task, replace(CURVE, learning_curve=(1.0,)), clipping=2)
    assert point["test_accuracy"] > weak + 0.1
    assert point["test_accuracy"] >= strong - 0.05


def test_of_equally_good_strengths_a_curve_has_the_middle_one() -> None:
    """All answer each training clip. A test clip shows the strength: the weaker it is, the less counts a copy."""
    rng, sign = np.random.default_rng(0), np.tile([1.0, -1.0], 200)
    splits = ["train"] * 196 + ["validation"] * 4 + ["test"] * 200
    task = ProbeTask.of(["yes" if each > 0 else "no" for each in sign], splits)
    features = np.stack([sign, sign + 0.7 * rng.standard_normal(400)], axis=1).astype(np.float32)
    shares = np.linspace(0, 1, 100).repeat(2)  # of what the clean feature has; the copy says the opposite
    features[200:] = np.stack([shares * sign[200:], -0.5 * sign[200:]], axis=1)
    each = [_with_c(features, task, place) for place in range(CURVE.regularisation_strengths)]
    [point] = learning_curve(features, task, replace(CURVE, learning_curve=(1.0,)), clipping=2)
    assert point["test_accuracy"] == each[(CURVE.regularisation_strengths - 1) // 2]
    assert each.count(point["test_accuracy"]) == 1


def test_a_share_is_drawn_several_times() -> None:
    task = ProbeTask.of([f"class {clip % 2}" for clip in range(400)], [*["train"] * 200, *["validation", "test"] * 100])
    features = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32) + task.targets[:, :1]
    config = ProbeConfig(regularisation_strengths=4, resamples=1000, learning_curve=(0.001, 0.01, 0.1))
    fewest, few, some = learning_curve(features, task, config, clipping=2)
    assert [point["clips"] for point in (fewest, few, some)] == [2, 2, 20]  # one of each class
    assert {**fewest, "share": 0.01} == few
    draws = np.mean(some["values"], axis=0)  # of blocks of clips
    assert len({*draws.tolist()}) > 1
    assert some["low"] < draws.mean() < some["high"]
    assert some["over"] == "clips"
    assert np.mean(some["hits"]) == pytest.approx(some["test_accuracy"]) == pytest.approx(draws.mean())


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
    for c in (1e-3, 0.1, 10.0):
        ridge.fit(c)
        np.testing.assert_allclose(ridge.scores(others), _oracle(features, targets, others, c), atol=1e-4)


def _oracle(features: np.ndarray, targets: np.ndarray, others: np.ndarray, c: float) -> np.ndarray:
    """What scikit-learn's ridge regression answers for other features."""
    model = Ridge(alpha=unit(features) / c)
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
    """The mutation: an absolute regularisation strength is harder on few features, and on small numbers."""
    features, targets = _clips(clips, dim)
    others, found = _clips(7, dim)[0], []
    for change in (lambda values: values, lambda values: np.tile(values, 9), lambda values: values / 100):
        fitted = kind(change(features), targets)
        fitted.fit(1.0)
        found.append(fitted.scores(fitted.prepare(change(others))))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=2e-3)


GROUPS = ("ann", "bob", "cem", "dee", "eve")
SPLIT = {"ann": "train", "bob": "train", "cem": "train", "dee": "validation", "eve": "test"}
BY_GROUP = ProbeConfig(regularisation_strengths=5, resamples=10, classifier="ridge", choose_by="group")


def _spoken_task(*, several: bool = False) -> ProbeTask:
    """200 clips of speakers, with one label or several, and the speakers as parts."""
    rng, groups = np.random.default_rng(0), [GROUPS[clip % 5] for clip in range(200)]
    labels = ["abc"[clip // 5 % 3] for clip in range(200)]
    if several:
        labels = [";".join(name for name in "abc" if rng.random() < 0.4) or "a" for _ in groups]
    splits = [SPLIT[group] for group in groups]
    return replace(ProbeTask.of(labels, splits, label_separator=";" if several else None), parts=groups)


def _linear(task: ProbeTask, dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    return (rng.normal(size=(len(task.targets), dim)) + task.targets @ rng.normal(0, 0.8, (3, dim))).astype(np.float32)


@pytest.mark.parametrize(("dim", "several"), [(4, False), (300, False), (30, True)])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_choice_is_that_of_scikit_learn(dim: int, several: bool, power: float) -> None:
    """By accuracy, or by mean average precision for several labels."""
    task = _spoken_task(several=several)
    features, config = _linear(task, dim), replace(BY_GROUP, power=power)
    found = probe(features, task, config, of="x")
    known = np.concatenate([task.rows["train"], task.rows["validation"]])
    groups = [task.parts[row] for row in known]  # type: ignore[index]  # there are parts
    right = make_scorer(lambda truth, scores: accuracy_score(truth.argmax(1), scores.argmax(1)))
    scoring, error = (
        (make_scorer(average_precision_score), 0.002) if several else (right, 0.011)
    )  # a clip at the border
    for (c, reached), wanted_one in zip(found.tries.items(), c_grid(5, config), strict=True):
        assert c == wanted_one
        rooted = FunctionTransformer(lambda values: np.sign(values) * np.abs(values) ** power)
        clipped = FunctionTransformer(lambda values: np.clip(values, -found.clipping, found.clipping))
        # The mean squared norm is nearly dim: few values are clipped.
        model = make_pipeline(rooted, StandardScaler(), clipped, Ridge(alpha=dim / c))
        wanted, by = task.targets[known].astype(float), LeaveOneGroupOut()
        own = cross_val_score(model, features[known], wanted, groups=groups, cv=by, scoring=scoring).mean()
        assert reached == pytest.approx(own, abs=error), c
    assert found.c == max(found.tries, key=lambda each: found.tries[each])
    assert len(found.parts) == len({*groups})
    assert np.mean(found.parts) == pytest.approx(found.validation_accuracy)
    row = method_record("x", found, task, config)
    assert (row["validation_clips"], row["probabilities"]) == (len(known), None)  # values of a ridge
    assert "validation_predictions" not in row


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_the_winner_is_fitted_on_train_alone(classifier: str) -> None:
    task = _spoken_task()
    config = replace(BY_GROUP, classifier=classifier)  # type: ignore[arg-type]  # any text
    features = _linear(task, 20)
    found = probe(features, task, config, of="x")
    c = found.c or 0.0
    alone = replace(config, regularisation_strengths=1, c_low=c, c_high=c)
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
    return [rows["validation"].tolist() for rows in divisions(task).values()]


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
            with_parts(replace(_spoken_task(), parts=None), config, groups=names, folds=names)


def _always() -> ProbeTask:
    """80 clips of several of four classes, the first of which is on every clip."""
    present = np.random.default_rng(1).random((80, 3)) < 0.5
    labels: list[str | None] = [";".join(["always", *(f"class {k}" for k in np.flatnonzero(row))]) for row in present]
    return ProbeTask.of(labels, [SPLITS[clip // 3 % 4] for clip in range(80)], label_separator=";")


def _means(task: ProbeTask, dim: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((len(task.classes), dim))
    made = 5 + 0.1 * (task.targets @ means + rng.standard_normal((len(task.targets), dim)))
    return made.astype(np.float32)


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
@pytest.mark.parametrize("dim", [6, 150])  # fewer and more than there are training clips
@pytest.mark.parametrize(("classes", "several"), [(2, False), (4, False), (3, True)])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_scores_are_those_of_the_comparison(
    classifier: Literal["logistic", "ridge"], dim: int, classes: int, several: bool, power: float, tmp_path: Path
) -> None:
    task = _always() if several else _task(80, classes)
    config = ProbeConfig(classifier=classifier, power=power, feature_clipping=(1.5,))
    features = _means(task, dim)
    features[task.rows["test"][0]] *= 50  # far beyond the clipping
    result = probe(features, task, config, of="gpt/layer_1:mean")
    fitted = FittedProbe.of(
        result, task, replace(config, feature_clipping=(0.5, 1.5))
    )  # of which the probe chose the second
    others = features[task.rows["test"]]
    np.testing.assert_allclose(fitted.scores(others), result.scores["test"], atol=2e-4)
    fitted.save_pretrained(tmp_path / "probe")
    again = FittedProbe.from_pretrained(tmp_path / "probe")
    assert again.description == fitted.description
    np.testing.assert_array_equal(again.scores(others), fitted.scores(others))
    with pytest.raises(InputError, match=rf"\(1, 5\).*gpt/layer_1:mean\b.*\b{dim}\b"):
        fitted.scores(np.zeros((1, 5), np.float32))


def test_chance_is_the_accuracy_of_the_most_frequent_class() -> None:
    labels = ["yes"] * 6 + ["no"] * 2 + ["yes", "no", "no", "no", "yes"]
    task = ProbeTask.of(labels, ["train"] * 8 + ["validation"] + ["test"] * 4)
    features, config = _means(task, 3), ProbeConfig()
    fitted = FittedProbe.of(probe(features, task, config, of="x"), task, config)
    assert fitted.description.chance == 0.25  # one of four test clips is a yes


@pytest.mark.skipif(not COMPUTES_WITH_TENSORS, reason="scikit-learn 1.9 is the first that fits tensors")
@pytest.mark.parametrize("multi_label", [False, True])
def test_a_fit_on_a_device_is_that_of_numpy(multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, 20)).astype(np.float32)
    values = features @ rng.standard_normal((20, 4))
    targets = values > 0 if multi_label else np.eye(4, dtype=bool)[values.argmax(1)]
    targets[:, 0] |= multi_label  # a label of every clip is not fitted
    scores, weights = [], []
    for where in (None, torch.device("cpu")):
        own = LogisticProbe(
            features, targets, multi_label=multi_label, max_iterations=200, device_for=lambda _, where=where: where
        )
        for c in (1e-3, 0.1):
            own.fit(c)
        scores.append(own.scores(own.prepare(features)))
        weights.append(own.linear()[0])
    np.testing.assert_allclose(scores[1], scores[0], atol=2e-3)
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-2)
    assert (scores[1].argmax(1) == scores[0].argmax(1)).mean() > 0.99


def test_few_clips_of_many_dimensions_are_a_small_fit() -> None:
    task = _task(80, 2)
    clips = len(task.rows["train"])
    features = np.random.default_rng(0).standard_normal((clips, LARGE_FIT // clips + 1)).astype(np.float32)
    on_gpu = replace(task, device=torch.device("meta"))  # which could not compute it
    probe = create_classifier(features, task.targets[task.rows["train"]], on_gpu, ProbeConfig())
    probe.fit(1.0)
    assert probe.scores(probe.prepare(features)).shape == (clips, 2)
