"""A fitted probe answers as that of the comparison, also after it was saved; fits of few and of many clips."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from lm.options import ProbeConfig
from lm.probing.fitted import FittedProbe
from lm.probing.linear import COMPUTES_WITH_TENSORS, LogisticProbe
from lm.probing.probe import create_classifier, probe
from lm.probing.task import LARGE_FIT, ProbeTask
from wordless.base.errors import InputError


def _task(classes: int, *, several: bool = False) -> ProbeTask:
    rng = np.random.default_rng(1)
    if several:  # the first class is on every clip
        present = rng.random((80, classes)) < 0.5
        labels = [";".join(["always", *(f"class {k}" for k in np.flatnonzero(row))]) for row in present]
    else:
        labels = [f"class {clip % classes}" for clip in range(80)]
    splits = [("train", "train", "validation", "test")[clip // classes % 4] for clip in range(80)]
    return ProbeTask.of(labels, splits, label_separator=";" if several else None)


def _features(task: ProbeTask, dim: int) -> np.ndarray:
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
    task, config = _task(classes, several=several), ProbeConfig(classifier=classifier, power=power)
    features = _features(task, dim)
    result = probe(features, task, config, of="gpt/layer_1:mean")
    fitted, others = FittedProbe.of(features, result, task, config), features[task.rows["test"]]
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
    features, config = _features(task, 3), ProbeConfig()
    fitted = FittedProbe.of(features, probe(features, task, config, of="x"), task, config)
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
        for penalty in (1e-3, 0.1):
            own.fit(penalty)
        scores.append(own.scores(own.prepare(features)))
        weights.append(own.linear()[0])
    np.testing.assert_allclose(scores[1], scores[0], atol=2e-3)
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-2)
    assert (scores[1].argmax(1) == scores[0].argmax(1)).mean() > 0.99


def test_few_clips_of_many_dimensions_are_a_small_fit() -> None:
    task = _task(2, several=False)
    clips = len(task.rows["train"])
    features = np.random.default_rng(0).standard_normal((clips, LARGE_FIT // clips + 1)).astype(np.float32)
    on_gpu = replace(task, device=torch.device("meta"))  # which could not compute it
    probe = create_classifier(features, task.targets[task.rows["train"]], on_gpu, ProbeConfig())
    probe.fit(1.0)
    assert probe.scores(probe.prepare(features)).shape == (clips, 2)
