"""The charts of a report: which chart shows which part of ``results.json``, and spectrograms of sounds and codes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
from markupsafe import Markup
from matplotlib.mlab import specgram

from pipelines.methods.table import METHODS
from pipelines.pages.charts import BLUE, GREEN, ORANGE, Look, Panel, Picture, Series, curve_chart, spectrogram_chart
from pipelines.pages.comparison_charts import comparison_charts
from pipelines.pages.phrasing import full_name
from pipelines.results.run_record import Pictures, Results
from wordless.training.record import TrainingRecord

if TYPE_CHECKING:
    from pipelines.pages.sounds import Sound

LOSSES = {
    "autoencoder": "squared error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **dict.fromkeys(("wavenet", "wavenet_large", "transformer", "transformer_context"), "nats per sample"),
    **{name: method.training.loss for name, method in METHODS.items() if method.training},
}
HEIGHT = 215  # CSS pixels
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same
MAX_SECONDS = 3.0  # of a sound that are drawn
MAX_COLUMNS = 220  # of a spectrogram; more would not be seen at this width and would make the page larger
WINDOW_SECONDS = 0.032  # resolves the harmonics of a voice, which mel bands blur
RANGE_DB = 70.0  # below the loudest point
MAX_FRAMES = 400  # of a reconstruction
CODES = "codes, from the quietest (dark) to the loudest (bright)"
RECONSTRUCTED = {
    "original": "original",
    "autoencoder": "before quantisation",
    "codebook": "through the codebook",
    "codes": CODES,
}


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


def sound_spectrograms(
    name: str,
    sounds: "Mapping[Path, Sound]",
    *,
    title: str,
    most: float = MAX_SECONDS,
    below_first: Picture | None = None,
) -> Markup:
    """Draw the sounds of a clip, ``most`` seconds of them.

    The loudest point of the first sound, the original, is the brightest. ``below_first`` is a picture below it, such as
    its `code_strip`.
    """
    longest = min(max(soundfile.info(path).duration for path in sounds), most)
    pictures: list[Picture] = []
    for path, sound in sounds.items():
        samples, rate = soundfile.read(path, dtype="float32")
        window = 2 * round(rate * WINDOW_SECONDS / 2)
        hop = max(round(longest * rate / MAX_COLUMNS), 1)
        shown = samples[: round(longest * rate)]
        padded = np.pad(shown, (window // 2, window // 2 + max(window - len(shown), 0)))
        power, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
        levels = 10 * np.log10(np.asarray(power, np.float64).T + 1e-14)  # dB, (time, frequencies)
        loudest = pictures[0].limits[1] if pictures else float(levels.max(initial=-RANGE_DB))
        picture = Picture(
            title=sound.title,
            values=levels,
            seconds=len(shown) / rate,
            limits=(loudest - RANGE_DB, loudest),
            kilohertz=rate / 2000,
            marked=sound.figures.get("prompt_seconds"),  # the GPT goes on
        )
        pictures.append(picture)
    height = 40 + 85 * len(pictures)
    if below_first:
        pictures.insert(1, below_first.beginning(longest))
        height += round(30 + 85 * below_first.height)
    return spectrogram_chart(pictures, name=name, title=f"Spectrograms of {title}", height=height)


def code_strip(codes: npt.NDArray[np.generic], path: Path, largest: int) -> Picture:
    """Return codes ``(time, streams)`` as a strip of colours, as long as the sound that they were encoded from."""
    picture = Picture(title=CODES, values=codes, seconds=soundfile.info(path).duration, limits=(0, largest))
    return replace(picture, colours="cividis", height=0.1 + 0.1 * codes.shape[1])


def reconstruction(number: int, pictures: Pictures, *, seconds: float, largest: int) -> list[Picture]:
    """Return spectrograms of clip ``number`` before and after the tokenizer, and its codes, on one axis of time::

        frames  |   |   |   |   |   |   |   |   |
        codes   |   0   |   1   |   2   |   3   |     2 frames per code

    The clip spans ``seconds``; at most about `MAX_FRAMES` are drawn. The last code may reach beyond the clip's end.
    """
    rows = {kind: pictures[f"{number}:{kind}"] for kind in RECONSTRUCTED}
    whole = max(len(rows["codes"]), 1)
    frames_per_code = max(len(rows["original"]) // whole, 1)
    codes = max(MAX_FRAMES // frames_per_code, 1)
    rows = {kind: values[: codes if kind == "codes" else codes * frames_per_code] for kind, values in rows.items()}
    low, high = (float(value) for value in np.quantile(rows["original"], [0.01, 0.99]))
    shown = seconds * len(rows["codes"]) / whole
    images = [
        Picture(title=title, values=rows[kind], seconds=shown, limits=(low, high), height=4.0)
        for kind, title in RECONSTRUCTED.items()
    ]
    height = 0.5 + 0.5 * rows["codes"].shape[1]
    return [*images[:-1], replace(images[-1], limits=(0, largest), colours="cividis", height=height)]
