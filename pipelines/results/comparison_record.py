"""The comparison of representations in ``results.json``, as the report reads it."""

from collections.abc import Mapping
from typing import Any, TypedDict

from lm.probing.comparison import MANY_GROUPS
from pipelines.methods.picture import PictureRecord
from pipelines.store.stored_features import GPT
from wordless.training.record import TrainingRecord

LAYER_CHOICE = "Ridge regression chooses layer and pooling, and the chart by layer shows its figures."


class ValidationRow(TypedDict, total=False):
    """The figure that chose a method's candidates, and how far it is from test."""

    validation: float  # mean over folds and seeds, in the comparison's metric
    validation_low: float | None  # interval over validation clips or their groups, or over parts of cross-validation
    validation_high: float | None
    validation_clips: int  # over all folds; after cross-validation those of train and validation
    gap: float  # validation minus test
    gap_low: float  # interval that holds for all methods at once
    gap_high: float


class MethodRow(ValidationRow, total=False):
    """One way to represent a clip, with a linear probe on it. Values are ratios, means over the folds."""

    of: str
    kind: str  # see `pipelines.methods.method.Kind`
    value: float  # in the comparison's metric
    low: float  # interval over the test clips or their groups, folds fixed
    high: float
    macro_f1: float | None
    mean_average_precision: float | None
    folds: dict[str, float]
    fold_spread: float  # standard deviation over the folds
    seeds: dict[str, float]  # means over the folds
    chosen: dict[str, str]  # candidate, by fold, or by "fold, seed n" of several; empty for scores that no probe made
    groups: dict[str, float]


class DifferenceRow(TypedDict, total=False):
    """The difference between two methods, in the comparison's metric."""

    of: str
    against: str
    value: float
    low: float  # interval over the test clips or their groups, folds fixed
    high: float
    p: float  # two-sided
    folds: dict[str, float]
    fold_low: float | None  # paired t interval over the folds
    fold_high: float | None
    seeds: dict[str, float]
    seed_low: float | None  # paired t interval over the seeds
    seed_high: float | None


class LayerRow(TypedDict):
    """One layer with its best pooling."""

    of: str
    validation: float
    test: float


class SharePoint(TypedDict):
    """A method's result with a share of the labels."""

    share: float  # ratio of the train labels
    clips: float
    value: float
    low: float
    high: float


class ComparisonRecord(TypedDict, total=False):
    """All methods of all folds; entries that do not apply to the task are absent."""

    protocol: str
    by: str  # basis of the folds: group, fold or split
    metric: str  # accuracy where absent
    folds: list[str]
    seeds: list[int]
    classes: list[str]
    clips: int  # of test, with a label
    split_groups: dict[str, list[str]]  # groups of the clips of validation and test, of a single split
    clips_key: str  # runs with the same key have the same test clips, labels and groups
    unlabelled: int  # clips
    notices: list[str]  # limits of the folds, a sentence each
    layer_penalties: int  # of each candidate of each method, for the choice of the candidate
    penalties: int  # of the chosen candidate of each method
    classifier: str  # of every method
    choose_by: str  # what chose layer, pooling and penalty: validation, group, fold, or auto where folds differ
    confidence: float
    resampled: str  # what the bootstrap draws: clip or group; clip where absent
    methods: list[MethodRow]  # the best first
    references: list[str]  # that every other method is compared with; the GPT where absent
    differences: list[DifferenceRow]
    layers: dict[str, list[LayerRow]]
    learning_curves: dict[str, list[SharePoint]]
    confusion: dict[str, list[list[float]]]  # of references: clips, a row for each true class; of tasks with one label
    trainings: dict[str, dict[str, TrainingRecord]]  # by method, then fold
    pictures: list[PictureRecord]  # of what methods have learned in the first fold and seed


def has_folds(comparison: ComparisonRecord) -> bool:
    """Return whether there are several folds."""
    return len(comparison["folds"]) > 1


def references(comparison: ComparisonRecord) -> list[str]:
    """List the methods that every other method is compared with, as far as they take part."""
    given = comparison.get("references", [GPT])
    return [of for of in given if method_of(comparison, of)]


def few_groups(comparison: Mapping[str, Any]) -> str | None:
    """Say what intervals over clips leave open if a single split tests few groups; None if it tests many."""
    groups = max((len(row.get("groups", {})) for row in comparison["methods"]), default=0)
    if comparison.get("by") != "split" or not 1 <= groups < MANY_GROUPS:
        return None
    which, these = ("1 group", "this group") if groups == 1 else (f"{groups} groups", "these groups")
    return (
        f"The test clips come from {which}, and clips of one group are alike: the intervals and p values hold for "
        f"{these}. For others, leave each group out (wordless run with compare.folds=group)."
    )


def gap_shown(row: Mapping[str, Any]) -> bool:
    """Return whether validation and test of a method differ by more than chance (`pipelines.results.comparison`)."""
    low, high = row.get("gap_low"), row.get("gap_high")
    return low is not None and high is not None and (low > 0 or high < 0)


def resampled_noun(comparison: ComparisonRecord) -> str:
    """Return what intervals and p values are over."""
    return "whole groups of test clips" if comparison.get("resampled") == "group" else "test clips"


def fold_noun(comparison: ComparisonRecord) -> str:
    """Return the unit that is left out of training together."""
    return "group" if comparison.get("by") == "group" else "fold"


def chosen_by(comparison: ComparisonRecord) -> str:
    """Write what chose layer, pooling and penalty, as a sentence."""
    by = comparison.get("choose_by", "validation")
    if by == "validation":
        return f"Validation clips choose layer, pooling and penalty. {LAYER_CHOICE}"
    parts = {"group": "five folds of whole groups", "fold": "the given folds"}.get(
        by, "five folds of whole groups, where there are as many,"
    )
    return (
        f"Cross-validation over {parts} of the training and validation clips chooses layer, pooling and penalty. "
        f"{LAYER_CHOICE} For a method that was trained on labels, validation clips choose. The winner is fitted on "
        "train."
    )


def probed_places(comparison: ComparisonRecord) -> list[str]:
    """List each fold, or each fold with each seed, in which a candidate was chosen."""
    return list(dict.fromkeys(place for row in comparison["methods"] for place in row.get("chosen", {})))


def method_of(comparison: ComparisonRecord, of: str) -> MethodRow | None:
    """Return the row of one method, if it takes part."""
    return next((row for row in comparison["methods"] if row["of"] == of), None)


def guessing(comparison: ComparisonRecord) -> float | None:
    """Compute the accuracy of always answering the most frequent class; None if a clip may have several labels."""
    tables = ([sum(row) for row in counts] for counts in comparison.get("confusion", {}).values())
    return next((max(clips) / sum(clips) for clips in tables if sum(clips)), None)
