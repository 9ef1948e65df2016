"""Threads of PyTorch, FAISS and BLAS: how many there are, and limits of a block."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from threading import Lock, local

import torch
from threadpoolctl import ThreadpoolController


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> ThreadpoolController:
    return ThreadpoolController()


def limit_pools(count: int) -> AbstractContextManager[object]:
    """Set the threads of BLAS and OpenMP in all loaded libraries; a ``with`` block restores them at its end.

    A search for these libraries takes 5 ms, and some stages set a limit for each clip. A library is loaded with a
    module, so the result of the last search is used until another module is imported.
    """
    limits: AbstractContextManager[object] = _thread_pools(len(sys.modules)).limit(limits=count)
    return limits


def use_threads(count: int | None) -> int:
    """Set the threads of PyTorch, FAISS and BLAS; None keeps each library's own number. Return PyTorch's number."""
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)  # for libraries that are loaded later
        torch.set_num_threads(count)
        limit_pools(count)  # for libraries that are loaded already; the limit stays until another one is set
    return torch.get_num_threads()


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Set the threads of PyTorch, FAISS and BLAS as `use_threads` does, until the block ends."""
    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    if count in (None, before):
        yield
        return
    with limit_pools(count):  # remembers the numbers of BLAS and sets them again at the end
        use_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            del os.environ["OMP_NUM_THREADS"]
            if variable is not None:
                os.environ["OMP_NUM_THREADS"] = variable


_entering = Lock()
_outermost: list[int] = []  # for each thread of Python within `one_thread`, the number of threads before all of them
_nested = local()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread; a step of WaveNet took three times as long on two threads as on one.

    A thread of Python begins with PyTorch's latest number, so what it finds may be the limit of another thread. The
    number before the first of several blocks that run at once is the one that all of them return to.
    """
    if getattr(_nested, "depth", 0):
        before = torch.get_num_threads()
    else:
        with _entering:
            before = _outermost[0] if _outermost else torch.get_num_threads()
            _outermost.append(before)
    _nested.depth = getattr(_nested, "depth", 0) + 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _nested.depth -= 1
        if not _nested.depth:
            with _entering:
                _outermost.pop()
        torch.set_num_threads(before)
