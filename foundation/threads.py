"""How many threads compute: one for small pieces of work, which sharing out makes slower, and as many as asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


def use_threads(count: int | None) -> int:
    """Let PyTorch, FAISS and BLAS compute with ``count`` threads; None: with as many as they chose by themselves.

    Returns:
        The number of threads that PyTorch computes with from now on.
    """
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)  # for libraries that are loaded later
        torch.set_num_threads(count)
        threadpool_limits(count)  # what is loaded already; the limit stays until another one is set
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use a single thread; a WaveNet's step on two took three times as long as on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
