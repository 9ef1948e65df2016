"""The charts of a sweep: which chart shows which figures of its runs."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from markupsafe import Markup

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
from pipelines.pages.sweep_points import BAG, RECOGNISED, FigureName, Point, Runs, pareto
from pipelines.store.stored_features import GPT
from vocoder.kinds import KINDS, ORIGINAL, UNLEARNED

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
ERROR: list[Curve] = [
    ("through the codebook", ("tokenizer", "quantised_mse", None), replace(LINE, colour=GREEN)),
    ("without it", ("tokenizer", "reconstruction_mse", None), Look(dashes=":", width=1.3, colour=GREEN)),
]
STABILITY: list[Curve] = [
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
    marked = None if best is None else float(runs.values.index(runs.first(best)))
    ticks = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}

    def panel(title: str, curves: Sequence[Curve], *, interval: bool = False, **options: Any) -> Panel:
        """Draw curves in their own looks; of several lines, in the colour and with the marker of each line."""
        series = []
        for (name, line), (colour, marker) in zip(runs.lines.items(), cycle(LINES), strict=False):
            places = [float(runs.values.index(runs.first(point))) for point in line]
            for label, figure, look in curves:
                first = figure == curves[0][1]
                if not alone:
                    label = shortened(name, 22) if first else ""
                    look = replace(look, colour=colour, marker=marker if first else "")
                drawn = _values(line, figure, interval=interval and (alone or first))
                series.append(replace(drawn, label=label, look=look, places=places))
        return Panel(title=title, series=series, ticks=ticks, marked=marked, **options)

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
    if differ(ERROR[0][1]):
        yield panel("lost: squared error of the spectrogram", ERROR, from_zero=True)
    if differ(STABILITY[0][1]):
        shown, under = (STABILITY, "") if alone else (STABILITY[:1], " under noise")
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
    the names of ablations, have a row for each run. None for a single value, and where the probes of all methods but
    the GPT and the bag of codes are the same in each run: the chart of figures by run has these two.
    """
    names, metric = runs.methods, full_name(runs.metric)
    probes = [{point.value("probe", runs.metric, of) for point in runs.points} for of in names if of not in (GPT, BAG)]
    if len(runs.values) < 2 or not any(sum(map(math.isfinite, values)) > 1 for values in probes):
        return None
    if not runs.is_ordered:
        series = []
        for of, aside in zip(names, shifts(len(names), step=SPREAD), strict=True):
            drawn = _method_series(enumerate(runs.points), runs.metric, of, aside)
            series.append(replace(drawn, look=replace(drawn.look, dashes="", width=1.2, size=5)))
        rows, height = [runs.short_name(point.job) for point in runs.points], max(21.0, 9.0 * len(names))
        across = f"test {metric}"
        return dot_chart(rows, series, name="methods", title="Methods by run", across=across, row_height=height)
    ticks, asides = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}, shifts(len(names))
    panels = []
    for name, line in runs.lines.items():
        where = f", {shortened(name, 40)}" if name else ""
        placed = [(runs.values.index(runs.first(point)), point) for point in line]
        accuracies = [_method_series(placed, runs.metric, of, aside) for of, aside in zip(names, asides, strict=True)]
        panels.append(Panel(title=f"{metric} on test{where}", series=accuracies, ticks=ticks, percent=True))
        others = [(of, aside) for of, aside in zip(names, asides, strict=True) if of != GPT]
        ahead = [_method_series(placed, "difference", GPT, aside, ahead_of=of) for of, aside in others]
        if any(each.values for each in ahead):
            title = f"GPT ahead by, points{where}"
            panels.append(Panel(title=title, series=ahead, ticks=ticks, levels={"level": 0.0}))
    panels[-1] = replace(panels[-1], across=runs.options[0])
    return curve_chart(panels, name="methods", title="Methods by run", height=60 + 190 * len(panels))


def _noise(runs: Runs) -> Markup:
    """Draw the probes of the judged method and of the bag of codes over the first option, a line for each noise."""
    ticks = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}
    panels = list[Panel]()
    for of in dict.fromkeys((runs.judged, BAG)):
        ratios = dict.fromkeys(snr for point in runs.points for snr in point.comparison.under_noise(of))
        for name, line in runs.lines.items():
            series = []
            for snr, (colour, marker) in zip(ratios, cycle(LINES), strict=False):
                found = {point: point.comparison.under_noise(of).get(snr) for point in line}
                known = {point: row for point, row in found.items() if row is not None}
                places = [float(runs.values.index(runs.first(point))) for point in known]
                label = "no noise" if snr is None else f"{snr:g} dB"
                look = replace(LINE, colour=colour, marker=marker)
                series.append(figure_series([*known.values()], label=label, look=look, places=places))
            if any(each.values for each in series):
                where = f", {shortened(name, 40)}" if name else ""
                title = f"{full_name(of)}: {full_name(runs.metric)} on test{where}"
                panels.append(Panel(title=title, series=series, ticks=ticks, percent=True))
    panels[-1] = replace(panels[-1], across=runs.options[0])
    return curve_chart(panels, name="noise", title="Test values under noise, by run", height=60 + 190 * len(panels))


def shifts(count: int, *, step: float = ASIDE) -> list[float]:
    """Say how far each of ``count`` methods stands from the place of a value, which is in their middle.

    Neighbours are ``step`` apart, or nearer, so that all stand nearer to their value than to the next.
    """
    step = min(step, SPREAD / count)
    return [step * (number - (count - 1) / 2) for number in range(count)]


def _method_series(
    placed: Iterable[tuple[int, Point]], name: str, of: str, aside: float, *, ahead_of: str | None = None
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
