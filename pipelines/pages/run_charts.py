"""The charts of a report without sound: which chart shows which part of ``results.json``."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from pipelines.methods.table import METHODS
from pipelines.pages.charts import Look, Panel, Series, curve_chart
from pipelines.pages.comparison_charts import comparison_charts
from pipelines.pages.phrasing import full_name
from pipelines.pages.svg import BLUE, GREEN, ORANGE
from pipelines.results.run_record import Results
from wordless.training.record import TrainingRecord

LOSSES = {
    "autoencoder": "squared error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **dict.fromkeys(("wavenet", "wavenet_large", "transformer", "transformer_context"), "nats per sample"),
    **{name: method.training.loss for name, method in METHODS.items() if method.training},
}
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same
HEIGHT = 215  # CSS pixels


def report_charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Draw the charts of a report, each under the name that its template uses."""
    for name, record in results.get("curves", {}).items():
        unigram = results["figures"].value("lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        yield "usage", _code_usage(results["codebook"]["counts"])
        if "kmeans" in results["codebook"]:
            yield "kmeans", _kmeans_objective(results["codebook"]["kmeans"]["objective"])
    if samples := results.get("next_sample"):
        for name, records in samples["trainings"].items():
            yield f"curve_next_sample_{name}", training_chart(name, records)
    if comparison := results.get("comparison"):
        yield from comparison_charts(comparison)


def fold_trainings(results: Results) -> Iterator[tuple[str, Markup]]:
    """Draw the trainings of the methods that have no other place on the page."""
    comparison = results.get("comparison")
    for of, records in comparison.trainings.items() if comparison else ():
        if of not in results.get("curves", {}):
            yield of, training_chart(of, records)


def training_chart(of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None) -> Markup:
    """Draw training and validation loss by step, a line for each fold, and the steps whose weights were kept."""
    width = 1.8 if len(records) == 1 else 0.9
    series: list[Series] = []
    for place, record in enumerate(records.values()):
        curve, kept = record["curve"], [row for row in record["curve"] if row["step"] == record["kept_step"]]
        steps, labelled = [row["step"] for row in curve], place == 0
        for label, look, places, values in (
            ("training", Look(colour=ORANGE, dashes="--", width=width), steps, [row["train_loss"] for row in curve]),
            ("validation", Look(dashes="-", width=width), steps, [row["validation_loss"] for row in curve]),
            ("kept", Look(marker="o", size=5), [row["step"] for row in kept], [row["validation_loss"] for row in kept]),
        ):
            series.append(Series(label=label if labelled else "", look=look, places=places, values=values))
    levels = {"code frequencies alone": math.log(unigram_perplexity)} if unigram_perplexity else {}
    panel = Panel(title=LOSSES.get(of, "loss"), series=series, across="step", levels=levels)
    return curve_chart([panel], name=f"training-{of}", title=f"Training curves of the {full_name(of)}", height=HEIGHT)


def _kmeans_objective(objective: Sequence[float]) -> Markup:
    look, steps = Look(colour=GREEN, dashes="-", marker="o", size=3), range(1, len(objective) + 1)
    title = "mean squared distance to the nearest centroid"
    panel = Panel(title=title, series=[Series(look=look, places=steps, values=objective)], across="iteration")
    return curve_chart([panel], name="kmeans", title=f"k-means over {len(objective)} iterations", height=HEIGHT)


def _code_usage(counts: Sequence[int]) -> Markup:
    """Draw the uses of each code, from the most to the least frequent."""
    ranked = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
    series = Series(look=Look(colour=BLUE), places=(shown + 1).tolist(), values=ranked[shown].tolist(), shape="area")
    title = f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead"
    levels = {"equal use of all codes": float(ranked.sum() / max(len(ranked), 1))}
    panel = Panel(title=title, series=[series], across="codes, the most frequent first", levels=levels, from_zero=True)
    return curve_chart([panel], name="usage", title=f"Histogram of the {title}", height=HEIGHT)
