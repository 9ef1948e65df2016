"""Pools that compute a function of many clips: this process, processes or threads of this machine, or tasks of Ray.

The results are the same, in the same order, whatever the pool is.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Protocol, TypeVar

from wordless.base.engine import EngineConfig
from wordless.base.parent import end_with_parent
from wordless.base.threads import one_thread
from wordless.base.workers import RESUME, ended_worker, kill_children, no_interrupts

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

TASKS_PER_WORKER = 4  # at least, so that no worker waits long for the last one


class Task(Protocol[R_co]):
    """Some clips that a worker computes."""

    def result(self) -> Sequence[R_co]:
        """Wait for the results of the clips, in order."""

    def cancel(self) -> object:
        """Give up the task if no worker has begun it."""


class Pool(Protocol):
    """Workers that compute tasks."""

    @property
    def workers(self) -> int:
        """The number of tasks that are computed at the same time."""

    @property
    def ahead(self) -> int:
        """The largest number of tasks of which no result has been taken."""

    @property
    def most_clips(self) -> int:
        """The largest number of clips of a task."""

    def submit(self, work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        """Let a worker compute the results of ``work`` for each job."""


def compute(work: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """Return the results of ``work`` for each job, computed on one thread: what every worker does."""
    with one_thread():
        return [work(job) for job in jobs]


def in_order(
    work: Callable[[T], R], jobs: Sequence[T], pool: Pool, *, remedy: str = f"{RESUME} workers=1", large: bool = False
) -> Iterator[R]:
    """Give the results of ``work`` for each job, computed by a pool, each on one thread.

    ``large`` results may fill the memory, so at most two tasks for each worker are ahead of what is taken. ``remedy``
    says what to do where memory runs out; by default it says that the command resumes, as most commands do.
    """
    clips = max(min(len(jobs) // (TASKS_PER_WORKER * pool.workers), pool.most_clips), 1)
    ahead = min(pool.ahead, 2 * pool.workers) if large else pool.ahead
    waiting: deque[Task[R]] = deque()
    try:
        for start in range(0, len(jobs), clips):
            waiting.append(pool.submit(work, jobs[start : start + clips]))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ended_worker(remedy) from error
    except (Exception, GeneratorExit):  # after an interrupt the pool ends its tasks itself
        for task in waiting:
            task.cancel()
        raise


@contextmanager
def open_pool(engine: EngineConfig, workers: int, *, shared: Sequence[Path] = (), gpu: bool = False) -> Iterator[Pool]:
    """Start the workers of an engine. ``shared`` are files and folders that each must see, also on other machines.

    With ``gpu``, each task of Ray has a GPU; processes of one machine share theirs.

    Raises:
        InputError: the Ray cluster cannot be reached, or one of its machines does not see the shared files.
    """
    if engine.name == "ray":
        from wordless.base.ray_pool import RayPool  # seconds of imports, and an extra

        yield RayPool.connect(engine.address, workers, shared=shared, gpu=gpu)
    elif workers <= 1:
        yield ThisProcess()
    else:
        others = active_children()
        # Forking a process that runs torch threads may hang: start fresh ones.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker) as processes:
            try:
                yield Processes(processes, workers)
            except KeyboardInterrupt:  # a broken pool may not hold cancelled tasks, so they are not cancelled before
                kill_children(besides=others)
                raise


@contextmanager
def open_threads(engine: EngineConfig, workers: int, *, shared: Sequence[Path] = ()) -> Iterator[Pool]:
    """Start workers for functions that release Python's lock and read no models: threads, or tasks of Ray."""
    if engine.name == "ray":
        with open_pool(engine, workers, shared=shared) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(max(workers, 1)) as threads:
            try:
                yield Threads(threads, max(workers, 1))
            except KeyboardInterrupt:
                threads.shutdown(wait=False, cancel_futures=True)
                raise


def _begin_worker() -> None:
    import torch  # commands check their options before

    torch.set_num_threads(1)
    end_with_parent()


class ThisProcess:
    """No workers: each clip is computed here when its result is wanted."""

    workers, ahead, most_clips = 1, 1, 1

    def submit(self, work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        """Compute the results."""
        done: Future[list[R]] = Future()
        done.set_result(compute(work, jobs))
        return done


class Processes:
    """Processes of this machine."""

    most_clips = 8

    def __init__(self, processes: ProcessPoolExecutor, workers: int) -> None:
        """Use ``workers`` processes."""
        self._processes = processes
        self.workers, self.ahead = workers, 16 * workers

    def submit(self, work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        """Send the jobs to a process."""
        with no_interrupts():  # the terminal interrupts all processes; this one alone stops the others
            return self._processes.submit(partial(compute, work), jobs)


class Threads:
    """Threads of this process."""

    most_clips = 1

    def __init__(self, threads: ThreadPoolExecutor, workers: int) -> None:
        """Use ``workers`` threads."""
        self._threads = threads
        self.workers, self.ahead = workers, 16 * workers

    def submit(self, work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        """Let a thread compute the results; it leaves the numbers of threads of this process as they are."""
        return self._threads.submit(lambda: [work(job) for job in jobs])
