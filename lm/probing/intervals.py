"""Comparison of methods on the same test clips: means over folds, intervals and p values.

The comparison is paired: every method is measured on the same clips, so the difficulty of a clip cancels out of the
difference of two methods. Every fold has the same weight, however many clips it has.

The interval over clips is that of a share for accuracies (`share_interval`), and a bootstrap within each fold for other
measures and for differences, which are paired (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).

Clips of one speaker are not independent. Where test clips have at least two groups, such as speakers, the interval is
Student's over the groups: would other speakers give the same result? With several seeds it is over both, because other
speakers *and* other trainings may give another result (`over_groups`). A few groups may be equal by chance, so this
interval is never narrower than that over clips: it reaches to the outer ends of both. Clips without groups are crossed
with seeds in the same way. Student's t of the folds' differences says what other folds might give.

Two figures on different clips, such as validation and test, are not paired: `independent_difference` combines their
intervals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit

from wordless.base.arrays import BoolArray, Floats, IndexArray

Over = Literal["clips", "groups"]  # what else an interval holds for

WEIGHTS_AT_ONCE = 2**22  # limit of (resamples, clips) in memory
_SMALLEST_VARIANCE = 1e-12  # of an accuracy; less is an error of rounding
BLOCKS = 200  # of clips without groups, at most, that are crossed with seeds: a jackknife over each clip takes long


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """Test clips of a fold with one label each; the measure is accuracy."""

    hits: Floats  # (methods, clips), 1 for a right answer; with several seeds, the share of right answers


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Test clips of a fold with any number of labels each; the measure is mean average precision."""

    truth: BoolArray  # (clips, classes)
    scores: Floats  # (methods, seeds, clips, classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratios:
    """Test clips with a part and a whole each, such as edits and characters; the measure is the ratio of their sums."""

    parts: Floats  # (methods, clips)
    wholes: Floats  # (clips,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Test clips with a number each; the measure is the coefficient of determination, R2."""

    truth: Floats  # (clips,)
    predicted: Floats  # (methods, clips)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """Test clips with the classes that were chosen for each; the measure is the mean of the classes' F1 scores."""

    truth: BoolArray  # (clips, classes)
    chosen: BoolArray  # (methods, clips, classes)


Outcome = Hits | Rankings | Ratios | Predictions | Decisions


def num_clips(outcome: Outcome) -> int:
    """Count the test clips."""
    match outcome:
        case Hits(hits=hits):
            return len(hits.T)
        case Ratios(wholes=wholes):
            return len(wholes)
        case Rankings(truth=truth) | Predictions(truth=truth) | Decisions(truth=truth):
            return len(truth)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval is on one side of zero, so that a difference is more than chance."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Difference(Estimate):
    """The difference between two methods, with its interval over clips or groups."""

    p: float  # two-sided, over clips or groups
    fold_low: float | None  # paired t interval over folds; None for a single fold
    fold_high: float | None


def measure(outcome: Outcome, weights: Floats | None = None) -> Floats:
    """Compute the measure ``(resamples, methods)`` per row of weights ``(resamples, clips)``; None: one row of ones."""
    given = np.ones((1, num_clips(outcome))) if weights is None else weights
    found: Floats
    match outcome:
        case Hits(hits=hits):
            found = given @ hits.T / given.sum(1, keepdims=True)
        case Rankings(truth=truth, scores=scores):  # the mean over the classes that a counted clip has, and over seeds
            present = np.flatnonzero(truth.any(0))
            precisions = np.zeros((*scores.shape[:2], len(present) or 1, len(given)))
            for method, seed, place in np.ndindex(*scores.shape[:2], len(present)):
                own = scores[method, seed, :, present[place]]
                precisions[method, seed, place] = average_precision(truth[:, present[place]], own, given)
            known = np.isfinite(precisions)
            sums = np.where(known, precisions, 0).sum(2) / np.maximum(known.sum(2), 1)  # (methods, seeds, resamples)
            found = sums.mean(1).T
        case Ratios(parts=parts, wholes=wholes):
            found = given @ parts.T / (given @ wholes)[:, None]
        case Predictions(truth=truth, predicted=predicted):
            # R2: 1 - squared errors / squared deviations; nan for clips of one value
            centres = given @ truth / given.sum(1)
            deviations = (given * (truth - centres[:, None]) ** 2).sum(1, keepdims=True)
            errors = given @ ((truth - predicted) ** 2).T
            found = 1 - np.divide(errors, deviations, out=np.full_like(errors, np.nan), where=deviations > 0)
        case Decisions(truth=truth, chosen=chosen):  # the mean over the classes that a counted clip has; 0 without any
            by_method = list[Floats]()
            for one in chosen:
                both, said, had = (given @ each.astype(np.float64) for each in (truth & one, one, truth))
                scores = np.divide(2 * both, said + had, out=np.zeros_like(both), where=had > 0)
                by_method.append(scores.sum(1) / np.maximum((had > 0).sum(1), 1))
            found = np.stack(by_method, axis=1)
    return found


def average_precision(truth: BoolArray, scores: Floats, weights: Floats) -> Floats:
    """Compute the average precision ``(resamples,)`` of one class: the area under the steps of precision over recall.

    ``truth (clips,)``, ``weights (resamples, clips)``; nan where no clip has the class. Equal ``scores (clips,)`` share
    a rank.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # the last of each run of equal scores
    found = np.cumsum(weights[:, order] * truth[order], axis=1)[:, ends]
    seen = np.cumsum(weights[:, order], axis=1)[:, ends]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[:, -1]
    area = (np.diff(found, axis=1, prepend=0) * precision).sum(1)
    share: Floats = np.divide(area, total, out=np.full_like(total, np.nan), where=total > 0)
    return share


def mean_outcome(reached: Sequence[Outcome]) -> Outcome:
    """Return the mean of outcomes of the same methods and clips, such as those of several seeds."""
    first = reached[0]
    match first:
        case Rankings():
            return replace(
                first, scores=np.concatenate([each.scores for each in reached if isinstance(each, Rankings)], 1)
            )
        case Hits():
            return Hits(hits=np.mean([each.hits for each in reached if isinstance(each, Hits)], axis=0))
        case _:
            assert len(reached) == 1, "only accuracies and rankings are averaged"
            return first


def by_fold(folds: Sequence[Outcome]) -> Floats:
    """Measure each method on each fold: ``(folds, methods)``."""
    return np.concatenate([measure(fold) for fold in folds])


def number_groups(folds: Sequence[Sequence[str | None]]) -> list[IndexArray] | None:
    """Number the groups of the test clips of all folds; None if a clip has none, or there are fewer than two."""
    names = [name for fold in folds for name in fold]
    if not all(names) or len({*names}) < 2:
        return None
    numbers = np.unique(np.array(names), return_inverse=True)[1]
    return np.split(numbers, np.cumsum([len(fold) for fold in folds])[:-1])


def by_group(folds: Sequence[Outcome], groups: Sequence[IndexArray]) -> Floats:
    """Measure each method on each group: ``(groups, methods)``, for `over_groups`.

    These are pseudo-values of the jackknife (Tukey, "Bias and confidence in not quite large samples", 1958): with G
    groups, G times the measure of all minus G - 1 times that without the group. They serve measures that are no means
    of clips, and are the accuracy of groups with equally many clips. Where no group is in two folds, they are those of
    each fold by itself, so that folds that differ, and not only the groups within, widen an interval.
    """
    count, own = int(np.concatenate(groups).max()) + 1, [np.unique(each, return_inverse=True)[1] for each in groups]
    if count == 1:
        return by_fold(folds)
    if len(folds) > 1 and sum(int(each.max()) + 1 for each in own) == count:
        return np.concatenate([by_group([fold], [each]) for fold, each in zip(folds, own, strict=True)])
    without, known = list[Floats](), list[BoolArray]()
    for fold, numbers in zip(folds, groups, strict=True):
        known.append(np.array([bool((numbers != group).any()) for group in range(count)]))  # else there is no figure
        without.append(np.zeros((count, measure(fold).shape[1])))
        left, piece = np.flatnonzero(known[-1]), max(WEIGHTS_AT_ONCE // len(numbers), 1)
        for some in np.split(left, range(piece, len(left), piece)):
            weights = (numbers != some[:, None]).astype(np.float64)  # (some groups, clips)
            without[-1][some] = measure(fold, weights)
    rest = np.sum(without, axis=0) / np.sum(known, axis=0)[:, None]
    values: Floats = count * by_fold(folds).mean(0) - (count - 1) * rest
    return values


def over_groups(values: Floats, *, confidence: float, value: float | None = None) -> tuple[float, float, float]:
    """Return Student's interval of the mean of ``values`` for other groups, and the two-sided p value of 0.

    ``values`` are ``(groups,)``, or ``(groups, seeds)``, or have more crossed factors, such as draws of labels. The
    variance of the mean is that of the groups' means, and what seeds differ by beyond the residual is added: with N
    values, the sum of the groups' mean square and of each other factor's mean square minus the residual one, where that
    is above 0, over N. Degrees of freedom are Satterthwaite's ("An approximate distribution of estimates of variance
    components", 1946; Searle, Casella and McCulloch, "Variance Components", 1992, for the crossed model). ``value`` is
    the centre; None: the mean.
    """
    centre = float(values.mean()) if value is None else value
    residual, squares = values - values.mean(), list[tuple[float, int]]()  # mean squares and their degrees of freedom
    for axis, size in enumerate(values.shape):
        others = tuple([other for other in range(values.ndim) if other != axis])
        means = (values - values.mean()).mean(axis=others, keepdims=True)
        if axis == 0 or size > 1:
            squares.append((float((means**2).sum()) * values.size / size / (size - 1), size - 1))
        residual = residual - means
    left = values.size - 1 - sum(freedom for _, freedom in squares)
    error = float((residual**2).sum()) / left if left else 0.0
    added = [(square, freedom) for square, freedom in squares[1:] if square > error]
    total = squares[0][0] + sum(square - error for square, _ in added)
    if total == 0:
        return centre, centre, float(centre == 0)
    terms = [squares[0], *added, *([(len(added) * error, left)] if added else [])]
    freedom = total**2 / sum(square**2 / freedom for square, freedom in terms)
    spread = np.sqrt(total / values.size)
    half = float(stdtrit(freedom, (1 + confidence) / 2) * spread)
    return centre - half, centre + half, float(2 * stdtr(freedom, -abs(centre) / spread))


def reaching(found: Estimate, values: Floats, *, confidence: float) -> tuple[float, float, float]:
    """Let an interval over clips reach as far as that of ``values`` over groups: its ends, and the p value of both."""
    low, high, p = over_groups(values, confidence=confidence, value=found.value)
    of_clips = found.p if isinstance(found, Difference) else 0.0
    return min(low, found.low), max(high, found.high), max(p, of_clips)


def bootstrap_weights(clips: int, *, resamples: int, seed: int, fold: int = 0) -> Iterator[Floats]:
    """Give how often each clip is drawn with replacement, ``(some of the resamples, clips)``, as fits in memory."""
    rng, piece = np.random.default_rng([seed, fold]), max(WEIGHTS_AT_ONCE // clips, 1)
    for begin in range(0, resamples, piece):
        weights = rng.multinomial(clips, np.full(clips, 1 / clips), size=min(piece, resamples - begin))
        yield weights.astype(np.float64)


def draws_of_means(several: Sequence[Floats], *, resamples: int, seed: int) -> list[Floats]:
    """Bootstrap the mean of each of several figures, ``(resamples,)``, from its values ``(clips,)``.

    Figures of equally many clips share the resamples.
    """
    drawn = [list[Floats]() for _ in several]
    for clips in dict.fromkeys(map(len, several)):
        own = [(known, each) for known, each in zip(several, drawn, strict=True) if len(known) == clips]
        for weights in bootstrap_weights(clips, resamples=resamples, seed=seed):
            sums = weights.sum(1)
            for known, each in own:  # one by one: a product with all of them would round differently
                each.append((weights @ known[:, None])[:, 0] / sums)
    return [np.concatenate(each) for each in drawn]


def bootstrap(folds: Sequence[Outcome], *, resamples: int, seed: int) -> Floats:
    """Bootstrap ``(resamples, methods)``: the mean over folds, with clips resampled with replacement within each fold.

    The bias of average precision and F1 scores, which the mean of the resamples shows, is removed (Efron and Tibshirani
    1993, chapter 10): clips that are drawn twice stand next to each other in a ranking. R2 has no such mean: where a
    resample lacks the few extreme targets, it is far below 0.
    """
    total = np.zeros(())
    for number, fold in enumerate(folds):
        pieces = bootstrap_weights(num_clips(fold), resamples=resamples, seed=seed, fold=number)
        total = total + np.concatenate([measure(fold, weights) for weights in pieces])
    means: Floats = total / len(folds)
    if isinstance(folds[0], Rankings | Decisions):
        means = np.clip(means + by_fold(folds).mean(0) - means.mean(0), 0, 1)
    return means


def counted_clips(folds: Sequence[Hits], method: int) -> tuple[float, float]:
    """Return the accuracy of a method, the mean of the folds, and how many independent clips would be as exact.

    For a single fold with one seed, these are its clips. Folds weigh the same, however many clips they have; and with
    several seeds a clip counts for more, because its share of right answers varies less.
    """
    count = len(folds)
    rows = [fold.hits[method] for fold in folds]
    value = float(np.mean([row.mean() for row in rows]))
    variance = float(sum([row.var() / len(row) for row in rows])) / count**2
    if variance > _SMALLEST_VARIANCE:
        return value, value * (1 - value) / variance
    return value, count**2 / sum([1 / len(row) for row in rows])


def share_interval(value: float, clips: float, *, confidence: float) -> tuple[float, float]:
    """Return the exact interval of a share of ``clips``: 3 of 3 are 29.2 % to 100 % (Clopper and Pearson, 1934).

    The number of clips need not be whole (Korn and Graubard, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data", 1998).
    """
    tail, right = (1 - confidence) / 2, value * clips
    low = float(betaincinv(right, clips - right + 1, tail)) if value > 0 else 0.0
    high = float(betaincinv(right + 1, clips - right, 1 - tail)) if value < 1 else 1.0
    return low, high


def confidence_interval(draws: Floats, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of resampled values ``(resamples,)``."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def two_sided_p(differences: Floats) -> float:
    """Return twice the share of resampled differences ``(resamples,)`` on the rarer side of zero, at most 1.

    The observed sample counts as one more, so p is never 0 (Davison and Hinkley, "Bootstrap Methods and their
    Application", 1997).
    """
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(2 * (rarer + 1) / (len(differences) + 1), 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Methods on the same test clips, with the intervals of their figures and differences.

    The intervals are over clips. Where clips have groups, they also reach as far as those over the groups, crossed with
    the repeats; where they have none, and there are repeats, as far as those over blocks of clips, crossed with these.
    """

    folds: Sequence[Outcome]  # over all repeats
    over: Over = "clips"  # what else the intervals hold for, beside repeats
    groups: Floats | None = None  # (methods, groups or blocks, repeats) of `by_group`; None: over clips alone
    resamples: int
    seed: int  # of the resamples

    @classmethod
    def of(
        cls,
        folds: Sequence[Outcome],
        names: Sequence[Sequence[str | None]],
        *,
        resamples: int,
        seed: int,
        repeats: Sequence[Sequence[Outcome]] = (),
    ) -> "Measured":
        """Measure outcomes of clips with the groups ``names``; ``repeats`` are folds of each seed or draw of labels."""
        numbers, groups = number_groups(names), None
        over: Over = "clips" if numbers is None else "groups"
        if numbers is None and len(repeats) > 1 and sum(map(num_clips, folds)) > 1:
            ends = np.cumsum([num_clips(fold) for fold in folds])
            numbers = np.split(np.arange(ends[-1]) % BLOCKS, ends[:-1])
        if numbers is not None:
            groups = np.stack([by_group(each, numbers) for each in repeats or [folds]], axis=2).swapaxes(0, 1)
            # Without some group, R2 or a class of mean average precision may have no value: groups then say nothing.
            if not np.isfinite(groups).all() or not (isinstance(folds[0], Hits) or np.ptp(groups, axis=1).all()):
                groups, over = None, "clips"
        return cls(folds=folds, over=over, groups=groups, resamples=resamples, seed=seed)

    @property
    def count(self) -> int:
        """The number of clips or groups that intervals are over."""
        if self.over == "clips" or self.groups is None:
            return sum(map(num_clips, self.folds))
        return int(self.groups.shape[1])

    @cached_property
    def values(self) -> Floats:
        """The value of each method, ``(folds, methods)``."""
        return by_fold(self.folds)

    @cached_property
    def draws(self) -> Floats:
        """Bootstrapped values of the methods, ``(resamples, methods)``."""
        return bootstrap(self.folds, resamples=self.resamples, seed=self.seed)

    def estimate(self, number: int, *, confidence: float) -> Estimate:
        """Return the value of a method (column) with its interval, which stays in the range of the measure."""
        over_clips, kind = self.over_clips(number, confidence=confidence), self.folds[0]
        if self.groups is None:
            return over_clips
        low, high, _ = reaching(over_clips, self.groups[number], confidence=confidence)
        low = low if isinstance(kind, Predictions) else max(low, 0.0)
        high = high if isinstance(kind, Ratios) else min(high, 1.0)
        return replace(over_clips, low=low, high=high)

    def over_clips(self, number: int, *, confidence: float) -> Estimate:
        """Return the value of a method (column) with its interval over clips alone."""
        value, hits = float(self.values[:, number].mean()), [fold for fold in self.folds if isinstance(fold, Hits)]
        if hits:
            low, high = share_interval(*counted_clips(hits, number), confidence=confidence)
        else:
            draws = self.draws[:, number]
            known = draws[np.isfinite(draws)]  # R2 of a resample with a single value is not known
            low, high = confidence_interval(known, confidence) if len(known) else (value, value)
        return Estimate(value=value, low=low, high=high)

    def difference(self, one: int, other: int, *, confidence: float) -> Difference:
        """Compute the difference of method (column) ``one`` minus method ``other``, with both intervals."""
        per_fold = self.values[:, one] - self.values[:, other]
        clipwise = self.draws[:, one] - self.draws[:, other]
        value, (low, high), p = float(per_fold.mean()), confidence_interval(clipwise, confidence), two_sided_p(clipwise)
        fold_low, fold_high = t_interval(per_fold, confidence=confidence)
        found = Difference(value=value, low=low, high=high, p=p, fold_low=fold_low, fold_high=fold_high)
        if self.groups is None:
            return found
        low, high, p = reaching(found, self.groups[one] - self.groups[other], confidence=confidence)
        return replace(found, low=low, high=high, p=p)


def independent_difference(one: Estimate, other: Estimate) -> Estimate:
    """Compute ``one`` minus ``other`` of figures on different clips, with the interval that follows from their own.

    The distances of both values from the ends of their intervals add in squares: Newcombe's hybrid interval of two
    proportions ("Interval estimation for the difference between independent proportions", 1998, method 10), and that of
    any two estimates of Zou and Donner ("Construction of confidence limits about effect measures", 2008).
    """
    value = one.value - other.value
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value=value, low=value - float(below), high=value + float(above))


def t_interval(values: Floats, *, confidence: float) -> tuple[float, float] | tuple[None, None]:
    """Return Student's interval of the mean of the values of several folds or seeds ``(count,)``; none for one value.

    A bootstrap would be too narrow. Folds share training clips, which no estimator accounts for (Bengio and Grandvalet,
    2004).
    """
    count = len(values)
    if count < 2:
        return None, None
    half = float(stdtrit(count - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(count))
    mean = float(values.mean())
    return mean - half, mean + half
