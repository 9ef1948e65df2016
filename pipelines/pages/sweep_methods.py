"""The chart of all probed methods over the swept option: which method gains how much, and whether the gap closes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from markupsafe import Markup

from pipelines.pages.charts import Panel, Series, curve_chart, dot_chart, figure_series
from pipelines.pages.comparison_charts import line_look
from pipelines.pages.phrasing import full_name
from pipelines.pages.svg import shortened
from pipelines.pages.sweep_points import BAG, Point, Runs
from pipelines.store.stored_features import GPT

ASIDE = 0.05  # at most, between the intervals of two methods at one value, in distances of two values
SPREAD = 0.6  # of all intervals at one value, so that they do not reach those of the next value
ROW_HEIGHT = 9.0  # CSS pixels of a method in the row of a run
POINTS = 100.0  # percentage points


def methods_chart(runs: Runs) -> Markup | None:
    """Draw each method's probe over the first option.

    A number has curves, and how far the GPT is ahead of each method; a pair of panels per line. Other values, such as
    the names of ablations, have a row for each run. None for a single value, and where the probes of all methods but
    the GPT and the bag of codes are the same in each run: the chart of figures by run has these two.
    """
    names = runs.methods
    if len(runs.values) < 2 or not any(_depends(runs, of) for of in names if of not in (GPT, BAG)):
        return None
    if not runs.is_ordered:
        return _rows(runs, names)
    panels = [panel for name, line in runs.lines.items() for panel in _panels(runs, name, line, names)]
    panels[-1] = replace(panels[-1], across=runs.options[0])
    return curve_chart(panels, name="methods", title="Methods by run", height=60 + 190 * len(panels))


def _rows(runs: Runs, names: Sequence[str]) -> Markup:
    """Draw a row for each run, with the probes of all methods below each other."""
    series = []
    for of, aside in zip(names, shifts(len(names), step=SPREAD), strict=True):
        drawn = _series(enumerate(runs.points), runs.metric, of, aside)
        series.append(replace(drawn, look=replace(drawn.look, dashes="", width=1.2, size=5)))
    rows, across = [runs.short_name(point.job) for point in runs.points], f"test {full_name(runs.metric)}"
    height = max(21.0, ROW_HEIGHT * len(names))
    return dot_chart(rows, series, name="methods", title="Methods by run", across=across, row_height=height)


def _depends(runs: Runs, of: str) -> bool:
    """Whether the probe of a method differs between the runs that have one."""
    values = {point.value("probe", runs.metric, of) for point in runs.points}
    return sum(map(math.isfinite, values)) > 1


def _panels(runs: Runs, name: str, line: Sequence[Point], names: Sequence[str]) -> Iterator[Panel]:
    ticks = {float(place): shortened(value, 14) for place, value in enumerate(runs.values)}
    where = f", {shortened(name, 40)}" if name else ""
    placed = [(runs.values.index(runs.first(point)), point) for point in line]
    asides = shifts(len(names))
    accuracies = [_series(placed, runs.metric, of, aside) for of, aside in zip(names, asides, strict=True)]
    yield Panel(title=f"{full_name(runs.metric)} on test{where}", series=accuracies, ticks=ticks, percent=True)
    others = [(of, aside) for of, aside in zip(names, asides, strict=True) if of != GPT]
    ahead = [_series(placed, "difference", GPT, aside, ahead_of=of) for of, aside in others]
    if any(each.values for each in ahead):
        yield Panel(title=f"GPT ahead by, points{where}", series=ahead, ticks=ticks, levels={"level": 0.0})


def shifts(count: int, *, step: float = ASIDE) -> list[float]:
    """Say how far each of ``count`` methods stands from the place of a value, which is in their middle.

    Neighbours are ``step`` apart, or nearer, so that all stand nearer to their value than to the next.
    """
    step = min(step, SPREAD / count)
    return [step * (number - (count - 1) / 2) for number in range(count)]


def _series(
    placed: Iterable[tuple[int, Point]], name: str, of: str, aside: float, *, ahead_of: str | None = None
) -> Series:
    """Make the series of one figure of the runs that have it, ``aside`` from their places, beside other methods.

    With ``ahead_of`` these are points by which the method is ahead of another, in whose look they are drawn.
    """
    known = [(place + aside, point.figures.find("probe", name, of, against=ahead_of)) for place, point in placed]
    rows, places = [row for _, row in known if row], [place for place, row in known if row]
    shown = ahead_of or of
    series = figure_series(rows, look=line_look(shown), label=full_name(shown), places=places)
    if ahead_of is None:
        return replace(series, bars=True)
    values, low, high = ([POINTS * end for end in ends] for ends in (series.values, series.low, series.high))
    return replace(series, values=values, low=low, high=high, bars=True)
