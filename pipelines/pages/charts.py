"""The helper of all charts: dots with intervals, curves and spectrograms, as inline SVG for pages or PNG for programs.

matplotlib draws with placeholder colours. CSS variables replace them, so that one drawing serves light and dark pages.
An SVG element that is saved from a page is a file of its own.
Text stays text, in the page's font. A chart is as wide as a phone; wider pages set charts side by side.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pipelines.pages.phrasing import number, percent
from pipelines.results.figures import Figure as Row

WIDTH = 340.0  # CSS pixels
FONT_SIZE = 10.5  # CSS pixels
LEGEND_LETTERS = 46  # that fit beside each other
LEGEND_ROW = 15.75  # CSS pixels
LEGEND_ROWS = 3  # for which a chart of curves has room; each other row makes it higher
SHADES = 48  # of a colour map; more cannot be told apart and make the page larger
# Placeholders of the colours of the page; a chart outside a page has those of the light one.
VARIABLES = {
    "#00000a": "var(--ink, #1c1f23)",
    "#00000b": "var(--muted, #5a6068)",
    "#00000c": "var(--line, #dedbd3)",
    "#00000d": "var(--blue, #0067a5)",
    "#00000e": "var(--orange, #b84e00)",
    "#00000f": "var(--green, #00795a)",
    "#000010": "var(--card, #ffffff)",
}
INK, MUTED, GRID, BLUE, ORANGE, GREEN, PAPER = VARIABLES
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # names from data may hold $ and _
    "image.composite_image": False,
    "font.size": FONT_SIZE,
    "font.sans-serif": ["DejaVu Sans"],  # measures the text; the page chooses the font that it draws
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "axes.titlecolor": MUTED,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def inline_svg(
    draw: Callable[[Figure], None], *, name: str, description: str, height: float, width: float = WIDTH
) -> Markup:
    """Draw a chart, ``height`` CSS pixels high and ``width`` wide, as an element of a page.

    ``draw`` fills an empty figure. ``name`` is unique on the page; equal names and equal data give equal bytes.
    """
    # No key of the metadata: they would name the program and the time.
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    svg = _drawn(draw, (width, height), {"svg.hashsalt": name}, format="svg", metadata=metadata).decode()
    body = svg[svg.index("<svg") :].strip()
    # Identifiers that nothing refers to are those of other charts of the page, too.
    body = re.sub(r'<style.*?</style>| id="(?![a-zC][0-9a-f]{10}")[^"]*"|(?<=>)\s+(?=<)', "", body, flags=re.DOTALL)
    body = re.sub("(?<=: )#0000(?:0[a-f]|10)", lambda found: VARIABLES[found.group()], body)
    shown = Markup(' class="chart" role="img" aria-label="{}"').format(description)
    return Markup(re.sub(r' width="[^"]*" height="[^"]*"', lambda _: shown, body, count=1))  # all text is escaped


def png(draw: Callable[[Figure], None], *, height: float) -> bytes:
    """Draw a chart as `inline_svg` does, dark on white, and return the content of a PNG file."""
    white = {"figure.facecolor": "white", "savefig.dpi": 144}  # two dots for a CSS pixel
    return _drawn(draw, (WIDTH, height), white, format="png", metadata={"Software": None})


def _drawn(draw: Callable[[Figure], None], size: tuple[float, float], own: dict[str, Any], **options: Any) -> bytes:
    with style.context(STYLE | own, after_reset=True), warnings.catch_warnings():
        # The browser draws the text, so matplotlib's own font need not have its letters.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure, written = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72), io.BytesIO()
        draw(figure)
        figure.savefig(written, **options)
    return written.getvalue()


def shortened(text: str, length: int = 28) -> str:
    """Cut a label so that it leaves room for the chart."""
    return text if len(text) <= length else text[: length - 1] + "…"


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

    def draw(self, axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
        """Draw the points and the line through them."""
        look = self.look
        lines = axes.plot(
            across,
            up,
            color=look.colour,
            marker=look.marker,
            markersize=look.size,
            markerfacecolor=look.colour if look.filled else PAPER,
            linestyle=look.dashes or "none",
            linewidth=look.width,
            alpha=look.alpha,
            drawstyle="steps-post" if self.shape == "steps" else "default",
            label=self.label or None,
        )
        lines[0].set_clip_on(False)  # a marker at 100 % is whole


def figure_series(figures: Sequence[Row], *, interval: bool = True, **options: Any) -> Series:
    """Make a series of the values of rows of the results, with the intervals that the rows have."""
    low, high = ([getattr(row, end) for row in figures if interval] for end in ("low", "high"))
    low, high = ([math.nan if end is None else end for end in ends] for ends in (low, high))
    return Series(values=[row.value for row in figures], low=low, high=high, **options)


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

    def draw(self, axes: Axes) -> None:
        """Draw curves, levels and axes."""
        for each in self.series:
            colour = each.look.colour
            if each.shape == "area":
                axes.fill_between(each.places, each.values, step="mid", color=colour, linewidth=0)
                continue
            if each.low and each.bars:
                axes.vlines(each.places, each.low, each.high, color=colour, linewidth=1, alpha=0.45)
            elif each.low:
                axes.fill_between(each.places, each.low, each.high, color=colour, alpha=0.16, linewidth=0)
            each.draw(axes, each.places, each.values)
            for name, place, value in zip(each.names, each.places, each.values, strict=False):
                if math.isfinite(place + value):
                    size = FONT_SIZE - 1
                    axes.annotate(name, (place, value), (4, 4), textcoords="offset points", fontsize=size, color=MUTED)
        for label, level in self.levels.items():
            axes.axhline(level, color=MUTED, linestyle=":", label=label)
        if self.marked is not None:
            axes.axvline(self.marked, color=MUTED, linestyle=":", linewidth=1, zorder=0)
        if self.logarithmic:
            axes.set_xscale("log")
        if self.ticks is None:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        else:
            axes.set_xticks(list(self.ticks), list(self.ticks.values()))
            axes.xaxis.set_minor_locator(NullLocator())
            letters = sum(max(map(len, tick.split("\n"))) for tick in self.ticks.values())
            axes.tick_params(axis="x", labelrotation=30 if letters > LEGEND_LETTERS else 0)
        if self.percent:
            write_percent(axes.yaxis)
        if self.from_zero:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(self.across)
        axes.grid(axis="y")


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
            each.draw(axes, each.values, each.places)
        if level:
            low, high = axes.get_xlim()
            # The legend alone where the line would squeeze all intervals to the edge.
            place = level[1] if level[1] > low - (high - low) / 2 else math.nan
            axes.axvline(place, color=MUTED, linestyle=":", label=level[0])
        axes.set_yticks(range(len(rows)), [shortened(row, 24) for row in rows], color=INK)
        if marked is not None:
            axes.get_yticklabels()[marked].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.3, -0.7)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(across)
        write_percent(axes.xaxis)
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

    def draw(figure: Figure) -> None:
        rows = -(-len(panels) // columns)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=columns == 1, sharey=columns > 1)
        for axes, panel in zip(grid.flat, panels, strict=False):
            panel.draw(axes)
            if columns > 1:
                axes.set_title(shortened(panel.title, 26), pad=8)
                continue
            labels = axes.get_legend_handles_labels()[1]
            if labels:  # between title and panel
                place, ncols = (-0.02, 0.98), _legend_columns(labels)
                axes.legend(loc="lower left", bbox_to_anchor=place, ncols=ncols, labelcolor=INK, columnspacing=1.2)
            axes.set_title(panel.title, pad=8 + LEGEND_ROW * _legend_rows(labels))
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
    legends = [[*(each.label for each in panel.series if each.label), *panel.levels] for panel in panels]
    more_rows = sum(max(_legend_rows(labels) - LEGEND_ROWS, 0) for labels in legends) if columns == 1 else 0
    description = f"{title}. {'; '.join(listed)}"
    return inline_svg(draw, name=name, description=description, height=height + more_rows * LEGEND_ROW)


def spectrogram_chart(pictures: Sequence[Picture], *, name: str, title: str, height: float) -> Markup:
    """Draw spectrograms below each other, on one axis of time."""
    description = f"{title}: {', '.join(picture.title for picture in pictures)}"
    return inline_svg(lambda figure: draw_pictures(figure, pictures), name=name, description=description, height=height)


def draw_pictures(figure: Figure, pictures: Sequence[Picture], below: Callable[[Axes], None] | None = None) -> None:
    """Draw spectrograms below each other, on one axis of time, into an empty figure; ``below`` draws one more row."""
    heights = [*(picture.height for picture in pictures), *([3.0] if below else [])]
    rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, picture in zip(rows, pictures, strict=False):
        shades, colours = matplotlib.colormaps[picture.colours].resampled(SHADES), Normalize(*picture.limits)
        extent = (0.0, picture.seconds, 0.0, picture.kilohertz or picture.values.shape[1])
        axes.imshow(
            picture.values.T, shades, colours, aspect="auto", interpolation="none", origin="lower", extent=extent
        )
        if picture.marked is not None:
            axes.axvline(picture.marked, color="white", linewidth=1, linestyle=(0, (3, 3)))
        axes.set_title(picture.title)
        axes.set_ylabel("kHz" if picture.kilohertz else "")
        axes.tick_params(axis="y", left=bool(picture.kilohertz), labelleft=bool(picture.kilohertz))
        axes.tick_params(axis="x", bottom=axes is rows[-1])
        axes.spines[:].set_visible(False)
    if below:
        below(rows[-1])
    rows[-1].set_xlim(0, max(picture.seconds for picture in pictures))
    rows[-1].set_xlabel("seconds")


def write_percent(axis: Axis) -> None:
    """Write the ticks of an axis of ratios in percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_major_locator(MaxNLocator(4))


def _end_at_100_percent(axis: Axis) -> None:
    """End an axis of ratios at 100 %, which no ratio exceeds; axes that share it have all of their data by now."""
    low, high = axis.get_view_interval()
    if low < 1 < high:
        axis.set_view_interval(low, 1.0, ignore=True)


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
