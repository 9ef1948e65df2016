"""The jobs of a sweep, noted in the sweep's folder: one small file each, written by the process that runs the job.

Launchers run jobs in this process, in others, or on other machines; what they share is the folder.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from foundation.files import write_aside
from foundation.printable import escape_values

NOTES = ".jobs"
State = Literal["unfinished", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is known of one job without its results."""

    number: int
    overrides: dict[str, str]  # option -> value, as they were given for this job
    folder: str  # of the run, relative to the sweep's
    codebook_size: int | None
    state: State = "unfinished"  # and stays so where the process is killed
    reason: str | None = None  # of a failure, in one line
    bug: bool = False  # the failure is nothing that the user can mend


def options(words: list[str]) -> dict[str, str]:
    """Option -> value of Hydra's override words, without the quotes and the ``+`` that only its grammar needs."""
    pairs = (word.partition("=") for word in words)
    return {name.lstrip("+"): _unquoted(value) for name, _, value in pairs}


def note(sweep: Path, job: Job) -> None:
    """Write down a job, or what became of it."""
    path = sweep / NOTES / f"{job.number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, json.dumps(asdict(job)))


def conclude(sweep: Path, number: int, *, reason: str | None = None, bug: bool = False) -> None:
    """Note the end of a job; a job that has failed stays failed."""
    job = read_job(sweep / NOTES / f"{number}.json")
    if job.state == "unfinished":
        note(sweep, replace(job, state="failed" if reason else "finished", reason=reason, bug=bug))


def forget(sweep: Path) -> None:
    """Remove the notes of an earlier sweep into the same folder; its runs stay."""
    for path in (sweep / NOTES).glob("*.json"):
        path.unlink()


def read_jobs(sweep: Path) -> list[Job]:
    """All jobs of the sweep, in their order."""
    return sorted((read_job(path) for path in (sweep / NOTES).glob("*.json")), key=lambda job: job.number)


def read_job(path: Path) -> Job:
    """One job."""
    return Job(**cast(dict[str, Any], escape_values(json.loads(path.read_bytes()))))


def relative(folder: Path, sweep: Path) -> str:
    """Where a run lies, as seen from the sweep's folder, so that both can be moved together."""
    return Path(os.path.relpath(folder.absolute(), sweep.absolute())).as_posix()


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
