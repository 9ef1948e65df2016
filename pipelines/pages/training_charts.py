"""Charts of training: loss curves, the objective of k-means, and how often each code is used."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipelines.pages.charts import BLUE, GREEN, MUTED, ORANGE, Drawing, chart, legend_above
from pipelines.pages.phrasing import full_name, number
from pipelines.results.training_record import TrainingRecord

LOSSES = {"autoencoder": "squared error per value", "lm": "nats per code", "vocoder": "nats per sample"}
MAX_CODES_DRAWN = 1024  # a larger codebook's outline looks the same


def training_curve(name: str, record: TrainingRecord, unigram_perplexity: float | None = None) -> Markup:
    """Training and validation loss by step, the step that was kept, and the loss of code frequencies alone."""
    steps = [point["step"] for point in record["curve"]]
    training = [point["train_loss"] for point in record["curve"]]
    validation = [point["validation_loss"] for point in record["curve"]]
    last = f"validation loss {number(validation[-1])} {LOSSES.get(name, '')}" if validation else "no point"

    def draw(axes: Axes) -> None:
        axes.plot(steps, training, color=ORANGE, linestyle="--", label="training")
        axes.plot(steps, validation, color=BLUE, label="validation")
        if record["kept_step"] in steps:
            kept = validation[steps.index(record["kept_step"])]
            axes.plot([record["kept_step"]], [kept], "o", color=BLUE, markersize=6, label="kept")
        if unigram_perplexity:
            axes.axhline(math.log(unigram_perplexity), color=MUTED, linestyle=":", label="frequencies alone")
        axes.set_title(LOSSES.get(name, "loss"))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        legend_above(axes)

    description = f"Training curve of the {full_name(name)}: {last} after {record['steps']} steps"
    return chart(Drawing(name=f"curve-{name}", description=description, height=230), draw)


def kmeans_objective(objective: Sequence[float]) -> Markup:
    """Mean squared distance to the nearest centroid by iteration."""

    def draw(axes: Axes) -> None:
        axes.plot(range(1, len(objective) + 1), objective, color=GREEN, marker="o", markersize=3)
        axes.set_title("mean squared distance to the nearest centroid")
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")

    ends = f"from {number(objective[0])} to {number(objective[-1])}" if objective else "unknown"
    description = f"k-means objective over {len(objective)} iterations, {ends}"
    return chart(Drawing(name="kmeans", description=description, height=230), draw)


def code_usage(counts: Sequence[int]) -> Markup:
    """Uses of each code, from the most to the least frequent, beside a codebook that is used evenly."""
    ranked = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    drawn = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES_DRAWN)).astype(np.int64))
    dead = int((ranked == 0).sum())

    def draw(axes: Axes) -> None:
        axes.fill_between(drawn + 1, ranked[drawn], step="mid", color=BLUE, linewidth=0)
        axes.axhline(ranked.sum() / max(len(ranked), 1), color=MUTED, linestyle="--", label="if all were used evenly")
        axes.set_title(f"uses of each code; {dead} of {len(ranked)} are dead")
        axes.set_xlabel("code, by frequency")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlim(0.5, len(ranked) + 0.5)
        axes.set_ylim(bottom=0)
        legend_above(axes)

    description = f"Sorted histogram of the uses of {len(ranked)} codes; {dead} are never used"
    return chart(Drawing(name="usage", description=description, height=230), draw)
