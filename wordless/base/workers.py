"""Trainings in several processes of this machine; the results are those of one process."""

import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from typing import TypeVar

from wordless.base.errors import InputError
from wordless.base.parent import end_with_parent
from wordless.base.threads import use_threads

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

RESUME = "nothing finished is lost: go on with the same command and"  # and an option that needs less memory


def _begin_trainer(threads: int) -> None:
    use_threads(threads)
    end_with_parent()


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
            with no_interrupts():  # the terminal interrupts all processes; this one alone stops the others
                waiting = {pool.submit(work, job): key for key, job in jobs.items()}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool as error:
            raise ended_worker(f"{RESUME} {remedy}") from error
        except BaseException:
            kill_children(besides=others)
            raise


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Hold back interrupts of this process; processes that are started in the block never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_children(*, besides: Collection[BaseProcess]) -> None:
    """Kill the processes that this one started, but for some."""
    for process in {*active_children()} - {*besides}:
        process.kill()


def ended_worker(remedy: str) -> InputError:
    """Describe a process that the system ended, as the kernel does where memory runs out."""
    problem = "the system ended a worker process, most likely because memory ran out"
    return InputError(f"{problem}; {remedy}")
