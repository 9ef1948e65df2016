"""How many test clips are recognised in each run of a sweep: in WaveNet's sound, without learning, and as recorded."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from pipelines.pages.charts import BLUE, INK, MUTED, PAPER, Drawing, chart, legend_above, shortened
from pipelines.pages.phrasing import full_name, percent
from pipelines.pages.probe_charts import percent_ticks
from pipelines.pages.sweep_points import RECOGNISED, Point
from pipelines.pages.sweep_words import Naming

ROW_HEIGHT = 21  # CSS pixels
LETTERS = 24  # of a run's name
MARKERS = {"wavenet": "D", "griffin_lim": "o", "noise_vocoder": "x", "original": "|"}
COLOURS = {"wavenet": BLUE, "griffin_lim": MUTED, "noise_vocoder": MUTED, "original": INK}


def recognition_chart(points: Sequence[Point], naming: Naming) -> Markup:
    """A row for each run: WaveNet with its interval, Griffin-Lim and noise from the same codes, and the recordings."""
    rows = list(points)[::-1]

    def draw(axes: Axes) -> None:
        for of, marker in MARKERS.items():
            found = {place: point.estimate("vocoder", "label_accuracy", of) for place, point in enumerate(rows)}
            known = {place: each for place, each in found.items() if each is not None}
            if of == "wavenet":
                lows, highs = ([getattr(each, end) for each in known.values()] for end in ("low", "high"))
                axes.hlines(list(known), lows, highs, COLOURS[of])
            if not known:  # runs of an older version have no noise vocoder
                continue
            values = [each.value for each in known.values()]
            (drawn,) = axes.plot(values, list(known), marker, color=COLOURS[of], label=full_name(of), markersize=6)
            drawn.set_markerfacecolor(BLUE if of == "wavenet" else PAPER)
        axes.set_yticks(range(len(rows)), [shortened(naming.values(point), LETTERS) for point in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        percent_ticks(axes.xaxis)
        axes.grid(axis="x")
        axes.set_xlabel("test clips recognised")
        legend_above(axes, columns=2)

    told = "; ".join(f"{naming.values(point)} {percent(point.value(*RECOGNISED))}" for point in points)
    description = f"Share of test clips that a classifier of recordings recognises from WaveNet's sound: {told}"
    return chart(Drawing(name="recognition", description=description, height=110 + ROW_HEIGHT * len(rows)), draw)
