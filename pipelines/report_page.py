"""The page of a report: charts, tables and sounds of one run, put into the template.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. Whatever a run did not make is left out, and the page says which command adds it.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import soundfile
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from audio.manifest import SPLITS
from pipelines import phrasing, probe_charts
from pipelines.confusion_chart import MAX_CLASSES, confusion_matrix
from pipelines.report_sounds import KINDS, clip_name, sound_path, sounds
from pipelines.run_record import Pictures, ProbeRecord, Results, read_pictures, read_results
from pipelines.spectrogram_charts import reconstruction
from pipelines.training_charts import code_usage, kmeans_objective, training_curve

TEMPLATE = "report.html.jinja"
SOUND_FIGURES = ("log_mel_distance", "code_agreement", "peak", "rms", "clipping", "silence")
MAX_PICTURES = 6  # clips
SHOWN_REJECTED = 20
SHOWN_LABELS = 60


def page(folder: Path) -> str:
    """The report of the run in ``folder``, as HTML.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results = read_results(folder)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            results=results,
            summary=phrasing.summary(results),
            key_figures=list(phrasing.key_figures(results)),
            charts=dict(_charts(results)),
            reconstructions=list(_reconstructions(folder, results, read_pictures(folder))),
            listening=list(sounds(folder, results)),
            probes=probe_charts.ranked(results["probe"]["probes"]) if "probe" in results else [],
            splits=SPLITS,
            kinds=KINDS,
            sound_figures=SOUND_FIGURES,
            shown_rejected=SHOWN_REJECTED,
            shown_labels=SHOWN_LABELS,
            adding=lambda stage: adding_command(results, stage),
        )
    )


def adding_command(results: Results, stage: str) -> str:
    """The command that repeats a run with one more stage; what is finished is reused."""
    parts = {"tokenizer": "codebook" in results, "lm": "lm" in results.get("curves", {})}
    parts |= {"probe": "probe" in results, "vocoder": "listening" in results}
    stages = [part for part, present in parts.items() if present or part == stage]
    try:
        words = shlex.split(results.get("command", "wordless run"))
    except ValueError:  # a quote without its partner, as a shell removes them
        words = results.get("command", "wordless run").split()
    kept = [word for word in words if not word.startswith("stages=")]
    return shlex.join([*kept, f"stages=[{','.join([*stages, 'report'])}]"])


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    spoken = (phrasing.number, phrasing.percent, phrasing.duration, phrasing.full_name)
    environment.filters |= {function.__name__: function for function in spoken}
    environment.globals |= {"quantity": phrasing.quantity, "rows": phrasing.rows, "family": probe_charts.family}
    return environment


def _charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Charts by name."""
    for name, record in results.get("curves", {}).items():
        unigram = phrasing.value_of(results, "lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_curve(name, record, unigram)
    if "codebook" in results:
        yield "usage", code_usage(results["codebook"]["counts"])
        yield "kmeans", kmeans_objective(results["codebook"]["kmeans"]["objective"])
    if "probe" in results:
        yield from _probe_charts(results["probe"])


def _probe_charts(record: ProbeRecord) -> Iterator[tuple[str, Markup]]:
    """Intervals, layers, and the confusions of the chosen GPT where there are few enough classes to read them."""
    yield "probes", probe_charts.accuracy_intervals(record["probes"], record["truth"])
    if len(probe_charts.layers(record["probes"])) > 1:
        yield "layers", probe_charts.layer_curve(record["probes"])
    chosen = [row for row in record["probes"] if row["of"] == "gpt"]
    if chosen and len(record["classes"]) <= MAX_CLASSES:
        yield "confusion", confusion_matrix(chosen[0], record["classes"], record["truth"])


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[str, Markup]]:
    """Name and spectrograms of each clip that has pictures."""
    highest = [int(values.max(initial=0)) for name, values in pictures.items() if name.endswith(":codes")]
    size = len(results["codebook"]["counts"]) if "codebook" in results else max(highest, default=0) + 1
    for number, clip in enumerate(results["listening"]["clips"][:MAX_PICTURES] if "listening" in results else []):
        if f"{number}:codes" in pictures:
            name = clip_name(clip)
            seconds = soundfile.info(sound_path(folder, number, "original")).duration
            yield name, reconstruction(number, pictures, seconds=seconds, codebook_size=size, name=name)
