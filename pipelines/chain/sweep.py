"""A sweep (``wordless run -m name=1,2,3``): a failed job does not end it, and a page and a table compare its jobs.

Hydra calls `SweepPage` before, between and after the jobs; ``conf/run.yaml`` names it. Rows and charts come from each
job's ``results.json``, so that any launcher may run the jobs, here or elsewhere.
"""

import os
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from foundation.errors import InputError
from pipelines.commandline.claims import hold
from pipelines.commandline.command import leave
from pipelines.commandline.folder_callback import ending_the_command
from pipelines.commandline.overrides import command_line
from pipelines.commandline.refusals import os_problem
from pipelines.results.sweep_jobs import Job, conclude, forget, note, options, read_jobs, relative


class SweepPage(Callback):
    """Hydra callback that records the jobs of a sweep, and writes ``sweep.html`` and ``sweep.csv`` at its end."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remove the records of an earlier sweep in the same folder."""
        forget(_sweep(config))

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any) -> None:
        """Record the start of the job, in its own process."""
        if config.hydra.mode is RunMode.MULTIRUN:
            sweep, size = _sweep(config), OmegaConf.select(config, "tokenizer.codebook_size")
            job = Job(
                number=config.hydra.job.num,
                overrides=options(list(config.hydra.overrides.task)),
                folder=relative(Path(config.hydra.runtime.output_dir), sweep),
                codebook_size=size if isinstance(size, int) else None,
            )
            with ending_the_command(config):
                note(sweep, job)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Record the end of the job; `going_on` has recorded the reason of a failure."""
        if config.hydra.mode is RunMode.MULTIRUN and job_return.status is JobStatus.COMPLETED:
            with ending_the_command(config):
                conclude(_sweep(config), config.hydra.job.num)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the page, print its path, and exit with an error if a job failed."""
        if os.environ.get("RANK", "0") != "0":  # under torchrun only rank 0 writes the page
            return
        with ending_the_command(config):
            finish(_sweep(config), command=command_line("run"))


@contextmanager
def going_on() -> Iterator[None]:
    """Print and record an error of a job in a sweep, so that the sweep goes on; elsewhere the error passes.

    Under torchrun the error passes as well, because the other processes of the job wait for this one.
    """
    if HydraConfig.get().mode is not RunMode.MULTIRUN or "TORCHELASTIC_RUN_ID" in os.environ:
        yield
        return
    hydra = HydraConfig.get()
    try:
        with hold(Path(hydra.runtime.output_dir), option="hydra.sweep.subdir"):
            yield
    except Exception as error:
        problem = (
            error
            if isinstance(error, InputError)
            else os_problem(error, [hydra.runtime.output_dir, "."], ["store.root", "hydra.sweep.dir"])
        )
        if problem is None:
            traceback.print_exc()
        reason = " ".join((str(problem) if problem else f"{type(error).__name__}: {error}").split())
        print(f"wordless run: job {hydra.job.num} failed: {reason}", file=sys.stderr, flush=True)
        conclude(Path(hydra.sweep.dir), hydra.job.num, reason=reason, bug=problem is None)


def finish(sweep: Path, *, command: str) -> None:
    """Write the page and the table of a sweep, and print what was computed, what was reused and what failed."""
    from pipelines.pages.sweep import write_sweep  # matplotlib takes a second
    from pipelines.pages.sweep_points import reuse

    jobs = read_jobs(sweep)
    page = write_sweep(sweep, jobs, command=resuming(command, sweep))
    for stage, (computed, reused) in reuse(page.points).items():
        print(f"sweep     {stage:<12} computed {computed}, reused {reused} of {computed + reused}", file=sys.stderr)
    print(page.html, page.csv, sep="\n", flush=True)
    if page.failures:
        some = f"{len(page.failures)} of {len(jobs)} jobs failed, as {page.html.name} tells"
        bug = any(job.bug for job in page.failures)
        rest = f"{resuming(command, sweep)} reuses what is finished"
        leave("run", f"{some}; {rest}", code=1 if bug else 2, everywhere=False)


def resuming(command: str, sweep: Path) -> str:
    """Return the command that resumes the sweep in the same folder; a name is its folder already."""
    words = [word for word in shlex.split(command) if not word.startswith("hydra.sweep.dir=")]
    named = any(word.startswith("name=") for word in words)
    return shlex.join(words if named else [*words, f"hydra.sweep.dir={sweep}"])


def _sweep(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir)
