"""Records of a sweep's jobs: one small file each in the sweep's folder, written by the job's process.

Launchers run jobs in this process, in others, or on other machines, which share only the folder.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from foundation.files import write_aside
from foundation.text import escape_values

NOTES = ".jobs"
QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
State = Literal["unfinished", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The record of one job, without its results."""

    number: int
    overrides: dict[str, str]  # option -> value, as they were given for this job
    folder: str  # of the run, relative to the sweep's
    codebook_size: int | None
    state: State = "unfinished"  # also after the process was killed
    reason: str | None = None  # of a failure, in one line
    bug: bool = False  # not an error that the user can correct


def options(words: list[str]) -> dict[str, str]:
    """Parse Hydra's override words to option -> value, without quotes and ``+``."""
    pairs = (word.lstrip("+").partition("=") for word in words)
    return {name: value[1:-1] if QUOTED.fullmatch(value) else value for name, _, value in pairs}


def note(sweep: Path, job: Job) -> None:
    """Write a job's record."""
    path = sweep / NOTES / f"{job.number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, json.dumps(asdict(job)))


def conclude(sweep: Path, number: int, *, reason: str | None = None, bug: bool = False) -> None:
    """Record the end of a job; a failed job stays failed."""
    job = read_job(sweep / NOTES / f"{number}.json")
    if job.state == "unfinished":
        note(sweep, replace(job, state="failed" if reason else "finished", reason=reason, bug=bug))


def forget(sweep: Path) -> None:
    """Remove the records of an earlier sweep in the same folder; its runs stay."""
    for path in (sweep / NOTES).glob("*.json"):
        path.unlink()


def read_jobs(sweep: Path) -> list[Job]:
    """Read all jobs of the sweep, in their order."""
    return sorted((read_job(path) for path in (sweep / NOTES).glob("*.json")), key=lambda job: job.number)


def read_job(path: Path) -> Job:
    """Read one job."""
    return Job(**cast(dict[str, Any], escape_values(json.loads(path.read_bytes()))))


def relative(folder: Path, sweep: Path) -> str:
    """Return a run's path relative to the sweep's folder, so that both can be moved together."""
    return Path(os.path.relpath(folder.absolute(), sweep.absolute())).as_posix()
