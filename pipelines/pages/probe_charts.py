"""What the charts of probes share, and the layers of each method."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.methods.method import Kind
from pipelines.methods.table import ROWS, kind_of
from pipelines.pages.charts import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, Drawing, figure_chart
from pipelines.pages.phrasing import full_name, metric_of, percent
from pipelines.results.comparison_record import ComparisonRecord, LayerRow
from pipelines.store.stored_features import GPT

NUMBER = re.compile(r"_(\d+)$")
PANEL_HEIGHT = 125  # CSS pixels
MAX_PANELS = 8


@dataclass(frozen=True, kw_only=True)
class Line:
    """How a method is drawn beside others."""

    colour: str
    face: str
    marker: str
    dashes: str


COLOURS: dict[Kind, str] = {
    "codes": BLUE,
    "self_supervised": GREEN,
    "supervised": ORANGE,
    "signal": MUTED,
    "untrained": MUTED,
    "own": INK,
}


def line_of(row: str) -> Line:
    """How a row of the comparison is drawn."""
    colour, line = COLOURS[kind_of(row)], ROWS[row].line
    return Line(colour=colour, face=colour if line.filled else PAPER, marker=line.marker, dashes=line.dashes)


def percent_ticks(axis: Axis, count: int = 4) -> None:
    """Few ticks, in percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axis.set_major_locator(MaxNLocator(count))


def layered(comparison: ComparisonRecord) -> list[str]:
    """The methods with several layers, the GPT first, then as they rank; two kinds of log-mel are no layers."""
    layers = comparison.get("layers", {})
    names = [
        row["of"]
        for row in comparison["methods"]
        if len(layers.get(row["of"], [])) > 1 and any(NUMBER.search(each["of"]) for each in layers[row["of"]])
    ]
    return sorted(names, key=lambda of: of != GPT)[:MAX_PANELS]


def in_order(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """Numbered layers by number, then what is made of several."""
    numbers = [NUMBER.search(row["of"]) for row in rows]
    places = [(int(found[1]) if found else len(rows) + 1000, row) for found, row in zip(numbers, rows, strict=True)]
    return [row for _, row in sorted(places, key=lambda pair: pair[0])]


def layer_curves(comparison: ComparisonRecord) -> Markup:
    """By layer of each method, on validation (which chooses) and on test; all panels to one scale."""
    names = layered(comparison)
    columns = min(2, len(names))

    def draw(figure: Figure) -> None:
        panels = list(figure.subplots(-(-len(names) // columns), columns, sharey=True, squeeze=False).flat)
        for axes, of in zip(panels, names, strict=False):
            _draw_layers(axes, in_order(comparison["layers"][of]), title=full_name(of))
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        handles = figure.axes[0].get_legend_handles_labels()[0]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, labelcolor=INK)

    best = [max(comparison["layers"][of], key=lambda row: row["validation"]) for of in names]
    told = "; ".join(f"{full_name(row['of'])} {percent(row['test'])}" for row in best)
    description = f"Test {metric_of(comparison)} by layer; best on validation: {told}"
    height = 60 + PANEL_HEIGHT * -(-len(names) // columns)
    return figure_chart(Drawing(name="layers", description=description, height=height), draw)


def _draw_layers(axes: Axes, rows: Sequence[LayerRow], *, title: str) -> None:
    """One method; the layer that is best on validation is filled."""
    places = range(len(rows))
    test, validation = [row["test"] for row in rows], [row["validation"] for row in rows]
    axes.plot(places, validation, color=MUTED, linestyle="--", marker="x", markersize=4, label="validation")
    points = axes.plot(places, test, color=BLUE, marker="o", markersize=4.5, label="test")
    points[0].set_markerfacecolor(PAPER)
    best = max(places, key=lambda place: validation[place])
    axes.plot([best], [test[best]], "o", color=BLUE, markersize=6, label="test, best on validation")
    axes.set_title(title, color=INK)
    axes.set_xticks(places, [_short(row["of"]) for row in rows], fontsize=9)
    axes.set_xlim(-0.4, len(rows) - 0.6)
    percent_ticks(axes.yaxis, 3)
    axes.grid(axis="y")


def _short(of: str) -> str:
    """A layer below its axis."""
    found = NUMBER.search(of)
    return found[1] if found else of.rpartition("/")[2].partition("_")[0][:6]
