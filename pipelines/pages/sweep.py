"""``sweep.html`` and ``sweep.csv``: all runs of a sweep beside each other.

The page holds its styles and charts, runs no script and fetches nothing; it links to the report of each run. It is
drawn from the runs' ``results.json`` alone: the same results give the same bytes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from foundation.errors import InputError
from foundation.files import write_aside
from pipelines.pages.environment import draw
from pipelines.pages.phrasing import full_name
from pipelines.pages.sweep_charts import sweep_charts
from pipelines.pages.sweep_points import (
    BAG,
    Estimate,
    Point,
    best,
    metric_of,
    reuse,
    series,
    swept,
    table,
)
from pipelines.pages.sweep_words import Naming, doubt, interior, verdict
from pipelines.results.run_record import read_results
from pipelines.results.sweep_jobs import Job
from pipelines.store.run_folder import REPORT
from pipelines.store.stored_features import GPT
from vocoder.kinds.table import CHOICES, ORIGINAL
from vocoder.kinds.wavenet import WAVENET

HTML, CSV = "sweep.html", "sweep.csv"
TEMPLATE = "sweep.html.jinja"
Column = tuple[str, Callable[[Point], Estimate | None], str]  # heading, reader, unit
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
    """Draw the comparison of the runs as HTML."""
    metric, lines, naming = metric_of(points), series(points, names), Naming(options=names)
    found = best(points, metric)
    chosen = found[0] if found else None
    inside = found is not None and interior(lines, found[0], naming)
    in_lines = [point for line in lines.values() for point in line]
    return draw(
        TEMPLATE,
        names=names,
        verdict=verdict(lines, naming, metric, found),
        doubt=doubt(lines, naming, metric, found),
        several=len(lines) > 1,
        chosen_on="validation" if found and found[1] else "test",
        charts=dict(sweep_charts(lines, naming, metric, chosen, inside=inside)),
        best=chosen,
        inside=inside,
        points=in_lines,
        columns=[*_run_columns(points, metric)],
        sounding=[point for point in in_lines if point.has_sound],
        sound_columns=[*_sound_columns()],
        metric=metric,
        probe_columns=[(full_name(of), _figure("probe", metric, of), "ratio") for of in _methods(points, metric)],
        report_of=lambda job: _report(sweep, job),
        failures=failures,
        stages=reuse(points),
        command=command,
        csv=CSV,
    )


def _figure(stage: str, name: str, of: str | None = None) -> Callable[[Point], Estimate | None]:
    return lambda point: point.estimate(stage, name, of)


def _run_columns(points: Sequence[Point], metric: str) -> Iterator[Column]:
    """List the columns of the table of runs; those of probes and language models where a run has them."""
    if best(points, metric):
        for of in (GPT, BAG):
            yield f"{full_name(metric)} of {full_name(of)}", _figure("probe", metric, of), "ratio"
    if any(math.isfinite(point.rate) for point in points):
        yield "LM bit/s", _figure("lm", "bits_per_second"), ""
        yield "LM perplexity", _figure("lm", "perplexity"), ""
    yield "nominal bit/s", lambda point: Estimate(value=point.nominal_rate), ""
    yield "error through the codebook", _figure("tokenizer", "quantised_mse"), ""
    yield "without the codebook", _figure("tokenizer", "reconstruction_mse"), ""
    yield "used codes", _figure("tokenizer", "used_codes"), ""
    yield "codebook perplexity", _figure("tokenizer", "perplexity"), ""
    for change in ("noise", "gain", "shift"):
        yield f"stable under {change}", _figure("tokenizer", "stability", change), "ratio"


def _sound_columns() -> Iterator[Column]:
    yield "bits per sample on validation", _figure("vocoder", "bits_per_sample", WAVENET.key), ""
    for of in (*CHOICES, ORIGINAL):
        yield f"recognised, {full_name(of)}", _figure("vocoder", "label_accuracy", of), "ratio"
    for of in CHOICES:
        yield f"STOI, {full_name(of)}", _figure("vocoder", "stoi", of), ""
    yield "clips long enough for STOI", _figure("vocoder", "stoi_clips", WAVENET.key), ""
    for of in CHOICES:
        yield f"mel-cepstral distortion, {full_name(of)}", _figure("vocoder", "mel_cepstral_distortion", of), "dB"


def _outcome(sweep: Path, job: Job) -> Point | Job:
    """Read the results of a finished job; give the job with its reason where it failed."""
    if job.state == "failed":
        return job
    if job.state == "unfinished":
        return replace(job, state="failed", reason=KILLED)
    try:
        return Point(job=job, results=read_results(sweep / job.folder))
    except InputError as error:
        return replace(job, state="failed", reason=str(error))


def _methods(points: Sequence[Point], metric: str) -> list[str]:
    """List the methods that were probed, without single layers."""
    rows = [row for point in points for row in point.results["figures"]]
    probed = dict.fromkeys(row["of"] for row in rows if (row["stage"], row["name"]) == ("probe", metric))
    return [of for of in probed if of and "/" not in of]


def _report(sweep: Path, job: Job) -> str | None:
    """Write the link to the report of a job; None where the job drew none."""
    return quote(f"{job.folder}/{REPORT}") if (sweep / job.folder / REPORT).is_file() else None
