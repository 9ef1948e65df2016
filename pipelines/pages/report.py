"""The report of one run: charts, tables and sounds.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. The page leaves out what a run did not make, and says which command adds it.
"""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from markupsafe import Markup

from pipelines.methods.table import METHODS
from pipelines.pages.charts import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    Picture,
    curves_svg,
    draw_series,
    finish_panel,
    look,
    sheet,
    spectrogram_chart,
    spectrogram_png,
    styled,
)
from pipelines.pages.comparison_charts import comparison_charts, method_pictures
from pipelines.pages.phrasing import draw, full_name, key_figures
from pipelines.pages.sounds import (
    clip_name,
    clip_sounds,
    code_sounds,
    embedded_sounds,
    headline,
    rate_clips,
    reconstruction,
    said_sounds,
    sample_sounds,
    sound_path,
    sound_spectrograms,
)
from pipelines.results.figures import SOUND
from pipelines.results.run_record import Pictures, Results, count_codes, is_cut, read_pictures, read_results
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
    comparison, listening = results.get("comparison"), results.get("listening", {})
    figures = results["figures"]
    kinds = {row.of for row in figures}

    # Sounds: those at the top of the page take their room first.
    clips, unconditional, of_samples = clip_sounds(results), said_sounds(results, None), sample_sounds(results)
    players, picture = headline(folder, clips, pictures, largest=_largest_code(results))
    codes = list(code_sounds(folder, results))
    before = [*(source for _, source in players), *(source for _, _, found in codes for _, source in found)]
    sources = embedded_sounds(folder, [*clips, *of_samples], unconditional, before=before)
    said = [*(sound for clip in clips for sound in clip.continuations), *unconditional]

    # Spectrograms of each clip, with its last continuation; behind them those of language models of samples.
    spectrograms = []
    for number, clip in enumerate(clips[:MAX_PICTURES]):
        by_file = {sound.file: sound for sound in clip.sounds}
        judged = [by_file[file] for kind in JUDGED_KINDS if (file := f"{number}_{kind}.wav") in by_file]
        shown = {sound_path(folder, sound.file): sound for sound in (*judged, *clip.continuations[-1:])}
        spectrograms.append((clip.name, sound_spectrograms(f"sounds-{number}", shown, title=clip.name)))
    samples = []
    for number, group in enumerate(of_samples, MAX_PICTURES):
        shown = {sound_path(folder, each.file, part=each.folder): each for each in group.sounds}
        samples.append((group, sound_spectrograms(f"sounds-{number}", shown, title=group.name)))

    reconstructions = []
    for number, name, images in _reconstructions(folder, results, pictures):
        title, chart = f"Log-mel spectrograms and codes of {name}", f"reconstruction-{number}"
        drawn = spectrogram_chart(images, name=chart, title=title, height=RECONSTRUCTION_HEIGHT)
        reconstructions.append((name, drawn))

    # Trainings that have no other place on the page, and figures of sounds that are 0 for each kind of sound.
    curves = comparison.trainings.items() if comparison else ()
    trainings = {of: training_chart(of, records) for of, records in curves if of not in results.get("curves", {})}
    judged_rows = [row for row in figures.measured("vocoder") if row.of in JUDGED_KINDS]
    of_sounds = {measure.name: [row.value for row in judged_rows if row.name == measure.name] for measure in SOUND}

    # How varied the sounds of the language model are, and the classes recognised in them, the frequent first.
    recognised = {(row["of"], row["temperature"]): row["classes"] for row in listening.get("recognised", [])}
    generated = [
        (row, sorted(recognised.get((row["of"], row["temperature"]), {}).items(), key=lambda item: (-item[1], item[0])))
        for row in listening.get("diversity", [])
    ]
    excerpts = listening.get("excerpts", listening.get("clips", []))
    page = draw(
        "report.html.jinja",
        results=results,
        key_figures=key_figures(results),
        comparison=comparison,
        study=comparison is not None and comparison.has_folds,
        trainings=trainings,
        charts=dict(report_charts(results)),
        pictures=list(method_pictures(comparison)) if comparison else [],
        reconstructions=reconstructions,
        code_sounds=codes,
        players=players,
        picture=picture,
        listening="listening" in results,
        clips=clips,
        unconditional=unconditional,
        sources=sources,
        said=said,
        silent=[sound for sound in said if sound.mostly_silent],
        excerpts=excerpts,
        shortened=[excerpt for excerpt in excerpts or () if is_cut(excerpt)],
        spectrograms=spectrograms,
        samples=results.get("next_sample"),
        sample_sounds=samples,
        generated=generated,
        language_tests=results.get("zerospeech", {}),
        references=comparison.known_references if comparison else [],
        rates=results.get("rates"),
        rate_clips=list(rate_clips(folder, results)),
        splits=SPLITS,
        judged_kinds=[kind for kind in JUDGED_KINDS if kind in kinds],
        vocoder=WAVENET,
        kinds=[kind for kind in KINDS if kind.key in kinds],
        sound_figures=[measure.name for measure in SOUND],
        sounds_of_zero=[full_name(name) for name, values in of_sounds.items() if values and not any(values)],
        adding=lambda stage: adding_command(results, stage),
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


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


def adding_command(results: Results, stage: str) -> str:
    """Write the command that repeats a run with one more stage. It reuses the finished stages.

    It has a folder of its own: a name belongs to the options of its first run.
    """
    parts = {
        "tokenizer": "codebook" in results,
        "lm": "lm" in results.get("curves", {}),
        "probe": results.get("comparison") is not None,
        "vocoder": "listening" in results,
        **{name: name in results for name in ("zerospeech", "next_sample", "rates")},
    }
    stages = [part for part, present in parts.items() if present or part == stage]
    try:
        words = shlex.split(results.get("command", "wordless run"))
    except ValueError:  # a quote without its partner, as a shell removes them
        words = results.get("command", "wordless run").split()
    kept = [word for word in words if not word.startswith(("stages=", "name="))]
    return shlex.join([*kept, f"stages=[{','.join([*stages, 'report'])}]"])


def report_pictures(folder: Path) -> dict[str, bytes]:
    """Draw what the tokenizer keeps of each clip that the report shows, as contents of PNG files by title."""
    found = _reconstructions(folder, read_results(folder), read_pictures(folder))
    return {
        f"{number + 1} {name}": spectrogram_png(images, height=RECONSTRUCTION_HEIGHT) for number, name, images in found
    }


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[int, str, list[Picture]]]:
    """Give number, name and spectrograms of each clip that has pictures."""
    largest = _largest_code(results)
    if largest is None:  # the results do not say it
        codes = (int(values.max(initial=0)) for name, values in pictures.items() if name.endswith(":codes"))
        largest = max(codes, default=0)
    for number, clip in enumerate(results.get("listening", {}).get("clips", [])[:MAX_PICTURES]):
        if f"{number}:codes" in pictures:
            seconds = soundfile.info(sound_path(folder, f"{number}_original.wav")).duration
            yield number, clip_name(clip), reconstruction(number, pictures, seconds=seconds, largest=largest)


def _largest_code(results: Results) -> int | None:
    size = count_codes(results)
    return None if size is None else size - 1
