"""Records of a sweep's jobs: one small file each in the sweep's folder, which all launchers share."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, count, product
from pathlib import Path
from typing import Any, Literal, cast

from pipelines.commandline.composition import parse_values
from pipelines.commandline.run_folders import ELSEWHERE, JOBS
from wordless.base.files import write_aside
from wordless.base.messages import escape_values

MOST_CHARACTERS = 100  # of the name of a job's folder
State = Literal["unfinished", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    number: int
    overrides: dict[str, str]  # option -> value, each in one spelling
    folder: str  # of the run, relative to the sweep's
    name: str = ""  # the options that are swept, for people: layers=4; empty if there are none
    state: State = "unfinished"  # also after the process was killed
    reason: str | None = None  # of a failure, in one line
    bug: bool = False  # not an error that the user can correct


def options(words: list[str]) -> dict[str, str]:
    """Parse the override words of one job to option -> value, each in one spelling."""
    return {name: ",".join(values) for name, values in parse_values(words).items()}


def plan(words: Sequence[str], before: Sequence[Job]) -> list[Job]:
    """List the jobs of the command ``words``, in Hydra's order.

    A job with the options of one of the jobs ``before`` has its number and folder. Options that do not decide results,
    such as ``workers``, are no part of a job, unless the command sweeps over them.
    """
    values = parse_values(words)
    own = [option for option, each in values.items() if len(each) > 1 or option not in ELSEWHERE]
    combinations = [dict(zip(own, each, strict=True)) for each in product(*(values[option] for option in own))]
    swept = varied([*(job.overrides for job in before), *combinations])
    known, taken = list(before), {job.folder for job in before}
    numbers, planned = count(max((job.number for job in before), default=-1) + 1), []
    for overrides in combinations:
        job = next((job for job in known if job.overrides == overrides), None)
        if job is None:
            number, name = next(numbers), ", ".join(_named(overrides, swept))
            wanted = re.sub(r"[^\w.+=,@-]", "_", name.replace(", ", ",") or str(number))[:MOST_CHARACTERS]
            others = (f"{wanted}_{another}" for another in count(2))
            folder = next(each for each in chain([wanted], others) if each not in taken)
            job = Job(number=number, overrides=overrides, folder=folder, name=name)
            taken.add(folder)
        else:
            known.remove(job)  # a value that is given twice is two jobs
        planned.append(job)
    return planned


def varied(jobs: Sequence[dict[str, str]]) -> list[str]:
    """List the options that differ between jobs."""
    names = dict.fromkeys(name for job in jobs for name in job)
    return [name for name in names if len({job.get(name) for job in jobs}) > 1]


def _named(overrides: dict[str, str], swept: Sequence[str]) -> Iterable[str]:
    """Give the swept options, each with as much of the end of its name as tells it from the others."""
    for option in (each for each in swept if each in overrides):
        parts = option.split(".")
        ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        alike = ((end, sum(f".{each}".endswith(f".{end}") for each in swept)) for end in ends)
        yield f"{next(end for end, count in alike if count == 1 or end == option)}={overrides[option]}"


def note(sweep: Path, job: Job) -> None:
    path = _record(sweep, job.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, json.dumps(asdict(job)))


def conclude(sweep: Path, folder: Path, *, reason: str | None = None, bug: bool = False) -> Job:
    """Record the end of the job whose run is in a folder."""
    job = next(job for job in read_jobs(sweep) if job.folder == relative(folder, sweep))
    note(sweep, replace(job, state="failed" if reason else "finished", reason=reason, bug=bug))
    return job


def forget(sweep: Path, jobs: Iterable[Job] | None = None) -> None:
    """Remove the records of an earlier sweep in the same folder, or of some of its jobs; their runs stay."""
    for path in (sweep / JOBS).glob("*.json") if jobs is None else (_record(sweep, job.number) for job in jobs):
        path.unlink(missing_ok=True)


def _record(sweep: Path, number: int) -> Path:
    return sweep / JOBS / f"{number}.json"


def read_jobs(sweep: Path) -> list[Job]:
    records = (cast(Any, escape_values(json.loads(path.read_bytes()))) for path in (sweep / JOBS).glob("*.json"))
    return sorted((Job(**record) for record in records), key=lambda job: job.number)


def relative(folder: Path, sweep: Path) -> str:
    """Return a run's path relative to the sweep's folder: both can be moved together."""
    return Path(os.path.relpath(folder.absolute(), sweep.absolute())).as_posix()
