"""Pools of workers, which compute a function of many clips.

A pool works in this process, in processes or threads of this machine, or in tasks of Ray, with the same results in the
same order; `EngineConfig` chooses.
"""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Literal, TypeVar

from wordless.base.messages import InputError, within
from wordless.base.options import Options, option
from wordless.base.processes import end_with_parent
from wordless.base.threads import cores, one_thread, use_threads

T = TypeVar("T")
R = TypeVar("R")
ADDRESS = re.compile(r"auto|[\w.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
TASKS_PER_WORKER = 4  # at least, so that no worker waits long for the last one


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Options):
    """Options of the engine."""

    name: Literal["local", "ray"] = option(
        "local", "processes of this machine, or tasks of a Ray cluster (docs/scale.md)"
    )
    address: str | None = option(
        None,
        "host:port of the head of a Ray cluster, or auto for this machine's cluster; null: starts a cluster here, "
        "which ends with the command",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name == "local" and self.address is not None:
            raise InputError(option="address", value=self.address, rule="only name=ray has an address")
        if self.name == "ray" and find_spec("ray") is None:
            rule, remedy = "it needs Ray, which is not installed", "pip install 'wordless[ray]'"
            raise InputError(option="name", value=self.name, rule=rule, remedy=remedy)
        if self.address is not None and ADDRESS.fullmatch(self.address) is None:
            rule = "name host:port of the cluster's head, auto (this machine's cluster), or null (start a cluster here)"
            raise InputError(option="address", value=self.address, rule=rule)

    def workers(self, wanted: int, *, enough: bool) -> int:
        """Return the number of workers: the wanted one, or for 0 one per core if it pays; of Ray, 0 means all."""
        return wanted if wanted or self.name == "ray" else cores() if enough else 1


LOCAL = EngineConfig()


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers that compute tasks."""

    # lets a worker compute a function of each job; the task has `result`, their list, and `cancel`
    submit: Callable[[Callable[[Any], Any], Sequence[Any]], Any]
    workers: int = 1  # tasks that are computed at the same time
    ahead: int = 1  # tasks of which no result has been taken, at most
    most_clips: int = 1  # of a task


def compute(work: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """Return the results of ``work`` for each job, computed on one thread: what every worker does."""
    with one_thread():
        return [work(job) for job in jobs]


def _compute_now(work: Callable[[T], R], jobs: Sequence[T]) -> Future[list[R]]:
    done: Future[list[R]] = Future()
    done.set_result(compute(work, jobs))
    return done


THIS_PROCESS = Pool(submit=_compute_now)  # each clip is computed when its result is wanted


def in_order(work: Callable[[T], R], jobs: Sequence[T], pool: Pool, *, large: bool = False) -> Iterator[R]:
    """Give the results of ``work`` for each job, computed by a pool, each on one thread.

    ``large`` results may fill the memory, so at most two tasks for each worker are ahead of what is taken.
    """
    clips = max(min(len(jobs) // (TASKS_PER_WORKER * pool.workers), pool.most_clips), 1)
    ahead = min(pool.ahead, 2 * pool.workers) if large else pool.ahead
    waiting = deque[Any]()
    try:
        for start in range(0, len(jobs), clips):
            waiting.append(pool.submit(work, jobs[start : start + clips]))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise _ended_worker("workers=1") from error
    except (Exception, GeneratorExit):  # after an interrupt the pool ends its tasks itself
        for task in waiting:
            task.cancel()
        raise


@contextmanager
def open_pool(
    engine: EngineConfig, workers: int, *, shared: Sequence[Path] = (), gpu: bool = False, threads: bool = False
) -> Iterator[Pool]:
    """Start the workers of an engine. ``shared`` are files and folders that each must see, also on other machines.

    With ``gpu``, each task of Ray has a GPU; processes of one machine share theirs. ``threads`` are enough for
    functions that release Python's lock and read no models; their numbers of threads stay as they are.
    """
    if engine.name == "ray":
        from wordless.base.ray_pool import ray_pool  # seconds of imports, and an extra

        with within("engine"):
            pool = Pool(**ray_pool(engine.address, workers, cores=cores(), compute=compute, shared=shared, gpu=gpu))
        yield pool
    elif threads:
        executor, workers = ThreadPoolExecutor(max(workers, 1)), max(workers, 1)
        submit = lambda work, jobs: executor.submit(lambda: [work(job) for job in jobs])  # noqa: E731
        try:
            yield Pool(submit=submit, workers=workers, ahead=16 * workers)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    elif workers <= 1:
        yield THIS_PROCESS
    else:
        with _spawn(workers, end_with_parent, killed_at=KeyboardInterrupt) as start:
            yield Pool(submit=partial(start, compute), workers=workers, ahead=16 * workers, most_clips=8)


@contextmanager
def open_processes(count: int, begin: Callable[[], object], *, threads: int) -> Iterator[Callable[..., Future[Any]]]:
    """Start processes for long work, which call ``begin`` first and compute with ``threads`` each.

    An error in the block ends them at once, and so does an interrupt.
    """
    with _spawn(count, partial(_begin_process, begin, threads), killed_at=BaseException) as submit:
        try:
            yield submit
        except BrokenProcessPool as error:
            raise _ended_worker("parallel=1") from error


def _begin_process(begin: Callable[[], object], threads: int) -> None:
    use_threads(threads)
    end_with_parent()
    begin()


@contextmanager
def _spawn(
    processes: int, begin: Callable[[], object], *, killed_at: type[BaseException]
) -> Iterator[Callable[..., Future[Any]]]:
    """Start processes that call ``begin`` first and see no interrupt; an error ``killed_at`` kills them."""
    others = active_children()
    # Forking a process that runs torch threads may hang: start fresh ones.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=begin) as pool:

        def submit(work: Callable[..., R], *jobs: object) -> Future[R]:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return pool.submit(work, *jobs)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

        try:
            yield submit
        except killed_at:  # a broken pool may not hold cancelled tasks, so they are not cancelled before
            for process in {*active_children()} - {*others}:
                process.kill()
            raise


def _ended_worker(option: str) -> InputError:
    """Describe a process that the system ended, as the kernel does where memory runs out."""
    remedy = f"call the same command with {option}; what it has finished is kept where it resumes"
    return InputError("the system ended a worker process, most likely because memory ran out", remedy=remedy)
