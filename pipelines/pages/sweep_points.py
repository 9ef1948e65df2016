"""What the jobs of a sweep came to: points to draw, tidy rows, and which of them are worth having."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.methods.codes import BAG_OF_CODES
from pipelines.results.run_record import Results, figure_of
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from vocoder.kinds.wavenet import WAVENET

CODEBOOK_SIZE = "tokenizer.codebook_size"
METRICS = ("accuracy", "mean_average_precision")  # of probes; the first that the runs have
BAG = BAG_OF_CODES.name
RECOGNISED = ("vocoder", "label_accuracy", WAVENET.key)  # share of test clips recognised from the sound of their codes
# Runs with a vocoder have at least one: clips may lack labels, and a run may decode no clip.
SOUND = (RECOGNISED, ("vocoder", "stoi", WAVENET.key), ("vocoder", "bits_per_sample", WAVENET.key))
COLUMNS = ("stage", "figure", "of", "value", "low", "high", "unit", "protocol", "split", "seeds", "run", "artifact")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its interval, where it has one."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Point:
    """One finished job."""

    job: Job
    results: Results

    def estimate(self, stage: str, name: str, of: str | None = None) -> Estimate | None:
        """The first figure of this name."""
        row = figure_of(self.results, stage, name, of)
        if row is None:
            return None
        return Estimate(value=_number(row["value"]), low=_number(row["low"]), high=_number(row["high"]))

    def value(self, stage: str, name: str, of: str | None = None) -> float:
        """The value of the figure of this name; NaN where there is none."""
        found = self.estimate(stage, name, of)
        return found.value if found else math.nan

    @property
    def has_sound(self) -> bool:
        """Whether the run has figures of WaveNet's sound."""
        return any(self.estimate(*figure) for figure in SOUND)

    @property
    def nominal_rate(self) -> float:
        """Bits per second of codes, of all streams, that are each written with log2(codebook size) bits."""
        size = self.job.codebook_size
        return math.nan if size is None else math.log2(size) * self.value("tokenizer", "codes_per_second")

    @property
    def rate(self) -> float:
        """Bits per second that the language model needs."""
        return self.value("lm", "bits_per_second")

    @property
    def validation(self) -> float:
        """What the GPT's best layer, from which its probe was chosen, reaches on validation; NaN where none is told."""
        comparison = self.results.get("comparison")
        layers = comparison.get("layers", {}).get(GPT, []) if comparison else []
        return max((_number(row["validation"]) for row in layers), default=math.nan)


@dataclass(frozen=True, kw_only=True)
class StageReuse:
    """How often the jobs of a sweep made a stage, and how often they found it made."""

    name: str
    computed: int
    reused: int


def swept(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The options that differ between jobs; the codebook size first, the others as they were given."""
    names = list(dict.fromkeys(name for job in jobs for name in job.overrides))
    varying = [name for name in names if len({job.overrides.get(name) for job in jobs}) > 1]
    return tuple(sorted(varying, key=lambda name: name != CODEBOOK_SIZE))


def series(points: Sequence[Point], names: Sequence[str]) -> dict[str, list[Point]]:
    """Points by the values of all swept options but the first, which is drawn from left to right."""
    lines: dict[str, list[Point]] = {}
    values = ordered([point.job.overrides.get(names[0], "") for point in points]) if names else [""]
    for point in sorted(points, key=lambda point: values.index(point.job.overrides.get(names[0], "") if names else "")):
        rest = ", ".join(f"{name}={point.job.overrides.get(name, '')}" for name in names[1:])
        lines.setdefault(rest, []).append(point)
    return dict(sorted(lines.items(), key=lambda line: min(point.job.number for point in line[1])))


def ordered(values: Sequence[str]) -> list[str]:
    """Each value once: numbers by size, after them all else as it came."""
    return sorted(dict.fromkeys(values), key=magnitude)


def magnitude(value: str) -> float:
    """A number's own; infinite for what is none."""
    try:
        number = float(value)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf


def metric_of(points: Sequence[Point]) -> str:
    """What the probes were judged by."""
    return next((name for name in METRICS if any(point.estimate("probe", name, GPT) for point in points)), METRICS[0])


def best(points: Sequence[Point], metric: str) -> tuple[Point, bool] | None:
    """(the point whose GPT probe is best, whether it was chosen on validation); the first among equals.

    Where some results do not tell of validation, test chooses; None without probes.
    """
    probed = [point for point in points if math.isfinite(point.value("probe", metric, GPT))]
    if not probed:
        return None
    told = all(math.isfinite(point.validation) for point in probed)
    judge = (lambda point: point.validation) if told else (lambda point: point.value("probe", metric, GPT))
    return max(probed, key=judge), told


def pareto(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Indices of those that no other beats: none costs less and gains as much, or gains more and costs as little.

    From the cheapest on; what is no number is left out.
    """
    known = [index for index in range(len(costs)) if math.isfinite(costs[index]) and math.isfinite(gains[index])]
    front: list[int] = []
    for index in sorted(known, key=lambda index: (costs[index], -gains[index])):
        last = front[-1] if front else None
        same = last is not None and (costs[last], gains[last]) == (costs[index], gains[index])
        if last is None or same or gains[index] > gains[last]:
            front.append(index)
    return front


def reuse(points: Iterable[Point]) -> list[StageReuse]:
    """How often each stage was made and found made, in the order of the data."""
    counts: dict[str, list[int]] = {}
    for point in points:
        for stage in point.results.get("stages", []):
            counts.setdefault(stage["stage"], [0, 0])[int(stage["reused"])] += 1
    return [StageReuse(name=name, computed=made, reused=found) for name, (made, found) in counts.items()]


def table(points: Sequence[Point], names: Sequence[str]) -> str:
    """Tidy CSV: one row for each figure of each job, with the job's swept options and bitrates."""
    written = io.StringIO()
    head = [*names, "codebook_size", "nominal_bits_per_second", "lm_bits_per_second", *COLUMNS]
    writer = csv.DictWriter(written, ["job", *head], lineterminator="\n")
    writer.writeheader()
    for point in points:
        writer.writerows(_tidy(point, names))
    return written.getvalue()


def _tidy(point: Point, names: Sequence[str]) -> Iterator[dict[str, object]]:
    shared: dict[str, object] = {name: point.job.overrides.get(name, "") for name in names}
    shared |= {"job": point.job.number, "codebook_size": point.job.codebook_size, "run": point.job.folder}
    shared |= {"nominal_bits_per_second": _cell(point.nominal_rate), "lm_bits_per_second": _cell(point.rate)}
    for row in point.results["figures"]:
        figure = {key: _cell(value) for key, value in row.items() if key in COLUMNS}
        yield {**shared, **figure, "figure": row["name"]}


def _cell(value: object) -> object:
    """Nothing for what is no number."""
    return "" if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
