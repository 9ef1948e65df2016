"""Training curves for trackers: points as they come, and the curves of the store."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from pipelines.tracking.tracker import CurvePoint
from wordless.base.configuration import build
from wordless.base.errors import InputError
from wordless.training.options import FitConfig
from wordless.training.record import Point


class LiveCurve:
    """The points of a training that goes on, with its learning rate and its speed."""

    def __init__(self, fit: FitConfig, add: Callable[[Sequence[CurvePoint]], None]) -> None:
        """Pass the points to ``add``."""
        self._fit = fit
        self._add = add
        self._before: tuple[int, float] | None = (0, time.monotonic())  # step and time of the point before

    def resume(self, points: Sequence[Point]) -> None:
        """Take the points of an earlier attempt; the next point has no speed, because some of its steps are older."""
        self._add([curve_point(point, self._fit) for point in points])
        self._before = None

    def add(self, point: Point) -> None:
        """Take the next point."""
        step, now = point["step"], time.monotonic()
        speed = (step - self._before[0]) / max(now - self._before[1], 1e-9) if self._before else None
        self._before = step, now
        self._add([curve_point(point, self._fit, steps_per_second=speed)])


def stored_points(curve: Sequence[Point], options: object) -> list[CurvePoint]:
    """Return the points of a stored curve; ``options`` are those of the training in the recipe of its entry."""
    fit = _fit(options)
    return [curve_point(point, fit) for point in curve]


def curve_point(point: Point, fit: FitConfig | None, *, steps_per_second: float | None = None) -> CurvePoint:
    """Return a point with the learning rate of its last step."""
    return CurvePoint(
        step=point["step"],
        train_loss=point["train_loss"],
        validation_loss=point["validation_loss"],
        learning_rate=fit.learning_rate(point["step"] - 1) if fit else None,
        steps_per_second=steps_per_second,
    )


def _fit(options: object) -> FitConfig | None:
    """Read the options of a training; None if an older version wrote other ones."""
    known = {field.name for field in fields(FitConfig)}
    if not isinstance(options, Mapping):
        return None
    try:
        return build(FitConfig, {name: value for name, value in options.items() if name in known}, name="fit")
    except InputError:
        return None
