"""Functions that numba compiles, and the lock under which it writes its cache."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

from wordless.base.files import take_lock

LOCK = "wordless-compiling.lock"


@contextmanager
def compiling() -> Iterator[None]:
    """Run a block that numba may compile in, while no other process or thread runs such a block; do not nest them.

    numba writes its cache without a lock: two processes at once can give two types of a function one file. From then on
    each calls machine code of the wrong type and dies of a segmentation fault, until the cache's files are deleted. If
    no lock file can be written and locked, nothing is locked.
    """
    with ExitStack() as stack:
        for path in lock_paths():
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(path.open("a"))
                take_lock(handle)
                # closing is not enough where a forked process has the file open
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)
                break
        yield


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Lock a block that imports the module ``name``, in which numba compiles some functions, if it is not imported."""
    with nullcontext() if name in sys.modules else compiling():
        yield


def lock_paths() -> list[Path]:
    """Return the possible paths of the lock file: in the user's cache, else in the folder of temporary files."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path raises without a home
    return [Path(cache, "wordless", LOCK), Path(tempfile.gettempdir(), f"{os.getuid()}-{LOCK}")]


@cache
def kernel(function: Callable[..., Any]) -> Any:  # a dispatcher of numba, which has no types
    """Compile once per type of machine, and cache the result if a cache folder is writable."""
    from numba import njit

    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return njit(nogil=True, error_model="numpy")(function)


def compiles() -> bool:
    """Return whether numba may compile here: NUMBA_DISABLE_JIT=1 forbids it."""
    from numba import config

    return not config.DISABLE_JIT


def call_kernel(compiled: Any, *arguments: Any) -> Any:
    """Call a kernel, which is first loaded from numba's cache, or compiled, if its types are new to this process.

    With NUMBA_DISABLE_JIT=1 it is the function itself, in Python: the same numbers, some hundred times more slowly.
    """
    from numba import typeof

    if not compiles():
        return compiled(*arguments)
    kinds = tuple(map(typeof, arguments))
    if kinds not in compiled.overloads:
        with compiling():
            compiled.compile(kinds)
    return compiled(*arguments)
