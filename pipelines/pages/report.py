"""The report of one run: charts, tables and sounds.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. The page leaves out what a run did not make, and says which stage adds it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.methods.table import METHODS
from pipelines.pages.charts import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    Picture,
    curves_svg,
    draw_pictures,
    draw_series,
    finish_panel,
    look,
    sheet,
    spectrogram_chart,
    styled,
)
from pipelines.pages.comparison_charts import comparison_charts, method_pictures
from pipelines.pages.phrasing import draw, full_name
from pipelines.pages.sounds import (
    Room,
    Sound,
    clip_name,
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
from pipelines.results.run_record import Pictures, Results, Section, count_codes, is_cut, read_pictures, read_results
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
    **{name: method.training.loss for name, method in METHODS.items() if method.training},
}
CURVE_HEIGHT = 215  # CSS pixels
MAX_CODES = 1024  # bars; the outline of a larger codebook looks the same


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from a run folder, whole or not at all, and give its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results, pictures = read_results(folder), read_pictures(folder)
    comparison, clips = results.get("comparison"), clip_sounds(results)
    kinds, size = {row.of for row in results["figures"]}, count_codes(results)
    players, picture = headline(folder, clips, pictures, largest=None if size is None else size - 1)

    # Spectrograms of each clip, with its last continuation; behind them those of language models of samples.
    spectrograms = []
    for number, clip in enumerate(clips[:MAX_PICTURES]):
        files = {f"{number}_{kind}.wav" for kind in JUDGED_KINDS}
        shown = [*(sound for sound in clip.sounds if sound.file in files), *clip.continuations[-1:]]
        spectrograms.append((clip.name, _spectrograms(folder, f"sounds-{number}", shown, clip.name)))
    samples = [
        (group, _spectrograms(folder, f"sounds-{number}", group.sounds, group.name))
        for number, group in enumerate(sample_sounds(results), MAX_PICTURES)
    ]
    listening: Section = results.get("listening", {})
    excerpts: list[Section] = listening.get("excerpts") or listening.get("clips") or []
    # Trainings that have no other place on the page.
    trainings = comparison.trainings.items() if comparison else ()
    page = draw(
        "report.html.jinja",
        results=results,
        comparison=comparison,
        study=comparison is not None and comparison.has_folds,
        trainings={of: training_chart(of, each) for of, each in trainings if of not in results.get("curves", {})},
        charts=dict(report_charts(results)),
        pictures=list(method_pictures(comparison)) if comparison else [],
        reconstructions=[
            (name, spectrogram_chart(images, name=chart, title=title, height=RECONSTRUCTION_HEIGHT))
            for number, name, images in _reconstructions(folder, results, pictures)
            for chart, title in [(f"reconstruction-{number}", f"Log-mel spectrograms and codes of {name}")]
        ],
        code_sounds=[*code_sounds(results)],
        players=players,
        picture=picture,
        listening=listening,
        clips=clips,
        unconditional=said_sounds(results, None),
        embed=Room(folder).embed,
        excerpts=excerpts,
        shortened=[excerpt for excerpt in excerpts if is_cut(excerpt)],
        spectrograms=spectrograms,
        samples=results.get("next_sample"),
        sample_sounds=samples,
        language_tests=results.get("zerospeech", {}),
        references=comparison.known_references if comparison else [],
        rates=results.get("rates"),
        rate_clips=list(rate_clips(folder, results)),
        splits=SPLITS,
        judged_kinds=[kind for kind in JUDGED_KINDS if kind in kinds],
        vocoder=WAVENET,
        kinds=[kind for kind in KINDS if kind.key in kinds],
        sound_figures=[measure.name for measure in SOUND],
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


def _spectrograms(folder: Path, name: str, sounds: Sequence[Sound], title: str) -> Markup:
    return sound_spectrograms(
        name, {sound_path(folder, each.file, part=each.folder): each for each in sounds}, title=title
    )


def report_charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Draw the charts of a report without sound, each under the name that its template uses."""
    for name, record in results.get("curves", {}).items():
        unigram = results["figures"].value("lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_chart(name, {"": record}, unigram)
    if "codebook" in results:
        yield "usage", _usage(np.asarray(results["codebook"]["counts"], dtype=np.int64))
        if "kmeans" in results["codebook"]:
            yield "kmeans", _kmeans(results["codebook"]["kmeans"]["objective"])
    if samples := results.get("next_sample"):
        for name, records in samples["trainings"].items():
            yield f"curve_next_sample_{name}", training_chart(name, records)
    if comparison := results.get("comparison"):
        yield from comparison_charts(comparison)


@styled
def _usage(counts: npt.NDArray[np.int64]) -> Markup:
    """Draw the uses of each code, from the most to the least frequent."""
    ranked = np.sort(counts)[::-1]
    shown = np.unique(np.linspace(0, max(len(ranked) - 1, 0), min(len(ranked), MAX_CODES)).astype(np.int64))
    title, figure = f"uses of each code; {int((ranked == 0).sum())} of {len(ranked)} are dead", sheet(CURVE_HEIGHT)
    axes = figure.subplots()
    axes.fill_between(shown + 1, ranked[shown], step="mid", color=BLUE, linewidth=0)
    even = float(ranked.sum() / max(len(ranked), 1))
    axes.axhline(even, color=MUTED, linestyle=":", label="equal use of all codes")
    axes.set_ylim(bottom=0)
    finish_panel(axes, title, across="codes, the most frequent first")
    return curves_svg(figure, name="usage", title=f"Histogram of the {title}")


@styled
def _kmeans(objective: Sequence[float]) -> Markup:
    figure = sheet(CURVE_HEIGHT)
    axes = figure.subplots()
    draw_series(axes, range(1, len(objective) + 1), objective, look(GREEN, "o", line="-", size=3))
    finish_panel(axes, "mean squared distance to the nearest centroid", across="iteration")
    return curves_svg(figure, name="kmeans", title=f"k-means over {len(objective)} iterations")


@styled
def training_chart(of: str, records: Mapping[str, TrainingRecord], unigram_perplexity: float | None = None) -> Markup:
    """Draw training and validation loss by step, a line for each fold, and the steps whose weights were kept."""
    figure, width = sheet(CURVE_HEIGHT), 1.8 if len(records) == 1 else 0.9
    axes = figure.subplots()
    looks = {
        "training": look(ORANGE, line="--", width=width),
        "validation": look(line="-", width=width),
        "kept": look(marker="o", size=5),
    }
    for number, record in enumerate(records.values()):
        for label, each in looks.items():
            rows = [row for row in record["curve"] if label != "kept" or row["step"] == record["kept_step"]]
            values = [row["train_loss" if label == "training" else "validation_loss"] for row in rows]
            draw_series(axes, [row["step"] for row in rows], values, each, label="" if number else label)
    if unigram_perplexity:
        axes.axhline(math.log(unigram_perplexity), color=MUTED, linestyle=":", label="code frequencies alone")
    finish_panel(axes, LOSSES.get(of, "loss"), across="step")
    return curves_svg(figure, name=f"training-{of}", title=f"Training curves of the {full_name(of)}")


def report_pictures(folder: Path) -> dict[str, Figure]:
    """Draw what the tokenizer keeps of each clip that has pictures, by its number and name, for trackers."""
    figures = {}
    for number, name, images in _reconstructions(folder, read_results(folder), read_pictures(folder)):
        figures[f"{number + 1} {name}"] = figure = Figure(layout="constrained")
        draw_pictures(figure, images)
    return figures


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[int, str, list[Picture]]]:
    """Give number, name and spectrograms of each clip that has pictures."""
    for number, clip in enumerate(results.get("listening", {}).get("clips", [])[:MAX_PICTURES]):
        if f"{number}:codes" in pictures:
            seconds = soundfile.info(sound_path(folder, f"{number}_original.wav")).duration
            size = count_codes(results) or int(pictures[f"{number}:codes"].max(initial=0)) + 1
            yield number, clip_name(clip), reconstruction(number, pictures, seconds=seconds, largest=size - 1)
