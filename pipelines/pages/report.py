"""The report of one run: charts, tables and sounds, in a page that runs no script and fetches nothing.

The same results give the same bytes. The page leaves out what a run did not make, and says which stage adds it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.extras.work import works
from pipelines.methods.methods_table import METHODS
from pipelines.pages.charts import GREEN, ORANGE, Chart, Curve, Panel, curves_chart, look
from pipelines.pages.comparison_charts import comparison_charts, method_picture
from pipelines.pages.phrasing import draw, full_name
from pipelines.pages.players import (
    Room,
    Sound,
    clip_name,
    headline,
    listened_clips,
    sound_charts,
    sounds_among,
    sounds_of,
)
from pipelines.results.run_record import SOUND, Results, read_results, value_of
from pipelines.store.run_folder import REPORT
from vocoder.kinds import JUDGED_KINDS, KINDS, WAVENET
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.files import write_aside
from wordless.training.fit_options import TrainingRecord

LOSSES = {
    "autoencoder": "squared error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **{name: method.loss for name, method in METHODS.items() if method.training},
}
CURVE_HEIGHT = 215  # CSS pixels
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from a run folder, and give its path; missing or broken results and sounds are refused."""
    results = read_results(folder)
    kinds, listening = {*results["figures"]["of"]}, results.get("listening", {})
    own = [*works(results)]
    more = [chart for each in own for chart in each.charts(folder, results)]
    excerpts = listening.get("excerpts") or listening.get("clips") or []
    page = draw(
        "report.html.jinja",
        results=results,
        charts={chart.name: chart for chart in (*report_charts(results), *sound_charts(folder, results), *more)},
        sounds_among=partial(sounds_among, [sound for each in own for sound in each.sounds(results)]),
        players=headline(folder, results),
        clip_name=clip_name,
        sounds_of=sounds_of,
        sound=Sound,
        embed=Room(folder).embed,
        excerpts=excerpts,
        shortened=[excerpt for excerpt in excerpts if excerpt["seconds"] < excerpt["clip_seconds"]],
        splits=SPLITS,
        judged_kinds=[kind for kind in JUDGED_KINDS if kind in kinds],
        vocoder=WAVENET,
        kinds=[kind for kind in KINDS if kind.key in kinds],
        sound_figures=[each.name for measure in SOUND for each in measure.with_count()],
        main_figures=[measure.name for measure in SOUND if measure.paired],
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def report_pictures(folder: Path) -> dict[str, Figure]:
    """Draw what the tokenizer keeps of each clip that has pictures, for trackers."""
    results, figures = read_results(folder), {}
    names = {f"reconstruction-{n}": f"{n + 1} {clip_name(clip)}" for n, clip in enumerate(listened_clips(results))}
    for chart in sound_charts(folder, results, sounds_too=False):
        chart.figure.set(facecolor="white", dpi=200)
        figures[names[chart.name]] = chart.figure
    return figures


def report_charts(results: Results) -> Iterator[Chart]:
    curves, comparison = results.get("curves", {}), results.get("comparison")
    for name, record in curves.items():
        unigram = value_of(results["figures"], "lm", "unigram_perplexity") if name == "lm" else None
        yield training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        yield _usage(results["codebook"]["counts"])
        if "kmeans" in results["codebook"]:
            objective = results["codebook"]["kmeans"]["objective"]
            curve = Curve(points=enumerate(objective, 1), look=look(GREEN, "o", line="-", size=3))
            panel = Panel(title="mean squared distance to the nearest centroid", curves=[curve], across="iteration")
            title = f"k-means over {len(objective)} iterations"
            yield curves_chart([panel], name="kmeans", title=title, height=CURVE_HEIGHT)
    if comparison:
        yield from comparison_charts(comparison)
        for number, each in enumerate(comparison.pictures):
            yield method_picture(each, name=f"method-picture-{number}")
        for name, records in comparison.trainings.items():
            if name not in curves:
                yield training_chart(name, records)


def _usage(counts: Sequence[int]) -> Chart:
    ranked = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
    title, even = f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead", float(ranked.mean())
    bars = Curve(points=zip(shown + 1, ranked[shown].tolist(), strict=True), look=look(), interval="area")
    level, across = ("equal use of all codes", even), "codes, the most frequent first"
    panel = Panel(title=title, curves=[bars], across=across, level=level, from_zero=True)
    return curves_chart([panel], name="usage", title=f"Histogram of the {title}", height=CURVE_HEIGHT)


def training_chart(
    of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None, *, loss: str = "loss"
) -> Chart:
    """Draw training and validation loss by step, a line for each fold, and the steps whose weights were kept."""
    curves, width = [], 1.8 if len(records) == 1 else 0.9
    looks = {"training": look(ORANGE, line="--", width=width), "validation": look(line="-", width=width)}
    for number, record in enumerate(records.values()):
        points = {
            "training": [(row["step"], row["train_loss"]) for row in record["curve"]],
            "validation": [(row["step"], row["validation_loss"]) for row in record["curve"]],
        }
        points["kept"] = [point for point in points["validation"] if point[0] == record["kept_step"]]
        for label, each in (looks | {"kept": look(marker="o", size=5)}).items():
            curves.append(Curve(points=points[label], look=each, label="" if number else label))
    level = ("code frequencies alone", math.log(unigram_perplexity)) if unigram_perplexity else None
    panel = Panel(title=LOSSES.get(of, loss), curves=curves, across="step", level=level)
    title = f"Training curves of the {full_name(of)}"
    return curves_chart([panel], name=f"curve_{of}", title=title, height=CURVE_HEIGHT)
