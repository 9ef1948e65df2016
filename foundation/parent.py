"""Processes that end when the process that started them ends, however that one ends."""

import os
import time
from functools import cache
from multiprocessing import current_process, parent_process
from threading import Thread

SECONDS_BETWEEN_LOOKS = 0.5


def is_started_by_another() -> bool:
    """Whether torchrun or a pool of processes, such as that of a sweep, started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ or current_process().name != "MainProcess"


@cache
def end_with_parent() -> None:
    """Watch the process that started this one, and end at once when it is gone.

    A killed torchrun, or the killed parent of a pool, tells its processes nothing: they would go on, or wait for ever,
    and hold their locks and their memory.
    """
    Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent: int) -> None:
    if (known := parent_process()) is not None:
        known.join()
    else:
        while os.getppid() == parent:  # a process whose parent is gone is given another one, on Linux and macOS
            time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # without cleaning up: this may wait for other processes that are gone
