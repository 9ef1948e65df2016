"""The charts of a sweep: which chart shows which figures of its runs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from markupsafe import Markup

from pipelines.pages.charts import Look, Panel, Series, curve_chart, dot_chart, figure_series
from pipelines.pages.phrasing import full_name
from pipelines.pages.svg import BLUE, GREEN, INK, MUTED, ORANGE, shortened
from pipelines.pages.sweep_methods import methods_chart
from pipelines.pages.sweep_points import BAG, RECOGNISED, FigureName, Point, Runs, pareto
from vocoder.kinds import KINDS, ORIGINAL, UNLEARNED

COLOURS = (BLUE, ORANGE, GREEN, INK, MUTED)
MARKERS = ("o", "s", "D", "^", "v")
SOUNDS = {
    **{kind.key: Look(marker=kind.marker) for kind in KINDS if kind.learned},
    **{kind.key: Look(colour=MUTED, marker=kind.marker, filled=False) for kind in reversed(UNLEARNED)},
    ORIGINAL: Look(colour=INK, marker="|", filled=False),
}
PLAIN = (ORIGINAL, *(kind.key for kind in UNLEARNED))  # sounds without an interval


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One figure of the runs, drawn over the swept option."""

    label: str
    figure: FigureName
    look: Look
    interval: bool = False
    alone: bool = False  # only where the sweep has a single line


LINE, THIN = Look(dashes="-", marker="o", size=4), Look(dashes=":", width=1.3)
ERROR = (
    Curve(label="through the codebook", figure=("tokenizer", "quantised_mse", None), look=replace(LINE, colour=GREEN)),
    Curve(label="without it", figure=("tokenizer", "reconstruction_mse", None), look=replace(THIN, colour=GREEN)),
)
STABILITY = tuple(
    Curve(label=change, figure=("tokenizer", "stability", change), look=look, alone=change != "noise")
    for change, look in (
        ("noise", replace(LINE, colour=INK)),
        ("gain", Look(colour=INK, dashes="--")),
        ("shift", Look(colour=INK, dashes=":")),
    )
)


def sweep_charts(runs: Runs) -> Iterator[tuple[str, Markup]]:
    """Draw the charts for which the runs have figures, each under the name that the template uses."""
    if recognised := [point for point in runs.points if math.isfinite(point.value(*RECOGNISED))]:
        yield "recognition", _recognition(runs, recognised)
    if panels := [*_panels(runs)]:
        panels[-1] = replace(panels[-1], across=runs.options[0] if runs.options else "")
        yield "tradeoff", curve_chart(panels, name="tradeoff", title="Figures by run", height=60 + 165 * len(panels))
    if (methods := methods_chart(runs)) is not None:
        yield "methods", methods
    if any(math.isfinite(point.rate + point.value(*runs.probe)) for point in runs.points):
        yield "bitrate", _bitrate(runs)


def _recognition(runs: Runs, points: Sequence[Point]) -> Markup:
    """Draw a row for each run: learned kinds of sound with their intervals, the other kinds, and the recordings."""
    series = []
    for of, look in SOUNDS.items():
        figure = (*RECOGNISED[:2], of)
        places = [place for place, point in enumerate(points) if point.figures.find(*figure)]
        values = _values([points[place] for place in places], figure, interval=of not in PLAIN)
        series.append(replace(values, label=full_name(of) if places else "", look=look, places=places))
    names, title = [runs.short_name(point.job) for point in points], "Test clips that a classifier recognises"
    return dot_chart(names, series, name="recognition", title=title, across="test clips recognised")


def _panels(runs: Runs) -> Iterator[Panel]:
    """Make a panel for the probe, the error and the stability, where runs have these figures and differ in them."""
    if runs.best is not None:
        look, value = Look(colour=INK, marker="o", filled=False, size=11), runs.best.value(*runs.probe)
        ring = Series(
            label="chosen on validation" if runs.by_validation else "best",
            look=look,
            places=[_place(runs, runs.best)],
            values=[value],
        )
        bag, plain = ("probe", runs.metric, BAG), Look(colour=ORANGE, dashes="--", marker="s", size=4, width=1.3)
        curves = (
            Curve(label=full_name(runs.judged), figure=runs.probe, look=LINE, interval=True),
            *([] if runs.judged == BAG else [Curve(label=full_name(BAG), figure=bag, look=plain, interval=True)]),
        )
        panel = _panel(runs, f"{full_name(runs.metric)} on test", curves)
        yield replace(panel, series=[ring, *panel.series], percent=True)
    if _differs(runs, ERROR[0].figure):
        yield replace(_panel(runs, "lost: squared error of the spectrogram", ERROR), from_zero=True)
    if _differs(runs, STABILITY[0].figure):
        under = "" if len(runs.lines) == 1 else " under noise"
        yield replace(_panel(runs, f"stable: codes that stay the same{under}", STABILITY), percent=True)


def _differs(runs: Runs, figure: FigureName) -> bool:
    """Whether there is something to compare: runs that share their codes have one error."""
    values = {point.value(*figure) for point in runs.points}
    return len(values) > 1 or (len(runs.points) == 1 and all(map(math.isfinite, values)))


def _panel(runs: Runs, title: str, curves: Sequence[Curve]) -> Panel:
    ticks = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}
    marked = None if runs.best is None else _place(runs, runs.best)
    return Panel(title=title, series=[*_series(runs, curves)], ticks=ticks, marked=marked)


def _series(runs: Runs, curves: Sequence[Curve]) -> Iterator[Series]:
    """Draw curves in their own looks; of several lines, in the colour and with the marker of each line."""
    alone = len(runs.lines) == 1
    for (name, line), colour, marker in zip(runs.lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        for curve in (curve for curve in curves if alone or not curve.alone):
            first = curve is curves[0]
            series = _values(line, curve.figure, interval=curve.interval and (alone or first))
            look = curve.look if alone else replace(curve.look, colour=colour, marker=marker if first else "")
            label = curve.label if alone else shortened(name, 22) if first else ""
            yield replace(series, label=label, look=look, places=[_place(runs, point) for point in line])


def _values(line: Sequence[Point], figure: FigureName, *, interval: bool) -> Series:
    """Make a series of one figure; each run stands at the bits per second that its language model needs."""
    series = figure_series([point.row(*figure) for point in line], look=LINE, places=[point.rate for point in line])
    return series if interval else replace(series, low=(), high=())


def _place(runs: Runs, point: Point) -> float:
    return float(runs.values.index(runs.first(point)))


def _bitrate(runs: Runs) -> Markup:
    """Draw the probe over the bits per second that the language model needs; runs that none beats are filled."""
    values = [point.value(*runs.probe) for point in runs.points]
    front = [runs.points[place] for place in pareto([point.rate for point in runs.points], values)]
    steps = _values(front, runs.probe, interval=False)
    series = [replace(steps, label="best for its bits", look=Look(colour=MUTED, dashes="-", width=1.2), shape="steps")]
    for (name, line), colour, marker in zip(runs.lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        look, names = Look(colour=colour, marker=marker, filled=False), [runs.first(point) for point in line]
        all_runs = _values(line, runs.probe, interval=True)
        best = _values([point for point in line if point in front], runs.probe, interval=False)
        series.append(replace(all_runs, label=shortened(name, 40), look=look, names=names, bars=True))
        series.append(replace(best, look=replace(look, filled=True)))
    title = f"{full_name(runs.metric)} of the probe on test: {full_name(runs.judged)}"
    panel = Panel(title=title, series=series, across="bits per second, by the language model", percent=True)
    return curve_chart([panel], name="bitrate", title=title, height=300)
