"""Linear probes: how much of a label can be read off a representation by a hyperplane.

Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016 (arXiv:1610.01644). The same
protocol for every representation: features standardised on train, multinomial logistic regression, its penalty chosen
on validation from a fixed grid, one look at test.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from audio.errors import InputError

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.int64]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """How a probe is fitted and its accuracy bounded.

    Raises:
        InputError: a value is out of range.
    """

    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # values of C tried, strongest regularisation first
    max_iterations: int = 100  # of L-BFGS for each C, starting from the solution of the one before
    resamples: int = 1000  # of the test clips, for the interval
    confidence: float = 0.95  # probability mass of the interval
    seed: int = 0  # of the resamples

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0 or list(self.penalties) != sorted(set(self.penalties)):
            raise InputError(f"probe.penalties is {self.penalties}; list positive values of C, ascending: 0.01, 0.1, 1")
        if self.max_iterations < 1 or self.resamples < 1:
            raise InputError(
                f"probe.max_iterations is {self.max_iterations} and probe.resamples {self.resamples}; choose 1 or more"
            )
        if not 0 < self.confidence < 1:
            raise InputError(
                f"probe.confidence is {self.confidence}; choose a probability between 0 and 1, such as 0.95"
            )
        if self.seed < 0:
            raise InputError(f"probe.seed is {self.seed}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeTask:
    """What is to be read off: a label and a split for each clip."""

    labels: LabelArray  # (clips,) indices into `classes`
    classes: tuple[str, ...]
    rows: Mapping[str, npt.NDArray[np.int64]]  # which clips are in each split

    @classmethod
    def of(cls, labels: Sequence[str | None], splits: Sequence[str]) -> "ProbeTask":
        """From each clip's label and split.

        Raises:
            InputError: a label is missing, there are fewer than two, a split is empty, or train lacks a class.
        """
        known = [label for label in labels if label is not None]
        if len(known) < len(labels) or not labels:
            raise InputError(
                f"{len(labels) - len(known)} of {len(labels)} clips have no label, which a probe predicts; name it in "
                "the corpus pattern, put each class in its own folder, or leave the probe out"
            )
        classes = sorted(set(known))
        if len(classes) < 2:
            raise InputError(
                f"all {len(labels)} clips have the label {classes[0]!r}; a probe tells at least 2 classes apart"
            )
        rows = {split: np.flatnonzero(np.array(splits) == split) for split in SPLITS}
        _require_clips({split: len(row) for split, row in rows.items()})
        numbers = np.searchsorted(classes, known)
        _require_classes(classes, numbers[rows["train"]])
        return cls(labels=numbers, classes=tuple(classes), rows=rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeResult:
    """What one probe reached."""

    of: str  # the representation
    penalty: float  # the C chosen on validation
    validation_accuracy: float
    test_accuracy: float
    low: float  # bootstrap interval of the test accuracy, over test clips
    high: float
    macro_f1: float  # on test
    predictions: tuple[str, ...]  # a class for each test clip, in the order of the clips


def probe(features: FloatArray, task: ProbeTask, config: ProbeConfig, *, of: str) -> ProbeResult:
    """Fit on train, choose C on validation (the strongest regularisation among equals), test once.

    Args:
        features: ``(clips, features)``, one row for each clip of the task.
        task: labels and splits.
        config: grid and interval.
        of: name of the representation.

    Raises:
        InputError: features and labels are not of the same clips, or a feature is not finite.
    """
    _require_features(features, task, of)
    scaler = StandardScaler().fit(features[task.rows["train"]])
    scaled = {split: scaler.transform(features[rows].astype(np.float32)) for split, rows in task.rows.items()}
    wanted = {split: task.labels[rows] for split, rows in task.rows.items()}
    classifier = LogisticRegression(max_iter=config.max_iterations, warm_start=True)
    best, penalty, predicted = -1.0, config.penalties[0], np.zeros(0, np.int64)
    for candidate in config.penalties:
        _fit(classifier.set_params(C=candidate), scaled["train"], wanted["train"])
        accuracy = float(np.mean(classifier.predict(scaled["validation"]) == wanted["validation"]))
        if accuracy > best:
            best, penalty, predicted = accuracy, candidate, classifier.predict(scaled["test"])
    low, high = bootstrap_interval(predicted == wanted["test"], config)
    return ProbeResult(
        of=of,
        penalty=penalty,
        validation_accuracy=best,
        test_accuracy=float(np.mean(predicted == wanted["test"])),
        low=low,
        high=high,
        macro_f1=float(f1_score(wanted["test"], predicted, average="macro")),
        predictions=tuple(task.classes[number] for number in predicted),
    )


def chosen(results: Sequence[ProbeResult]) -> ProbeResult:
    """Of one method's candidates (layers, poolings) the best on validation; the first among equals."""
    return max(results, key=lambda result: result.validation_accuracy)


def bootstrap_interval(correct: npt.NDArray[np.bool_], config: ProbeConfig) -> tuple[float, float]:
    """Percentile interval of the share of correct clips, clips drawn with replacement (Efron, 1979)."""
    rng = np.random.default_rng(config.seed)
    shares = correct[rng.integers(len(correct), size=(config.resamples, len(correct)))].mean(axis=1)
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    return float(low), float(high)


def _fit(classifier: LogisticRegression, features: FloatArray, labels: LabelArray) -> None:
    with warnings.catch_warnings():
        # A bounded number of iterations is part of the protocol: what has not converged by then is judged as it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(features, labels)


def _require_clips(counts: Mapping[str, int]) -> None:
    for split, count in counts.items():
        if count == 0:
            found = ", ".join(f"{number} {name}" for name, number in counts.items())
            raise InputError(
                f"there are {found} clips; a probe needs some of each: change corpus.split so that {split} has any"
            )


def _require_classes(classes: Sequence[str], train: LabelArray) -> None:
    present = set(train.tolist())
    absent = [name for number, name in enumerate(classes) if number not in present]
    if absent:
        raise InputError(
            f"{len(absent)} of {len(classes)} classes have no train clip ({', '.join(absent[:5])}); have corpus.split "
            "give train some of each, or leave these classes out"
        )


def _require_features(features: FloatArray, task: ProbeTask, of: str) -> None:
    if features.ndim != 2 or len(features) != len(task.labels):
        raise InputError(
            f"{of} has features of shape {features.shape}; give one row for each of {len(task.labels)} clips"
        )
    if not np.isfinite(features).all():
        raise InputError(f"{of} has features that are not finite; look for broken or silent clips")
