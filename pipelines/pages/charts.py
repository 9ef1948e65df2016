"""Four kinds of chart: dots with intervals, curves, a heat map and spectrograms. They take data and know no records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pipelines.pages.phrasing import number, percent
from pipelines.pages.svg import BLUE, FONT_SIZE, INK, MUTED, PAPER, WIDTH, inline_svg, shortened
from pipelines.results.figures import Figure as Row

FloatArray = npt.NDArray[np.float64]
LEGEND_LETTERS = 46  # that fit beside each other
LEGEND_ROW = 15.75  # CSS pixels
LEGEND_ROWS = 3  # for which a chart of curves has room; each other row makes it higher
TITLE_LENGTH = 26  # characters that fit above a panel of two columns
SMALL = 8.5  # CSS pixels, of a heat map's labels
CELL = 17.0  # CSS pixels of a heat map's field, in which three digits can be read
MAX_WRITTEN, MAX_NAMED = 40, 60  # names of a heat map whose fields hold text, and whose names can be read
HEAT, BRIGHT = "cividis", 0.5  # colours of a heat map, and the value above which black can be read on them
SHADES = 48  # of a colour map; more cannot be told apart and make the page larger


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a series is drawn. Series differ in shape, filling or dashes as well as in colour."""

    colour: str = BLUE
    filled: bool = True  # the marker
    marker: str = ""
    dashes: str = ""  # of the line; "" draws no line
    size: float = 6.0  # of the marker, in CSS pixels
    width: float = 1.8  # of the line, in CSS pixels
    alpha: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values at places: steps, options, or rows counted from the top."""

    look: Look
    places: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] = ()  # interval of each value
    high: Sequence[float] = ()
    label: str = ""  # in the legend
    names: Sequence[str] = ()  # written beside the points
    shape: Literal["line", "steps", "area"] = "line"
    bars: bool = False  # intervals as bars instead of a band


def figure_series(figures: Sequence[Row], *, places: Sequence[float], look: Look, label: str = "") -> Series:
    """Make a series of the values of rows of the results, with the intervals that the rows have."""
    low, high = (
        [math.nan if (end := getattr(row, side)) is None else end for row in figures] for side in ("low", "high")
    )
    return Series(look=look, label=label, places=places, values=[row.value for row in figures], low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes of a chart of curves."""

    title: str
    series: Sequence[Series]
    across: str = ""  # label of the horizontal axis
    ticks: Mapping[float, str] | None = None  # None: matplotlib chooses them
    logarithmic: bool = False  # the horizontal axis
    percent: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)  # horizontal lines, by their name in the legend
    marked: float | None = None  # place of a vertical line
    from_zero: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One row of a chart of spectrograms."""

    title: str
    values: npt.NDArray[np.generic]  # (time, bands)
    seconds: float
    limits: tuple[float, float]  # values of the darkest and the brightest colour
    colours: str = "magma"
    kilohertz: float | None = None  # at the upper edge; None: the axis has no ticks
    marked: float | None = None  # seconds
    height: float = 1.0  # relative to the other rows

    def beginning(self, seconds: float) -> "Picture":
        """Return the first seconds of the picture; all of a shorter one."""
        if self.seconds <= seconds:
            return self
        return replace(self, values=self.values[: round(len(self.values) * seconds / self.seconds)], seconds=seconds)


def dot_chart(
    rows: Sequence[str],
    series: Sequence[Series],
    *,
    name: str,
    title: str,
    across: str = "",
    marked: int | None = None,
    level: tuple[str, float] | None = None,
    row_height: float = 21,
) -> Markup:
    """Draw ratios and their intervals in named rows. ``marked`` is a row; ``level`` a vertical line with its name."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if marked is not None:
            axes.axhspan(marked - 0.5, marked + 0.5, color=BLUE, alpha=0.12, linewidth=0)
        for each in series:
            if each.low:
                axes.hlines(each.places, each.low, each.high, color=each.look.colour, linewidth=each.look.width)
            _plot(axes, each.values, each.places, each)
        if level:
            _draw_level(axes, *level)
        axes.set_yticks(range(len(rows)), [shortened(row, 24) for row in rows], color=INK)
        if marked is not None:
            axes.get_yticklabels()[marked].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.3, -0.7)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(across)
        _write_percent(axes.xaxis)
        _end_at_100_percent(axes.xaxis)
        axes.grid(axis="x")
        _write_legend_above(figure)

    first: dict[float, float] = {}  # value of each row
    for each in reversed([each for each in series if each.label]):
        first |= dict(zip(map(round, reversed(each.places)), reversed(each.values), strict=True))
    listed = "; ".join(f"{row} {percent(first[place])}" for place, row in enumerate(rows) if place in first)
    return inline_svg(draw, name=name, description=f"{title}. {listed}", height=110 + row_height * len(rows))


def curve_chart(panels: Sequence[Panel], *, name: str, title: str, height: float, columns: int = 1) -> Markup:
    """Draw curves. Panels of one column share the horizontal axis; a grid shares the vertical axis and the legend.

    Panels of one column have a legend each. The chart is higher than ``height`` CSS pixels if these are long.
    """
    legends = [[*(each.label for each in panel.series if each.label), *panel.levels] for panel in panels]
    more_rows = sum(max(_legend_rows(labels) - LEGEND_ROWS, 0) for labels in legends) if columns == 1 else 0

    def draw(figure: Figure) -> None:
        rows = -(-len(panels) // columns)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=columns == 1, sharey=columns > 1)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, panel)
            shown = panel.title if columns == 1 else shortened(panel.title, TITLE_LENGTH)
            _write_title(axes, shown, with_legend=columns == 1)
        for axes, panel in zip(grid.flat, panels, strict=False):
            if panel.percent:
                _end_at_100_percent(axes.yaxis)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        if columns > 1:
            _write_legend_above(figure)

    listed = [
        f"{panel.title}, {each.label}: {written(each.values[0])} to {written(each.values[-1])}"
        for panel in panels
        for written in (percent if panel.percent else number,)
        for each in panel.series
        if each.label and len(each.values) > 1
    ]
    description = f"{title}. {'; '.join(listed)}"
    return inline_svg(draw, name=name, description=description, height=height + more_rows * LEGEND_ROW)


def heat_map(
    names: Sequence[str],
    values: FloatArray,
    cells: Sequence[Sequence[str]],
    *,
    name: str,
    title: str,
    left: str,
    across: str,
    scale: str,
) -> Markup:
    """Draw values ``(rows, columns)`` from 0 to 1 as colours, with their scale; rows and columns have the same names.

    ``cells`` are written into the fields of up to `MAX_WRITTEN` names. More than `MAX_NAMED` names are left out.
    """
    count, written = len(names), len(names) <= MAX_WRITTEN
    side = CELL if written else max(CELL * MAX_WRITTEN / count, 2.0)  # CSS pixels of a field
    labels = [shortened(label, 18) if count <= MAX_NAMED else "" for label in names]

    def draw(figure: Figure) -> None:
        axes, bar = figure.subplots(2, 1, height_ratios=(side * count, 9))
        axes.imshow(values, cmap=HEAT, vmin=0, vmax=1, interpolation="none", aspect="auto")
        axes.set_yticks(range(count), labels, fontsize=SMALL, color=INK)
        axes.set_xticks(range(count), labels, fontsize=SMALL, color=INK, rotation=90)
        axes.set_xlabel(across)
        axes.set_title(left)
        for row, texts in enumerate(cells if written else ()):
            for column, text in enumerate(texts):
                colour = "black" if values[row, column] > BRIGHT else "white"
                axes.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)
        bar.imshow(np.linspace(0, 1, SHADES)[None], cmap=HEAT, extent=(0, 1, 0, 1), aspect="auto")
        bar.set_yticks([])
        bar.set_xlabel(scale)
        _write_percent(bar.xaxis)
        for each in (axes, bar):
            each.tick_params(length=0)
            each.spines[:].set_visible(False)

    width, height = max(WIDTH, 100 + side * count), 190 + side * count
    drawn = inline_svg(draw, name=name, description=title, height=height, width=width)
    if width <= WIDTH:
        return drawn
    # A chart wider than a phone keeps its size, so that its text can be read, and scrolls.
    region = Markup('<div class="scrolled" role="region" tabindex="0" aria-label="{}">{}</div>')
    return region.format(title.partition(":")[0], Markup('<div style="width: {:.0f}px">{}</div>').format(width, drawn))


def spectrogram_chart(pictures: Sequence[Picture], *, name: str, title: str, height: float) -> Markup:
    """Draw spectrograms below each other, on one axis of time."""
    description = f"{title}: {', '.join(picture.title for picture in pictures)}"
    return inline_svg(partial(draw_pictures, pictures), name=name, description=description, height=height)


def draw_pictures(pictures: Sequence[Picture], figure: Figure) -> None:
    """Draw spectrograms below each other, on one axis of time, into an empty figure."""
    heights = [picture.height for picture in pictures]
    rows = figure.subplots(len(pictures), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, picture in zip(rows, pictures, strict=True):
        draw_picture(axes, picture)
        axes.tick_params(axis="x", bottom=axes is rows[-1])
    rows[-1].set_xlim(0, max(picture.seconds for picture in pictures))
    rows[-1].set_xlabel("seconds")


def draw_picture(axes: Axes, picture: Picture) -> None:
    """Draw one row of a chart of spectrograms."""
    shades, colours = matplotlib.colormaps[picture.colours].resampled(SHADES), Normalize(*picture.limits)
    extent = (0.0, picture.seconds, 0.0, picture.kilohertz or picture.values.shape[1])
    axes.imshow(picture.values.T, shades, colours, aspect="auto", interpolation="none", origin="lower", extent=extent)
    if picture.marked is not None:
        axes.axvline(picture.marked, color="white", linewidth=1, linestyle=(0, (3, 3)))
    axes.set_title(picture.title)
    axes.set_ylabel("kHz" if picture.kilohertz else "")
    axes.tick_params(axis="y", left=bool(picture.kilohertz), labelleft=bool(picture.kilohertz))
    axes.spines[:].set_visible(False)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for each in panel.series:
        _draw_curve(axes, each)
    for label, level in panel.levels.items():
        axes.axhline(level, color=MUTED, linestyle=":", label=label)
    if panel.marked is not None:
        axes.axvline(panel.marked, color=MUTED, linestyle=":", linewidth=1, zorder=0)
    if panel.logarithmic:
        axes.set_xscale("log")
    if panel.ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        letters = sum(max(map(len, tick.split("\n"))) for tick in panel.ticks.values())
        axes.tick_params(axis="x", labelrotation=30 if letters > LEGEND_LETTERS else 0)
    if panel.percent:
        _write_percent(axes.yaxis)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(panel.across)
    axes.grid(axis="y")


def _draw_curve(axes: Axes, each: Series) -> None:
    if each.shape == "area":
        axes.fill_between(each.places, each.values, step="mid", color=each.look.colour, linewidth=0)
        return
    if each.low and each.bars:
        axes.vlines(each.places, each.low, each.high, color=each.look.colour, linewidth=1, alpha=0.45)
    elif each.low:
        axes.fill_between(each.places, each.low, each.high, color=each.look.colour, alpha=0.16, linewidth=0)
    _plot(axes, each.places, each.values, each)
    for name, place, value in zip(each.names, each.places, each.values, strict=False):
        if math.isfinite(place + value):
            axes.annotate(name, (place, value), (4, 4), textcoords="offset points", fontsize=FONT_SIZE - 1, color=MUTED)


def _plot(axes: Axes, across: Sequence[float], up: Sequence[float], each: Series) -> None:
    look, face = each.look, each.look.colour if each.look.filled else PAPER
    marker: dict[str, Any] = {"marker": look.marker, "markerfacecolor": face, "markersize": look.size}
    line: dict[str, Any] = {"linestyle": look.dashes or "none", "linewidth": look.width, "color": look.colour}
    steps = "steps-post" if each.shape == "steps" else "default"
    lines = axes.plot(across, up, drawstyle=steps, alpha=look.alpha, label=each.label or None, **marker, **line)
    lines[0].set_clip_on(False)  # a marker at 100 % is whole


def _draw_level(axes: Axes, label: str, level: float) -> None:
    """Draw a vertical line; only its legend where the line would squeeze all intervals to the edge."""
    low, high = axes.get_xlim()
    if level > low - (high - low) / 2:
        axes.axvline(level, color=MUTED, linestyle=":", label=label)
    else:
        axes.plot([], [], color=MUTED, linestyle=":", label=label)


def _write_percent(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_major_locator(MaxNLocator(4))


def _end_at_100_percent(axis: Axis) -> None:
    """End an axis of ratios at 100 %, which no ratio exceeds; axes that share it have all of their data by now."""
    low, high = axis.get_view_interval()
    if low < 1 < high:
        axis.set_view_interval(low, 1.0, ignore=True)


def _write_title(axes: Axes, title: str, *, with_legend: bool) -> None:
    """Write the title of a panel and, between title and panel, its legend."""
    labels = axes.get_legend_handles_labels()[1] if with_legend else []
    columns, place = _legend_columns(labels), (-0.02, 0.98)
    if labels:
        axes.legend(loc="lower left", bbox_to_anchor=place, ncols=columns, labelcolor=INK, columnspacing=1.2)
    axes.set_title(title, pad=8 + LEGEND_ROW * _legend_rows(labels))


def _write_legend_above(figure: Figure) -> None:
    """Write the legend of the first axes above the figure, where it covers nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles=handles, loc="outside upper left", ncols=_legend_columns(labels), labelcolor=INK)


def _legend_rows(labels: Sequence[str]) -> int:
    return math.ceil(len(labels) / _legend_columns(labels))


def _legend_columns(labels: Sequence[str]) -> int:
    lengths = sorted((len(label) for label in labels), reverse=True)
    return next((count for count in (3, 2) if sum(lengths[:count]) + 4 * count <= LEGEND_LETTERS), 1)
