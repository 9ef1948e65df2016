"""The finished runs of a sweep: their figures, the lines that they form, which run is best, and their charts."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
from markupsafe import Markup

from lm.probing.comparison import Estimate, all_pairs, over_groups, two_sided_p
from pipelines.methods.codes import BAG_OF_CODES
from pipelines.methods.table import ROWS
from pipelines.pages.charts import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    Look,
    Panel,
    Series,
    curve_chart,
    dot_chart,
    figure_series,
    shortened,
)
from pipelines.pages.comparison_charts import line_look
from pipelines.pages.phrasing import full_name
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import RESAMPLES, RESULTS, Resamples, Results, count_codes
from pipelines.results.sweep_jobs import Job
from pipelines.store.stored_features import GPT
from vocoder.kinds import KINDS, ORIGINAL, UNLEARNED, WAVENET
from wordless.base.text import counted

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
        apart = [pair for pair in self.pairs if pair.differs]
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
        draws = np.stack([each[: min(map(len, drawn))] for each in drawn], axis=1).astype(np.float64)
        found = all_pairs(
            np.array([point.value(*self.probe) for point in self.paired]),
            draws,
            resampled=first.clips,
            confidence=first.confidence,
        )
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
        return (
            counted(units, first.fold_noun) if units > 1 else f"test clips{' of 1 group' if first.single_group else ''}"
        )

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
    def compared(self) -> list[tuple[Point, float, float | None, float]]:
        """The ends of the best run's line, or a few runs without an order: gain in the probe, its p, and in stability.

        p is None for runs that are in no pair.
        """
        best, line = self.best, self.best_line
        assert best is not None, "sweeps without probes compare no run with the best one"
        others = [point for point in line if point is not best and point not in self.apart]
        shown = [point for point in others if point in (line[0], line[-1]) or not self.is_ordered]
        known = {frozenset((pair.one, pair.other)): pair.p for pair in self.pairs}
        return [
            (
                each,
                each.value(*self.probe) - best.value(*self.probe),
                known.get(frozenset((each, best))),
                each.value(*STABILITY) - best.value(*STABILITY),
            )
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

    def place(self, point: Point) -> float:
        """Place of a run from left to right."""
        return float(self.values.index(self.first(point)))

    @property
    def ticks(self) -> dict[float, str]:
        return {float(place): shortened(value, 14) for place, value in enumerate(self.values)}

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


ASIDE = 0.05  # at most, between the intervals of two methods at one value, in distances of two values
SPREAD = 0.6  # of all intervals at one value, so that they do not reach those of the next value
POINTS = 100.0  # percentage points
LINES = tuple(zip((BLUE, ORANGE, GREEN, INK, MUTED), ("o", "s", "D", "^", "v"), strict=True))  # colour and marker
SOUNDS = {
    **{kind.key: Look(marker=kind.marker) for kind in KINDS if kind.learned},
    **{kind.key: Look(colour=MUTED, marker=kind.marker, filled=False) for kind in reversed(UNLEARNED)},
    ORIGINAL: Look(colour=INK, marker="|", filled=False),
}
PLAIN = (ORIGINAL, *(kind.key for kind in UNLEARNED))  # sounds without an interval


LINE = Look(dashes="-", marker="o", size=4)
Curve = tuple[str, FigureName, Look]  # label, figure and look of a curve over the swept option
ERROR_CURVES: list[Curve] = [
    ("through the codebook", ("tokenizer", "quantised_mse", None), replace(LINE, colour=GREEN)),
    ("without it", ("tokenizer", "reconstruction_mse", None), Look(dashes=":", width=1.3, colour=GREEN)),
]
STABILITY_CURVES: list[Curve] = [
    ("noise", ("tokenizer", "stability", "noise"), replace(LINE, colour=INK)),
    ("gain", ("tokenizer", "stability", "gain"), Look(colour=INK, dashes="--")),
    ("shift", ("tokenizer", "stability", "shift"), Look(colour=INK, dashes=":")),
]


def sweep_charts(runs: Runs) -> Iterator[tuple[str, Markup]]:
    """Draw the charts for which the runs have figures, each under the name that the template uses."""
    if recognised := [point for point in runs.points if math.isfinite(point.value(*RECOGNISED))]:
        # A row for each run: learned kinds of sound with their intervals, the other kinds, and the recordings.
        series = []
        for of, look in SOUNDS.items():
            figure = (*RECOGNISED[:2], of)
            places = [place for place, point in enumerate(recognised) if point.figures.find(*figure)]
            values = _values([recognised[place] for place in places], figure, interval=of not in PLAIN)
            series.append(replace(values, label=full_name(of) if places else "", look=look, places=places))
        names, title = [runs.short_name(point.job) for point in recognised], "Test clips that a classifier recognises"
        yield "recognition", dot_chart(names, series, name="recognition", title=title, across="test clips recognised")
    if panels := [*_panels(runs)]:
        panels[-1] = replace(panels[-1], across=runs.options[0] if runs.options else "")
        yield "tradeoff", curve_chart(panels, name="tradeoff", title="Figures by run", height=60 + 165 * len(panels))
    if (methods := methods_chart(runs)) is not None:
        yield "methods", methods
    if runs.is_ordered and any(point.comparison.noise for point in runs.points):
        yield "noise", _noise(runs)
    if any(math.isfinite(point.rate + point.value(*runs.probe)) for point in runs.points):
        yield "bitrate", _bitrate(runs)


def _panels(runs: Runs) -> Iterator[Panel]:
    """Make a panel for the probe, the error and the stability, where runs have these figures and differ in them."""
    best, alone = runs.best, len(runs.lines) == 1
    marked = None if best is None else runs.place(best)

    def panel(title: str, curves: Sequence[Curve], *, interval: bool = False, **options: Any) -> Panel:
        """Draw curves in their own looks; of several lines, in the colour and with the marker of each line."""
        series = []
        for (name, line), (colour, marker) in zip(runs.lines.items(), cycle(LINES), strict=False):
            places = [*map(runs.place, line)]
            for label, figure, look in curves:
                first = figure == curves[0][1]
                if not alone:
                    label = shortened(name, 22) if first else ""
                    look = replace(look, colour=colour, marker=marker if first else "")
                drawn = _values(line, figure, interval=interval and (alone or first))
                series.append(replace(drawn, label=label, look=look, places=places))
        return Panel(title=title, series=series, ticks=runs.ticks, marked=marked, **options)

    def differ(figure: FigureName) -> bool:
        """Whether there is something to compare: runs that share their codes have one error."""
        values = {point.value(*figure) for point in runs.points}
        return len(values) > 1 or (len(runs.points) == 1 and all(map(math.isfinite, values)))

    if best is not None and marked is not None:
        label, ring = "chosen on validation" if runs.by_validation else "best", replace(LINE, colour=INK, dashes="")
        look, value = replace(ring, filled=False, size=11), best.value(*runs.probe)
        chosen = Series(label=label, look=look, places=[marked], values=[value])
        plain = Look(colour=ORANGE, dashes="--", marker="s", size=4, width=1.3)
        curves: list[Curve] = [
            (full_name(runs.judged), runs.probe, LINE),
            (full_name(BAG), ("probe", runs.metric, BAG), plain),
        ]
        curves = curves[:1] if runs.judged == BAG else curves
        probed = panel(f"{full_name(runs.metric)} on test", curves, interval=True, percent=True)
        yield replace(probed, series=[chosen, *probed.series])
    if differ(ERROR_CURVES[0][1]):
        yield panel("lost: squared error of the spectrogram", ERROR_CURVES, from_zero=True)
    if differ(STABILITY_CURVES[0][1]):
        shown, under = (STABILITY_CURVES, "") if alone else (STABILITY_CURVES[:1], " under noise")
        yield panel(f"stable: codes that stay the same{under}", shown, percent=True)


def _values(line: Sequence[Point], figure: FigureName, *, interval: bool) -> Series:
    """Make a series of one figure; each run stands at the bits per second that its language model needs."""
    rows, rates = [point.row(*figure) for point in line], [point.rate for point in line]
    return figure_series(rows, interval=interval, look=LINE, places=rates)


def _bitrate(runs: Runs) -> Markup:
    """Draw the probe over the bits per second that the language model needs; runs that none beats are filled."""
    values = [point.value(*runs.probe) for point in runs.points]
    front = [runs.points[place] for place in pareto([point.rate for point in runs.points], values)]
    steps = _values(front, runs.probe, interval=False)
    series = [replace(steps, label="best for its bits", look=Look(colour=MUTED, dashes="-", width=1.2), shape="steps")]
    for (name, line), (colour, marker) in zip(runs.lines.items(), cycle(LINES), strict=False):
        look, names = Look(colour=colour, marker=marker, filled=False), [runs.first(point) for point in line]
        all_runs = _values(line, runs.probe, interval=True)
        best = _values([point for point in line if point in front], runs.probe, interval=False)
        series.append(replace(all_runs, label=shortened(name, 40), look=look, names=names, bars=True))
        series.append(replace(best, look=replace(look, filled=True)))
    title = f"{full_name(runs.metric)} of the probe on test: {full_name(runs.judged)}"
    panel = Panel(title=title, series=series, across="bits per second, by the language model", percent=True)
    return curve_chart([panel], name="bitrate", title=title, height=300)


def methods_chart(runs: Runs) -> Markup | None:
    """Draw each method's probe over the first option.

    A number has curves, and how far the GPT is ahead of each method; a pair of panels per line. Other values, such as
    the names of ablations, have a row for each run. None for a single value, and for the GPT and the bag of codes
    alone: the chart of figures by run has these two.
    """
    names, metric = runs.methods, full_name(runs.metric)
    if len(runs.values) < 2 or not {*names} - {GPT, BAG}:
        return None
    if not runs.is_ordered:
        series = []
        for of, aside in zip(names, shifts(len(names), step=SPREAD), strict=True):
            drawn = _method_series(enumerate(runs.points), runs.metric, of, aside)
            series.append(replace(drawn, look=replace(drawn.look, dashes="", width=1.2, size=5)))
        rows, height = [runs.short_name(point.job) for point in runs.points], max(21.0, 9.0 * len(names))
        across = f"test {metric}"
        return dot_chart(rows, series, name="methods", title="Methods by run", across=across, row_height=height)
    asides, panels = shifts(len(names)), []
    for name, line in runs.lines.items():
        where = f", {shortened(name, 40)}" if name else ""
        placed = [(runs.place(point), point) for point in line]
        accuracies = [_method_series(placed, runs.metric, of, aside) for of, aside in zip(names, asides, strict=True)]
        panels.append(Panel(title=f"{metric} on test{where}", series=accuracies, ticks=runs.ticks, percent=True))
        others = [(of, aside) for of, aside in zip(names, asides, strict=True) if of != GPT]
        ahead = [_method_series(placed, "difference", GPT, aside, ahead_of=of) for of, aside in others]
        if any(each.values for each in ahead):
            title = f"GPT ahead by, points{where}"
            panels.append(Panel(title=title, series=ahead, ticks=runs.ticks, levels={"level": 0.0}))
    panels[-1] = replace(panels[-1], across=runs.options[0])
    return curve_chart(panels, name="methods", title="Methods by run", height=60 + 190 * len(panels))


def _noise(runs: Runs) -> Markup:
    """Draw the probes of the judged method and of the bag of codes over the first option, a line for each noise."""
    panels = list[Panel]()
    for of in dict.fromkeys((runs.judged, BAG)):
        ratios = dict.fromkeys(snr for point in runs.points for snr in point.comparison.under_noise(of))
        for name, line in runs.lines.items():
            series = []
            for snr, (colour, marker) in zip(ratios, cycle(LINES), strict=False):
                found = ((runs.place(point), point.comparison.under_noise(of).get(snr)) for point in line)
                known = [(place, row) for place, row in found if row is not None]
                label = "no noise" if snr is None else f"{snr:g} dB"
                look, places = replace(LINE, colour=colour, marker=marker), [place for place, _ in known]
                series.append(figure_series([row for _, row in known], label=label, look=look, places=places))
            if any(each.values for each in series):
                where = f", {shortened(name, 40)}" if name else ""
                title = f"{full_name(of)}: {full_name(runs.metric)} on test{where}"
                panels.append(Panel(title=title, series=series, ticks=runs.ticks, percent=True))
    panels[-1] = replace(panels[-1], across=runs.options[0])
    return curve_chart(panels, name="noise", title="Test values under noise, by run", height=60 + 190 * len(panels))


def shifts(count: int, *, step: float = ASIDE) -> list[float]:
    """Say how far each of ``count`` methods stands from the place of a value, which is in their middle.

    Neighbours are ``step`` apart, or nearer, so that all stand nearer to their value than to the next.
    """
    step = min(step, SPREAD / count)
    return [step * (number - (count - 1) / 2) for number in range(count)]


def _method_series(
    placed: Iterable[tuple[float, Point]], name: str, of: str, aside: float, *, ahead_of: str | None = None
) -> Series:
    """Make the series of one figure of the runs that have it, ``aside`` from their places, beside other methods.

    With ``ahead_of`` these are points by which the method is ahead of another, in whose look they are drawn.
    """
    known = [(place + aside, point.figures.find("probe", name, of, against=ahead_of)) for place, point in placed]
    rows, places = [row for _, row in known if row], [place for place, row in known if row]
    shown = ahead_of or of
    series = figure_series(rows, look=line_look(shown), label=full_name(shown), places=places, bars=True)
    if ahead_of is None:
        return series
    values, low, high = ([POINTS * end for end in ends] for ends in (series.values, series.low, series.high))
    return replace(series, values=values, low=low, high=high)
