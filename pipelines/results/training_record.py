"""A training in ``results.json``, as the report reads it."""

from typing import TypedDict


class CurvePoint(TypedDict):
    """Losses per item at one step."""

    step: int
    train_loss: float
    validation_loss: float


class TrainingRecord(TypedDict):
    """How one training went."""

    curve: list[CurvePoint]
    steps: int
    kept_step: int
    cut_short: bool
