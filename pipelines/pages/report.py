"""The page of a report: charts, tables and sounds of one run, put into the template.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. Whatever a run did not make is left out, and the page says which command adds it.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import soundfile
from jinja2 import Environment
from markupsafe import Markup

from audio.recordings.manifest import SPLITS
from foundation.files import write_aside
from pipelines.pages import phrasing, run_words
from pipelines.pages.comparison_chart import comparison_chart
from pipelines.pages.confusion_chart import MAX_CLASSES, confusion_matrix
from pipelines.pages.environment import environment
from pipelines.pages.fold_training_chart import fold_trainings
from pipelines.pages.group_chart import MAX_GROUPS, group_chart, ranked_groups, values_by_group
from pipelines.pages.key_figures import key_figures
from pipelines.pages.learning_curve_chart import has_learning_curves, learning_curves
from pipelines.pages.probe_charts import layer_curves, layered
from pipelines.pages.provenance_rows import option_lines, provenance_rows
from pipelines.pages.report_sounds import KINDS, clip_name, excerpts_in_words, listening_of, said_title, sound_path
from pipelines.pages.sound_charts import Pictured, heard_spectrograms
from pipelines.pages.spectrogram_charts import reconstruction
from pipelines.pages.training_charts import code_usage, kmeans_objective, training_curve
from pipelines.results.comparison_record import ComparisonRecord, fold_noun, has_folds, probed_places
from pipelines.results.run_record import DiversityRow, Pictures, Results, read_pictures, read_results, rows, value_of
from pipelines.store.run_folder import REPORT
from pipelines.store.stored_features import GPT

TEMPLATE = "report.html.jinja"
SOUND_FIGURES = (
    "bits_per_sample",
    "label_accuracy",
    "stoi",
    "stoi_clips",
    "pesq",
    "pesq_clips",
    "mel_cepstral_distortion",
    "log_mel_distance",
    "pitch_error",
    "pitch_error_clips",
    "voicing_error",
    "code_agreement",
    "rms",
    "peak",
    "dc",
    "clipping",
    "silence",
    "clipped_clips",
    "silent_clips",
    "runaway_clips",
)
JUDGED_KINDS = ("original", "noise_vocoder", "griffin_lim", "wavenet")
MAX_PICTURES = 6  # clips
SHOWN_REJECTED = 20
SHOWN_LABELS = 60


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from what the run folder holds, whole or not at all; gives its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    write_aside(folder / REPORT, page(folder))
    return folder / REPORT


def page(folder: Path) -> str:
    """The report of the run in ``folder``, as HTML.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results = read_results(folder)
    comparison = results.get("comparison")
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            results=results,
            opening=run_words.opening(results),
            key_figures=list(key_figures(results)),
            comparison=comparison,
            study=comparison is not None and has_folds(comparison),
            trainings=dict(_trainings(results, comparison)) if comparison else {},
            charts=dict(_charts(results)),
            reconstructions=list(_reconstructions(folder, results, read_pictures(folder))),
            listening=listening_of(folder, results),
            excerpts=excerpts_in_words(results),
            heard=list(_heard(folder, results)),
            spoken=list(_spoken(results)),
            model=GPT,
            splits=SPLITS,
            judged_kinds=_judged_kinds(results),
            sound_figures=SOUND_FIGURES,
            shown_rejected=SHOWN_REJECTED,
            shown_labels=SHOWN_LABELS,
            adding=lambda stage: adding_command(results, stage),
        )
    )


def adding_command(results: Results, stage: str) -> str:
    """The command that repeats a run with one more stage; what is finished is reused."""
    parts = {"tokenizer": "codebook" in results, "lm": "lm" in results.get("curves", {})}
    parts |= {"probe": results.get("comparison") is not None, "vocoder": "listening" in results}
    stages = [part for part, present in parts.items() if present or part == stage]
    try:
        words = shlex.split(results.get("command", "wordless run"))
    except ValueError:  # a quote without its partner, as a shell removes them
        words = results.get("command", "wordless run").split()
    kept = [word for word in words if not word.startswith("stages=")]
    return shlex.join([*kept, f"stages=[{','.join([*stages, 'report'])}]"])


def _judged_kinds(results: Results) -> list[str]:
    """Kinds of sound that there are figures of: older runs have no noise vocoder."""
    there = {row["of"] for row in results["figures"]}
    return [kind for kind in JUDGED_KINDS if kind in there]


def _environment() -> Environment:
    """That of all pages, and how a report puts durations and comparisons in words."""
    made, words = environment(), run_words
    spoken = [phrasing.duration, phrasing.points, phrasing.significance, phrasing.metric_of, phrasing.in_sentence]
    compared = [words.candidates, words.setting, words.standing, fold_noun, probed_places]
    made.filters |= {function.__name__: function for function in (*spoken, *compared)}
    made.globals |= {"quantity": phrasing.quantity, "rows": rows}
    made.globals |= {"provenance_rows": provenance_rows, "option_lines": option_lines}
    return made


def _charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Charts by name."""
    for name, record in results.get("curves", {}).items():
        unigram = value_of(results, "lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_curve(name, record, unigram)
    if "codebook" in results:
        yield "usage", code_usage(results["codebook"]["counts"])
        yield "kmeans", kmeans_objective(results["codebook"]["kmeans"]["objective"])
    if comparison := results.get("comparison"):
        yield from _comparison_charts(comparison)


def _comparison_charts(comparison: ComparisonRecord) -> Iterator[tuple[str, Markup]]:
    """All methods, and what there is of layers, few labels, groups and confusions, where it can be read."""
    yield "comparison", comparison_chart(comparison)
    if layered(comparison):
        yield "layers", layer_curves(comparison)
    if has_learning_curves(comparison):
        yield "learning", learning_curves(comparison)
    if 1 < len(ranked_groups(values_by_group(comparison))) <= MAX_GROUPS:
        yield "groups", group_chart(comparison)
    counts = comparison.get("confusion", {}).get(GPT)
    if counts and len(counts) <= MAX_CLASSES:
        yield "confusion", confusion_matrix(comparison["classes"], counts)


def _trainings(results: Results, comparison: ComparisonRecord) -> Iterator[tuple[str, Markup]]:
    """Training curves by method, but for those that have a place of their own on the page."""
    for of, records in comparison.get("trainings", {}).items():
        if of not in results.get("curves", {}):
            yield of, fold_trainings(of, records)


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[str, Markup]]:
    """Name and spectrograms of each clip that has pictures."""
    highest = [int(values.max(initial=0)) for name, values in pictures.items() if name.endswith(":codes")]
    size = len(results["codebook"]["counts"]) if "codebook" in results else max(highest, default=0) + 1
    for number, clip in enumerate(results["listening"]["clips"][:MAX_PICTURES] if "listening" in results else []):
        if f"{number}:codes" in pictures:
            name = clip_name(clip)
            seconds = soundfile.info(sound_path(folder, f"{number}_original.wav")).duration
            yield name, reconstruction(number, pictures, seconds=seconds, codebook_size=size, name=name)


def _heard(folder: Path, results: Results) -> Iterator[tuple[str, Markup]]:
    """Name and spectrograms of each clip, of its sounds and of its last continuation."""
    record = results.get("listening", {})
    for number, clip in enumerate(record.get("clips", [])[:MAX_PICTURES]):
        pictured = [
            Pictured(title=KINDS[kind], path=sound_path(folder, f"{number}_{kind}.wav"))
            for kind in JUDGED_KINDS
            if kind in clip["sounds"]
        ]
        own = [row for row in record.get("said", []) if row["clip"] == number]
        pictured += [
            Pictured(
                title=said_title(row),
                path=sound_path(folder, row["file"]),
                joint=row["figures"].get("prompt_seconds"),
            )
            for row in own[-1:]
        ]
        yield clip_name(clip), heard_spectrograms(number, pictured, name=clip_name(clip))


def _spoken(results: Results) -> Iterator[tuple[DiversityRow, dict[str, int]]]:
    """How varied and plausible what the language model says is, and the classes heard in it, the frequent first."""
    record = results.get("listening", {})
    heard = {(row["of"], row["temperature"]): row["classes"] for row in record.get("recognised", [])}
    for row in record.get("diversity", []):
        classes = heard.get((row["of"], row["temperature"]), {})
        yield row, dict(sorted(classes.items(), key=lambda item: (-item[1], item[0])))
