"""Options of labels, of figures and of probes.

They stand in a file of their own, because several files read them: `lm.probing.task` and `lm.finetuning` the labels,
`lm.probing.probe`, `lm.heads` and the figures of a run (`pipelines.results`) the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wordless.base.options import Options, option


def label_names(label: str, separator: str | None) -> tuple[str, ...]:
    """Return the classes that a label names: one, or with a separator several."""
    if separator is None:
        return (label,)
    return tuple(name for part in label.split(separator) if (name := part.strip()))


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """How the label of a clip names its classes."""

    label_separator: str | None = option(
        None, 'separates several labels of one clip, such as ";" in "dog;rain"; null: each clip has one label'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "give what stands between labels, or null for one label"
        self.refuse_if(self.label_separator == "", "label_separator", rule)


FEWEST_RESAMPLES = 10  # fewer would give an interval without width, or nearly so


@dataclass(frozen=True, kw_only=True)
class FigureConfig(Options):
    """Options of figures."""

    resamples: int = option(
        1000,
        "number of bootstrap samples of the test clips, where they have no groups",
        least=FEWEST_RESAMPLES,
        most=1_000_000,
    )
    confidence: float = 0.95  # confidence level of all intervals
    seed: int = 0  # seed of the bootstrap samples


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(LabelOptions, FigureConfig):
    """Options of probes and of their intervals; the seed is also that of folds of groups and of shares of labels."""

    classifier: Literal["logistic", "ridge"] = option(
        "logistic", "logistic regression, or least squares with an L2 penalty, which is faster"
    )
    choose_by: Literal["auto", "validation", "group", "fold"] = option(
        "auto",
        "layer, pooling and regularisation strength are chosen on the validation clips, or by cross-validation over "
        "five folds of whole groups, or over given folds; auto: over groups where there are five or more and the test "
        "has others",
    )
    power: float = option(
        1.0, "exponent of each feature's magnitude; 0.5: signed square roots; 1: nothing is changed", above=0, most=1
    )
    # A rare code may be thousands of deviations from the mean of train, and one such feature then decides for a noisy
    # clip: docs/log.md, "All 24 people" and "Noise and number of codes".
    feature_clipping: tuple[float, ...] = option(
        (2.0, 5.0),
        "standardised features are clipped to one of these distances from the mean of train, so that no feature that "
        "training hardly had decides alone; the smallest one that is not clearly worse on validation is chosen",
        above=0,
        unit="deviations of train",
        filled=True,
    )
    # number of regularisation strengths that each candidate (layer and pooling) of each method is tried with; ridge
    # regression chooses the candidate
    layer_regularisation_strengths: int = 2
    regularisation_strengths: int = option(
        5,
        "number of regularisation strengths that the chosen candidate of each method is tried with for each clipping, "
        "and once for all points of its learning curve, which ridge regression reads",
        least=1,
        most=1000,
    )
    # smallest C: the inverse of the regularisation strength, in units of the mean squared norm of a clip's features;
    # the strongest regularisation
    c_low: float = 0.01
    c_high: float = 1000.0  # largest C: the weakest regularisation
    max_iterations: int = 100  # largest number of solver iterations of logistic regression for each C
    learning_curve: tuple[float, ...] = option(
        (0.01, 0.05, 0.1, 1.0),
        "probes are trained again with these shares of the training labels; []: none",
        above=0,
        most=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "list shares of the labels in ascending order: 0.01, 0.1, 1"
        self.refuse_if(list(self.learning_curve) != sorted({*self.learning_curve}), "learning_curve", rule)
        rule = "list them in ascending order: 2, 5"
        self.refuse_if(list(self.feature_clipping) != sorted({*self.feature_clipping}), "feature_clipping", rule)
