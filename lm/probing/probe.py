"""Linear probes: how well a linear classifier predicts labels from a representation.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016 (arXiv:1610.01644). The same
protocol for every method: frozen features, standardised on train, no augmentation, one kind of linear classifier. A
method may offer several candidates (layers, poolings). All methods have the same number of tries, which their
candidates share; a try is one penalty for one candidate. Validation, or cross-validation over the groups of training
and validation, chooses among the tries. In both cases the winner is fitted on train, and test is measured once.
Test results of the other candidates are computed for charts by layer, and choose nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from foundation.errors import InputError
from lm.comparison import Hits, Outcome, Rankings, bootstrap, measure, outcome_interval
from lm.probing.config import ProbeConfig, penalty_grid, shared_tries
from lm.probing.cross_validation import Rows, over_divisions
from lm.probing.logistic import LogisticProbe, powered, rotate_to_row_space, side_by_side, standardise, tolerance_of
from lm.probing.ridge import RidgeProbe
from lm.probing.task import BoolArray, ProbeTask

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Try:
    """One classifier and its validation accuracy."""

    of: str  # the candidate
    penalty: float  # C
    validation_accuracy: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeResult:
    """The result of one candidate. For tasks with several labels, "accuracy" is mean average precision."""

    of: str  # the candidate
    penalty: float | None  # the C chosen on validation; None: the method has its own scores
    validation_accuracy: float  # what chose it: on validation clips, or the mean over the parts of cross-validation
    validation_clips: int  # that it was measured on
    validation_scores: FloatArray | None  # (validation clips, classes), probabilities; None after cross-validation
    parts: tuple[float, ...]  # accuracy on each part of cross-validation; empty where validation clips chose
    test_accuracy: float
    low: float  # bootstrap interval of the test accuracy, over test clips or whole groups of them
    high: float
    macro_f1: float  # on test, over the classes that occur there
    mean_average_precision: float  # as macro_f1
    predictions: tuple[str, ...] | tuple[tuple[str, ...], ...]  # for each test clip, in the order of the clips
    scores: FloatArray  # (test clips, classes), probabilities
    tries: tuple[Try, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class MethodResult:
    """The results of one method: all its candidates, and the one that validation chose."""

    of: str
    winner: ProbeResult
    candidates: tuple[ProbeResult, ...]

    @property
    def tries(self) -> tuple[Try, ...]:
        """Every try of every candidate."""
        return tuple(each for candidate in self.candidates for each in candidate.tries)


def probe_method(
    candidates: Mapping[str, FloatArray], task: ProbeTask, config: ProbeConfig, *, of: str, threads: int = 1
) -> MethodResult:
    """Probe every candidate ``(clips, dim)`` of the method ``of``; all methods have the same number of tries.

    ``threads`` candidates are looked up and probed side by side, which changes no result.
    """
    shared = dict(zip(candidates, shared_tries(len(candidates), config.tries, of=of), strict=True))

    def probe_one(name: str) -> ProbeResult:
        return probe(candidates[name], task, config, of=name, tries=shared[name])

    results = tuple(side_by_side(probe_one, candidates, threads=threads))
    return MethodResult(of=of, winner=best_candidate(results), candidates=results)


def probe(
    features: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str, tries: int | None = None
) -> ProbeResult:
    """Fit one candidate on train, choose C on validation (the strongest regularisation among equals), test once.

    ``features (clips, dim)`` have a row for each clip of the task; ``tries`` None means all tries of a method.
    """
    _require_rows(features, task, of)
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    penalties = penalty_grid(tries or config.tries, config)
    features = powered(features, config.power)  # the same for each division
    standard = standardise(features, task.rows)
    if config.choose_by == "validation":
        return fit_penalties(standard, targets, task, config, of=of, penalties=penalties)
    reached = over_divisions(task, partial(_accuracies, features, task, config, penalties))
    tried = tuple(
        Try(of=of, penalty=penalty, validation_accuracy=float(mean))
        for penalty, mean in zip(penalties, reached.mean(0), strict=True)
    )
    best = max(tried, key=lambda each: each.validation_accuracy)
    place = tried.index(best)
    *_, scores = _scores(standard, "test", targets["train"], task, config, penalties[: place + 1])
    return _result(of, best, scores, task, config, tried, parts=tuple(reached[:, place].tolist()))


def _accuracies(
    features: FloatArray, task: ProbeTask, config: ProbeConfig, penalties: Sequence[float], rows: Rows
) -> list[float]:
    """Fit one division of cross-validation with each penalty; return the accuracy on its part that is held out.

    ``features (clips, dim)`` are already raised to ``config.power``.
    """
    standard = standardise(features, rows)
    scores = _scores(standard, "validation", task.targets[rows["train"]], task, config, penalties)
    return [accuracy(each, task.targets[rows["validation"]], task) for each in scores]


def _scores(
    standard: Mapping[str, FloatArray],
    split: str,
    targets: BoolArray,
    task: ProbeTask,
    config: ProbeConfig,
    penalties: Sequence[float],
) -> Iterator[FloatArray]:
    """Give the scores ``(clips, classes)`` of a split after the fit of each penalty in turn to ``targets`` of train."""
    classifier, prepared, _ = create_classifier(standard, targets, task, config)
    for penalty in penalties:
        classifier.fit(penalty)
        yield classifier.scores(prepared[split])


def create_classifier(
    standard: Mapping[str, FloatArray], targets: BoolArray, task: ProbeTask, config: ProbeConfig
) -> tuple[LogisticProbe | RidgeProbe, Mapping[str, FloatArray], FloatArray | None]:
    """Create the classifier of train's standardised features ``(clips, dim)``.

    Returns:
        The classifier; the features that it reads, by split; and the matrix that rotated them, None if none did.
    """
    if config.classifier == "ridge":
        return RidgeProbe(standard["train"], targets), standard, None
    rotated, rotation = rotate_to_row_space(standard)
    classifier = LogisticProbe(
        rotated["train"],
        targets,
        multi_label=task.multi_label,
        max_iterations=config.max_iterations,
        tolerance=tolerance_of(len(task.rows["train"])),
    )
    return classifier, rotated, rotation


def fit_penalties(
    features: Mapping[str, FloatArray],
    targets: Mapping[str, BoolArray],
    task: ProbeTask,
    config: ProbeConfig,
    *,
    of: str,
    penalties: Sequence[float],
) -> ProbeResult:
    """Fit standardised features ``(clips, dim)`` of each split with several penalties; return the result of the best.

    ``targets`` are ``(clips, classes)``, ``penalties`` values of C, ascending: each fit starts from the solution of the
    previous fit.
    """
    classifier, prepared, _ = create_classifier(features, targets["train"], task, config)
    tries: list[Try] = []
    scores = on_validation = np.zeros((0, 0), np.float32)
    for penalty in penalties:
        classifier.fit(penalty)
        judged = classifier.scores(prepared["validation"])
        reached = accuracy(judged, targets["validation"], task)
        if not tries or reached > max(each.validation_accuracy for each in tries):
            scores, on_validation = classifier.scores(prepared["test"]), judged
        tries.append(Try(of=of, penalty=penalty, validation_accuracy=reached))
    best = max(tries, key=lambda each: each.validation_accuracy)
    return _result(of, best, scores, task, config, tuple(tries), validation_scores=on_validation)


def scores_of_others(
    features: FloatArray, others: FloatArray, task: ProbeTask, config: ProbeConfig, *, penalties: Sequence[float]
) -> FloatArray:
    """Compute the probability of each class ``(others, classes)`` for sounds that are not clips of the task.

    The training clips of ``features (clips, dim)`` are fitted with each penalty in turn. The last fit scores ``others``
    ``(others, dim)``.
    """
    rows = {"train": task.rows["train"], "others": len(features) + np.arange(len(others))}
    standard = standardise(np.concatenate([features, others]), rows, power=config.power)
    *_, scores = _scores(standard, "others", task.targets[rows["train"]], task, config, penalties)
    return scores


def scored_method(scores: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str) -> MethodResult:
    """Evaluate a method that has its own class probabilities ``(clips, classes)``; nothing is fitted or chosen.

    Raises:
        InputError: there is not one finite score for each clip and class.
    """
    _require_rows(scores, task, of)
    if scores.shape[1] != len(task.classes):
        raise InputError(f"{of} scores {scores.shape[1]} classes; the labels name {len(task.classes)}: make it anew")
    validation, test = task.rows["validation"], task.rows["test"]
    given = Try(of=of, penalty=0.0, validation_accuracy=accuracy(scores[validation], task.targets[validation], task))
    result = _result(of, given, scores[test], task, config, (), validation_scores=scores[validation])
    return MethodResult(of=of, winner=result, candidates=(result,))


def best_candidate(results: Sequence[ProbeResult]) -> ProbeResult:
    """Return the candidate that is best on validation; the first among equals."""
    return max(results, key=lambda result: result.validation_accuracy)


def accuracy(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> float:
    """Compute the accuracy of scores ``(clips, classes)``; for several labels, the mean average precision."""
    return float(measure(outcome(scores, targets, task))[0, 0])


def outcome(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> Outcome:
    """Build the outcome of one method from scores ``(clips, classes)`` and targets of the same shape."""
    if task.multi_label:
        return _ranking(scores, targets)
    return Hits(hits=(scores.argmax(1) == targets.argmax(1)).astype(np.float64)[None])


def answers(scores: FloatArray, task: ProbeTask) -> BoolArray:
    """Choose the class of the highest score ``(clips, classes)``; for several labels, all that exceed 0.5."""
    if task.multi_label:
        return np.greater(scores, 0.5)
    chosen_class: BoolArray = np.eye(len(task.classes), dtype=bool)[scores.argmax(1)]
    return chosen_class


def _result(
    of: str,
    best: Try,
    scores: FloatArray,
    task: ProbeTask,
    config: ProbeConfig,
    tries: tuple[Try, ...],
    *,
    validation_scores: FloatArray | None = None,
    parts: tuple[float, ...] = (),
) -> ProbeResult:
    """Build the result of the best try from its scores ``(clips, classes)`` on test and on validation."""
    targets = task.targets[task.rows["test"]]
    reached = outcome(scores, targets, task)
    groups = task.test_groups
    draws = bootstrap([reached], resamples=config.resamples, seed=config.seed, groups=groups)[:, 0]
    low, high = outcome_interval([reached], draws, config.confidence, groups=groups)
    predicted, present = answers(scores, task), np.flatnonzero(targets.any(0))
    return ProbeResult(
        of=of,
        penalty=best.penalty if tries else None,
        validation_accuracy=best.validation_accuracy,
        validation_clips=len(task.rows["validation"]) + (len(task.rows["train"]) if parts else 0),
        validation_scores=validation_scores,
        parts=parts,
        test_accuracy=float(measure(reached)[0, 0]),
        low=low,
        high=high,
        macro_f1=float(f1_score(targets, predicted, labels=present, average="macro", zero_division=0)),
        mean_average_precision=float(measure(_ranking(scores, targets))[0, 0]),
        predictions=task.names(predicted),
        scores=scores,
        tries=tries,
    )


def _ranking(scores: FloatArray, targets: BoolArray) -> Rankings:
    return Rankings(truth=targets, scores=scores[None, None])


def _require_rows(features: FloatArray, task: ProbeTask, of: str) -> None:
    if features.ndim != 2 or len(features) != len(task.targets):
        problem = f"{of} has features of shape {features.shape}"
        raise InputError(f"{problem}; give one row for each of {len(task.targets)} clips")
    if not np.isfinite(features).all():
        raise InputError(f"{of} has features that are not finite; look for broken or silent clips")
