"""The charts of a report without sound: which chart shows which part of ``results.json``."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup

from pipelines.methods.table import METHODS
from pipelines.pages.charts import BLUE, GREEN, ORANGE, Look, Panel, Series, curve_chart
from pipelines.pages.comparison_charts import comparison_charts
from pipelines.pages.phrasing import full_name
from pipelines.results.run_record import Results
from wordless.training.record import TrainingRecord

LOSSES = {
    "autoencoder": "squared error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **dict.fromkeys(("wavenet", "wavenet_large", "transformer", "transformer_context"), "nats per sample"),
    **{name: method.training.loss for name, method in METHODS.items() if method.training},
}
HEIGHT = 215  # CSS pixels
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same


def report_charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Draw the charts of a report without sound, each under the name that its template uses."""
    for name, record in results.get("curves", {}).items():
        unigram = results["figures"].value("lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        # The uses of each code, from the most to the least frequent.
        ranked = np.sort(np.asarray(results["codebook"]["counts"], dtype=np.int64))[::-1]
        shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
        uses = {"places": (shown + 1).tolist(), "values": ranked[shown].tolist()}
        panel = Panel(
            title=f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead",
            series=[Series(look=Look(colour=BLUE), shape="area", **uses)],
            across="codes, the most frequent first",
            levels={"equal use of all codes": float(ranked.sum() / max(len(ranked), 1))},
            from_zero=True,
        )
        yield "usage", curve_chart([panel], name="usage", title=f"Histogram of the {panel.title}", height=HEIGHT)
        if "kmeans" in results["codebook"]:
            objective = results["codebook"]["kmeans"]["objective"]
            look = Look(colour=GREEN, dashes="-", marker="o", size=3)
            series = Series(look=look, places=range(1, len(objective) + 1), values=objective)
            mean = "mean squared distance to the nearest centroid"
            panel, title = (
                Panel(title=mean, series=[series], across="iteration"),
                f"k-means over {len(objective)} iterations",
            )
            yield "kmeans", curve_chart([panel], name="kmeans", title=title, height=HEIGHT)
    if samples := results.get("next_sample"):
        for name, records in samples["trainings"].items():
            yield f"curve_next_sample_{name}", training_chart(name, records)
    if comparison := results.get("comparison"):
        yield from comparison_charts(comparison)


def training_chart(of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None) -> Markup:
    """Draw training and validation loss by step, a line for each fold, and the steps whose weights were kept."""
    width = 1.8 if len(records) == 1 else 0.9
    looks = {
        "training": Look(colour=ORANGE, dashes="--", width=width),
        "validation": Look(dashes="-", width=width),
        "kept": Look(marker="o", size=5),
    }
    series: list[Series] = []
    for record in records.values():
        for label, look in looks.items():
            rows = [row for row in record["curve"] if label != "kept" or row["step"] == record["kept_step"]]
            values = [row["train_loss" if label == "training" else "validation_loss"] for row in rows]
            label = label if len(series) < len(looks) else ""
            series.append(Series(label=label, look=look, places=[row["step"] for row in rows], values=values))
    levels = {"code frequencies alone": math.log(unigram_perplexity)} if unigram_perplexity else {}
    panel = Panel(title=LOSSES.get(of, "loss"), series=series, across="step", levels=levels)
    return curve_chart([panel], name=f"training-{of}", title=f"Training curves of the {full_name(of)}", height=HEIGHT)
