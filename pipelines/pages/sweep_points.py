"""The finished runs of a sweep: their figures, the lines that they form, and which run is best."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lm.probing.comparison import Estimate, all_pairs
from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import ROWS
from pipelines.pages.phrasing import full_name
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import RESAMPLES, RESULTS, Resamples, Results, count_codes
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from vocoder.kinds import WAVENET

ACROSS = ("unlabelled_hours", "tokenizer.codebook_size")  # go from left to right, whichever option was given first
METRICS = ("accuracy", "mean_average_precision")  # of probes; a sweep is judged by the first that its runs have
BAG = BAG_OF_CODES.name
MAX_OTHERS = 3  # runs that are compared with the chosen one where values have no order

FigureName = tuple[str, str, str | None]  # stage, name, of
RECOGNISED: FigureName = ("vocoder", "label_accuracy", WAVENET.key)
ERROR: FigureName = ("tokenizer", "quantised_mse", None)
STABILITY: FigureName = ("tokenizer", "stability", "noise")
# Runs with a vocoder have at least one: clips may lack labels, and a run may decode no clip.
SOUND = (RECOGNISED, ("vocoder", "stoi", WAVENET.key), ("vocoder", "bits_per_sample", WAVENET.key))


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
        size = count_codes(self.results)
        bits = math.log2(size) if size else math.nan
        rate = bits * self.value("tokenizer", "codes_per_second")
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
    difference: Estimate  # its interval holds for all pairs of the sweep at once


class Runs:
    """The finished runs of a sweep over some options. The first option goes from left to right."""

    def __init__(self, *, options: tuple[str, ...], finished: Sequence[Point]) -> None:
        self.options, self.finished = options, finished

        # Each value of the first option once: numbers by size, then all others as they came. A line has the runs from
        # left to right that share the values of all other options.
        self.values = sorted(dict.fromkeys(map(self.first, finished)), key=magnitude)
        self.is_ordered = bool(options) and all(math.isfinite(magnitude(value)) for value in self.values)
        lines: dict[str, list[Point]] = {}
        for point in sorted(finished, key=lambda point: self.values.index(self.first(point))):
            lines.setdefault(_options(point.job, options[1:]), []).append(point)
        self.lines = dict(sorted(lines.items(), key=lambda line: min(point.job.number for point in line[1])))
        self.rated = any(math.isfinite(point.rate) for point in finished)
        self.longest_line: list[Point] = max(self.lines.values(), key=len, default=[])
        self.points = [point for line in self.lines.values() for point in line]

        # The figure that judges the runs: of the GPT, or else of the bag of codes, or of the first method.
        names = {row.name for point in finished for row in point.figures if row.stage == "probe"}
        self.metric = next((name for name in METRICS if name in names), METRICS[0])
        rows = [row for point in finished for row in point.figures.where(stage="probe", name=self.metric)]
        known = list(dict.fromkeys(row.of for row in rows if row.of))
        self.methods = [*(of for of in ROWS if of in known), *(of for of in known if of not in ROWS)]
        self.judged = next((of for of in (GPT, BAG, *self.methods) if of in self.methods), GPT)
        self.probe: FigureName = ("probe", self.metric, self.judged)
        self.probed = [point for point in finished if math.isfinite(point.value(*self.probe))]

        # Validation chooses a run among those that choose as most do: validation clips may be easier than
        # cross-validation. Test chooses where a run does not know its validation.
        comparable = _most_alike(self.probed, lambda point: point.comparison.choose_by)
        self.by_validation = all(math.isfinite(self.validation(point)) for point in comparable)
        self.apart = [point for point in self.probed if self.by_validation and point not in comparable]
        self.best: Point | None = (
            max(comparable, key=self.validation, default=None)
            if self.by_validation
            else max(self.probed, key=lambda point: point.value(*self.probe), default=None)
        )
        self.best_line = next((line for line in self.lines.values() if self.best in line), [])

        # Pairs are runs that share test clips, the largest difference first; the winner is better than each other run.
        drawn = [point for point in self.probed if point.comparison.clips_key and self.judged in point.resamples]
        self.paired = _most_alike(drawn, lambda point: point.comparison.clips_key)
        self.pairs = sorted(self._pairs(), key=lambda pair: -pair.difference.value) if len(self.paired) > 1 else []
        apart = [pair for pair in self.pairs if pair.difference.excludes_zero]
        wins = Counter(pair.one for pair in apart)
        found = [point for point in self.paired if wins[point] == len(self.paired) - 1 > 0]
        self.winner = found[0] if found and len(self.paired) == len(self.probed) else None
        worse, ends = [pair.other for pair in apart if pair.one is self.best], self.best_line[:1] + self.best_line[-1:]
        self.best_is_inside = self.is_ordered and bool(ends) and all(end in worse for end in ends)

        # Runs whose validation and test of the judged method differ by more than chance.
        self.tested = [point for point in self.points if self.judged in point.comparison.tested]
        gaps = ((point, point.comparison.gaps.get(self.judged)) for point in self.tested)
        self.gaps = [point for point, gap in gaps if gap and gap.excludes_zero]

    def _pairs(self) -> Iterable[RunPair]:
        first = self.paired[0].comparison
        drawn = [point.resamples[self.judged] for point in self.paired]  # fewer are the first of more
        for pair in all_pairs(
            np.array([point.value(*self.probe) for point in self.paired]),
            np.stack([draws[: min(map(len, drawn))] for draws in drawn], axis=1).astype(np.float64),
            resampled=len(first.split_groups["test"]) if first.resampled == "group" else first.clips,
            confidence=first.confidence,
        ):
            one, other, gain = self.paired[pair.one], self.paired[pair.other], pair.difference
            if gain.value < 0:
                one, other, gain = other, one, Estimate(value=-gain.value, low=-gain.high, high=-gain.low)
            yield RunPair(one=one, other=other, difference=gain)

    @property
    def unpaired(self) -> dict[str, list[Point]]:
        """The other probed runs, which no pair has, by the cause."""
        causes: dict[str, list[Point]] = {}
        for point in (point for point in self.probed if point not in self.paired):
            if not point.comparison.clips_key:
                cause = f"{RESULTS} does not say which test clips they have"
            elif self.judged not in point.resamples:
                cause = f"{RESAMPLES} lacks {self.judged}"
            else:
                cause = f"their test clips, labels or groups are not those of {self.name(self.paired[0].job)}"
            causes.setdefault(cause, []).append(point)
        return causes

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
    def changes(self) -> list[tuple[str, str, float, float]]:
        """What codes lose and how stable they are at both ends of the longest line: name, form and two values."""
        line = self.longest_line
        names = {(full_name(ERROR[1]), "number"): ERROR, ("codes that stay the same under noise", "percent"): STABILITY}
        found = [(*name, line[0].value(*figure), line[-1].value(*figure)) for name, figure in names.items()]
        return [row for row in found if math.isfinite(row[2] + row[3])]

    def validation(self, point: Point) -> float:
        """Find the figure that chose the candidate of the judged method; NaN where the run lacks it."""
        row = point.figures.find(*self.probe, split="validation")
        return row.value if row else math.nan

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
