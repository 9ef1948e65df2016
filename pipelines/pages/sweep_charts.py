"""Charts of a sweep: what is learned, lost and steady over a swept option, and what the bits buy."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from pipelines.pages.charts import (
    BLUE,
    FONT_SIZE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Drawing,
    chart,
    figure_chart,
    shortened,
)
from pipelines.pages.phrasing import full_name, number
from pipelines.pages.sweep_points import BAG, CODEBOOK_SIZE, GPT, Point, pareto

COLOURS = (BLUE, ORANGE, GREEN, INK, MUTED)
MARKERS = ("o", "s", "D", "^", "v")
STEADY: dict[str, Literal["-", "--", ":"]] = {"noise": "-", "gain": "--", "shift": ":"}
MAX_LETTERS = 40  # that stand side by side
HEIGHTS = (1.35, 1.0, 1.0)  # of the panels, each to the others

Line = Sequence[Point]
Read = Callable[[Point], float]
Panel = Callable[[Axes, dict[str, list[Point]], "Axis", str], str]  # draws, and gives its title


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Where the values of the first swept option stand, from left to right."""

    option: str
    values: tuple[str, ...]  # in order

    @property
    def sizes(self) -> bool:
        """Whether these are codebook sizes, which stand at their logarithm."""
        return self.option == CODEBOOK_SIZE and all(value.isdecimal() and int(value) > 0 for value in self.values)

    def place(self, point: Point) -> float:
        """Where a point stands."""
        value = point.job.overrides.get(self.option, "")
        return float(value) if self.sizes else float(self.values.index(value))

    def label(self, value: str) -> str:
        """A value as it is written at the axis."""
        return number(float(value)) if self.sizes else shortened(value, 14)

    def write(self, axes: Axes) -> None:
        """Ticks and name below a panel."""
        places = [float(value) for value in self.values] if self.sizes else list(map(float, range(len(self.values))))
        if self.sizes:
            axes.set_xscale("log", base=2)
        labels = [self.label(value) for value in self.values]
        axes.set_xticks(places, labels)
        if len(labels) * max(map(len, labels), default=0) > MAX_LETTERS:
            axes.tick_params(axis="x", labelrotation=30)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("codebook size" if self.sizes else self.option)


def tradeoff(lines: dict[str, list[Point]], axis: Axis, metric: str, marked: Point | None, *, inside: bool) -> Markup:
    """Panels over one axis: what probes read off, the error of the spectrogram, and the codes that stay the same.

    ``marked`` is the best point; ``inside``: not at an end of what was tried.
    """
    drawn = panels(lines, metric)

    def draw(figure: Figure) -> None:
        shared = figure.subplots(len(drawn), sharex=True, squeeze=False, height_ratios=HEIGHTS[: len(drawn)])[:, 0]
        for axes, panel in zip(shared, drawn, strict=True):
            title = panel(axes, lines, axis, metric)
            if marked is not None:
                axes.axvline(axis.place(marked), color=MUTED, linestyle=":", linewidth=1, zorder=0)
            axes.grid(axis="y")
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if marked is not None and panel is _learned:
                value = marked.value("probe", metric, GPT)
                _ring(axes, axis.place(marked), value, "inner best" if inside else "best")
            _head(axes, title)
        axis.write(shared[-1])

    height = 60 + 165 * len(drawn)
    return figure_chart(Drawing(name="tradeoff", description=_told(lines, axis, metric), height=height), draw)


def bitrate(lines: dict[str, list[Point]], axis: Axis, metric: str) -> Markup:
    """Accuracy over the bits per second that the language model needs, and the front that no other run beats."""
    points = [point for line in lines.values() for point in line]
    costs, gains = [point.rate for point in points], [point.value("probe", metric, GPT) for point in points]
    front = pareto(costs, gains)

    def draw(axes: Axes) -> None:
        steps = [costs[index] for index in front], [gains[index] for index in front]
        axes.plot(*steps, drawstyle="steps-post", color=MUTED, linewidth=1.2, label="not beaten by any other")
        for (name, line), colour, marker in zip(lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
            places = [point.rate for point in line]
            low, high = _interval(line, metric, GPT)
            axes.vlines(places, low, high, color=colour, linewidth=1, alpha=0.45)
            (drawn,) = axes.plot(places, _values(line, metric), marker, color=colour, label=shortened(name, 40) or None)
            drawn.set_markerfacecolor(PAPER)
        for index in front:
            _fill(axes, costs[index], gains[index], points[index], lines)
        for point in points:
            at = point.rate, point.value("probe", metric, GPT)
            if all(map(math.isfinite, at)):
                label = axis.label(point.job.overrides.get(axis.option, ""))
                axes.annotate(label, at, (4, 4), textcoords="offset points", fontsize=FONT_SIZE - 1, color=MUTED)
        axes.set_title(f"{full_name(metric)} of the GPT's probe on test")
        axes.set_xlabel("bits per second, by the language model")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.grid(axis="y")
        axes.margins(x=0.08)
        if isinstance(axes.figure, Figure):
            axes.figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)

    names = ", ".join(axis.label(points[index].job.overrides.get(axis.option, "")) for index in front)
    description = f"{full_name(metric)} by bits per second; not beaten by any other: {names or 'none'}"
    return chart(Drawing(name="bitrate", description=description, height=300), draw)


def panels(lines: dict[str, list[Point]], metric: str) -> list[Panel]:
    """Those with something to compare: where all runs share their codes, no more is lost or steady in one of them."""
    points = [point for line in lines.values() for point in line]

    def differs(stage: str, name: str, of: str | None = None) -> bool:
        values = {point.value(stage, name, of) for point in points}
        return len(values) > 1 or (len(points) == 1 and all(map(math.isfinite, values)))

    learned = any(math.isfinite(point.value("probe", metric, GPT)) for point in points)
    shown: list[tuple[Panel, bool]] = [
        (_learned, learned),
        (_lost, differs("tokenizer", "quantised_mse")),
        (_steady, differs("tokenizer", "stability", "noise")),
    ]
    return [panel for panel, present in shown if present]


def _learned(axes: Axes, lines: dict[str, list[Point]], axis: Axis, metric: str) -> str:
    """GPT and bag of codes with their intervals; with several lines, the intervals of the GPT alone."""
    alone = len(lines) == 1
    for (name, line), colour, marker in zip(lines.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        places = [axis.place(point) for point in line]
        label: str | None = "GPT" if alone else shortened(name, 22)
        axes.fill_between(places, *_interval(line, metric, GPT), color=colour, alpha=0.16, linewidth=0)
        axes.plot(places, _values(line, metric), color=colour, marker=marker, markersize=4, label=label)
        bag = ORANGE if alone else colour
        if alone:
            axes.fill_between(places, *_interval(line, metric, BAG), color=bag, alpha=0.16, linewidth=0)
        values = [point.value("probe", metric, BAG) for point in line]
        label = full_name(BAG) if alone else None
        (drawn,) = axes.plot(places, values, "--", color=bag, label=label, linewidth=1.3, markersize=4)
        drawn.set_marker("s" if alone else "")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    return f"{full_name(metric)} on test"


def _lost(axes: Axes, lines: dict[str, list[Point]], axis: Axis, metric: str) -> str:
    """Squared error through the codebook, and what of it the autoencoder alone makes."""
    alone, highest = len(lines) == 1, 0.0
    for line, colour, marker in zip(lines.values(), cycle(COLOURS), cycle(MARKERS), strict=False):
        places, own = [axis.place(point) for point in line], GREEN if alone else colour
        through = [point.value("tokenizer", "quantised_mse") for point in line]
        without = [point.value("tokenizer", "reconstruction_mse") for point in line]
        label = ("through the codebook", "without it") if alone else (None, None)
        highest = max([highest, *filter(math.isfinite, (*through, *without))])
        axes.plot(places, through, color=own, marker=marker, markersize=4, label=label[0])
        axes.plot(places, without, color=own, linestyle=":", linewidth=1.3, label=label[1])
    axes.set_ylim(0, 1.1 * highest or 1)
    return "lost: squared error of the spectrogram"


def _steady(axes: Axes, lines: dict[str, list[Point]], axis: Axis, metric: str) -> str:
    """Codes that stay the same; with several lines, under noise alone."""
    alone = len(lines) == 1
    for line, colour, marker in zip(lines.values(), cycle(COLOURS), cycle(MARKERS), strict=False):
        places = [axis.place(point) for point in line]
        for change in STEADY if alone else ("noise",):
            values = [point.value("tokenizer", "stability", change) for point in line]
            label = change if alone else None
            (drawn,) = axes.plot(places, values, color=INK if alone else colour, label=label, markersize=4)
            drawn.set_linestyle(STEADY[change])
            drawn.set_marker(marker if change == "noise" else "")
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    return f"steady: codes that stay the same{'' if alone else ' under noise'}"


def _head(axes: Axes, title: str) -> None:
    """The title of a panel, and between it and the panel the legend, in as many columns as fit."""
    lengths = sorted((len(label) for label in axes.get_legend_handles_labels()[1]), reverse=True)
    columns = next((count for count in (3, 2) if sum(lengths[:count]) + 4 * count <= MAX_LETTERS), 1)
    if lengths:
        place = (-0.02, 0.98)
        axes.legend(loc="lower left", bbox_to_anchor=place, ncols=columns, labelcolor=INK, columnspacing=1.2)
    axes.set_title(title, pad=8 + 15 * math.ceil(len(lengths) / columns))


def _values(line: Line, metric: str) -> list[float]:
    return [point.value("probe", metric, GPT) for point in line]


def _interval(line: Line, metric: str, of: str) -> tuple[list[float], list[float]]:
    found = [point.estimate("probe", metric, of) for point in line]
    return [each.low if each else math.nan for each in found], [each.high if each else math.nan for each in found]


def _ring(axes: Axes, place: float, value: float, name: str) -> None:
    """Around the best."""
    (ring,) = axes.plot([place], [value], "o", markersize=11, color=INK, markeredgewidth=1.4, label=name)
    ring.set_markerfacecolor("none")


def _fill(axes: Axes, cost: float, gain: float, point: Point, lines: dict[str, list[Point]]) -> None:
    """The marker of a point of the front, filled."""
    for line, colour, marker in zip(lines.values(), cycle(COLOURS), cycle(MARKERS), strict=False):
        if point in line:
            axes.plot([cost], [gain], marker, color=colour)


def _told(lines: dict[str, list[Point]], axis: Axis, metric: str) -> str:
    """The values of the picture, for those who do not see it."""
    named = [
        (f"{axis.label(point.job.overrides.get(axis.option, ''))} {name}".rstrip(), point)
        for name, line in lines.items()
        for point in line
    ]
    read: dict[str, Read] = {
        f"{full_name(metric)} of the GPT": lambda point: point.value("probe", metric, GPT),
        "error through the codebook": lambda point: point.value("tokenizer", "quantised_mse"),
        "codes that stay the same under noise": lambda point: point.value("tokenizer", "stability", "noise"),
    }
    told = (f"{what}: {', '.join(f'{name} {number(of(point))}' for name, point in named)}" for what, of in read.items())
    return f"By {'codebook size' if axis.sizes else axis.option}. {'; '.join(told)}"
