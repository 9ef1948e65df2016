"""Ending of child processes when their parent process has ended, for whatever reason."""

import os
import time
from functools import cache
from multiprocessing import current_process, parent_process
from threading import Thread

SECONDS_BETWEEN_LOOKS = 0.5


def is_started_by_another() -> bool:
    """Return whether this process was started by torchrun or by a pool of processes, such as that of a sweep."""
    return "TORCHELASTIC_RUN_ID" in os.environ or current_process().name != "MainProcess"


@cache
def end_with_parent() -> None:
    """Watch the parent process, and end this process at once when the parent is gone.

    A killed torchrun, or a killed parent of a pool, does not notify its child processes. They would go on, or wait for
    ever, and hold their locks and memory.
    """
    Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent: int) -> None:
    if (known := parent_process()) is not None:
        known.join()
    else:
        while os.getppid() == parent:  # on Linux and macOS, a process whose parent is gone gets another parent
            time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # no cleanup: it could wait for other processes that are gone
