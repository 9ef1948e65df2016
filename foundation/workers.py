"""Work on many recordings, in this process or in several; the results are the same."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

import torch

from foundation.errors import InputError
from foundation.parent import end_with_parent
from foundation.threads import one_thread

T = TypeVar("T")
R = TypeVar("R")


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


def in_order(work: Callable[[T], R], jobs: Iterable[T], pool: Executor | None) -> Iterator[R]:
    """Give the results of ``work`` for each job: from the pool, or computed here on one thread, as in a worker."""
    if pool is None:
        for job in jobs:
            with one_thread():
                result = work(job)
            yield result
        return
    try:
        yield from pool.map(work, jobs, chunksize=8)
    except BrokenProcessPool as error:  # the kernel kills a process where memory runs out
        problem = "the system ended a worker process, most likely because memory ran out"
        raise InputError(f"{problem}; nothing finished is lost: go on with the same command and workers=1") from error
