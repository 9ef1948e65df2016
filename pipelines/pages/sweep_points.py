"""The finished runs of a sweep: their figures, the lines that they form, and which run is best."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lm.probing.comparison import Estimate, all_pairs
from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import ROWS
from pipelines.pages.phrasing import full_name
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import RESAMPLES, RESULTS, Resamples, Results
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from vocoder.kinds import WAVENET

CODEBOOK_SIZE = "tokenizer.codebook_size"
ACROSS = ("unlabelled_hours", CODEBOOK_SIZE)  # options that go from left to right, whichever was given first
METRICS = ("accuracy", "mean_average_precision")  # of probes; a sweep is judged by the first that its runs have
BAG = BAG_OF_CODES.name

FigureName = tuple[str, str, str | None]  # stage, name, of
RECOGNISED: FigureName = ("vocoder", "label_accuracy", WAVENET.key)
ERROR: FigureName = ("tokenizer", "quantised_mse", None)
STABILITY: FigureName = ("tokenizer", "stability", "noise")
MAX_OTHERS = 3  # runs that are compared with the chosen one where values have no order
# Runs with a vocoder have at least one: clips may lack labels, and a run may decode no clip.
SOUND: tuple[FigureName, ...] = (
    RECOGNISED,
    ("vocoder", "stoi", WAVENET.key),
    ("vocoder", "bits_per_sample", WAVENET.key),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One finished run."""

    job: Job
    results: Results
    resamples: Resamples = field(default_factory=dict)

    @property
    def figures(self) -> Figures:
        """Its figures."""
        return self.results["figures"]

    @property
    def comparison(self) -> Comparison:
        """The comparison of its methods; an empty one without probes."""
        return self.results.get("comparison") or Comparison(folds=[], classes=[], choose_by="")

    def row(self, stage: str, name: str, of: str | None = None) -> Figure:
        """Find a figure by its name, of probes that of test; its value is NaN where the run lacks it."""
        missing = Figure(stage=stage, name=name, of=of, value=math.nan, artifact="")
        return self.figures.find(stage, name, of) or missing

    def value(self, stage: str, name: str, of: str | None = None) -> float:
        """Find the value of a figure; NaN where the run lacks it."""
        return self.row(stage, name, of).value

    @property
    def nominal_rate(self) -> Figure:
        """Bits per second of codes, of all streams, that are each written with log2(codebook size) bits."""
        bits = math.log2(self.job.codebook_size) if self.job.codebook_size else math.nan
        rate = bits * self.value("tokenizer", "codes_per_second")
        return Figure(stage="tokenizer", name="bits_per_second", value=rate, artifact="")

    @property
    def recognition(self) -> float:
        """Share of the test clips that a classifier recognises in the learned sound."""
        return self.value(*RECOGNISED)

    @property
    def recognition_high(self) -> float:
        """The upper end of its interval; minus infinity without an interval."""
        high = self.row(*RECOGNISED).high
        return -math.inf if high is None else high

    @property
    def rate(self) -> float:
        """Bits per second that the language model needs."""
        return self.value("lm", "bits_per_second")


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Two runs on the same test clips: how far the judged method is better in ``one`` than in ``other``."""

    one: Point  # of the higher figure
    other: Point
    difference: Estimate  # its interval holds for all pairs of the sweep at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """The finished runs of a sweep over some options. The first option goes from left to right."""

    options: tuple[str, ...]
    finished: Sequence[Point]

    @cached_property
    def lines(self) -> dict[str, list[Point]]:
        """Runs from left to right, by the values of all options but the first."""
        lines: dict[str, list[Point]] = {}
        for point in sorted(self.finished, key=lambda point: self.values.index(self.first(point))):
            lines.setdefault(_options(point.job, self.options[1:]), []).append(point)
        return dict(sorted(lines.items(), key=lambda line: min(point.job.number for point in line[1])))

    @cached_property
    def values(self) -> list[str]:
        """Each value of the first option once: numbers by size, then all others as they came."""
        return sorted(dict.fromkeys(self.first(point) for point in self.finished), key=magnitude)

    @property
    def points(self) -> list[Point]:
        """All runs, line after line."""
        return [point for line in self.lines.values() for point in line]

    @cached_property
    def metric(self) -> str:
        """Name of the figure by which probes are judged."""
        found = {row.name for point in self.finished for row in point.figures if row.stage == "probe"}
        return next((name for name in METRICS if name in found), METRICS[0])

    @cached_property
    def methods(self) -> list[str]:
        """The methods that any run has probed, in the order of the table of methods."""
        rows = [row for point in self.finished for row in point.figures.where(stage="probe", name=self.metric)]
        known = list(dict.fromkeys(row.of for row in rows if row.of))
        return [*(of for of in ROWS if of in known), *(of for of in known if of not in ROWS)]

    @cached_property
    def judged(self) -> str:
        """The method whose probe judges the runs: the GPT, or else the bag of codes, or the first."""
        return next((of for of in (GPT, BAG, *self.methods) if of in self.methods), GPT)

    @property
    def probe(self) -> FigureName:
        """Name of the figure that judges the runs."""
        return ("probe", self.metric, self.judged)

    def validation(self, point: Point) -> float:
        """Find the figure that chose the candidate of the judged method; NaN where the run lacks it."""
        row = point.figures.find(*self.probe, split="validation")
        return row.value if row else math.nan

    @property
    def by_validation(self) -> bool:
        """Whether validation chooses a run; test chooses where a run does not know its validation."""
        return all(math.isfinite(self.validation(point)) for point in self._comparable)

    @cached_property
    def best(self) -> Point | None:
        """The run that validation chooses, the first among equals; None without probes."""
        if self.by_validation:
            return max(self._comparable, key=self.validation, default=None)
        return max(self.probed, key=lambda point: point.value(*self.probe), default=None)

    @property
    def compared(self) -> list[tuple[Point, float, float]]:
        """The ends of the best run's line, or a few runs without an order: gain in the probe, and in stability."""
        best, line = self.best, self.best_line
        assert best is not None, "sweeps without probes compare no run with the best one"
        others = [point for point in line if point is not best and point not in self.apart]
        shown = [point for point in others if point in (line[0], line[-1]) or not self.is_ordered]
        return [
            (each, each.value(*self.probe) - best.value(*self.probe), each.value(*STABILITY) - best.value(*STABILITY))
            for each in shown[:MAX_OTHERS]
        ]

    @property
    def tested(self) -> list[Point]:
        """The runs with a comparison of the judged method."""
        return [point for point in self.points if self.judged in point.comparison.tested]

    @property
    def gaps(self) -> list[Point]:
        """The runs whose validation and test of the judged method differ by more than chance."""
        gaps = ((point, point.comparison.gaps.get(self.judged)) for point in self.tested)
        return [point for point, gap in gaps if gap and gap.excludes_zero]

    @property
    def longest_line(self) -> list[Point]:
        """The line of most runs."""
        return max(self.lines.values(), key=len)

    @property
    def changes(self) -> list[tuple[str, str, float, float]]:
        """What codes lose and how stable they are at both ends of the longest line: name, form and two values."""
        one, other = self.longest_line[0], self.longest_line[-1]
        names = {(full_name(ERROR[1]), "number"): ERROR, ("codes that stay the same under noise", "percent"): STABILITY}
        found = [(*name, one.value(*figure), other.value(*figure)) for name, figure in names.items()]
        return [row for row in found if math.isfinite(row[2] + row[3])]

    @cached_property
    def paired(self) -> list[Point]:
        """The probed runs that share test clips: the largest set of them."""
        known = [point for point in self.probed if point.comparison.clips_key and self.judged in point.resamples]
        return _most_alike(known, lambda point: point.comparison.clips_key)

    @cached_property
    def unpaired(self) -> dict[str, list[Point]]:
        """The other probed runs, which no pair has, by the cause."""
        causes: dict[str, list[Point]] = {}
        for point in self.probed:
            if point in self.paired:
                continue
            if not point.comparison.clips_key:
                cause = f"{RESULTS} does not say which test clips they have"
            elif self.judged not in point.resamples:
                cause = f"{RESAMPLES} lacks {self.judged}"
            else:
                cause = f"their test clips, labels or groups are not those of {self.name(self.paired[0].job)}"
            causes.setdefault(cause, []).append(point)
        return causes

    @cached_property
    def pairs(self) -> list[RunPair]:
        """Every pair of runs that share test clips, the largest difference first."""
        if len(self.paired) < 2:
            return []
        first = self.paired[0].comparison
        drawn = [point.resamples[self.judged] for point in self.paired]  # fewer are the first of more
        found = all_pairs(
            np.array([point.value(*self.probe) for point in self.paired]),
            np.stack([draws[: min(map(len, drawn))] for draws in drawn], axis=1).astype(np.float64),
            resampled=len(first.split_groups["test"]) if first.resampled == "group" else first.clips,
            confidence=first.confidence,
        )
        pairs = []
        for pair in found:
            one, other, gain = self.paired[pair.one], self.paired[pair.other], pair.difference
            if gain.value < 0:
                one, other, gain = other, one, Estimate(value=-gain.value, low=-gain.high, high=-gain.low)
            pairs.append(RunPair(one=one, other=other, difference=gain))
        return sorted(pairs, key=lambda pair: -pair.difference.value)

    @cached_property
    def winner(self) -> Point | None:
        """The run that is better than each other probed run by more than chance; None if no run is shown to be."""
        if not self.pairs or len(self.paired) < len(self.probed):
            return None
        wins = Counter(pair.one for pair in self.pairs if pair.difference.excludes_zero)
        return next((point for point in self.paired if wins[point] == len(self.paired) - 1), None)

    @cached_property
    def apart(self) -> list[Point]:
        """The probed runs whose validation is of other clips than that of most runs, so that it cannot be compared."""
        return [point for point in self.probed if self.by_validation and point not in self._comparable]

    @property
    def best_line(self) -> list[Point]:
        """The line of the run that validation chooses; empty without probes."""
        return next((line for line in self.lines.values() if self.best in line), [])

    @property
    def is_ordered(self) -> bool:
        """Whether the values of the first option are numbers."""
        return bool(self.options) and all(math.isfinite(magnitude(value)) for value in self.values)

    @property
    def best_is_inside(self) -> bool:
        """Whether the chosen run has smaller and larger values beside it, both ends of which are shown to be worse."""
        worse = [pair.other for pair in self.pairs if pair.one is self.best and pair.difference.excludes_zero]
        ends = self.best_line[:1] + self.best_line[-1:]
        return self.is_ordered and bool(ends) and all(end in worse for end in ends)

    @property
    def probed(self) -> list[Point]:
        """The runs whose probe of the judged method has a figure."""
        return [point for point in self.finished if math.isfinite(point.value(*self.probe))]

    @cached_property
    def _comparable(self) -> list[Point]:
        """The probed runs that choose as most of them do, or as the first: by cross-validation or validation clips."""
        return _most_alike(self.probed, lambda point: point.comparison.choose_by)

    def first(self, point: Point) -> str:
        """Value of the first option; "" where no option was swept."""
        return point.job.overrides.get(self.options[0], "") if self.options else ""

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
    with suppress(ValueError):
        if math.isfinite(number := float(value)):
            return number
    return math.inf


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
