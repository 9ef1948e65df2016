"""Charts of linear probes: every representation with its interval, and the layers of the GPT."""

import re
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipelines.charts import BLUE, INK, MUTED, ORANGE, PAPER, Drawing, chart, legend_above, shortened
from pipelines.phrasing import full_name, percent
from pipelines.run_record import ProbeRow

ROW_HEIGHT = 21  # CSS pixels
LAYER = re.compile(r"gpt/layer_(\d+)")
# family -> (legend, colour, face, marker): told apart by shape and filling as well as by colour
FAMILIES = {
    "chosen": ("GPT, chosen on validation", BLUE, BLUE, "D"),
    "gpt": ("GPT", BLUE, PAPER, "o"),
    "baseline": ("baseline", ORANGE, PAPER, "s"),
}


def ranked(probes: Sequence[ProbeRow]) -> list[ProbeRow]:
    """From the best to the worst on test, equals by name."""
    return sorted(probes, key=lambda row: (-row["test_accuracy"], row["of"]))


def family(of: str) -> str:
    """The GPT's chosen representation, another one of it, or a baseline."""
    return "chosen" if of == "gpt" else "gpt" if of.startswith("gpt/") else "baseline"


def chance(truth: Sequence[str]) -> float | None:
    """Accuracy of always answering with the most frequent class."""
    return max(Counter(truth).values()) / len(truth) if truth else None


def accuracy_intervals(probes: Sequence[ProbeRow], truth: Sequence[str]) -> Markup:
    """Test accuracy of each representation as a point with its interval, best on top."""
    rows = ranked(probes)[::-1]

    def draw(axes: Axes) -> None:
        for kind, (legend, colour, face, marker) in FAMILIES.items():
            places = [place for place, row in enumerate(rows) if family(row["of"]) == kind]
            mine = [rows[place] for place in places]
            if mine:
                axes.hlines(places, [row["low"] for row in mine], [row["high"] for row in mine], color=colour)
                accuracies = [row["test_accuracy"] for row in mine]
                points = axes.plot(accuracies, places, marker, label=legend, color=colour, markeredgewidth=1.8)
                points[0].set_markerfacecolor(face)
        if level := chance(truth):
            _draw_chance(axes, level, rows)
        axes.set_yticks(range(len(rows)), [shortened(full_name(row["of"])) for row in rows], color=INK)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x")
        axes.set_xlabel("test accuracy")
        legend_above(axes)

    best = f"best: {full_name(rows[-1]['of'])}, {percent(rows[-1]['test_accuracy'])}" if rows else "none"
    description = f"Test accuracy of linear probes on {len(rows)} representations with intervals; {best}"
    return chart(Drawing(name="probes", description=description, height=100 + ROW_HEIGHT * len(rows)), draw)


def _draw_chance(axes: Axes, level: float, rows: Sequence[ProbeRow]) -> None:
    """A line where guessing stands; only its figure where the line would squeeze all intervals to the edge."""
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    if level > low - 2 * (high - low):
        axes.axvline(level, color=MUTED, linestyle=":", label="most frequent class")
    else:
        axes.plot([], [], color=MUTED, linestyle=":", label=f"guessing: {percent(level)}")


def layers(probes: Sequence[ProbeRow]) -> list[tuple[int, ProbeRow]]:
    """The probes of single layers of the GPT, in order."""
    found = ((LAYER.fullmatch(row["of"]), row) for row in probes)
    return sorted(((int(match[1]), row) for match, row in found if match), key=lambda pair: pair[0])


def layer_curve(probes: Sequence[ProbeRow]) -> Markup:
    """Accuracy by layer of the GPT, on validation (which chooses) and on test, beside the bag of codes."""
    pairs = layers(probes)
    numbers, rows = [number for number, _ in pairs], [row for _, row in pairs]
    bag = next((row["test_accuracy"] for row in probes if row["of"] == "bag_of_codes"), None)

    def draw(axes: Axes) -> None:
        low, high = [row["low"] for row in rows], [row["high"] for row in rows]
        axes.fill_between(numbers, low, high, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(numbers, [row["test_accuracy"] for row in rows], color=BLUE, marker="o", markersize=4, label="test")
        validation = [row["validation_accuracy"] for row in rows]
        axes.plot(numbers, validation, color=MUTED, linestyle="--", marker="x", markersize=4, label="validation")
        if bag is not None:
            axes.axhline(bag, color=ORANGE, linestyle=":", label="bag of codes, test")
        axes.set_title("accuracy")
        axes.set_xlabel("layer of the GPT")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axes.grid(axis="y")
        legend_above(axes)

    told = ", ".join(f"layer {number} {percent(row['test_accuracy'])}" for number, row in pairs)
    return chart(Drawing(name="layers", description=f"Test accuracy by layer of the GPT: {told}", height=230), draw)
