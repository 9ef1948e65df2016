"""Linear probes: how well a linear classifier predicts labels from a representation.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016 (arXiv:1610.01644). The same
protocol for every method: frozen features, standardised on train, no augmentation, one kind of linear classifier. A
method may offer several candidates (layers, poolings). There are two steps, with equally many penalties for all
methods:

1. Every candidate is tried with a few penalties, and the best one is chosen. Ridge regression judges, also where the
   probe is a logistic regression: it has a closed form, and a fit of logistic regression for every layer, penalty and
   fold would take ten times as long as all the rest.
2. The chosen candidate is tried with more penalties, by the wanted classifier.

In both steps cross-validation over whole groups of training and validation clips judges, or validation clips do
(`lm.probing.task`). The winner is fitted on train, and test is measured once. Test results of the candidates of the
first step are computed for charts by layer, and choose nothing.

A learning curve is the test accuracy with shares of the labels of training clips, for the candidate that won with all
of them. It needs no other label: ridge regression reads each share, the whole too, and cross-validation within the
labelled training clips chooses its penalty, the middle one of equals. With one clip of each class these are all: no
held-out clip can be answered. The features of all training clips are used for standardising. With few labels it matters
which clips have one, so each share except the whole is drawn several times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from sklearn.metrics import f1_score

from lm.options import ProbeConfig
from lm.probing.comparison import Hits, Measured, Outcome, Rankings, mean_outcome, measure
from lm.probing.linear import (
    TOLERANCE_OF_FOLDS,
    LogisticProbe,
    RidgeProbe,
    powered,
    side_by_side,
    standardise,
    tolerance_of,
)
from lm.probing.task import ProbeTask, Rows, divisions, penalty_grid, training_parts
from wordless.base.array_types import BoolArray, DoubleArray, FloatArray, IndexArray
from wordless.base.errors import InputError

Features = Mapping[str, FloatArray]  # of each split, or of each candidate


@dataclass(frozen=True, kw_only=True)
class Try:
    """One classifier and its validation accuracy."""

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
    low: float  # interval of the test accuracy, over the groups of the test clips, or over clips without groups
    high: float
    macro_f1: float  # on test, over the classes that occur there
    mean_average_precision: float  # as macro_f1
    predictions: tuple[str, ...] | tuple[tuple[str, ...], ...]  # for each test clip, in the order of the clips
    scores: FloatArray  # (test clips, classes), probabilities
    noise_scores: FloatArray | None  # of the test clips with noise, one ratio after the other; None: there are none
    # weights (dim, classes) and bias (classes,) for standardised features; None: of a candidate, or of own scores
    linear: tuple[DoubleArray, DoubleArray] | None
    tries: tuple[Try, ...]


NOISE = "noise"  # beside the splits: test clips with noise
J = TypeVar("J", Try, ProbeResult)


@dataclass(frozen=True, kw_only=True, eq=False)
class MethodResult:
    """The results of one method: all its candidates, and the chosen one."""

    of: str
    winner: ProbeResult  # of the second step
    candidates: tuple[ProbeResult, ...]  # of the first step; empty: the method has its own scores
    probabilities: bool = True  # whether scores are such; the values of ridge regression are not


def probe_method(
    candidates: Features, task: ProbeTask, config: ProbeConfig, *, of: str, threads: int = 1
) -> MethodResult:
    """Choose among the candidates ``(clips, dim)`` of the method ``of``, then among penalties for the chosen one.

    ``threads`` candidates or folds are fitted side by side, which changes no result.
    """
    ridge = replace(config, classifier="ridge", penalties=config.layer_penalties)

    def judge(name: str) -> ProbeResult:
        return replace(probe(candidates[name], task, ridge, of=name), linear=None)  # which takes memory

    results = tuple(side_by_side(judge, candidates, threads=threads))
    chosen = _best(results).of
    winner = probe(candidates[chosen], task, config, of=chosen, threads=threads)
    return MethodResult(of=of, winner=winner, candidates=results, probabilities=config.classifier == "logistic")


def probe(features: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str, threads: int = 1) -> ProbeResult:
    """Choose C for one candidate (the strongest regularisation among equals), fit it on train, test once.

    ``features (clips, dim)``, finite ones, have a row for each clip; ``threads`` folds are fitted side by side.
    """
    targets = {split: task.targets[rows] for split, rows in task.rows.items()}
    penalties = penalty_grid(config.penalties, config)
    features = powered(features, config.power)  # the same for each division
    standard = standardise(features, _all_rows(task))
    tries, parts, fits = list[Try](), tuple[float, ...](), penalties
    if task.parts is not None:

        def accuracies(rows: Rows) -> list[float]:
            """Fit one division with each penalty; return the accuracies on what it holds out."""
            inside, known, reached = standardise(features, rows), task.targets[rows["train"]], list[float]()
            classifier = create_classifier(inside["train"], known, task, config, tolerance=TOLERANCE_OF_FOLDS)
            held_out, wanted = classifier.prepare(inside["validation"]), task.targets[rows["validation"]]
            for penalty in penalties:
                classifier.fit(penalty)
                reached.append(accuracy(classifier.scores(held_out), wanted, task))
            return reached

        reached = np.array(side_by_side(accuracies, divisions(task), threads=threads), np.float64)  # (parts, penalties)
        means = reached.mean(0).tolist()
        tries = [Try(penalty=each, validation_accuracy=mean) for each, mean in zip(penalties, means, strict=True)]
        parts = tuple(reached[:, tries.index(_best(tries))].tolist())
        fits = (_best(tries).penalty,)
    classifier = create_classifier(standard["train"], targets["train"], task, config)
    prepared = {split: classifier.prepare(own) for split, own in standard.items() if split != "train"}
    scores, linear = dict[str, FloatArray](), (np.zeros((0, 0)), np.zeros(0))
    for penalty in fits:  # ascending: each fit starts from the solution of the previous fit
        classifier.fit(penalty)
        found = classifier.scores(prepared["validation"])
        if task.parts is None:
            tries.append(Try(penalty=penalty, validation_accuracy=accuracy(found, targets["validation"], task)))
        if _best(tries).penalty == penalty:
            others = {split: classifier.scores(own) for split, own in prepared.items() if split != "validation"}
            scores, linear = {"validation": found, **others}, classifier.linear()
    return _result(of, _best(tries), scores, task, config, tuple(tries), linear=linear, parts=parts)


def _all_rows(task: ProbeTask) -> dict[str, IndexArray]:
    """Return the clips of each split, and the test clips with noise if there are any."""
    noisy = {NOISE: np.concatenate([*task.noisy.values()])} if task.noisy else {}
    return {**task.rows, **noisy}


def create_classifier(
    train: FloatArray, targets: BoolArray, task: ProbeTask, config: ProbeConfig, *, tolerance: float | None = None
) -> LogisticProbe | RidgeProbe:
    """Create the classifier of train's standardised features ``(clips, dim)``.

    ``tolerance`` is where fits of logistic regression may stop; None: that of the size of the task.
    """
    if config.classifier == "ridge":
        return RidgeProbe(train, targets, device=task.device_for(train))
    return LogisticProbe(
        train,
        targets,
        multi_label=task.multi_label,
        max_iterations=config.max_iterations,
        tolerance=tolerance or tolerance_of(len(task.rows["train"])),
        device_for=task.device_for,
    )


def scored_method(scores: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str) -> MethodResult:
    """Evaluate a method that has its own class probabilities ``(clips, classes)``, finite ones; nothing is fitted."""
    if scores.shape[1] != len(task.classes):
        raise InputError(f"{of} scores {scores.shape[1]} classes; the labels name {len(task.classes)}: make it anew")
    by_split, wanted = {split: scores[rows] for split, rows in _all_rows(task).items()}, task.rows["validation"]
    given = Try(penalty=0.0, validation_accuracy=accuracy(by_split["validation"], task.targets[wanted], task))
    result = _result(of, given, by_split, task, config, ())
    return MethodResult(of=of, winner=result, candidates=())


def _best(tried: Sequence[J]) -> J:
    """Return the best on validation; the first among equals."""
    return max(tried, key=lambda each: each.validation_accuracy)


def accuracy(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> float:
    """Compute the accuracy of scores ``(clips, classes)``; for several labels, the mean average precision."""
    return float(measure(outcome(scores, targets, task))[0, 0])


def outcome(scores: FloatArray, targets: BoolArray, task: ProbeTask) -> Outcome:
    """Build the outcome of one method from scores ``(clips, classes)`` and targets of the same shape."""
    if task.multi_label:
        return Rankings(truth=targets, scores=scores[None, None])
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
    scores: Features,
    task: ProbeTask,
    config: ProbeConfig,
    tries: tuple[Try, ...],
    *,
    linear: tuple[DoubleArray, DoubleArray] | None = None,
    parts: tuple[float, ...] = (),
) -> ProbeResult:
    """Build the result of the best try from its scores ``(clips, classes)``, by split."""
    targets, tested = task.targets[task.rows["test"]], scores["test"]
    reached = outcome(tested, targets, task)
    found = _measured([reached], task, config).estimate(0, confidence=config.confidence)
    predicted, present = answers(tested, task), np.flatnonzero(targets.any(0))
    return ProbeResult(
        of=of,
        penalty=best.penalty if tries else None,
        validation_accuracy=best.validation_accuracy,
        validation_clips=len(task.rows["validation"]) + (len(task.rows["train"]) if parts else 0),
        validation_scores=None if parts else scores["validation"],
        parts=parts,
        test_accuracy=found.value,
        low=found.low,
        high=found.high,
        macro_f1=float(f1_score(targets, predicted, labels=present, average="macro", zero_division=0)),
        mean_average_precision=float(measure(Rankings(truth=targets, scores=tested[None, None]))[0, 0]),
        predictions=task.names(predicted),
        scores=tested,
        noise_scores=scores.get(NOISE),
        linear=linear,
        tries=tries,
    )


def _measured(reached: Sequence[Outcome], task: ProbeTask, config: ProbeConfig) -> Measured:
    """Measure the mean of outcomes of one method, of a draw of the labels each, on the test clips."""
    return Measured.of(
        [mean_outcome(reached)],
        [task.test_groups],
        resamples=config.resamples,
        seed=config.seed,
        repeats=[[each] for each in reached],
    )


DRAWS = 5  # of the clips with labels, per share
P = TypeVar("P", bound="MeasuredPoint")


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint:
    """Test accuracy under one condition."""

    test_accuracy: float  # mean over the draws
    low: float  # interval over the groups of the test clips, or over clips without groups, and over the draws
    high: float
    # of each group and draw, for intervals of several seeds and differences; of clips without groups, of each draw
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls: type[P], reached: Sequence[Outcome], task: ProbeTask, config: ProbeConfig, **condition: float) -> P:
        """Measure an outcome for each draw of the labels."""
        measured = _measured(reached, task, config)
        found = measured.estimate(0, confidence=config.confidence)
        alone = np.array([[measure(each)[0, 0] for each in reached]])
        values = alone if measured.groups is None else measured.groups[0]
        return cls(
            test_accuracy=found.value,
            low=found.low,
            high=found.high,
            values=tuple(map(tuple, values.tolist())),
            **condition,
        )


@dataclass(frozen=True, kw_only=True)
class LearningPoint(MeasuredPoint):
    """Test accuracy at one share of the labels."""

    share: float  # requested
    clips: int  # number of clips with a label


def learning_curve(
    features: FloatArray, task: ProbeTask, config: ProbeConfig, *, threads: int = 1
) -> tuple[LearningPoint, ...]:
    """Compute a point for each share of the config from the ``features (clips, dim)`` of the winner.

    ``threads`` draws are fitted side by side, which changes no result.
    """
    train = task.rows["train"]
    labels = task.targets[train]
    scaled = standardise(features, task.rows, power=config.power)
    fit = partial(_fit_labelled, scaled["train"], scaled["test"], task, config)
    wanted, points = task.targets[task.rows["test"]], list[LearningPoint]()
    for share in config.learning_curve:
        kept = [np.sort(labelled_clips(labels, share, seed=config.seed, draw=draw)) for draw in range(DRAWS)]
        clips = round(float(np.mean([len(rows) for rows in kept])))
        # Each class needs one clip, so smaller shares give the same clips.
        if share < 1 and points and points[-1].clips == clips:
            points.append(replace(points[-1], share=share))
            continue
        draws = kept if share < 1 else kept[:1]
        reached = [outcome(scores, wanted, task) for scores in side_by_side(fit, draws, threads=threads)]
        points.append(LearningPoint.of(reached, task, config, share=share, clips=clips))
    return tuple(points)


def last_point(winner: ProbeResult, task: ProbeTask, config: ProbeConfig) -> tuple[LearningPoint, ...]:
    """Return the only point of a method that was trained with all labels: its ``winner``, if the curve has a whole."""
    if 1.0 not in config.learning_curve:
        return ()
    reached = outcome(winner.scores, task.targets[task.rows["test"]], task)
    return (LearningPoint.of([reached], task, config, share=1.0, clips=len(task.rows["train"])),)


def _fit_labelled(
    train: FloatArray, test: FloatArray, task: ProbeTask, config: ProbeConfig, kept: IndexArray
) -> FloatArray:
    """Fit the ``kept`` training clips with the penalty that is best within them; return the test scores.

    ``train`` and ``test`` are standardised features ``(clips of the split, dim)``.
    """
    features, targets, device = train[kept], task.targets[task.rows["train"][kept]], task.device_for(train)
    parts, penalties = np.array(training_parts(task, kept, seed=config.seed)), penalty_grid(config.penalties, config)
    held_out = np.zeros((len(penalties), *targets.shape), np.float32)
    for inside in (parts == part for part in np.unique(parts)):
        if inside.all():  # a single part judges no penalty: the middle one is taken
            break
        ridge = RidgeProbe(features[~inside], targets[~inside], device=device)
        for place, penalty in enumerate(penalties):
            ridge.fit(penalty)
            held_out[place, inside] = ridge.scores(features[inside])
    reached = np.array([accuracy(scores, targets, task) for scores in held_out])
    best = np.flatnonzero(reached == reached.max())
    ridge = RidgeProbe(features, targets, device=device)
    ridge.fit(penalties[best[(len(best) - 1) // 2]])
    return ridge.scores(test)


def labelled_clips(targets: BoolArray, share: float, *, seed: int, draw: int = 0) -> IndexArray:
    """Draw the training clips that have a label, a share of ``(clips, classes)``: one of each class, then evenly.

    Every share is a prefix of one order, so smaller shares lie in larger ones. A clip of several classes counts for the
    rarest.
    """
    shuffled = np.random.default_rng([seed, draw]).permutation(len(targets))
    firsts = {int(shuffled[members[shuffled].argmax()]) for members in targets.T}
    stratum = np.where(targets, targets.sum(0), len(targets) + 1).argmin(1)  # (clips,)
    place = np.zeros(len(targets))  # relative place of a clip among those of its class
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    place[list(firsts)] -= 1
    order: IndexArray = shuffled[np.argsort(place[shuffled], kind="stable")]
    return order[: max(round(share * len(order)), len(firsts))]


@dataclass(frozen=True, kw_only=True)
class NoisePoint(MeasuredPoint):
    """Accuracy on test clips with noise, of a probe that was trained without noise."""

    snr: float  # signal-to-noise ratio in dB


def noise_points(winner: ProbeResult, task: ProbeTask, config: ProbeConfig) -> tuple[NoisePoint, ...]:
    """Test the ``winner`` on the test clips with each noise."""
    if winner.noise_scores is None:
        return ()
    points = []
    ends = np.cumsum([len(rows) for rows in task.noisy.values()])
    for (snr, rows), own in zip(task.noisy.items(), np.split(winner.noise_scores, ends[:-1]), strict=True):
        points.append(NoisePoint.of([outcome(own, task.targets[rows], task)], task, config, snr=snr))
    return tuple(points)


FIGURES = ("penalty", "validation_accuracy", "test_accuracy", "low", "high")  # of a candidate


def method_record(
    result: MethodResult, curve: Sequence[LearningPoint], task: ProbeTask, noise: Sequence[NoisePoint] = ()
) -> dict[str, object]:
    """Return the probes of one method as plain values: the winner, all candidates, its learning curve, and noise."""
    winner = result.winner
    # Mean average precision of resampled clips is computed from scores; for accuracy the predictions do.
    scores: dict[str, object] = {"scores": _rounded(winner.scores)} if task.multi_label else {}
    if winner.validation_scores is not None:
        scores["validation_predictions"] = task.names(answers(winner.validation_scores, task))
        scores |= {"validation_scores": _rounded(winner.validation_scores)} if task.multi_label else {}
    # None if scores are no probabilities, or a clip has several answers
    certain = result.probabilities and not task.multi_label
    return {
        "of": result.of,
        "chosen": winner.of,
        **{name: getattr(winner, name) for name in FIGURES},
        "macro_f1": winner.macro_f1,
        "mean_average_precision": winner.mean_average_precision,
        "validation_clips": winner.validation_clips,
        "parts": winner.parts,
        "predictions": winner.predictions,
        **scores,
        "layer_penalties": len(result.candidates[0].tries) if result.candidates else 0,
        "penalties": len(winner.tries),
        "probabilities": _rounded(winner.scores.max(1)) if certain else None,
        "candidates": [
            {"of": candidate.of, **{name: getattr(candidate, name) for name in FIGURES}}
            for candidate in result.candidates
        ],
        "learning_curve": [asdict(point) for point in curve],
        **({"noise": [asdict(point) for point in noise]} if noise else {}),
    }


def _rounded(scores: FloatArray) -> object:
    return np.round(scores.astype(np.float64), 6).tolist()
