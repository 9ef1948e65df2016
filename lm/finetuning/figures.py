"""Figures of predictions on test clips, each with a bootstrap interval over the clips, or over their groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lm.comparison import IndexArray, Outcome, bootstrap, measure, outcome_interval
from wordless.base.ranges import require
from wordless.base.seeds import require_seed

Groups = Sequence[IndexArray]  # of the test clips, if whole groups are resampled: `lm.comparison.whole_groups`


@dataclass(frozen=True, kw_only=True)
class FigureConfig:
    """Options of the figures."""

    resamples: int = 1000  # of the test clips, or of their groups
    confidence: float = 0.95  # probability mass of all intervals
    seed: int = 0

    def __post_init__(self) -> None:
        require(10 <= self.resamples <= 1_000_000, "figures.resamples", self.resamples, "choose 10 to 1,000,000")
        rule = "choose a probability between 0 and 1, such as 0.95"
        require(0 < self.confidence < 1, "figures.confidence", self.confidence, rule)
        require_seed(self.seed, "figures.seed")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the predictions for the test clips."""

    name: str
    value: float
    low: float  # bootstrap interval over clips, or over their groups
    high: float
    percent: bool = False  # whether it is a share, which is shown in percent

    def show(self, value: float) -> str:
        """Format a value of this figure."""
        return f"{value:.1%}" if self.percent else f"{value:.3f}"

    @property
    def plain(self) -> dict[str, object]:
        """The name, value and interval for JSON; None where a number is not known, such as R2 of equal numbers."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {"name": self.name} | {end: value if math.isfinite(value) else None for end, value in numbers.items()}


def figure(
    name: str,
    outcome: Outcome,
    config: FigureConfig,
    groups: Groups | None = None,
    *,
    percent: bool = False,
) -> Figure:
    """Measure the outcome of one method; with ``groups``, whole groups are resampled."""
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed, groups=groups)[:, 0]
    known = draws[np.isfinite(draws)]  # R2 of a resample with a single value is not known
    value = float(measure(outcome)[0, 0])
    low, high = outcome_interval([outcome], known, config.confidence, groups=groups) if len(known) else (value, value)
    return Figure(name=name, value=value, low=low, high=high, percent=percent)
