"""The record of a training: what `wordless.training.fit.fit` reports, ``curve.json`` holds and the report draws."""

from typing import TypedDict


class Point(TypedDict):
    """One point of a training curve; losses per item."""

    step: int
    train_loss: float  # mean since the previous point
    validation_loss: float


class TrainingRecord(TypedDict):
    """Result of one training."""

    curve: list[Point]
    steps: int
    kept_step: int  # step of the weights that were kept
    cut_short: bool  # by max_minutes
