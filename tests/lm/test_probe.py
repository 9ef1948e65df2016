"""Linear probes."""

import numpy as np
import pytest

from audio.errors import InputError
from lm.probe import ProbeConfig, ProbeTask, bootstrap_interval, chosen, probe

CONFIG = ProbeConfig(resamples=200)


def _task(clips: int = 300, classes: int = 3) -> ProbeTask:
    labels = [f"class {clip % classes}" for clip in range(clips)]
    splits = [("train", "train", "validation", "test")[clip // classes % 4] for clip in range(clips)]
    return ProbeTask.of(labels, splits)


def _separable(task: ProbeTask, features: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((len(task.classes), features))
    return (means[task.labels] + rng.standard_normal((len(task.labels), features))).astype(np.float32)


def test_separable_classes_are_told_apart() -> None:
    task = _task()
    result = probe(_separable(task), task, CONFIG, of="separable")
    assert result.test_accuracy == result.macro_f1 == result.validation_accuracy == 1
    assert (result.low, result.high) == (1, 1)
    assert result.predictions == tuple(task.classes[task.labels[clip]] for clip in task.rows["test"])
    assert result.penalty == CONFIG.penalties[0]  # the strongest regularisation among equals


def test_noise_is_told_apart_by_chance() -> None:
    task = _task(1200)
    noise = np.random.default_rng(0).standard_normal((1200, 20)).astype(np.float32)
    result = probe(noise, task, CONFIG, of="noise")
    assert result.test_accuracy == pytest.approx(1 / 3, abs=0.1)
    assert result.low < result.test_accuracy < result.high


def test_scale_and_offset_of_a_feature_do_not_matter() -> None:
    task = _task()
    features = _separable(task)
    scaled = features * np.float32(1e4) + np.float32(7)
    one, other = (probe(x, task, CONFIG, of="x") for x in (features, scaled))
    assert one.predictions == other.predictions


def test_the_best_on_validation_is_chosen_and_the_first_among_equals() -> None:
    task = _task()
    good, noise = _separable(task), np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)
    candidates = {"layer_0": noise, "layer_1": good, "layer_2": good.copy()}
    best = chosen([probe(features, task, CONFIG, of=name) for name, features in candidates.items()])
    assert best.of == "layer_1"


def test_one_seed_gives_one_interval() -> None:
    correct = np.arange(100) % 4 > 0
    low, high = bootstrap_interval(correct, ProbeConfig())
    assert (low, high) == bootstrap_interval(correct, ProbeConfig())
    assert low == pytest.approx(0.75 - 1.96 * (0.75 * 0.25 / 100) ** 0.5, abs=0.02)  # the normal approximation
    assert high == pytest.approx(0.75 + 1.96 * (0.75 * 0.25 / 100) ** 0.5, abs=0.02)


@pytest.mark.parametrize(
    ("labels", "splits", "message"),
    [
        (["a", None], ["train", "test"], "1 of 2 clips have no label"),
        (["a", "a"], ["train", "test"], "all 2 clips have the label 'a'"),
        (["a", "b", "a"], ["train", "train", "test"], "2 train, 0 validation, 1 test clips"),
        (["a", "b", "b"], ["train", "validation", "test"], r"1 of 2 classes have no train clip \(b\)"),
    ],
)
def test_what_cannot_be_probed_is_refused(labels: list[str | None], splits: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeTask.of(labels, splits)


def test_features_of_other_clips_or_no_number_are_refused() -> None:
    task = _task(12)
    with pytest.raises(InputError, match="one row for each of 12 clips"):
        probe(np.zeros((11, 2), np.float32), task, CONFIG, of="short")
    with pytest.raises(InputError, match="not finite"):
        probe(np.full((12, 2), np.nan, np.float32), task, CONFIG, of="broken")
