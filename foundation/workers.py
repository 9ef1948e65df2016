"""Work on many recordings, or many trainings, in this process or in several; the results are the same."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from typing import TypeVar

import torch

from foundation.errors import InputError
from foundation.parent import end_with_parent
from foundation.threads import one_thread, use_threads

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

RESUME = "nothing finished is lost: go on with the same command and"  # and an option that needs less memory


@contextmanager
def encoding_pool(workers: int) -> Iterator[Executor | None]:
    """Start worker processes for `in_order`; none if one process does all work."""
    if workers <= 1:
        yield None
        return
    # Forking a process that runs torch threads may hang: start fresh ones.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        yield pool


def _begin_worker() -> None:
    torch.set_num_threads(1)
    end_with_parent()


def _begin_trainer(threads: int) -> None:
    use_threads(threads)
    end_with_parent()


def in_order(
    work: Callable[[T], R], jobs: Iterable[T], pool: Executor | None, *, remedy: str = f"{RESUME} workers=1"
) -> Iterator[R]:
    """Give the results of ``work`` for each job: from the pool, or computed here on one thread, as in a worker.

    ``remedy`` says what to do where memory runs out; by default it says that the command resumes, as most commands do.
    """
    if pool is None:
        for job in jobs:
            with one_thread():
                result = work(job)
            yield result
        return
    try:
        yield from pool.map(work, jobs, chunksize=8)
    except BrokenProcessPool as error:
        raise _ended_worker(remedy) from error


def as_finished(
    work: Callable[[T], R], jobs: Mapping[K, T], *, processes: int, threads: int, remedy: str
) -> Iterator[tuple[K, R]]:
    """Give the result of each job as soon as it is finished, by processes that compute with ``threads`` each.

    The first error ends all other jobs at once, and so does an interrupt. ``remedy`` is the option that needs less
    memory.
    """
    others, begin = {*active_children()}, partial(_begin_trainer, threads)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=begin) as pool:
        try:
            with _no_interrupts():  # the terminal interrupts all processes; this one alone stops the others
                waiting = {pool.submit(work, job): key for key, job in jobs.items()}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool as error:
            raise _ended_worker(f"{RESUME} {remedy}") from error
        except BaseException:
            for process in {*active_children()} - others:
                process.kill()
            raise


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold back interrupts of this process; processes that are started in the block never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended_worker(remedy: str) -> InputError:
    """Describe a process that the system ended, as the kernel does where memory runs out."""
    problem = "the system ended a worker process, most likely because memory ran out"
    return InputError(f"{problem}; {remedy}")
