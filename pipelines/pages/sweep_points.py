"""The finished runs of a sweep: their figures, the lines that they form, and which run is best."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from pipelines.methods.codes import BAG_OF_CODES
from pipelines.results.figures import Figure
from pipelines.results.run_record import Results, figure_of
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from vocoder.kinds.wavenet import WAVENET

CODEBOOK_SIZE = "tokenizer.codebook_size"
ACROSS = ("unlabelled_hours", CODEBOOK_SIZE)  # options that go from left to right, whichever was given first
METRICS = ("accuracy", "mean_average_precision")  # of probes; a sweep is judged by the first that its runs have
BAG = BAG_OF_CODES.name

FigureName = tuple[str, str, str | None]  # stage, name, of
RECOGNISED: FigureName = ("vocoder", "label_accuracy", WAVENET.key)
# Runs with a vocoder have at least one: clips may lack labels, and a run may decode no clip.
SOUND: tuple[FigureName, ...] = (
    RECOGNISED,
    ("vocoder", "stoi", WAVENET.key),
    ("vocoder", "bits_per_sample", WAVENET.key),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One finished run."""

    job: Job
    results: Results

    def figure(self, stage: str, name: str, of: str | None = None) -> Figure | None:
        """Find a figure by its name."""
        return figure_of(self.results, stage, name, of)

    def estimate(self, stage: str, name: str, of: str | None = None) -> list[float]:
        """Find the value of a figure and the ends of its interval; NaN where the run lacks them."""
        row = self.figure(stage, name, of)
        found = (row.value, row.low, row.high) if row else (None, None, None)
        return [math.nan if each is None else each for each in found]

    def value(self, stage: str, name: str, of: str | None = None) -> float:
        """Find the value of a figure; NaN where the run lacks it."""
        return self.estimate(stage, name, of)[0]

    @property
    def nominal_rate(self) -> Figure:
        """Bits per second of codes, of all streams, that are each written with log2(codebook size) bits."""
        bits = math.log2(self.job.codebook_size) if self.job.codebook_size else math.nan
        rate = bits * self.value("tokenizer", "codes_per_second")
        return Figure(stage="tokenizer", name="bits_per_second", value=rate, artifact="")

    @property
    def rate(self) -> float:
        """Bits per second that the language model needs."""
        return self.value("lm", "bits_per_second")

    @property
    def choose_by(self) -> str | None:
        """How its probes were chosen; None in older runs."""
        comparison = self.results.get("comparison")
        return comparison.get("choose_by") if comparison else None

    @property
    def validation(self) -> float:
        """Value of the GPT's best layer on validation; NaN where it is unknown."""
        comparison = self.results.get("comparison")
        layers = comparison.get("layers", {}).get(GPT, []) if comparison else []
        return max((row["validation"] for row in layers), default=math.nan)


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
        names = (name for name in METRICS for point in self.finished if point.figure("probe", name, GPT))
        return next(names, METRICS[0])

    @property
    def probe(self) -> FigureName:
        """Name of the GPT's probe."""
        return ("probe", self.metric, GPT)

    @property
    def by_validation(self) -> bool:
        """Whether validation chooses the best run; test chooses where a run does not know its validation."""
        return all(math.isfinite(point.validation) for point in self._comparable)

    @cached_property
    def best(self) -> Point | None:
        """The run with the best probe of the GPT, the first among equals; None without probes."""
        if self.by_validation:
            return max(self._comparable, key=lambda point: point.validation, default=None)
        return max(self._probed, key=lambda point: point.value(*self.probe), default=None)

    @cached_property
    def apart(self) -> list[Point]:
        """The probed runs whose validation is of other clips than that of most runs, so that it cannot be compared."""
        return [point for point in self._probed if self.by_validation and point not in self._comparable]

    @property
    def best_line(self) -> list[Point]:
        """The line of the best run."""
        return next(line for line in self.lines.values() if self.best in line)

    @property
    def rivals(self) -> list[Point]:
        """The other runs of the line of the best run that can be compared with it."""
        return [point for point in self.best_line if point is not self.best and point not in self.apart]

    @property
    def is_ordered(self) -> bool:
        """Whether the values of the first option are numbers."""
        return bool(self.options) and all(math.isfinite(magnitude(value)) for value in self.values)

    @property
    def best_is_inside(self) -> bool:
        """Whether the best run has runs with smaller and with larger values beside it."""
        return self.best is not None and self.is_ordered and self.best not in (self.best_line[0], self.best_line[-1])

    @property
    def _probed(self) -> list[Point]:
        return [point for point in self.finished if math.isfinite(point.value(*self.probe))]

    @cached_property
    def _comparable(self) -> list[Point]:
        """The probed runs that choose as most of them do, or as the first: by cross-validation or validation clips."""
        by = Counter(point.choose_by for point in self._probed).most_common(1)
        return [point for point in self._probed if point.choose_by == by[0][0]]

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


def _options(job: Job, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={job.overrides.get(name, '')}" for name in names)
