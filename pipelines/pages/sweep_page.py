"""``sweep.html`` and ``sweep.csv``: all runs of a sweep beside each other, from their results and resamples alone.

The page runs no script and fetches nothing; it links to the report of each run.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import chain, combinations, cycle, product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas
from pandas import DataFrame, Series
from scipy.special import stdtrit

from lm.probing.intervals import Estimate, over_groups, two_sided_p
from pipelines.commandline.run_folders import Job, varied
from pipelines.methods.methods_table import ROWS
from pipelines.pages.charts import (
    INK,
    ORANGE,
    SERIES,
    Chart,
    Curve,
    Interval,
    Look,
    Panel,
    curves_chart,
    look,
    shortened,
    write_charts,
)
from pipelines.pages.phrasing import LATEX, draw, full_name, interval, latex_table, noise_label, number, percent
from pipelines.pages.report import learning_charts, line_look
from pipelines.results.run_record import (
    NAMES,
    RESAMPLES,
    Comparison,
    Resamples,
    Results,
    Row,
    count_codes,
    find,
    frame,
    read_arrays,
    read_results,
    where,
)
from pipelines.store.run_parts import REPORT
from pipelines.store.stored_features import GPT_METHOD
from vocoder.kinds import CHOICES, ORIGINAL, WAVENET
from wordless.base.arrays import Floats
from wordless.base.files import write_aside
from wordless.base.messages import InputError, counted

ACROSS = ("unlabelled_hours", "tokenizer.codebook_size")  # go from left to right, whichever option was given first
METRICS = ("accuracy", "mean_average_precision")  # of probes; a sweep is judged by the first that its runs have
BAG = "bag_of_codes"
FigureName = tuple[str, str, str | None]  # stage, name, of
# Perplexities of codebooks of several sizes are not of the same choices: bits per second are.
BITS: FigureName = ("lm", "bits_per_second", None)
_RECOGNISED: FigureName = ("vocoder", "label_accuracy", WAVENET.key)
MAX_PAIRS = 60  # rows of the table of pairs; sweep.csv has all
_Named = tuple[str, FigureName, Look]  # label, figure and look of a curve over the swept option


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepPoint:
    job: Job
    results: Results
    resamples: Resamples = field(default_factory=dict)

    @property
    def figures(self) -> DataFrame:
        return self.results["figures"]

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison of its methods; without probes it is empty."""
        return self.results.get("comparison") or Comparison(folds=[], classes=[], choose_by="")

    def value(self, stage: str, name: str, of: str | None = None, **columns: Any) -> float:
        """Find the value of a figure, of probes that of test; NaN where the run lacks it."""
        found = find(self.figures, stage, name, of, **columns)
        return found.value if found else math.nan

    @property
    def nominal_rate(self) -> float:
        """Bits per second of codes that are each written with log2(codebook size) bits."""
        return math.log2(count_codes(self.results) or math.nan) * self.value("tokenizer", "codes_per_second")

    @property
    def rate(self) -> float:
        """Bits per second that the language model needs."""
        return self.value(*BITS)


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Two runs on the same test clips: how far the judged method is better in ``one`` than in ``other``.

    The interval over test clips holds for all pairs at once; p value and paired t interval are of this pair alone.
    """

    one: SweepPoint  # of the higher figure
    other: SweepPoint
    row: Row  # the difference
    differs: bool  # by more than chance, with the number of pairs accounted for


class Runs:
    """The finished runs of a sweep over some options. The first option goes from left to right."""

    def __init__(self, *, options: tuple[str, ...], finished: Sequence[SweepPoint]) -> None:
        self.options, self.finished = options, finished

        # Each value of the first option once: numbers by size, then all others as they came. A line has the runs from
        # left to right that share the values of all other options.
        self.values = sorted(dict.fromkeys(map(self._first, finished)), key=magnitude)
        self.is_ordered = bool(options) and all(math.isfinite(magnitude(value)) for value in self.values)
        lines: dict[str, list[SweepPoint]] = {}
        for point in sorted(finished, key=self.place):
            lines.setdefault(_options(point.job, options[1:]), []).append(point)
        self.lines = dict(sorted(lines.items(), key=lambda line: min(point.job.number for point in line[1])))
        self.points = [point for line in self.lines.values() for point in line]

        # The figure that judges the runs: of the GPT, or else of the bag of codes, or of the first method.
        rows = [row for point in finished for row in where(point.figures, stage="probe")]
        self.metric = next((name for name in METRICS if any(row.name == name for row in rows)), METRICS[0])
        known = dict.fromkeys(row.of for row in rows if row.of and row.name == self.metric)
        self.methods = sorted(known, key=lambda of: [*ROWS].index(of) if of in ROWS else len(ROWS))
        self.judged = next((of for of in (GPT_METHOD, BAG, *self.methods) if of in self.methods), GPT_METHOD)
        self.probe: FigureName = ("probe", self.metric, self.judged)
        self.probed = [point for point in finished if math.isfinite(point.value(*self.probe))]

        # Validation chooses a run among those that choose as most do: validation clips may be easier than
        # cross-validation.
        comparable = _most_alike(self.probed, lambda point: point.comparison.choose_by)
        self.apart = [point for point in self.probed if point not in comparable]
        validation: Callable[[SweepPoint], float] = lambda point: point.value(*self.probe, split="validation")  # noqa: E731
        self.best: SweepPoint | None = max(comparable, key=validation, default=None)

        # Pairs are runs that share test clips, the largest difference first; the winner is better than each other run.
        drawn = [point for point in self.probed if point.comparison.clips_key and self.judged in point.resamples]
        self.paired = _most_alike(drawn, lambda point: point.comparison.clips_key)
        self.unpaired = [point for point in self.probed if point not in self.paired]
        self.pairs = sorted(self._pairs(), key=lambda pair: -pair.row.value) if len(self.paired) > 1 else []
        wins = Counter(pair.one for pair in self.pairs if pair.differs)
        self.winner = next((point for point in self.paired if wins[point] == len(self.probed) - 1 > 0), None)

        # Runs whose validation and test of the judged method differ by more than chance.
        self.tested = [point for point in self.points if self.judged in point.comparison.tested]
        gaps = ((point, point.comparison.gaps.get(self.judged)) for point in self.tested)
        self.gaps = [point for point, gap in gaps if gap and gap.excludes_zero]

        # Runs with decoded sound, the one that is recognised least often first.
        heard = (point for point in self.points if find(point.figures, *_RECOGNISED))
        self.recognised = sorted(heard, key=lambda point: point.value(*_RECOGNISED))

    def _pairs(self) -> Iterable[RunPair]:
        first = self.paired[0].comparison
        drawn = [point.resamples[self.judged] for point in self.paired]  # fewer are the first of more
        draws = np.stack([each[: min(map(len, drawn))] for each in drawn], axis=1).astype(np.float64)
        tested = [point.comparison.tested[self.judged] for point in self.paired]
        values = np.array([row.value for row in tested])
        found = all_pairs(values, draws, resampled=first.clips, confidence=first.confidence)
        for a, b, gain in found:
            if gain.value < 0:
                a, b, gain = b, a, Estimate(value=-gain.value, low=-gain.high, high=-gain.low)
            one, other = self.paired[a], self.paired[b]
            higher, lower = (point.comparison.by_unit(self.judged) for point in (one, other))
            gains = np.array([value - lower[unit] for unit, value in higher.items()])
            low, high, p, differs = None, None, two_sided_p(draws[:, a] - draws[:, b]), gain.excludes_zero
            if len(gains) > 1:  # clips of one speaker are alike, so the folds or groups must say so, too (Bonferroni)
                low, high, p = over_groups(gains, confidence=first.confidence, value=gain.value)
                differs = differs and p * len(found) < 1 - first.confidence
            shared = replace(
                tested[a],
                name="difference",
                artifact="",
                layer=None,
                pooling=None,
                feature_clipping=None,
                inverse_regularisation=None,
            )
            row = replace(shared, **asdict(gain) | {"p": p}, fold_low=low, fold_high=high, over="clips")
            yield RunPair(one=one, other=other, row=row, differs=differs)

    @property
    def over(self) -> str:
        """The units that the runs of a pair are compared over."""
        first = self.paired[0].comparison
        units = len(first.by_unit(self.judged))
        if units > 1:
            return counted(units, first.fold_noun)
        return f"test clips{' of 1 group' if first.tests_one_group else ''}"

    def _first(self, point: SweepPoint) -> str:
        return point.job.overrides.get(self.options[0], "") if self.options else ""

    def place(self, point: SweepPoint) -> float:
        """Place of a run from left to right."""
        return float(self.values.index(self._first(point)))

    def name(self, job: Job) -> str:
        """Name a run in a sentence: ``lm=tiny, seed=1``."""
        return _options(job, self.options) or f"job {job.number}"

    def short_name(self, job: Job) -> str:
        """Name a run in a chart, by its values alone."""
        return ", ".join(job.overrides.get(name, "") for name in self.options) or f"job {job.number}"


def swept(jobs: Sequence[Job]) -> tuple[str, ...]:
    """List the options that differ between jobs: hours and codebook size first."""
    names = varied([job.overrides for job in jobs])
    return tuple(sorted(names, key=lambda name: ACROSS.index(name) if name in ACROSS else len(ACROSS)))


def magnitude(value: str) -> float:
    """Read a finite number; infinite for any other value."""
    try:
        return float(value) if math.isfinite(float(value)) else math.inf
    except ValueError:
        return math.inf


def reuse(points: Iterable[SweepPoint]) -> dict[str, tuple[int, int]]:
    """Count by stage how often it was computed and how often it was reused."""
    stages = [stage for point in points for stage in point.results.get("stages", [])]
    counts = Counter((stage["stage"], stage["reused"]) for stage in stages)
    return {stage["stage"]: (counts[stage["stage"], False], counts[stage["stage"], True]) for stage in stages}


def _most_alike(points: Sequence[SweepPoint], key: Callable[[SweepPoint], str]) -> list[SweepPoint]:
    """Select the largest set of points that have one key."""
    ((most, _),) = Counter(map(key, points)).most_common(1) or [("", 0)]
    return [point for point in points if key(point) == most]


def _options(job: Job, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={job.overrides.get(name, '')}" for name in names)


PAGE, SWEEP_TABLE = "sweep.html", "sweep.csv"


def finished_runs(sweep: Path, jobs: Sequence[Job]) -> tuple[Runs, list[Job]]:
    """Read the finished runs of a sweep; and give the jobs that failed, with their reasons."""
    points, failures = [], []
    for job in jobs:
        reason = job.reason if job.state == "failed" else "it was stopped before its end"
        if job.state == "finished":
            try:
                results, resamples = read_results(sweep / job.folder), read_arrays(sweep / job.folder / RESAMPLES)
                points.append(SweepPoint(job=job, results=results, resamples=resamples))
                continue
            except InputError as error:
                reason = str(error)
        failures.append(replace(job, state="failed", reason=reason))
    return Runs(options=swept(jobs), finished=points), failures


def write_sweep(sweep: Path, jobs: Sequence[Job], *, command: str) -> tuple[Runs, list[Job]]:
    """Write page, charts and tables into the sweep's folder; ``command`` resumes the sweep.

    Return the finished runs and the jobs that failed, with their reasons.
    """
    runs, failures = finished_runs(sweep, jobs)
    write_aside(sweep / SWEEP_TABLE, _csv(runs))
    write_aside(sweep / LATEX, _latex(runs))
    charts = sweep_charts(runs)
    write_charts(sweep, charts.values())
    page = draw(
        "sweep.html.jinja",
        runs=runs,
        charts=charts,
        recognised_name=_RECOGNISED,
        kinds=CHOICES,
        original=ORIGINAL,
        shown_pairs=runs.pairs[:MAX_PAIRS],
        report_of=lambda job: quote(f"{job.folder}/{REPORT}") if (sweep / job.folder / REPORT).is_file() else None,
        failures=failures,
        stages=reuse(runs.points),
        vocoder=WAVENET,
        command=command,
        csv=SWEEP_TABLE,
    )
    write_aside(sweep / PAGE, page)
    return runs, failures


def _latex(runs: Runs) -> str:
    """Write a row for each run: its options, the figure of each method, and the bit rate of the language model."""
    judged, others = full_name(runs.judged), [of for of in runs.methods if of != runs.judged]
    head = [*(runs.options or ["job"]), f"{full_name(runs.metric)} of {judged} on test", "interval", "on validation"]
    head += [*(f"{full_name(of)} on test" for of in others), "bits per second of the GPT"]
    rows = list[list[str]]()
    for point in runs.points:
        test = find(point.figures, *runs.probe)
        names = [point.job.overrides.get(name, "") for name in runs.options] or [str(point.job.number)]
        values = [percent(point.value(*runs.probe)), interval(test) if test else "–"]
        values.append(percent(point.value(*runs.probe, split="validation")))
        values += [percent(point.value("probe", runs.metric, of)) for of in others]
        rows.append([*names, *values, number(point.rate)])
    return latex_table(head, rows)


def _csv(runs: Runs) -> str:
    """Write a row for each figure of each run; a difference of runs has the lower one in ``against_job``."""
    tables = list[DataFrame]()
    for point in runs.finished:
        pairs = [pair for pair in runs.pairs if pair.one is point]
        table = pandas.concat([point.figures, frame(pair.row for pair in pairs)], ignore_index=True)
        against = [*[None] * len(point.figures), *(pair.other.job.number for pair in pairs)]
        table["against_job"] = Series(against, dtype=object)
        about: dict[str, Any] = {name: point.job.overrides.get(name) for name in runs.options}
        about |= {"job": point.job.number, "run": point.job.folder, "codebook_size": count_codes(point.results)}
        about |= {"nominal_bits_per_second": point.nominal_rate, "lm_bits_per_second": point.rate}
        for name, value in about.items():  # the seed may be both an option and a column of results.json
            table[name] = table[name].where(table[name].notna(), value) if name in NAMES else value
        tables.append(table.astype(object))
    rates = ("codebook_size", "nominal_bits_per_second", "lm_bits_per_second")
    names = dict.fromkeys(["job", "against_job", "run", *runs.options, *rates, *NAMES, "unit"])
    table = pandas.concat(tables or [frame(())])
    return str(table.reindex(columns=[*names]).to_csv(index=False, lineterminator="\n"))


def _over_options(runs: Runs, panels: Sequence[Panel], *, name: str, title: str) -> Chart | None:
    ticks = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}
    panels = [replace(panel, ticks=ticks) for panel in panels]
    panels[-1:] = [replace(panel, across=runs.options[0] if runs.options else "") for panel in panels[-1:]]
    return curves_chart(panels, name=name, title=title, height=60 + 180 * len(panels)) if panels else None


def sweep_charts(runs: Runs) -> dict[str, Chart]:
    """Draw the charts for which the runs have figures, by their names, with the learning curves of the best run."""
    charts = _figures(runs), _noise(runs) if runs.is_ordered else None
    best = learning_charts(runs.best.comparison) if runs.best else ()
    return {chart.name: chart for chart in (*charts, *best) if chart}


def _figures(runs: Runs) -> Chart | None:
    """Draw the accuracy of each method, with a ring around the best run, and the bit rate of the language model.

    If lines are of several values of the other options, they have colours of their own, and each method has a panel.
    """
    named: dict[str, list[_Named]] = {}
    judged = (full_name(runs.judged), runs.probe, look(marker="o", line="-", size=4))
    if runs.best:
        others = [(full_name(of), ("probe", runs.metric, of), _look_of(of)) for of in runs.methods if of != runs.judged]
        title = f"{full_name(runs.metric)} on test"
        if len(runs.lines) == 1:
            named[title] = [judged, *others]
        else:
            named = {f"{title}, {each[0]}": [each] for each in (judged, *others)}
    if any(find(point.figures, *BITS) for point in runs.points):
        named["bits per second of the language model"] = [
            (full_name(GPT_METHOD), BITS, look(marker="o", line="-", size=4))
        ]
    alone, marked, panels = len(runs.lines) == 1, runs.place(runs.best) if runs.best else None, []
    for title, each in named.items():
        curves, is_probe = [], each[0][1] != BITS
        if runs.best and each[0][1] == runs.probe:
            ring, looks = [(runs.place(runs.best), runs.best.value(*runs.probe))], look(INK, "o", filled=False, size=11)
            curves.append(Curve(points=ring, look=looks, label="chosen on validation"))
        for (name, line), (colour, marker) in zip(runs.lines.items(), cycle(SERIES), strict=False):
            for place, (label, figure, looks) in enumerate(each):
                if not alone:
                    label = shortened(name, 22)
                    looks = looks | {"color": colour, "markerfacecolor": colour, "marker": marker, "linestyle": "-"}
                points = [(runs.place(point), find(point.figures, *figure)) for point in line]
                band: Interval = "band" if not place else ""
                curves.append(Curve(points=points, look=looks, label=label, interval=band))
        panels.append(Panel(title=title, curves=curves, ratios=is_probe, marked=marked))
    return _over_options(runs, panels, name="figures", title="Figures by run")


def _look_of(method: str) -> Look:
    """Draw the bag of codes orange and dashed, and other methods as the pages of their runs do."""
    return look(ORANGE, "s", line="--", size=4, width=1.3) if method == BAG else line_look(method)


def _noise(runs: Runs) -> Chart | None:
    panels = []
    for of, (name, line) in product(dict.fromkeys((runs.judged, BAG)), runs.lines.items()):
        found = {runs.place(point): point.comparison.under_noise(of) for point in line}
        curves = []
        for noise, (colour, marker) in zip(dict.fromkeys(chain(*found.values())), cycle(SERIES), strict=False):
            points = [(place, rows.get(noise)) for place, rows in found.items()]
            looks = look(colour, marker, line="-", size=4)
            curves.append(Curve(points=points, look=looks, label=noise_label(noise), interval="band"))
        title = f"{full_name(of)}: {full_name(runs.metric)} on test{f', {shortened(name, 40)}' if name else ''}"
        if len(curves) > 1:
            panels.append(Panel(title=title, curves=curves, ratios=True))
    return _over_options(runs, panels, name="noise", title="Test values under noise, by run")


def all_pairs(values: Floats, draws: Floats, *, resampled: int, confidence: float) -> list[tuple[int, int, Estimate]]:
    """Compare every pair of settings by ``values (settings,)``: both numbers, and the first minus the second.

    All intervals contain the true differences at once with probability ``confidence``, so chance alone rarely makes a
    pair differ. Their half width is a standard error times the quantile of the largest deviation of all pairs in units
    of its standard error, over ``draws (resamples, settings)`` of ``resampled`` clips (single-step max-t; Westfall and
    Young, "Resampling-Based Multiple Testing", 1993; Hothorn, Bretz and Westfall, "Simultaneous inference in general
    parametric models", 2008). One more clip on which a pair disagrees is added to its variance (Agresti and Min, 2005):
    a few clips do not separate two.
    """
    pairs = [*combinations(range(len(values)), 2)]
    if not pairs:
        return []
    one, other = np.array(pairs).T
    differences, drawn = values[one] - values[other], draws[:, one] - draws[:, other]
    errors = np.sqrt(drawn.var(0) + 1 / resampled**2)
    largest = (np.abs(drawn - drawn.mean(0)) / errors).max(1)
    single = float(stdtrit(resampled, (1 + confidence) / 2))  # where no resample differs, the quantile is 0
    halves = max(float(np.quantile(largest, confidence)), single) * errors
    return [
        (a, b, Estimate(value=value, low=value - half, high=value + half))
        for (a, b), value, half in zip(pairs, differences.tolist(), halves.tolist(), strict=True)
    ]
