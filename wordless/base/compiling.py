"""One process at a time compiles with numba.

numba keeps compiled functions on the disk: an index of their types, and one file for each type. It writes them without
a lock, so two processes that compile at the same time can give two types one file. From then on each process calls
machine code of the wrong type and dies of a segmentation fault, until the files are deleted.
"""

import fcntl
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

LOCK = "wordless-compiling.lock"


@contextmanager
def compiling() -> Iterator[None]:
    """Run a block that numba may compile in, while no other process or thread runs such a block.

    The system releases the lock when the process ends, for whatever reason. If no lock file can be written, or the file
    system keeps no locks, nothing is locked. Do not nest blocks: the inner one waits for ever.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            handle = stack.enter_context(_open_lock())
            fcntl.flock(handle, fcntl.LOCK_EX)
            stack.callback(
                fcntl.flock, handle, fcntl.LOCK_UN
            )  # closing is not enough where a forked process has the file open
        yield


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Lock a block that imports the module ``name``, because numba compiles some of its functions during the import.

    A module that is already imported needs no lock.
    """
    with nullcontext() if name in sys.modules else compiling():
        yield


def lock_paths() -> list[Path]:
    """Return the possible paths of the lock file, the preferred path first.

    That is in the environment, where numba keeps the compiled functions of librosa unless it cannot write there.
    """
    places = [Path(sysconfig.get_path("purelib")) / LOCK]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path raises without a home
    if os.path.isabs(cache):  # noqa: PTH117  expanduser leaves ~ without a home
        places.append(Path(cache) / "wordless" / LOCK)
    return [*places, Path(tempfile.gettempdir()) / f"{os.getuid()}-{LOCK}"]


def _open_lock() -> IO[str]:
    *preferred, last = lock_paths()
    for path in preferred:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a")
    return last.open("a")
