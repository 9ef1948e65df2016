"""``sweep.html`` and ``sweep.csv``: all runs of a sweep beside each other.

The page holds its styles and charts, runs no script and fetches nothing; it links to the report of each run. It is
drawn from the runs' ``results.json`` alone: the same results give the same bytes.
"""

import csv
import io
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
from pipelines.pages.sweep_methods import probed_methods
from pipelines.pages.sweep_points import BAG, SOUND, Point, Runs, reuse, swept
from pipelines.pages.sweep_words import doubt, verdict
from pipelines.results.figures import Figure
from pipelines.results.run_record import read_results
from pipelines.results.sweep_jobs import Job
from pipelines.store.run_folder import REPORT
from pipelines.store.stored_features import GPT
from vocoder.kinds.table import CHOICES, ORIGINAL
from vocoder.kinds.wavenet import WAVENET

CSV_COLUMNS = ("stage", "figure", "of", "value", "low", "high", "unit", "protocol", "split", "seeds", "run", "artifact")

Column = tuple[str, Callable[[Point], Figure | None]]  # heading, reader


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of a sweep's page, and what they were drawn from."""

    html: Path
    csv: Path
    points: list[Point]
    failures: list[Job]  # each with its reason


def write_sweep(sweep: Path, jobs: Sequence[Job], *, command: str) -> Written:
    """Write page and table into the sweep's folder, each whole or not at all; ``command`` resumes the sweep."""
    outcomes = [_outcome(sweep, job) for job in jobs]
    points = [outcome for outcome in outcomes if isinstance(outcome, Point)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Job)]
    runs, html, table = Runs(options=swept(jobs), finished=points), sweep / "sweep.html", sweep / "sweep.csv"
    write_aside(table, _csv(runs))
    write_aside(html, _page(sweep, runs, failures, command=command, csv=table.name))
    return Written(html=html, csv=table, points=points, failures=failures)


def _outcome(sweep: Path, job: Job) -> Point | Job:
    """Read the results of a finished job; give the job with its reason where it failed."""
    if job.state == "unfinished":
        return replace(job, state="failed", reason="it was stopped before its end")
    try:
        return job if job.state == "failed" else Point(job=job, results=read_results(sweep / job.folder))
    except InputError as error:
        return replace(job, state="failed", reason=str(error))


def _page(sweep: Path, runs: Runs, failures: list[Job], *, command: str, csv: str) -> str:
    return draw(
        "sweep.html.jinja",
        runs=runs,
        verdict=verdict(runs),
        doubt=doubt(runs),
        charts=dict(sweep_charts(runs)),
        columns=[*_run_columns(runs)],
        sounding=[point for point in runs.points if any(point.figure(*figure) for figure in SOUND)],
        sound_columns=[*_sound_columns()],
        probe_columns=[_column(full_name(of), "probe", runs.metric, of) for of in probed_methods(runs)],
        report_of=lambda job: quote(f"{job.folder}/{REPORT}") if (sweep / job.folder / REPORT).is_file() else None,
        failures=failures,
        stages=reuse(runs.points),
        vocoder=WAVENET.title,
        command=command,
        csv=csv,
    )


def _run_columns(runs: Runs) -> Iterator[Column]:
    """List the columns of the table of runs; those of probes and language models where a run has them."""
    if runs.best:
        for of in (GPT, BAG):
            yield _column(f"{full_name(runs.metric)} of {full_name(of)}", "probe", runs.metric, of)
    if any(math.isfinite(point.rate) for point in runs.points):
        yield _column("LM bit/s", "lm", "bits_per_second")
        yield _column("LM perplexity", "lm", "perplexity")
    yield "nominal bit/s", lambda point: point.nominal_rate
    yield _column("error through the codebook", "tokenizer", "quantised_mse")
    yield _column("without the codebook", "tokenizer", "reconstruction_mse")
    yield _column("used codes", "tokenizer", "used_codes")
    yield _column("codebook perplexity", "tokenizer", "perplexity")
    for change in ("noise", "gain", "shift"):
        yield _column(f"stable under {change}", "tokenizer", "stability", change)


def _sound_columns() -> Iterator[Column]:
    yield _column("bits per sample on validation", "vocoder", "bits_per_sample", WAVENET.key)
    for of in (*CHOICES, ORIGINAL):
        yield _column(f"recognised, {full_name(of)}", "vocoder", "label_accuracy", of)
    for of in CHOICES:
        yield _column(f"STOI, {full_name(of)}", "vocoder", "stoi", of)
    yield _column("clips long enough for STOI", "vocoder", "stoi_clips", WAVENET.key)
    for of in CHOICES:
        yield _column(f"mel-cepstral distortion, {full_name(of)}", "vocoder", "mel_cepstral_distortion", of)


def _column(heading: str, stage: str, name: str, of: str | None = None) -> Column:
    return heading, lambda point: point.figure(stage, name, of)


def _csv(runs: Runs) -> str:
    """Write tidy CSV: one row for each figure of each run, with the run's swept options and bitrates."""
    written = io.StringIO()
    head = ["job", *runs.options, "codebook_size", "nominal_bits_per_second", "lm_bits_per_second", *CSV_COLUMNS]
    writer = csv.DictWriter(written, head, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for point in runs.finished:
        shared: dict[str, object] = {name: point.job.overrides.get(name, "") for name in runs.options}
        shared |= {"job": point.job.number, "codebook_size": point.job.codebook_size, "run": point.job.folder}
        shared |= {"nominal_bits_per_second": point.nominal_rate.value, "lm_bits_per_second": point.rate}
        for row in point.results["figures"]:
            cells = {**row.as_row(), **shared, "figure": row.name}
            writer.writerow({name: "" if value != value else value for name, value in cells.items()})  # no NaN
    return written.getvalue()
