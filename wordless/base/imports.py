"""Pauses of Python's search for circles among objects, while imports or stages make many of them."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Pause Python's search for circles among objects, which takes a third of the time of a million new objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def large_imports() -> Iterator[None]:
    """Pause the search for circles in a block that imports, and leave its objects out of each later search.

    PyTorch and pandas make hundreds of thousands of objects, which stay. Searches among them take a sixth of the
    processor time of a run that computes nothing.
    """
    with without_collection():
        yield
        if not gc.get_freeze_count():  # the block of a later job of this process imports nothing new
            gc.freeze()
            atexit.register(gc.unfreeze)  # or objects outlive the modules that they need to close files
