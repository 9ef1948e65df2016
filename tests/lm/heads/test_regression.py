"""Regression: normalised numbers, figures, ridge probes and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score

from lm.heads.head import PooledTask
from lm.heads.options import FigureConfig, RegressionOptions
from lm.heads.regression import RegressionTask
from lm.options import ProbeConfig
from wordless.base.errors import InputError

FIGURES = FigureConfig(resamples=200)
LABELS = [str(number) for number in (10, 20, 30, 40, -5.5)]


def task(labels: list[str] = LABELS) -> RegressionTask:
    return RegressionOptions(dropout=0.0).task(labels, [])


@pytest.mark.parametrize("label", ["loud", "nan", "inf", "-Infinity", "1,5", "", "1e999"])
def test_labels_that_are_no_finite_numbers_are_refused(label: str) -> None:
    for refuse in (RegressionOptions().require, lambda labels: RegressionOptions().task(LABELS, labels)):
        with pytest.raises(InputError, match=rf"{label!r}.*head=regression"):
            refuse([*LABELS, label])


def test_numbers_that_are_all_equal_are_refused() -> None:
    with pytest.raises(InputError, match=r"\b2\b.*\blabels\b.*\b3\b"):
        RegressionOptions().require(["3", "3.0"])
    with pytest.raises(InputError, match="no recording"):
        RegressionOptions().require([])


def test_outputs_are_normalised_with_the_training_labels() -> None:
    targets = task().targets(LABELS)
    assert float(targets.mean()) == pytest.approx(0, abs=1e-6)
    assert float(targets.std(correction=0)) == pytest.approx(1)
    outputs = list(targets.numpy()[:, None, None])
    assert [row["value"] for row in task().rows(outputs)] == pytest.approx([float(label) for label in LABELS])
    assert task(["7"]).targets(["7", "8"]).tolist() == [0, 1]  # one label has no deviation


@pytest.mark.parametrize("label", ["0.1", "1e300", "1700000000.7"])
def test_equal_training_labels_have_no_deviation_that_is_an_error_of_rounding(label: str) -> None:
    assert task([label] * 3).std == 1


def test_large_numbers_are_told_apart() -> None:
    labels = [str(1_700_000_000 + number) for number in range(100)]
    own = task(labels)
    outputs = list(own.targets(labels).numpy()[:, None, None])
    assert [row["value"] for row in own.rows(outputs)] == pytest.approx([float(each) for each in labels], abs=0.01)
    fit, error = own.figures(outputs, labels, FIGURES)
    assert (fit.value, error.value) == (pytest.approx(1), pytest.approx(0, abs=0.01))


def test_the_fit_to_equal_numbers_is_not_known() -> None:
    fit, error = task().figures([np.ones((1, 1), np.float32)] * 3, ["20"] * 3, FIGURES)
    assert fit.plain == {"name": "R2", "value": None, "low": None, "high": None}
    assert error.plain["value"] == pytest.approx(error.value)


def test_the_loss_is_the_squared_error() -> None:
    summed, clips = task().loss(
        torch.tensor([[[1.0]], [[0.0]]]), torch.ones(2), torch.tensor([0.5, 2.0]), training=True
    )
    assert (float(summed), clips) == (4.25, 2)


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, own = rng.normal(50, 10, 60), task()
    predicted = (truth + rng.normal(0, 5, 60)).astype(np.float32)
    outputs = [np.array([[(value - own.mean) / own.std]], np.float32) for value in predicted]
    fit, error = own.figures(outputs, [str(value) for value in truth], FIGURES)
    assert (fit.name, error.name) == ("R2", "mean absolute error")
    assert fit.value == pytest.approx(r2_score(truth, predicted), abs=1e-5)
    assert error.value == pytest.approx(mean_absolute_error(truth, predicted), abs=1e-4)
    assert fit.low < fit.value < fit.high
    assert error.low < error.value < error.high


def test_the_mean_explains_nothing() -> None:
    own = task()
    fit, error = own.figures([own.constant(LABELS)] * 5, LABELS, FIGURES)
    assert fit.value == pytest.approx(0, abs=1e-6)
    assert error.value == pytest.approx(np.abs(np.array(LABELS, float) - own.mean).mean(), rel=1e-6)


def test_a_ridge_probe_reads_a_linear_feature() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 6)).astype(np.float32)
    values = features @ np.array([3, -1, 0, 0, 0, 2]) + 7
    labels, own = [str(value) for value in values], task([str(value) for value in values[:40]])
    rows = {"train": np.arange(40), "validation": np.arange(40, 60), "test": np.arange(60, 80)}
    candidates = {"noise": rng.normal(size=(80, 6)).astype(np.float32), "linear": features}
    assert isinstance(own, PooledTask)
    probed = own.probe(candidates, labels, rows, ProbeConfig(penalties=8), threads=1)
    assert probed.chosen == "linear"
    fit, _ = own.figures(probed.outputs, labels[60:], FIGURES)
    assert fit.value > 0.99
