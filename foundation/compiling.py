"""One process at a time compiles with numba.

numba keeps compiled functions on the disk: an index of their types, and one file for each type. It writes them without
a lock, so two processes that compile at the same time can give two types one file. From then on each process calls
machine code of the wrong type and dies of a segmentation fault, until the files are deleted.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def compiling() -> Iterator[None]:
    """Run a block that numba may compile in, while no other process or thread of this user runs such a block.

    The lock is a file in the user's cache folder, or else in the folder of temporary files. The system releases it
    when the process ends, for whatever reason. If neither folder can be written to, or keeps locks, nothing is locked.
    A block inside another one would wait for ever.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            handle = stack.enter_context(_open_lock())
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_paths() -> list[Path]:
    """Return where the lock file may lie, the preferred path first."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path raises without a home
    return [Path(cache) / "wordless" / "compiling.lock", Path(tempfile.gettempdir()) / f"wordless-{os.getuid()}.lock"]


def _open_lock() -> IO[str]:
    preferred, other = lock_paths()
    try:
        preferred.parent.mkdir(parents=True, exist_ok=True)
        return preferred.open("a")
    except OSError:
        return other.open("a")
