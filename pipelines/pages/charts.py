"""The helpers of all charts: dots with intervals, curves and spectrograms, as inline SVG for pages.

A chart is a function that is `styled`: it fills a figure of matplotlib, and returns it by `svg` or `curves_svg`.
Placeholder colours become CSS variables, so that one drawing serves light and dark pages, and an element that is saved
from a page is a file of its own. Text stays text, in the page's font. A chart is as wide as a phone; wider pages set
charts side by side.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

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

P = ParamSpec("P")
R = TypeVar("R")
Look = dict[str, Any]  # arguments of matplotlib's `plot`
Interval = Literal["", "band", "bars", "across"]
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
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.labelcolor": INK,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in the style of the pages, whatever the user's own style is."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with style.context(STYLE, after_reset=True), warnings.catch_warnings():
            # The browser draws the text, so matplotlib's own font need not have its letters.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return draw(*args, **kwargs)

    return drawn


def sheet(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of this size in CSS pixels."""
    return Figure(figsize=(width / 72, height / 72))


def svg(figure: Figure, *, name: str, description: str) -> Markup:
    """Write a figure as an element of a page.

    ``name`` is unique on the page; equal names and equal data give equal bytes.
    """
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        # No key of the metadata: they would name the program and the time.
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = written.getvalue()
    # Identifiers that nothing refers to are those of other charts of the page, too.
    unneeded = r'<style.*?</style>| id="(?![a-zC][0-9a-f]{10}")[^"]*"|(?<=>)\s+(?=<)'
    body = re.sub(unneeded, "", text[text.index("<svg") :].strip(), flags=re.DOTALL)
    body = re.sub("(?<=: )#0000(?:0[a-f]|10)", lambda found: VARIABLES[found.group()], body)
    shown = Markup(' class="chart" role="img" aria-label="{}"').format(description)
    return Markup(re.sub(r' width="[^"]*" height="[^"]*"', lambda _: shown, body, count=1))  # all text is escaped


def shortened(text: str, length: int = 28) -> str:
    """Cut a label so that it leaves room for the chart."""
    return text if len(text) <= length else text[: length - 1] + "…"


def look(
    colour: str = BLUE,
    marker: str = "",
    *,
    line: str = "none",
    filled: bool = True,
    size: float = 6.0,
    width: float = 1.8,
    alpha: float = 1.0,
) -> Look:
    """Describe a series. Series differ in shape, filling or dashes as well as in colour; sizes are CSS pixels."""
    dots = {"marker": marker, "markersize": size, "markerfacecolor": colour if filled else PAPER}
    return {"color": colour, "linestyle": line, "linewidth": width, "alpha": alpha, **dots}


def draw_series(
    axes: Axes,
    places: Sequence[float],
    rows: Sequence[Row] | Sequence[float],
    looks: Look,
    *,
    label: str = "",
    interval: Interval = "",
) -> None:
    """Draw rows of the results, or values, at their places: steps, options, or lines of text counted from the top.

    With ``interval="across"`` values go from left to right, and their places from top to bottom.
    """
    values = [row.value if isinstance(row, Row) else row for row in rows]
    ends = np.array([(row.low, row.high) if isinstance(row, Row) else (None, None) for row in rows], float)
    low, high = ends.reshape(-1, 2).T
    across, up = (values, places) if interval == "across" else (places, values)
    if interval and np.isfinite(low).any():
        colour, width = looks["color"], looks["linewidth"]
        if interval == "across":
            axes.hlines(places, low, high, color=colour, linewidth=width)
        elif interval == "bars":
            axes.vlines(places, low, high, color=colour, linewidth=1, alpha=0.45)
        else:
            axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
    (line,) = axes.plot(across, up, label=label or None, **looks)
    line.set_clip_on(False)  # a marker at 100 % is whole


def _percent(value: float, _: int | None = None) -> str:
    return f"{100 * value:.3g} %"


def write_percent(axis: Axis) -> None:
    """Write the ticks of an axis of ratios in percent."""
    axis.set_major_formatter(FuncFormatter(_percent))
    axis.set_major_locator(MaxNLocator(4))


def rows_svg(
    figure: Figure,
    names: Sequence[str],
    *,
    name: str,
    title: str,
    across: str,
    marked: int | None = None,
    level: tuple[str, float] | None = None,
) -> Markup:
    """Name the rows of a chart of ratios, and write it. ``marked`` is a row; ``level`` a vertical line with its name.

    The description has the value of the first series in each row.
    """
    (axes,) = figure.axes
    first: dict[int, float] = {}
    for line in axes.get_lines():
        for value, place in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True):
            first.setdefault(round(place), value)
    if level:
        low, high = axes.get_xlim()
        # The legend alone where the line would squeeze all intervals to the edge.
        place = level[1] if level[1] > low - (high - low) / 2 else math.nan
        axes.axvline(place, color=MUTED, linestyle=":", label=level[0])
    axes.set_yticks(range(len(names)), [shortened(row, 24) for row in names], color=INK)
    if marked is not None:
        axes.axhspan(marked - 0.5, marked + 0.5, color=BLUE, alpha=0.12, linewidth=0)
        axes.get_yticklabels()[marked].set_fontweight("bold")
    axes.set_ylim(len(names) - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(across)
    write_percent(axes.xaxis)
    _end_at_100_percent(axes.xaxis)
    axes.grid(axis="x")
    _write_legend_above(figure)
    listed = "; ".join(f"{row} {percent(first[place])}" for place, row in enumerate(names) if place in first)
    return svg(figure, name=name, description=f"{title}. {listed}")


def finish_panel(
    axes: Axes,
    title: str,
    *,
    across: str = "",
    ticks: Mapping[float, str] | None = None,
    ratios: bool = False,
    legend: bool = True,
) -> None:
    """Write title, legend and ticks of a panel of curves; without ``ticks`` matplotlib chooses them."""
    labels = axes.get_legend_handles_labels()[1] if legend else []
    if labels:  # between title and panel
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=_legend_columns(labels))
    axes.set_title(title, pad=8 + LEGEND_ROW * _legend_rows(labels))
    if ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        letters = sum(max(map(len, tick.split("\n"))) for tick in ticks.values())
        axes.tick_params(axis="x", labelrotation=30 if letters > LEGEND_LETTERS else 0)
    if ratios:
        write_percent(axes.yaxis)
    axes.set_xlabel(across)
    axes.grid(axis="y")


def curves_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """Write a chart of panels; it grows where legends are long, and its description has the ends of each curve."""
    listed, more_rows = [], 0
    for axes in figure.axes:
        ratios = getattr(axes.yaxis.get_major_formatter(), "func", None) is _percent
        if ratios:
            _end_at_100_percent(axes.yaxis)
        if axes.get_legend():
            more_rows += max(_legend_rows(axes.get_legend_handles_labels()[1]) - LEGEND_ROWS, 0)
        written = percent if ratios else number
        for line in axes.get_lines():
            values, label = np.asarray(line.get_ydata(), float), str(line.get_label())
            if len(values) > 1 and not label.startswith("_"):
                listed.append(f"{axes.get_title('left')}, {label}: {written(values[0])} to {written(values[-1])}")
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + more_rows * LEGEND_ROW / 72)
    if not any(axes.get_legend() for axes in figure.axes):
        _write_legend_above(figure)
    return svg(figure, name=name, description=f"{title}. {'; '.join(listed)}")


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


@styled
def spectrogram_chart(pictures: Sequence[Picture], *, name: str, title: str, height: float) -> Markup:
    """Draw spectrograms below each other, on one axis of time."""
    figure = sheet(height)
    draw_pictures(figure, pictures)
    return svg(figure, name=name, description=f"{title}: {', '.join(picture.title for picture in pictures)}")


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


def _end_at_100_percent(axis: Axis) -> None:
    """End an axis of ratios at 100 %, which no ratio exceeds; axes that share it have all of their data by now."""
    low, high = axis.get_view_interval()
    if low < 1 < high:
        axis.set_view_interval(low, 1.0, ignore=True)


def _write_legend_above(figure: Figure) -> None:
    """Write the legend of the first axes above the figure, where it covers nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles=handles, loc="outside upper left", ncols=_legend_columns(labels))


def _legend_rows(labels: Sequence[str]) -> int:
    return math.ceil(len(labels) / _legend_columns(labels))


def _legend_columns(labels: Sequence[str]) -> int:
    lengths = sorted((len(label) for label in labels), reverse=True)
    return next((count for count in (3, 2) if sum(lengths[:count]) + 4 * count <= LEGEND_LETTERS), 1)
