"""Number of computing threads: one for small pieces of work, which more threads make slower; else the user's choice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def use_threads(count: int | None) -> int:
    """Set the threads of PyTorch, FAISS and BLAS; None keeps each library's own number. Return PyTorch's number."""
    import torch  # options of threads are checked before

    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)  # for libraries that are loaded later
        torch.set_num_threads(count)
        threadpool_limits(count)  # for libraries that are loaded already; the limit stays until another one is set
    return torch.get_num_threads()


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Set the threads of PyTorch, FAISS and BLAS as `use_threads` does, until the block ends."""
    if count is None:
        yield
        return
    import torch

    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    with threadpool_limits(count):  # remembers the numbers of BLAS and sets them again at the end
        use_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            del os.environ["OMP_NUM_THREADS"]
            if variable is not None:
                os.environ["OMP_NUM_THREADS"] = variable


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread; a step of WaveNet took three times as long on two threads as on one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
