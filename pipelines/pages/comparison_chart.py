"""Every method as a point with its interval, the best on top: the comparison at a glance."""

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.pages.charts import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, Drawing, chart, legend_above, shortened
from pipelines.pages.phrasing import full_name, metric_of, percent
from pipelines.pages.probe_charts import percent_ticks
from pipelines.results.comparison_record import ComparisonRecord, MethodRow, fold_noun, guessing, has_folds
from pipelines.store.stored_features import GPT

ROW_HEIGHT = 21  # CSS pixels
TICK = 0.22  # half the height of a fold's tick, in rows


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How the methods of one kind are drawn: told apart by shape and filling as well as by colour."""

    legend: str
    colour: str
    face: str
    marker: str


KINDS = {
    GPT: Kind(legend="GPT", colour=BLUE, face=BLUE, marker="D"),
    "codes": Kind(legend="codes", colour=BLUE, face=PAPER, marker="o"),
    "self_supervised": Kind(legend="self-supervised", colour=GREEN, face=GREEN, marker="s"),
    "supervised": Kind(legend="supervised", colour=ORANGE, face=ORANGE, marker="^"),
    "signal": Kind(legend="signal", colour=MUTED, face=PAPER, marker="s"),
    "untrained": Kind(legend="untrained", colour=MUTED, face=PAPER, marker="X"),
    "own": Kind(legend="own features", colour=INK, face=INK, marker="P"),
    "other": Kind(legend="other", colour=INK, face=PAPER, marker="v"),
}


def kind_of(row: MethodRow) -> str:
    """The GPT for itself, the others by what they are."""
    kind = row.get("kind", "other")
    return GPT if row["of"] == GPT else kind if kind in KINDS else "other"


def comparison_chart(comparison: ComparisonRecord) -> Markup:
    """Points and intervals over test clips, a tick for each fold, and where guessing stands."""
    rows = comparison["methods"][::-1]

    def draw(axes: Axes) -> None:
        for place, row in enumerate(rows):
            if row["of"] == GPT:
                axes.axhspan(place - 0.5, place + 0.5, color=BLUE, alpha=0.12, linewidth=0)
        for kind in KINDS:
            _draw_kind(axes, kind, {place: row for place, row in enumerate(rows) if kind_of(row) == kind})
        if has_folds(comparison):
            _draw_folds(axes, rows, f"one {fold_noun(comparison)}")
        if level := guessing(comparison):
            draw_level(axes, level)
        _name_rows(axes, rows)
        percent_ticks(axes.xaxis)
        axes.grid(axis="x")
        axes.set_xlabel(f"test {metric_of(comparison)}")
        legend_above(axes, columns=3)

    told = "; ".join(f"{full_name(row['of'])} {percent(row['value'])}" for row in comparison["methods"])
    description = (
        f"Test {metric_of(comparison)} of {len(rows)} methods with intervals, the best first: {told or 'none'}"
    )
    return chart(Drawing(name="comparison", description=description, height=110 + ROW_HEIGHT * len(rows)), draw)


def _draw_kind(axes: Axes, kind: str, rows: dict[int, MethodRow]) -> None:
    """Points and intervals of one kind, by place."""
    if not rows:
        return
    look = KINDS[kind]
    axes.hlines(list(rows), [row["low"] for row in rows.values()], [row["high"] for row in rows.values()], look.colour)
    values = [row["value"] for row in rows.values()]
    points = axes.plot(values, list(rows), look.marker, label=look.legend, color=look.colour, markeredgewidth=1.5)
    points[0].set_markerfacecolor(look.face)


def _draw_folds(axes: Axes, rows: list[MethodRow], legend: str) -> None:
    """A tick for each fold of each method."""
    ticks = [(place, value) for place, row in enumerate(rows) for value in row["folds"].values()]
    lows, highs = [place - TICK for place, _ in ticks], [place + TICK for place, _ in ticks]
    axes.vlines([value for _, value in ticks], lows, highs, color=INK, alpha=0.45, linewidth=1.0, zorder=1.5)
    axes.plot([], [], "|", color=INK, alpha=0.45, markersize=8, label=legend)


def draw_level(axes: Axes, level: float) -> None:
    """A line where guessing stands; only its figure where the line would squeeze all intervals to the edge."""
    low, high = axes.get_xlim()
    if level > low - (high - low) / 2:
        axes.axvline(level, color=MUTED, linestyle=":", label=f"guess: {percent(level)}")
    else:
        axes.plot([], [], color=MUTED, linestyle=":", label=f"guess: {percent(level)}")


def _name_rows(axes: Axes, rows: list[MethodRow]) -> None:
    axes.set_yticks(range(len(rows)), [shortened(full_name(row["of"]), 24) for row in rows], color=INK)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["of"] == GPT else "normal")
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="y", length=0)
