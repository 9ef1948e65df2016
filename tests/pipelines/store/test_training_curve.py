"""Training curves in TensorBoard."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.store.training_curve import training_name
from training.record import Point, TrainingRecord
from training.tracking import tensorboard, write_tensorboard

CURVE = [Point(step=10 * n, train_loss=5.0 / n, validation_loss=6.0 / n) for n in (1, 2, 3)]


def points(folder: Path, loss: str) -> list[tuple[int, float]]:
    """Step and value of each point of the one log of a loss."""
    log = EventAccumulator(str(folder / f"loss_{loss}"))
    log.Reload()
    return [(event.step, event.value) for event in log.Scalars("loss")]


def test_the_curve_of_a_reused_training_is_logged_as_one_that_is_watched(tmp_path: Path) -> None:
    track = tensorboard(tmp_path / "watched")
    for point in CURVE:
        track(point)
    report = TrainingRecord(curve=CURVE, steps=30, kept_step=30, cut_short=False)
    for _ in range(2):  # the second time it is there already
        write_tensorboard(tmp_path / "reused", report)
    for loss in ("train", "validation"):
        found = points(tmp_path / "reused", loss)
        assert found == points(tmp_path / "watched", loss)
        assert found == [(point["step"], pytest.approx(dict(point)[f"{loss}_loss"])) for point in CURVE]


def test_a_training_is_one_folder_whatever_its_fold_is_called() -> None:
    assert training_name("lm") == "language model"
    assert training_name("vocoder") == "vocoder"
    assert training_name("ast", "../anna/b, seed 0") == "AST .._anna_b, seed 0"
