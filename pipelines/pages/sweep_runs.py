"""The finished runs of a sweep: their figures, the lines that they form, which run is best, and which pairs differ."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lm.probing.comparison import Estimate, all_pairs, over_groups, two_sided_p
from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import ROWS
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import Resamples, Results, count_codes
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from wordless.base.text import counted

ACROSS = ("unlabelled_hours", "tokenizer.codebook_size")  # go from left to right, whichever option was given first
METRICS = ("accuracy", "mean_average_precision")  # of probes; a sweep is judged by the first that its runs have
BAG = BAG_OF_CODES.name
FigureName = tuple[str, str, str | None]  # stage, name, of


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One finished run."""

    job: Job
    results: Results
    resamples: Resamples = field(default_factory=dict)

    @property
    def figures(self) -> Figures:
        return self.results["figures"]

    @property
    def comparison(self) -> Comparison:
        """The comparison of its methods; an empty one without probes."""
        return self.results.get("comparison") or Comparison(folds=[], classes=[], choose_by="")

    def value(self, stage: str, name: str, of: str | None = None, *, split: str | None = None) -> float:
        """Find the value of a figure, of probes that of test; NaN where the run lacks it."""
        found = self.figures.find(stage, name, of, split=split)
        return found.value if found else math.nan

    @property
    def nominal_rate(self) -> Figure:
        """Bits per second of codes, of all streams, that are each written with log2(codebook size) bits."""
        size = count_codes(self.results)
        rate = (math.log2(size) if size else math.nan) * self.value("tokenizer", "codes_per_second")
        return Figure(stage="tokenizer", name="bits_per_second", value=rate, artifact="")

    @property
    def rate(self) -> float:
        """Bits per second that the language model needs."""
        return self.value("lm", "bits_per_second")


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Two runs on the same test clips: how far the judged method is better in ``one`` than in ``other``."""

    one: Point  # of the higher figure
    other: Point
    difference: Estimate  # its interval over test clips holds for all pairs at once
    p: float  # two-sided, of this pair alone: over folds or groups, or else over test clips
    fold_low: float | None  # paired t interval over folds or groups, of this pair alone; None for a single one
    fold_high: float | None
    differs: bool  # by more than chance, with the number of pairs accounted for


class Runs:
    """The finished runs of a sweep over some options. The first option goes from left to right."""

    def __init__(self, *, options: tuple[str, ...], finished: Sequence[Point]) -> None:
        self.options, self.finished = options, finished

        # Each value of the first option once: numbers by size, then all others as they came. A line has the runs from
        # left to right that share the values of all other options.
        self.values = sorted(dict.fromkeys(map(self._first, finished)), key=magnitude)
        self.is_ordered = bool(options) and all(math.isfinite(magnitude(value)) for value in self.values)
        lines: dict[str, list[Point]] = {}
        for point in sorted(finished, key=self.place):
            lines.setdefault(_options(point.job, options[1:]), []).append(point)
        self.lines = dict(sorted(lines.items(), key=lambda line: min(point.job.number for point in line[1])))
        self.points = [point for line in self.lines.values() for point in line]

        # The figure that judges the runs: of the GPT, or else of the bag of codes, or of the first method.
        rows = [row for point in finished for row in point.figures.where(stage="probe")]
        self.metric = next((name for name in METRICS if any(row.name == name for row in rows)), METRICS[0])
        known = dict.fromkeys(row.of for row in rows if row.of and row.name == self.metric)
        self.methods = sorted(known, key=lambda of: [*ROWS].index(of) if of in ROWS else len(ROWS))
        self.judged = next((of for of in (GPT, BAG, *self.methods) if of in self.methods), GPT)
        self.probe: FigureName = ("probe", self.metric, self.judged)
        self.probed = [point for point in finished if math.isfinite(point.value(*self.probe))]

        # Validation chooses a run among those that choose as most do: validation clips may be easier than
        # cross-validation.
        comparable = _most_alike(self.probed, lambda point: point.comparison.choose_by)
        self.apart = [point for point in self.probed if point not in comparable]
        self.best: Point | None = max(comparable, key=self.validation, default=None)

        # Pairs are runs that share test clips, the largest difference first; the winner is better than each other run.
        drawn = [point for point in self.probed if point.comparison.clips_key and self.judged in point.resamples]
        self.paired = _most_alike(drawn, lambda point: point.comparison.clips_key)
        self.unpaired = [point for point in self.probed if point not in self.paired]
        self.pairs = sorted(self._pairs(), key=lambda pair: -pair.difference.value) if len(self.paired) > 1 else []
        wins = Counter(pair.one for pair in self.pairs if pair.differs)
        found = [point for point in self.paired if wins[point] == len(self.probed) - 1 > 0]
        self.winner = found[0] if found else None

        # Runs whose validation and test of the judged method differ by more than chance.
        self.tested = [point for point in self.points if self.judged in point.comparison.tested]
        gaps = ((point, point.comparison.gaps.get(self.judged)) for point in self.tested)
        self.gaps = [point for point, gap in gaps if gap and gap.excludes_zero]

    def _pairs(self) -> Iterable[RunPair]:
        first = self.paired[0].comparison
        drawn = [point.resamples[self.judged] for point in self.paired]  # fewer are the first of more
        draws = np.stack([each[: min(map(len, drawn))] for each in drawn], axis=1).astype(np.float64)
        values = np.array([point.value(*self.probe) for point in self.paired])
        found = all_pairs(values, draws, resampled=first.clips, confidence=first.confidence)
        for pair in found:
            a, b, gain = pair.one, pair.other, pair.difference
            if gain.value < 0:
                a, b, gain = b, a, Estimate(value=-gain.value, low=-gain.high, high=-gain.low)
            one, other = self.paired[a], self.paired[b]
            higher, lower = (point.comparison.by_unit(self.judged) for point in (one, other))
            gains = np.array([value - lower[unit] for unit, value in higher.items()])
            low, high, p, differs = None, None, two_sided_p(draws[:, a] - draws[:, b]), gain.excludes_zero
            if len(gains) > 1:  # clips of one speaker are alike, so the folds or groups must say so, too (Bonferroni)
                low, high, p = over_groups(gains, confidence=first.confidence, value=gain.value)
                differs = differs and p * len(found) < 1 - first.confidence
            yield RunPair(one=one, other=other, difference=gain, p=p, fold_low=low, fold_high=high, differs=differs)

    @property
    def over(self) -> str:
        """The units that the runs of a pair are compared over."""
        first = self.paired[0].comparison
        units = len(first.by_unit(self.judged))
        if units > 1:
            return counted(units, first.fold_noun)
        return f"test clips{' of 1 group' if first.single_group else ''}"

    def validation(self, point: Point) -> float:
        """Find the figure that chose the candidate of the judged method."""
        return point.value(*self.probe, split="validation")

    def _first(self, point: Point) -> str:
        """Value of the first option; "" where no option was swept."""
        return point.job.overrides.get(self.options[0], "") if self.options else ""

    def place(self, point: Point) -> float:
        """Place of a run from left to right."""
        return float(self.values.index(self._first(point)))

    def name(self, job: Job) -> str:
        """Name a run in a sentence: ``lm=tiny, seed=1``."""
        return _options(job, self.options) or f"job {job.number}"

    def short_name(self, job: Job) -> str:
        """Name a run in a chart, by its values alone."""
        return ", ".join(job.overrides.get(name, "") for name in self.options) or f"job {job.number}"


def swept(jobs: Sequence[Job]) -> tuple[str, ...]:
    """List the options that differ between jobs: hours and codebook size first, the others as they were given."""
    names = list(dict.fromkeys(name for job in jobs for name in job.overrides))
    varying = [name for name in names if len({job.overrides.get(name) for job in jobs}) > 1]
    return tuple(sorted(varying, key=lambda name: ACROSS.index(name) if name in ACROSS else len(ACROSS)))


def magnitude(value: str) -> float:
    """Read a finite number; infinite for any other value."""
    try:
        number = float(value)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def pareto(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Find the points that no other point beats in one of cost and gain without losing in the other.

    Gives their indices, from the cheapest on, and leaves out what is not a number.
    """
    known = [index for index in range(len(costs)) if math.isfinite(costs[index] + gains[index])]
    front: list[int] = []
    for index in sorted(known, key=lambda index: (costs[index], -gains[index])):
        last = front[-1] if front else None
        if last is None or gains[index] > gains[last] or (costs[last], gains[last]) == (costs[index], gains[index]):
            front.append(index)
    return front


def reuse(points: Iterable[Point]) -> dict[str, tuple[int, int]]:
    """Count by stage how often it was computed and how often it was reused."""
    stages = [stage for point in points for stage in point.results.get("stages", [])]
    counts = Counter((stage["stage"], stage["reused"]) for stage in stages)
    return {stage["stage"]: (counts[stage["stage"], False], counts[stage["stage"], True]) for stage in stages}


def _most_alike(points: Sequence[Point], key: Callable[[Point], str]) -> list[Point]:
    """Select the largest set of points that have one key, the first set among equals."""
    ((most, _),) = Counter(map(key, points)).most_common(1) or [("", 0)]
    return [point for point in points if key(point) == most]


def _options(job: Job, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={job.overrides.get(name, '')}" for name in names)
