"""``sweep.html`` and ``sweep.csv``: all runs of a sweep beside each other.

The page holds its styles and charts, runs no script and fetches nothing; it links to the report of each run. It is
drawn from the runs' ``results.json`` and ``resamples.safetensors`` alone: the same results give the same bytes.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from pipelines.pages.phrasing import draw, full_name
from pipelines.pages.sweep_runs import RECOGNISED, SOUND, Point, Runs, reuse, sweep_charts, swept
from pipelines.results.figures import Figure
from pipelines.results.run_record import count_codes, read_resamples, read_results
from pipelines.results.sweep_jobs import Job
from pipelines.store.run_folder import REPORT
from vocoder.kinds import CHOICES, ORIGINAL, WAVENET
from wordless.base.errors import InputError
from wordless.base.files import write_aside

# Columns of the table of sounds: heading, name of the figure, and split.
SOUND_COLUMNS = [
    ("bits per sample on validation", ("vocoder", "bits_per_sample", WAVENET.key), None),
    *((f"recognised, {full_name(of)}", ("vocoder", "label_accuracy", of), None) for of in (*CHOICES, ORIGINAL)),
    *((f"STOI, {full_name(of)}", ("vocoder", "stoi", of), None) for of in CHOICES),
    ("clips long enough for STOI", ("vocoder", "stoi_clips", WAVENET.key), None),
    *(
        (f"mel-cepstral distortion, {full_name(of)}", ("vocoder", "mel_cepstral_distortion", of), None)
        for of in CHOICES
    ),
]
MAX_PAIRS = 60  # rows of the table of pairs; sweep.csv has all


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of a sweep's page, and what they were drawn from."""

    html: Path
    csv: Path
    points: list[Point]
    failures: list[Job]  # each with its reason


def write_sweep(sweep: Path, jobs: Sequence[Job], *, command: str) -> Written:
    """Write page and table into the sweep's folder, each whole or not at all; ``command`` resumes the sweep."""
    points, failures = [], []
    for job in jobs:
        if job.state == "unfinished":
            job = replace(job, state="failed", reason="it was stopped before its end")
        if job.state != "failed":
            try:
                results, resamples = read_results(sweep / job.folder), read_resamples(sweep / job.folder)
                points.append(Point(job=job, results=results, resamples=resamples))
                continue
            except InputError as error:
                job = replace(job, state="failed", reason=str(error))
        failures.append(job)
    runs, html, table = Runs(options=swept(jobs), finished=points), sweep / "sweep.html", sweep / "sweep.csv"
    write_aside(table, _csv(runs))
    rows = ((point, point.figures.find(*RECOGNISED)) for point in runs.points)
    recognised = [(point, row) for point, row in rows if row]
    page = draw(
        "sweep.html.jinja",
        runs=runs,
        recognised=sorted(recognised, key=lambda each: each[1].value),
        charts=dict(sweep_charts(runs)),
        sounding=[point for point in runs.points if any(point.figures.find(*figure) for figure in SOUND)],
        sound_columns=SOUND_COLUMNS,
        probes=[*_probes(runs)],
        shown_pairs=runs.pairs[:MAX_PAIRS],
        report_of=lambda job: quote(f"{job.folder}/{REPORT}") if (sweep / job.folder / REPORT).is_file() else None,
        failures=failures,
        stages=reuse(runs.points),
        vocoder=WAVENET,
        command=command,
        csv=table.name,
    )
    write_aside(html, page)
    return Written(html=html, csv=table, points=points, failures=failures)


def _probes(runs: Runs) -> Iterator[tuple[Point, str, Figure | None, Figure | None, Figure | None]]:
    """List each run with each probed method: its figure on test, the one on validation that chose, and the gap."""
    for point in runs.points:
        for of in runs.methods:
            name, find = ("probe", runs.metric, of), point.figures.find
            if tested := find(*name):
                yield point, of, tested, find(*name, split="validation"), find("probe", "gap", of)


def _csv(runs: Runs) -> str:
    """Write tidy CSV: one row for each figure of each run, with the run's swept options and bitrates.

    A difference of two runs has the job of the higher one, and the other in the column ``against_job``: see `RunPair`.
    """
    written = io.StringIO()
    rates = ("codebook_size", "nominal_bits_per_second", "lm_bits_per_second")
    # The seed may be both an option and a column of results.json.
    columns = dict.fromkeys(["job", "against_job", "run", *runs.options, *rates, *Figure.__dataclass_fields__, "unit"])
    writer = csv.DictWriter(written, [*columns], lineterminator="\n")
    writer.writeheader()
    for point in runs.finished:
        shared: dict[str, object] = {name: point.job.overrides.get(name, "") for name in runs.options}
        shared |= {"job": point.job.number, "codebook_size": count_codes(point.results), "run": point.job.folder}
        shared |= {"nominal_bits_per_second": point.nominal_rate.value, "lm_bits_per_second": point.rate}
        rows: list[tuple[int | None, Figure]] = [(None, row) for row in point.figures]
        tested = point.figures.find(*runs.probe)
        for pair in (pair for pair in runs.pairs if pair.one is point):
            gain = pair.difference
            row = Figure(stage="probe", name="difference", of=runs.judged, value=gain.value, artifact="", split="test")
            row = replace(row, low=gain.low, high=gain.high, over="clips", p=pair.p)
            row = replace(row, fold_low=pair.fold_low, fold_high=pair.fold_high)
            if tested:
                row = replace(row, protocol=tested.protocol, count=tested.count, seeds=tested.seeds)
            rows.append((pair.other.job.number, row))
        for other, row in rows:
            known = {name: value for name, value in row.as_row().items() if value is not None}
            cells = {**shared, **known, "against_job": other}
            writer.writerow({name: "" if value != value else value for name, value in cells.items()})  # no NaN
    return written.getvalue()
