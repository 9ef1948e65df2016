"""The report of one run: charts, tables and sounds.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. The page leaves out what a run did not make, and says which stage adds it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure

from pipelines.methods.table import METHODS
from pipelines.pages.charts import (
    GREEN,
    ORANGE,
    Chart,
    Curve,
    Panel,
    curves_chart,
    look,
    spectrogram_chart,
)
from pipelines.pages.comparison_charts import comparison_charts, method_picture
from pipelines.pages.phrasing import draw, full_name
from pipelines.pages.sounds import (
    ClipSounds,
    Room,
    clip_sounds,
    code_sounds,
    headline,
    rate_clips,
    reconstruction,
    said_sounds,
    sample_sounds,
    sound_path,
    sound_spectrograms,
)
from pipelines.results.figures import SOUND
from pipelines.results.run_record import PICTURES, Pictures, Results, count_codes, is_cut, read_arrays, read_results
from pipelines.store.run_folder import REPORT
from vocoder.kinds import JUDGED_KINDS, KINDS, WAVENET
from wordless.audio.recordings.manifest import SPLITS
from wordless.base.files import write_aside
from wordless.training.options import TrainingRecord

MAX_PICTURES = 6  # clips
RECONSTRUCTION_HEIGHT = 330  # CSS pixels
LOSSES = {
    "autoencoder": "squared error per value",
    "lm": "nats per code",
    "vocoder": "nats per sample",
    **dict.fromkeys(("wavenet", "wavenet_large", "transformer", "transformer_context"), "nats per sample"),
    **{name: method.loss for name, method in METHODS.items() if method.training},
}
CURVE_HEIGHT = 215  # CSS pixels
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from a run folder, whole or not at all, and give its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results, pictures = read_results(folder), read_arrays(folder / PICTURES)
    clips, kinds, size = clip_sounds(results), {row.of for row in results["figures"]}, count_codes(results)
    players, picture = headline(folder, clips, pictures, largest=None if size is None else size - 1)
    listening = results.get("listening", {})
    excerpts = listening.get("excerpts") or listening.get("clips") or []
    page = draw(
        "report.html.jinja",
        results=results,
        charts=dict(report_charts(results)),
        reconstructions=[*_reconstructions(folder, clips, pictures, results)],
        code_sounds=code_sounds(results),
        players=players,
        picture=picture,
        clips=clips,
        unconditional=said_sounds(results, None),
        embed=Room(folder).embed,
        excerpts=excerpts,
        shortened=[excerpt for excerpt in excerpts if is_cut(excerpt)],
        spectrograms=[*_spectrograms(folder, clips)],
        sample_sounds=[
            (group, sound_spectrograms(folder, group.sounds, name=f"sounds-{number}", title=group.name))
            for number, group in enumerate(sample_sounds(results), MAX_PICTURES)
        ],
        rate_clips=[*rate_clips(folder, results)],
        splits=SPLITS,
        judged_kinds=[kind for kind in JUDGED_KINDS if kind in kinds],
        vocoder=WAVENET,
        kinds=[kind for kind in KINDS if kind.key in kinds],
        sound_figures=[measure.name for measure in SOUND],
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def report_charts(results: Results) -> Iterator[tuple[str, Chart]]:
    """Draw the charts of a report without sound, each under the name that its template uses."""
    curves, comparison = results.get("curves", {}), results.get("comparison")
    for name, record in curves.items():
        unigram = results["figures"].value("lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        yield "usage", _usage(results["codebook"]["counts"])
        if "kmeans" in results["codebook"]:
            yield "kmeans", _kmeans(results["codebook"]["kmeans"]["objective"])
    for name, records in results.get("next_sample", {"trainings": {}})["trainings"].items():
        yield f"curve_next_sample_{name}", training_chart(name, records)
    if comparison:
        yield from comparison_charts(comparison)
        for number, each in enumerate(comparison.pictures):
            name = f"method-picture-{number}"
            yield name, method_picture(each["image"], name=name, title=each["title"])
        for name, records in comparison.trainings.items():
            if name not in curves:
                yield f"curve_{name}", training_chart(name, records)


def _usage(counts: Sequence[int]) -> Chart:
    """Draw the uses of each code, from the most to the least frequent."""
    ranked = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
    title, even = f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead", float(ranked.mean())
    bars = Curve(points=zip(shown + 1, ranked[shown].tolist(), strict=True), look=look(), interval="area")
    level, across = ("equal use of all codes", even), "codes, the most frequent first"
    panel = Panel(title=title, curves=[bars], across=across, level=level, from_zero=True)
    return curves_chart([panel], name="usage", title=f"Histogram of the {title}", height=CURVE_HEIGHT)


def _kmeans(objective: Sequence[float]) -> Chart:
    curve = Curve(points=enumerate(objective, 1), look=look(GREEN, "o", line="-", size=3))
    panel = Panel(title="mean squared distance to the nearest centroid", curves=[curve], across="iteration")
    return curves_chart([panel], name="kmeans", title=f"k-means over {len(objective)} iterations", height=CURVE_HEIGHT)


def training_chart(of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None) -> Chart:
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
    panel, title = Panel(title=LOSSES.get(of, "loss"), curves=curves, across="step", level=level), full_name(of)
    name, title = f"training-{of}", f"Training curves of the {title}"
    return curves_chart([panel], name=name, title=title, height=CURVE_HEIGHT)


def report_pictures(folder: Path) -> dict[str, Figure]:
    """Draw what the tokenizer keeps of each clip that has pictures, by its number and name, for trackers."""
    results, figures = read_results(folder), {}
    drawn = _reconstructions(folder, clip_sounds(results), read_arrays(folder / PICTURES), results)
    for number, (name, chart) in enumerate(drawn, 1):
        chart.figure.set(facecolor="white", dpi=200)
        figures[f"{number} {name}"] = chart.figure
    return figures


def _reconstructions(
    folder: Path, clips: Sequence[ClipSounds], pictures: Pictures, results: Results
) -> Iterator[tuple[str, Chart]]:
    """Draw what the tokenizer keeps of each clip that has pictures, by the name of the clip."""
    for number, clip in enumerate(clips[:MAX_PICTURES]):
        if f"{number}:codes" in pictures:
            seconds = soundfile.info(sound_path(folder, clip.sounds[0])).duration
            size = count_codes(results) or int(pictures[f"{number}:codes"].max(initial=0)) + 1
            images = reconstruction(number, pictures, seconds=seconds, largest=size - 1)
            title, name = f"Log-mel spectrograms and codes of {clip.name}", f"reconstruction-{number}"
            yield clip.name, spectrogram_chart(images, name=name, title=title, height=RECONSTRUCTION_HEIGHT)


def _spectrograms(folder: Path, clips: Sequence[ClipSounds]) -> Iterator[tuple[str, Chart]]:
    """Draw the spectrograms of each clip, with its last continuation, by the name of the clip."""
    for number, clip in enumerate(clips[:MAX_PICTURES]):
        files = {f"{number}_{kind}.wav" for kind in JUDGED_KINDS}
        shown = [*(sound for sound in clip.sounds if sound.file in files), *clip.continuations[-1:]]
        yield clip.name, sound_spectrograms(folder, shown, name=f"sounds-{number}", title=clip.name)
