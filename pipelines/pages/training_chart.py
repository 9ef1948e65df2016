"""The chart of a training: losses by step, and the steps whose weights were kept."""

import math
from collections.abc import Mapping

from pipelines.methods.methods_table import METHODS
from pipelines.pages.charts import CURVE_HEIGHT, ORANGE, Chart, Curve, Panel, curves_chart, look
from pipelines.pages.phrasing import full_name
from wordless.training import TrainingRecord

_LOSSES = {
    "autoencoder": "squared error per value",
    "code_decoder": "absolute error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **{name: method.loss for name, method in METHODS.items() if method.training},
}


def training_chart(
    of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None, *, loss: str = "loss"
) -> Chart:
    """Draw training and validation loss by step, a line for each fold, and the steps whose weights were kept."""
    curves, width = [], 1.8 if len(records) == 1 else 0.9
    looks = {"training": look(ORANGE, line="--", width=width), "validation": look(line="-", width=width)}
    for index, record in enumerate(records.values()):
        points = {
            "training": [(row["step"], row["train_loss"]) for row in record["curve"]],
            "validation": [(row["step"], row["validation_loss"]) for row in record["curve"]],
        }
        points["kept"] = [point for point in points["validation"] if point[0] == record["kept_step"]]
        for label, each in (looks | {"kept": look(marker="o", size=5)}).items():
            curves.append(Curve(points=points[label], look=each, label="" if index else label))
    level = ("code frequencies alone", math.log(unigram_perplexity)) if unigram_perplexity else None
    panel = Panel(title=_LOSSES.get(of, loss), curves=curves, across="step", level=level)
    title = f"Training curves of the {full_name(of)}"
    return curves_chart([panel], name=f"curve_{of}", title=title, height=CURVE_HEIGHT)
