"""Options of the probes, and the penalties that all methods are tried with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wordless.base.errors import InputError
from wordless.base.ranges import require
from wordless.base.seeds import require_seed

FEWEST_RESAMPLES = 10  # fewer would give an interval without width, or nearly so
BOUNDS = {
    "layer_penalties": (1, 1_000),
    "penalties": (1, 1_000),
    "max_iterations": (1, 100_000),
    "resamples": (FEWEST_RESAMPLES, 1_000_000),
}


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Options of probes and of their intervals."""

    classifier: Literal["logistic", "ridge"] = "logistic"  # the same for all methods
    # what chooses: the validation clips, or cross-validation over five folds of whole groups, or over given folds;
    # auto: over groups where they can be held out, else the validation clips
    choose_by: Literal["auto", "validation", "group", "fold"] = "auto"
    # of the features' magnitudes, before they are standardised: 0.5 is the signed square root (power normalisation,
    # Perronnin et al., "Improving the Fisher kernel for large-scale image classification", 2010)
    power: float = 1.0
    layer_penalties: int = 2  # of each candidate of each method, for the choice of the candidate by ridge regression
    penalties: int = 5  # of the chosen candidate of each method, and of each point of its learning curve
    penalty_low: float = 1e-4  # C, the strongest regularisation
    penalty_high: float = 10.0
    max_iterations: int = 100  # of logistic regression's L-BFGS for each C, starting from the previous solution
    label_separator: str | None = None  # between the classes of a clip that has several: ";" for "dog;rain"
    learning_curve: tuple[float, ...] = (0.01, 0.05, 0.1, 1.0)  # shares of the train labels, ascending; empty: none
    resamples: int = 1000  # of the test clips, for intervals
    confidence: float = 0.95  # probability mass of the intervals
    seed: int = 0  # of the resamples, the folds of whole groups, and the labelled clips of a share

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            require(least <= value <= most, f"probe.{name}", value, f"choose {least:,} to {most:,}")
        ascending = 0 < self.penalty_low <= self.penalty_high < float("inf")
        rule = "choose values of C with 0 < penalty_low <= penalty_high, such as 1e-4 and 10"
        require(ascending, "probe.penalty_low", f"{self.penalty_low} and penalty_high {self.penalty_high}", rule)
        require(0 < self.power <= 1, "probe.power", self.power, "choose 1 (none), or less and above 0, such as 0.5")
        rule, shares = "list shares of the labels above 0, up to 1, ascending: 0.01, 0.1, 1", list(self.learning_curve)
        ascending = shares == sorted(set(shares)) and all(0 < share <= 1 for share in shares)
        require(ascending, "probe.learning_curve", shares, rule)
        rule = "give what stands between labels, or null for one label"
        require(self.label_separator != "", "probe.label_separator", "empty", rule)
        rule = "choose a probability between 0 and 1, such as 0.95"
        require(0 < self.confidence < 1, "probe.confidence", self.confidence, rule)
        require_seed(self.seed, "probe.seed")


def penalty_grid(count: int, config: ProbeConfig) -> tuple[float, ...]:
    """Return ``count`` values of C, ascending: the middles of equal parts of the range, on a log scale.

    The ends of the range would be poor choices: two penalties would be only them, and nothing in between.
    """
    low, high = np.log([config.penalty_low, config.penalty_high])
    return tuple(np.exp(low + (high - low) * (np.arange(count) + 0.5) / count).tolist())


def require_equal_counts(counts: Mapping[str, int]) -> None:
    """Refuse a comparison of methods with different numbers of penalties; 0 means that a method has its own scores."""
    tried = {of: count for of, count in counts.items() if count}
    if len(set(tried.values())) > 1:
        found = ", ".join(f"{of} {count}" for of, count in tried.items())
        raise InputError(f"the methods were not tried with equally many penalties ({found}); give all as many")
