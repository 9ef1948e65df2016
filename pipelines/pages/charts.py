"""The helpers of all charts: dots with intervals, curves and spectrograms.

A chart is a function that is `styled`: it fills a figure of matplotlib and returns it as a `Chart`. On a page a chart
is inline SVG whose colours are variables, for light and dark pages. Text stays text, in the page's font. The folder
``charts`` beside the page has each chart as SVG and PDF, for papers.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pipelines.pages.phrasing import number, percent
from pipelines.results.run_record import Row
from wordless.base.files import write_aside

P = ParamSpec("P")
R = TypeVar("R")
Look = dict[str, Any]  # arguments of matplotlib's `plot`
Interval = Literal["", "band", "bars", "area"]  # area: from 0 to the values, without a line
CHARTS = "charts"  # folder beside a page
WIDTH = 340.0  # CSS pixels
FONT_SIZE = 10.5  # CSS pixels
CURVE_HEIGHT = 215  # CSS pixels, of a chart of curves
LEGEND_LETTERS = 46  # that fit beside each other
LEGEND_ROW = 15.75  # CSS pixels
LEGEND_ROWS = 3  # for which a chart of curves has room; each other row makes it higher
SHADES = 48  # of a colour map; more cannot be told apart and make the page larger
# Colours of the light page, with the variables of the page that take their place.
VARIABLES = {
    "#1c1f23": "ink",
    "#5a6068": "muted",
    "#dedbd3": "line",
    "#00558c": "blue",
    "#b84e00": "orange",
    "#009a70": "green",
    "#ffffff": "card",
}
INK, MUTED, GRID, BLUE, ORANGE, GREEN, PAPER = VARIABLES
SERIES = tuple(zip((BLUE, ORANGE, GREEN, INK, MUTED), ("o", "s", "D", "^", "v"), strict=True))  # colour and marker
WHITE = "#fefefe"  # over images, which are dark on every page
_STYLE: dict[str, Any] = {
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
        # As `matplotlib.style.context`, whose import reads thirty files of styles, in every command.
        with matplotlib.rc_context(), warnings.catch_warnings():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(cast(Any, _STYLE))  # each key has a type since matplotlib 3.11
            # The browser draws the text, so matplotlib's own font need not have its letters.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return draw(*args, **kwargs)

    return drawn


def sheet(height: float, width: float = WIDTH) -> Figure:
    figure = Figure(figsize=(width / 72, height / 72))
    FigureCanvasSVG(figure)  # whose text is measured without the hints of a screen
    return figure


@dataclass(frozen=True, kw_only=True, eq=False)
class Chart:
    """A drawing: an element of a page, and files of its own."""

    figure: Figure
    name: str  # unique on the page; equal names and equal data give equal bytes
    description: str  # for screen readers
    scrolls: bool = False  # keeps its size, so that its text can be read, and is wider than a phone

    @cached_property
    def svg(self) -> bytes:
        """The drawing as a file; its text stays text, in DejaVu Sans or another font without serifs."""
        return self._saved("svg", ("Date", "Creator", "Format", "Type"))

    @property
    def pdf(self) -> bytes:
        """The drawing as a file that holds its fonts, as TrueType, which journals ask for."""
        return self._saved("pdf", ("Creator", "Producer", "CreationDate"))

    @styled
    def _saved(self, form: str, unnamed: Sequence[str]) -> bytes:
        """Write the drawing without names of programs and times, so that equal charts are equal bytes."""
        written = io.BytesIO()
        with matplotlib.rc_context(
            {"svg.hashsalt": self.name, "pdf.fonttype": 42, "figure.constrained_layout.use": False}
        ):
            if layout := self.figure.get_layout_engine():
                layout.execute(self.figure)
                self.figure.set_layout_engine(None)  # or `savefig` draws all that is in the figure twice
            self.figure.savefig(written, format=form, metadata=dict.fromkeys(unnamed))
        return written.getvalue()

    def __html__(self) -> Markup:
        text = self.svg.decode()
        # Identifiers that nothing refers to are those of other charts of the page, too.
        unneeded = r'<style.*?</style>| id="(?![a-zC][0-9a-f]{10}")[^"]*"|(?<=>)\s+(?=<)'
        body = re.sub(unneeded, "", text[text.index("<svg") :].strip(), flags=re.DOTALL)
        for colour, variable in VARIABLES.items():
            body = body.replace(f": {colour}", f": var(--{variable}, {colour})")
        shown = Markup(' class="chart" role="img" aria-label="{}"').format(self.description)
        drawn = Markup(re.sub(r' width="[^"]*" height="[^"]*"', lambda _: shown, body, count=1))  # all text is escaped
        if not self.scrolls:
            return drawn
        region = '<div class="scrolled" role="region" tabindex="0" aria-label="{}"><div style="width: {:.0f}px">'
        width = self.figure.get_figwidth() * 72
        return Markup(region).format(self.description, width) + drawn + Markup("</div></div>")


def write_charts(beside: Path, charts: Iterable[Chart]) -> None:
    """Write charts as SVG and PDF into the folder ``charts`` beside a page, without those of an earlier page."""
    folder, written = beside / CHARTS, set[Path]()
    for chart in charts:
        folder.mkdir(exist_ok=True)
        for path, content in ((folder / f"{chart.name}.svg", chart.svg), (folder / f"{chart.name}.pdf", chart.pdf)):
            write_aside(path, content)
            written.add(path)
    for earlier in {*folder.glob("*.svg"), *folder.glob("*.pdf")} - written:
        earlier.unlink()


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
    """Describe a series by arguments of `plot`; sizes are CSS pixels."""
    dots = {"marker": marker, "markersize": size, "markerfacecolor": colour if filled else PAPER}
    return {"color": colour, "linestyle": line, "linewidth": width, "alpha": alpha, **dots}


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Rows of the results, or values, at their places: steps, options, or rows of a chart from the top."""

    points: Iterable[tuple[float, Row | float | None]]  # None: nothing is there
    look: Look
    label: str = ""  # in the legend
    interval: Interval = ""

    def draw(self, axes: Axes, *, across: bool = False) -> None:
        """Draw the curve; ``across``: values go from left to right."""
        found = [
            (place, row.value, row.low, row.high) if isinstance(row, Row) else (place, row, None, None)
            for place, row in self.points
            if row is not None
        ]
        if not found:
            return
        places, values, low, high = np.array(found, float).T
        colour, width = self.look["color"], self.look["linewidth"]
        if self.interval == "area":
            axes.fill_between(places, values, step="mid", color=colour, linewidth=0)
            return
        if self.interval and np.isfinite(low).any():
            if across:
                axes.hlines(places, low, high, color=colour, linewidth=width)
            elif self.interval == "bars":
                axes.vlines(places, low, high, color=colour, linewidth=1, alpha=0.45)
            else:
                axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
        first, second = (values, places) if across else (places, values)
        (line,) = axes.plot(first, second, label=self.label or None, **self.look)
        line.set_clip_on(False)  # a marker at 100 % is whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    title: str
    curves: Sequence[Curve]
    across: str = ""
    ticks: Mapping[float, str] | None = None  # None: matplotlib chooses them
    ratios: bool = False
    level: tuple[str, float] | None = None  # a horizontal line with its name
    from_zero: bool = False
    marked: float | None = None  # place of a vertical line


def write_percent(axis: Axis) -> None:
    """Write the ticks of an axis of ratios in percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_major_locator(MaxNLocator(4))


@styled
def rows_chart(
    names: Sequence[str],
    curves: Sequence[Curve],
    *,
    name: str,
    title: str,
    across: str,
    row: float = 21.0,
    marked: int | None = None,
    level: tuple[str, float] | None = None,
) -> Chart:
    """Draw ratios in rows of ``row`` CSS pixels. ``marked`` is a row; ``level`` a vertical line with its name."""
    figure = sheet(110 + row * len(names))
    axes, first = figure.subplots(), dict[int, float]()
    for curve in curves:
        curve.draw(axes, across=True)
    for line in axes.get_lines():
        for value, place in np.asarray(line.get_xydata()) if not str(line.get_label()).startswith("_") else ():
            first.setdefault(round(place), value)
    if level:
        low, high = axes.get_xlim()
        # The legend alone where the line would squeeze all intervals to the edge.
        axes.axvline(level[1] if level[1] > low - (high - low) / 2 else math.nan, color=MUTED, ls=":", label=level[0])
    axes.set_yticks(range(len(names)), [shortened(each, 24) for each in names], color=INK)
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
    listed = "; ".join(f"{each} {percent(first[place])}" for place, each in enumerate(names) if place in first)
    return Chart(figure=figure, name=name, description=f"{title}. {listed}")


@styled
def curves_chart(
    panels: Sequence[Panel], *, name: str, title: str, height: float, columns: int = 1, log: bool = False
) -> Chart:
    """Draw panels of curves; the description has the ends of each curve.

    In one column each panel has its legend, which may make the chart higher. Several columns share values and legend.
    """
    rows, listed, more_rows = -(-len(panels) // columns), list[str](), 0
    figure = sheet(height)
    places = iter(figure.subplots(rows, columns, squeeze=False, sharex=columns == 1, sharey=columns > 1).flat)
    for panel, axes in zip(panels, places, strict=False):
        for curve in panel.curves:
            curve.draw(axes)
        if log:
            axes.set_xscale("log")
        _finish(axes, panel, legend=columns == 1)
        written = percent if panel.ratios else number
        for line in axes.get_lines():
            values, label = np.asarray(line.get_ydata(), float), str(line.get_label())
            if len(values) > 1 and not label.startswith("_"):
                listed.append(f"{panel.title}, {label}: {written(values[0])} to {written(values[-1])}")
        if axes.get_legend():
            more_rows += max(_legend_rows(axes.get_legend_handles_labels()[1]) - LEGEND_ROWS, 0)
    for axes in places:
        axes.remove()
    for panel, axes in zip(panels, figure.axes, strict=True):  # axes that share their values have all data by now
        if panel.ratios:
            _end_at_100_percent(axes.yaxis)
    figure.set_figheight((height + more_rows * LEGEND_ROW) / 72)
    if columns > 1:
        _write_legend_above(figure)
    return Chart(figure=figure, name=name, description=f"{title}. {'; '.join(listed)}")


def _finish(axes: Axes, panel: Panel, *, legend: bool) -> None:
    if panel.level:
        axes.axhline(panel.level[1], color=MUTED, linestyle=":", label=panel.level[0])
    if panel.marked is not None:
        axes.axvline(panel.marked, color=MUTED, linestyle=":", linewidth=1, zorder=0)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    labels = axes.get_legend_handles_labels()[1] if legend else []
    if labels:  # between title and panel
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=_legend_columns(labels))
    axes.set_title(panel.title, pad=8 + LEGEND_ROW * _legend_rows(labels))
    if panel.ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        letters = sum(max(map(len, tick.split("\n"))) for tick in panel.ticks.values())
        axes.tick_params(axis="x", labelrotation=30 if letters > LEGEND_LETTERS else 0)
    if panel.ratios:
        write_percent(axes.yaxis)
    axes.set_xlabel(panel.across)
    axes.grid(axis="y")


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    title: str
    values: npt.NDArray[np.generic]  # (time, bands)
    seconds: float
    limits: tuple[float, float]  # values of the darkest and the brightest colour
    colours: str = "magma"
    kilohertz: float | None = None  # at the upper edge; None: the axis has no ticks, or these:
    ticks: Mapping[float, str] = field(default_factory=dict)  # places among the bands -> kHz
    marks: tuple[float, ...] = ()  # seconds, that lines mark
    height: float = 1.0  # relative to the other rows


def log_mel_pictures(
    rows: Mapping[str, npt.NDArray[Any]], *, seconds: float, height: float, ticks: Mapping[float, str] | None = None
) -> list[Picture]:
    """Return log-mel spectrograms ``(time, mels)`` by their titles, in one colour scale: that of the first."""
    low, high = (float(value) for value in np.quantile(next(iter(rows.values())), [0.01, 0.99]))
    shared: dict[str, Any] = {"seconds": seconds, "limits": (low, high), "height": height, "ticks": ticks or {}}
    return [Picture(title=title, values=values, **shared) for title, values in rows.items()]


def code_picture(codes: npt.NDArray[Any], *, seconds: float, largest: int, height: float) -> Picture:
    """Return a picture of codes ``(time, streams)``, of which ``largest`` may be the last code."""
    title, limits = "codes, from the quietest (dark) to the loudest (bright)", (0, largest)
    return Picture(title=title, values=codes, seconds=seconds, limits=limits, colours="cividis", height=height)


@styled
def spectrogram_chart(
    pictures: Sequence[Picture], *, name: str, title: str, height: float, least_seconds: float = 0.0
) -> Chart:
    """Draw spectrograms below each other, on one axis of at least so much time."""
    figure = sheet(height)
    draw_pictures(figure, pictures, least_seconds=least_seconds)
    titles = ", ".join(each.title for each in pictures if each.title)
    return Chart(figure=figure, name=name, description=": ".join(filter(None, (title, titles))))


def draw_pictures(
    figure: Figure,
    pictures: Sequence[Picture],
    below: Callable[[Axes], None] | None = None,
    *,
    least_seconds: float = 0.0,
) -> None:
    """Draw spectrograms below each other into an empty figure; ``below`` draws one more row."""
    heights = [*(picture.height for picture in pictures), *([3.0] if below else [])]
    rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, picture in zip(rows, pictures, strict=False):
        shades, colours = matplotlib.colormaps[picture.colours].resampled(SHADES), Normalize(*picture.limits)
        extent = (0.0, picture.seconds, 0.0, picture.kilohertz or picture.values.shape[1])
        how: Look = {"aspect": "auto", "interpolation": "none", "origin": "lower", "extent": extent}
        axes.imshow(picture.values.T, shades, colours, **how)
        for seconds in picture.marks:
            axes.axvline(seconds, color=WHITE, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_title(picture.title)
        if picture.ticks:
            axes.set_yticks([*picture.ticks], [*picture.ticks.values()])
        ticks = bool(picture.kilohertz or picture.ticks)
        axes.set_ylabel("kHz" if ticks else "")
        axes.tick_params(axis="y", left=ticks, labelleft=ticks)
        axes.tick_params(axis="x", bottom=axes is rows[-1])
        axes.spines[:].set_visible(False)
    if below:
        below(rows[-1])
    rows[-1].set_xlim(0, max(least_seconds, *(picture.seconds for picture in pictures)))
    rows[-1].set_xlabel("seconds")


def _end_at_100_percent(axis: Axis) -> None:
    """End an axis of ratios at 100 %, which no ratio exceeds."""
    low, high = axis.get_view_interval()
    if low < 1 < high:
        axis.set_view_interval(low, 1.0, ignore=True)


def _write_legend_above(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles=handles, loc="outside upper left", ncols=_legend_columns(labels))


def _legend_rows(labels: Sequence[str]) -> int:
    return math.ceil(len(labels) / _legend_columns(labels))


def _legend_columns(labels: Sequence[str]) -> int:
    lengths = sorted(map(len, labels), reverse=True)
    return next((count for count in (3, 2) if sum(lengths[:count]) + 4 * count <= LEGEND_LETTERS), 1)
