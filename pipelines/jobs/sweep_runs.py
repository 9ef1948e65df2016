"""A sweep (``wordless run -m name=1,2,3``): a failed job does not end it, and a page and a table compare its jobs.

Hydra calls `SweepPage` before, between and after the jobs. Rows and charts come from each job's ``results.json``, so
that any launcher may run the jobs, here or elsewhere.
"""

import shlex
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, read_write

from pipelines.commandline.command import leave, os_problem
from pipelines.commandline.command_words import command_line, quote
from pipelines.commandline.option_index import TIME
from pipelines.commandline.run_folders import (
    LOG,
    ClaimedFolder,
    Job,
    conclude,
    ending_the_command,
    forget,
    note,
    options,
    plan,
    read_jobs,
    relative,
    sweep_words,
)
from pipelines.pages.sweep_page import PAGE, SWEEP_TABLE, reuse, write_sweep
from pipelines.store.claims import hold
from wordless.base.messages import InputError, counted, escape
from wordless.base.processes import is_under_torchrun, rank
from wordless.base.progress import append_line

SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"  # others choose values as they go
_FOLDERS = "hydra.callbacks.sweep.folders"  # option with the names of the jobs' folders, which hydra.sweep.subdir reads


class SweepPage(Callback):
    """Hydra callback that records the jobs of a sweep, and writes ``sweep.html`` and ``sweep.csv`` at its end.

    Launchers pass this object to the processes of the jobs, with the jobs that it has planned.
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        """``folders`` are for ``hydra.sweep.subdir``: `on_multirun_start` fills them in."""
        self._planned: tuple[Job, ...] = ()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan the jobs and their folders.

        Jobs of earlier commands stay part of a sweep that has a name, whose options `ClaimedFolder` has compared, but
        for failed jobs that this command does not repeat: their values may be mistyped.
        """
        sweep = _sweep(config)
        with ending_the_command(config):
            if OmegaConf.select(config, "name") is None:
                forget(sweep)
            if config.hydra.sweeper._target_ != SWEEPER:
                forget(sweep)
                if _FOLDERS in str(OmegaConf.to_container(config.hydra.sweep, resolve=False)):
                    _pass_on(config, "hydra.sweep.subdir=${hydra.job.num}")
                return
            before = read_jobs(sweep)
            self._planned = tuple(plan(sweep_words(config.hydra), before))
            folders = ",".join(quote(job.folder) for job in self._planned)
            _pass_on(config, f"++{_FOLDERS}=[{folders}]")
            dropped = [job for job in before if job.state == "failed" and job not in self._planned]
            forget(sweep, dropped)
            for job in dropped:
                _print(f"sweep     leaves out job {job.name or job.number}, which failed: {job.reason}")
            kept, new = len(before) - len(dropped), sum(job not in before for job in self._planned)
            if kept and new:
                _print(f"sweep     {sweep} has {counted(kept, 'job')}, and gets {new} more")

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Record the start of the job, in its own process, and print it."""
        if config.hydra.mode is RunMode.MULTIRUN:
            sweep, folder = _sweep(config), Path(config.hydra.runtime.output_dir)
            job = replace(self._job(config), folder=relative(folder, sweep), state="unfinished", reason=None, bug=False)
            with ending_the_command(config):
                note(sweep, job)
                of = f" of {len(self._planned)}" if self._planned else ""
                line = f"job {config.hydra.job.num + 1}{of}{f': {job.name}' if job.name else ''}"
                _print(line)
                append_line(folder / LOG, line)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the page, print its path, and exit with an error if a job failed."""
        if rank():  # under torchrun only rank 0 writes the page
            return
        with ending_the_command(config):
            own = [job.number for job in self._planned] or None
            finish(_sweep(config), command=command_line("run"), own=own)

    def _job(self, config: DictConfig) -> Job:
        number: int = config.hydra.job.num
        if self._planned:
            return self._planned[number]
        overrides = options(list(config.hydra.overrides.task))
        return Job(number=number, overrides=overrides, folder="")


def hydra_place(of: type) -> str:
    """Return where a class stands, as Hydra reads it."""
    return f"{of.__module__}.{of.__qualname__}"


# What Hydra is told of the folders of runs and sweeps.
RUN_FOLDERS: Mapping[str, object] = {
    "run": {"dir": f"runs/{TIME}"},
    "sweep": {
        "dir": f"multirun/{TIME}",
        # The folder of a job has the name of its values, such as seed=1. OmegaConf takes no number for a key.
        "subdir": "${oc.select:'hydra.callbacks.sweep.folders[${hydra.job.num}]'}",
    },
    "job": {"chdir": False},
    "callbacks": {
        # keeps other runs from writing into this run's folder
        "folder": {"_target_": hydra_place(ClaimedFolder)},
        # writes sweep.html and sweep.csv, which compare the jobs of a sweep
        "sweep": {"_target_": hydra_place(SweepPage), "folders": []},
    },
}


def _pass_on(config: DictConfig, word: str) -> None:
    with read_write(config):
        config.hydra.overrides.hydra.append(word)


def _print(line: str) -> None:
    if rank() == 0:
        print(escape(line), file=sys.stderr, flush=True)


@contextmanager
def going_on() -> Iterator[None]:
    """Record the end of a job in a sweep, which goes on after an error; under torchrun it passes."""
    hydra = HydraConfig.get()
    if hydra.mode is not RunMode.MULTIRUN:
        yield
        return
    sweep, folder = Path(hydra.sweep.dir), Path(hydra.runtime.output_dir)
    if is_under_torchrun():
        yield
        conclude(sweep, folder)
        return
    try:
        with hold(folder, option="hydra.sweep.subdir"):
            yield
        conclude(sweep, folder)
    except Exception as error:
        place = [str(folder), "."], ["store.root", "hydra.sweep.dir"]
        problem = error if isinstance(error, InputError) else os_problem(error, *place)
        if problem is None:
            traceback.print_exc()
        reason = " ".join((str(problem) if problem else f"{type(error).__name__}: {error}").split())
        job = conclude(sweep, folder, reason=reason, bug=problem is None)
        print(f"wordless run: job {job.name or job.number + 1} failed: {reason}", file=sys.stderr, flush=True)


def finish(sweep: Path, *, command: str, own: Collection[int] | None = None) -> None:
    """Write the page and the table of a sweep; the command fails if a job of its ``own`` failed (None: any job)."""

    jobs = read_jobs(sweep)
    runs, failed = write_sweep(sweep, jobs, command=resuming(command, sweep))
    for stage, (computed, reused) in reuse(runs.finished).items():
        print(f"sweep     {stage:<12} computed {computed}, reused {reused} of {computed + reused}", file=sys.stderr)
    print(sweep / PAGE, sweep / SWEEP_TABLE, sep="\n", flush=True)
    if failures := [job for job in failed if own is None or job.number in own]:
        some = f"{len(failures)} of {len(jobs)} jobs failed, as {PAGE} tells"
        bug = any(job.bug for job in failures)
        rest = f"{resuming(command, sweep)} reuses what is finished"
        leave("run", f"{some}; {rest}", code=1 if bug else 2, everywhere=False)


def resuming(command: str, sweep: Path) -> str:
    """Return the command that resumes the sweep in the same folder; a name is its folder already."""
    words = [word for word in shlex.split(command) if not word.startswith("hydra.sweep.dir=")]
    named = any(word.startswith("name=") for word in words)
    return shlex.join(words if named else [*words, f"hydra.sweep.dir={sweep}"])


def _sweep(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir)
