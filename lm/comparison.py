"""Comparing methods on the same test clips: means over folds, paired bootstrap, intervals and p values.

Paired: every method is measured on the same resampled clips, so what makes a clip hard for all of them cancels out of
their difference (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993). Two questions, two intervals: would
other clips of the same folds say the same (clips drawn anew within each fold, the folds fixed), and would other folds
(Student's t of the folds' differences: they are too few to be drawn from)? Every fold weighs the same, however many
clips it has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

WEIGHTS_AT_ONCE = 2**22  # (resamples, clips) kept in memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """Test clips of a fold with one label each; their measure is accuracy."""

    hits: FloatArray  # (methods, clips), 1 where the answer is right; with several seeds, the share of right ones

    @property
    def clips(self) -> int:
        """Number of test clips."""
        return len(self.hits.T)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Test clips of a fold with any number of labels each; their measure is mean average precision."""

    truth: BoolArray  # (clips, classes)
    scores: FloatArray  # (methods, seeds, clips, classes)

    @property
    def clips(self) -> int:
        """Number of test clips."""
        return len(self.truth)


Outcome = Hits | Rankings


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better one method is than another."""

    value: float
    low: float  # interval over clips
    high: float
    p: float  # two-sided, over clips
    fold_low: float | None  # paired t interval over folds; None where there is only one
    fold_high: float | None


def measured(outcome: Outcome, weights: FloatArray | None = None) -> FloatArray:
    """``(resamples, methods)``: accuracy or mean average precision with each row of weights ``(resamples, clips)``.

    Without weights every clip counts once, in a single row.
    """
    given = np.ones((1, outcome.clips)) if weights is None else weights
    match outcome:
        case Hits(hits=hits):
            shares: FloatArray = given @ hits.T / given.sum(1, keepdims=True)
            return shares
        case Rankings(truth=truth, scores=scores):
            means: FloatArray = np.stack([_mean_over_seeds(truth, seeds, given) for seeds in scores], axis=1)
            return means


def average_precision(truth: BoolArray, scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Area under the steps of precision over recall ``(resamples,)`` for one class; nan where nothing is to be found.

    Clips of equal score come together: none of them before the others.

    Args:
        truth: ``(clips,)``, whether the class is in the clip.
        scores: ``(clips,)``.
        weights: ``(resamples, clips)``, how often each clip counts.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # the last of each run of equal scores
    found = np.cumsum(weights[:, order] * truth[order], axis=1)[:, ends]
    seen = np.cumsum(weights[:, order], axis=1)[:, ends]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[:, -1]
    area = (np.diff(found, axis=1, prepend=0) * precision).sum(1)
    share: FloatArray = np.divide(area, total, out=np.full_like(total, np.nan), where=total > 0)
    return share


def by_fold(folds: Sequence[Outcome]) -> FloatArray:
    """``(folds, methods)``: each method's measure on each fold."""
    return np.concatenate([measured(fold) for fold in folds])


def resampled(folds: Sequence[Outcome], *, resamples: int, seed: int) -> FloatArray:
    """``(resamples, methods)``: the mean over folds, with clips drawn anew, with replacement, within each fold.

    All methods are measured on the same draws.
    """
    total = np.zeros(())
    for number, fold in enumerate(folds):
        draws = _draws(fold.clips, resamples, np.random.default_rng([seed, number]))
        total = total + np.concatenate([measured(fold, weights) for weights in draws])
    means: FloatArray = total / len(folds)
    return means


def interval(draws: FloatArray, confidence: float) -> tuple[float, float]:
    """The percentile interval of resampled values ``(resamples,)``."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def two_sided_p(differences: FloatArray) -> float:
    """Twice the share of resampled differences ``(resamples,)`` on the rarer side of zero, at most 1.

    The observed sample counts as one more resample, so that a finite number of them never says p = 0 (Davison and
    Hinkley, "Bootstrap Methods and their Application", 1997): with 1,000 resamples the smallest p is 0.002.
    """
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(2 * (rarer + 1) / (len(differences) + 1), 1.0)


def difference(values: FloatArray, draws: FloatArray, one: int, other: int, *, confidence: float) -> Difference:
    """How much better method ``one`` is than method ``other``.

    Args:
        values: of `by_fold`, ``(folds, methods)``.
        draws: of `resampled`, ``(resamples, methods)``.
        one: column of a method.
        other: column of the method that it is compared with.
        confidence: probability mass of both intervals.
    """
    per_fold = values[:, one] - values[:, other]
    clipwise = draws[:, one] - draws[:, other]
    low, high = interval(clipwise, confidence)
    fold_low, fold_high = over_folds(per_fold, confidence=confidence)
    return Difference(
        value=float(per_fold.mean()),
        low=low,
        high=high,
        p=two_sided_p(clipwise),
        fold_low=fold_low,
        fold_high=fold_high,
    )


def over_folds(per_fold: FloatArray, *, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """The t interval, with one degree of freedom fewer than folds, of the mean of ``(folds,)`` values; none of one.

    A bootstrap would say too much: of two folds its 95 % interval covers the mean in half of all studies. Folds share
    most of their training clips, which this does not know either (Bengio and Grandvalet, 2004: nothing does).
    """
    folds = len(per_fold)
    if folds < 2:
        return None, None
    half = float(stdtrit(folds - 1, (1 + confidence) / 2) * per_fold.std(ddof=1) / np.sqrt(folds))
    mean = float(per_fold.mean())
    return mean - half, mean + half


def _draws(clips: int, resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """How often each clip is drawn ``(some resamples, clips)``, in pieces that fit in memory."""
    piece = max(WEIGHTS_AT_ONCE // clips, 1)
    for begin in range(0, resamples, piece):
        size = min(piece, resamples - begin)
        yield rng.multinomial(clips, np.full(clips, 1 / clips), size=size).astype(np.float64)


def _mean_over_seeds(truth: BoolArray, seeds: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean average precision ``(resamples,)`` of one method, whose scores are ``(seeds, clips, classes)``."""
    means: FloatArray = np.mean([_macro(truth, scores, weights) for scores in seeds], axis=0)
    return means


def _macro(truth: BoolArray, scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the classes of which a clip counts; 0 where there is no such class."""
    each = np.stack(
        [average_precision(truth[:, number], scores[:, number], weights) for number in np.flatnonzero(truth.any(0))]
        or [np.zeros(len(weights))]
    )
    known = np.isfinite(each)
    sums: FloatArray = np.where(known, each, 0).sum(0) / np.maximum(known.sum(0), 1)
    return sums
