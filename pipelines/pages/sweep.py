"""``sweep.html`` and ``sweep.csv``: all runs of a sweep beside each other.

The page holds its styles, which are those of the report, and its charts, runs no script and fetches nothing; it links
to the report of each run. It is drawn from the runs' ``results.json`` alone: the same results give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from foundation.errors import InputError
from foundation.files import write_aside
from pipelines.pages.environment import environment
from pipelines.pages.phrasing import in_sentence, quantity
from pipelines.pages.recognition_chart import recognition_chart
from pipelines.pages.sweep_charts import Axis, bitrate, panels, tradeoff
from pipelines.pages.sweep_points import (
    BAG,
    GPT,
    RECOGNISED,
    Point,
    best,
    metric_of,
    ordered,
    reuse,
    series,
    swept,
    table,
)
from pipelines.pages.sweep_words import Naming, doubt, interior, verdict
from pipelines.results.run_record import read_results
from pipelines.results.sweep_jobs import Job
from pipelines.store.run_folder import REPORT

HTML, CSV = "sweep.html", "sweep.csv"
TEMPLATE = "sweep.html.jinja"
VOCODERS = ("wavenet", "griffin_lim", "noise_vocoder")
SOUND_FIGURES = (  # of a vocoder: heading, name, of, unit
    ("bits per sample on validation", "bits_per_sample", "wavenet", "bit/sample"),
    *((f"recognised from {in_sentence(of)}", "label_accuracy", of, "ratio") for of in VOCODERS),
    ("recognised from the recordings", "label_accuracy", "original", "ratio"),
    *((f"STOI of {in_sentence(of)}", "stoi", of, "STOI") for of in VOCODERS),
    ("clips long enough for STOI", "stoi_clips", "wavenet", "clips"),
    *((f"mel-cepstral distortion of {in_sentence(of)}, dB", "mel_cepstral_distortion", of, "") for of in VOCODERS),
)
KILLED = "it was stopped before its end"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a sweep left behind."""

    html: Path
    csv: Path
    points: list[Point]
    failures: list[Job]  # each with its reason


def write_sweep(sweep: Path, jobs: Sequence[Job], *, command: str) -> Written:
    """Write page and table into the sweep's folder, each whole or not at all; ``command`` resumes the sweep."""
    points: list[Point] = []
    failures: list[Job] = []
    for job in jobs:
        match _outcome(sweep, job):
            case Point() as point:
                points.append(point)
            case failed:
                failures.append(failed)
    names = swept(jobs)
    write_aside(sweep / CSV, table(points, names))
    write_aside(sweep / HTML, page(sweep, points, failures, names, command=command))
    return Written(html=sweep / HTML, csv=sweep / CSV, points=points, failures=failures)


def page(sweep: Path, points: list[Point], failures: list[Job], names: tuple[str, ...], *, command: str) -> str:
    """The comparison of the points as HTML."""
    metric, lines, naming = metric_of(points), series(points, names), Naming(options=names)
    found = best(points, metric)
    chosen = found[0] if found else None
    inside = found is not None and interior(lines, found[0], naming)
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            names=names,
            verdict=verdict(lines, naming, metric, found),
            doubt=doubt(lines, naming, metric, found),
            several=len(lines) > 1,
            chosen_on="validation" if found and found[1] else "test",
            charts=dict(_charts(lines, naming, _axis(points, names), metric, chosen, inside=inside)),
            best=chosen,
            inside=inside,
            modelled=any(math.isfinite(point.rate) for point in points),
            points=[point for line in lines.values() for point in line],
            quantity=quantity,
            sound_figures=SOUND_FIGURES,
            heard=[point for line in lines.values() for point in line if point.heard],
            report_of=lambda job: _report(sweep, job),
            metric=metric,
            methods=_methods(points, metric),
            gpt=GPT,
            bag=BAG,
            failures=failures,
            stages=reuse(points),
            command=command,
            csv=CSV,
        )
    )


def _outcome(sweep: Path, job: Job) -> Point | Job:
    """A finished job with its results, or a failed one with its reason."""
    if job.state == "failed":
        return job
    if job.state == "unfinished":
        return replace(job, state="failed", reason=KILLED)
    try:
        return Point(job=job, results=read_results(sweep / job.folder))
    except InputError as error:
        return replace(job, state="failed", reason=str(error))


def _axis(points: Sequence[Point], names: tuple[str, ...]) -> Axis:
    option = names[0] if names else ""
    return Axis(option=option, values=tuple(ordered([point.job.overrides.get(option, "") for point in points])))


def _charts(
    lines: dict[str, list[Point]], naming: Naming, axis: Axis, metric: str, chosen: Point | None, *, inside: bool
) -> Iterator[tuple[str, Markup]]:
    """Charts by name, as far as there are figures for them."""
    points = [point for line in lines.values() for point in line]
    if recognised := [point for point in points if math.isfinite(point.value(*RECOGNISED))]:
        yield "recognition", recognition_chart(recognised, naming)
    if panels(lines, metric):
        yield "tradeoff", tradeoff(lines, axis, metric, chosen, inside=inside)
    if any(math.isfinite(point.rate + point.value("probe", metric, GPT)) for point in points):
        yield "bitrate", bitrate(lines, axis, metric)


def _methods(points: Sequence[Point], metric: str) -> list[str]:
    """Whatever was probed beside the GPT and the bag of codes, without single layers."""
    rows = [row for point in points for row in point.results["figures"]]
    probed = dict.fromkeys(row["of"] for row in rows if (row["stage"], row["name"]) == ("probe", metric))
    return [of for of in probed if of and "/" not in of]


def _report(sweep: Path, job: Job) -> str | None:
    """A link to the report of a job, if it drew one."""
    return quote(f"{job.folder}/{REPORT}") if (sweep / job.folder / REPORT).is_file() else None
