"""``wordless report``: one self-contained page from the results of a run.

The page holds its styles, charts (inline SVG) and sounds (data URIs), runs no script and fetches nothing. The same
results give the same bytes. Whatever a run did not make is left out, and the page says which command adds it.
"""

import base64
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from audio.errors import InputError
from pipelines import phrasing, probe_charts
from pipelines.command import command
from pipelines.configuration import build
from pipelines.run_record import Pictures, Results, read_pictures, read_results
from pipelines.spectrogram_charts import reconstruction
from pipelines.store import write_aside
from pipelines.training_charts import code_usage, kmeans_objective, training_curve

REPORT = "report.html"
TEMPLATE = "report.html.jinja"
KINDS = {"original": "Original", "griffin_lim": "Griffin-Lim", "wavenet": "WaveNet", "continuation": "Continuation"}
MAX_SOUND_BYTES = 3_200_000  # of WAV files; a third more in the page, which is to stay below 6 MB
MAX_PICTURES = 6  # clips
SHOWN_REJECTED = 20
SHOWN_LABELS = 60


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Which run the report is about."""

    run: Path


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound of one clip; without a source where the page would grow too large."""

    kind: str
    title: str
    file: str
    source: str | None  # data URI
    figures: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The sounds of one clip."""

    name: str
    path: str
    players: tuple[Player, ...]


def write_report(folder: Path) -> Path:
    """Draw ``report.html`` from what the run folder holds; gives its path.

    Raises:
        InputError: the results, or a sound that they name, are missing or broken.
    """
    results = read_results(folder)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": phrasing.number,
        "percent": phrasing.percent,
        "duration": phrasing.duration,
        "full_name": phrasing.full_name,
    }
    page = environment.get_template(TEMPLATE).render(
        results=results,
        summary=phrasing.summary(results),
        key_figures=list(phrasing.key_figures(results)),
        charts=dict(_charts(results)),
        reconstructions=list(_reconstructions(folder, results, read_pictures(folder))),
        listening=list(_listening(folder, results)),
        probes=probe_charts.ranked(results["probe"]["probes"]) if "probe" in results else [],
        family=probe_charts.family,
        quantity=phrasing.quantity,
        rows=phrasing.rows,
        kinds=KINDS,
        shown_rejected=SHOWN_REJECTED,
        shown_labels=SHOWN_LABELS,
        adding=lambda stage: adding_command(results, stage),
    )
    write_aside(folder / REPORT, page)
    return folder / REPORT


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


def _charts(results: Results) -> Iterator[tuple[str, Markup]]:
    """Charts by name."""
    for name, record in results.get("curves", {}).items():
        unigram = phrasing.value_of(results, "lm", "unigram_perplexity") if name == "lm" else None
        yield f"curve_{name}", training_curve(name, record, unigram)
    if "codebook" in results:
        yield "usage", code_usage(results["codebook"]["counts"])
        yield "kmeans", kmeans_objective(results["codebook"]["kmeans"]["objective"])
    if "probe" in results:
        probes = results["probe"]["probes"]
        yield "probes", probe_charts.accuracy_intervals(probes, results["probe"]["truth"])
        if len(probe_charts.layers(probes)) > 1:
            yield "layers", probe_charts.layer_curve(probes)


def _reconstructions(folder: Path, results: Results, pictures: Pictures) -> Iterator[tuple[str, Markup]]:
    """Name and spectrograms of each clip that has pictures."""
    highest = [int(values.max(initial=0)) for name, values in pictures.items() if name.endswith(":codes")]
    size = len(results["codebook"]["counts"]) if "codebook" in results else max(highest, default=0) + 1
    for number, clip in enumerate(results["listening"]["clips"][:MAX_PICTURES] if "listening" in results else []):
        if f"{number}:codes" in pictures:
            name = clip_name(clip["label"], clip["group"], clip["path"])
            seconds = soundfile.info(_sound(folder, number, "original")).duration
            yield name, reconstruction(number, pictures, seconds=seconds, codebook_size=size, name=name)


def _listening(folder: Path, results: Results) -> Iterator[Listening]:
    """The sounds of each clip, as many as the page has room for."""
    room = MAX_SOUND_BYTES
    for number, clip in enumerate(results["listening"]["clips"] if "listening" in results else []):
        players = []
        for kind in [kind for kind in KINDS if kind in clip["sounds"]]:
            path = _sound(folder, number, kind)
            room -= path.stat().st_size
            source = f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}" if room >= 0 else None
            file = f"listening/{path.name}"
            players.append(Player(kind=kind, title=KINDS[kind], file=file, source=source, figures=clip["sounds"][kind]))
        name = clip_name(clip["label"], clip["group"], clip["path"])
        yield Listening(name=name, path=clip["path"], players=tuple(players))


def clip_name(label: str | None, group: str | None, path: str) -> str:
    """What a clip is called: its label and group, or else its path."""
    return " · ".join(part for part in (label, group) if part) or path


def _sound(folder: Path, number: int, kind: str) -> Path:
    path = folder / "listening" / f"{number}_{kind}.wav"
    if not path.is_file():
        raise InputError(f"{path} is missing, but results.json names it; repeat the run's command: it writes it again")
    return path


def report(config: dict[str, object]) -> None:
    """Draw the report of one run and print its path."""
    settings = build(ReportConfig, config, name="")
    print(write_report(settings.run))


main = command("report", report, paths=frozenset({"run"}))

if __name__ == "__main__":
    main()
