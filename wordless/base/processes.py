"""Processes of a command: whose they are, and their end with that of their parent."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import cache
from multiprocessing import current_process, parent_process
from threading import Thread
from typing import Literal

_SECONDS_BETWEEN_LOOKS = 0.5


def is_under_torchrun() -> bool:
    """Return whether torchrun started this process; a pod of Kubernetes can have RANK and WORLD_SIZE without it."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank(name: Literal["RANK", "LOCAL_RANK"] = "RANK") -> int:
    """Return this process's number among those of torchrun, on all machines or on this one; 0 without torchrun."""
    return int(os.environ.get(name, "0")) if is_under_torchrun() else 0


def is_started_by_another() -> bool:
    """Return whether this process was started by torchrun or by a pool of processes, such as that of a sweep."""
    return is_under_torchrun() or current_process().name != "MainProcess"


@cache
def end_with_parent() -> None:
    """End this process at once when its parent is gone: who is killed tells nobody, and locks would stay held."""
    Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent: int) -> None:
    if (starter := parent_process()) is not None:
        with suppress(ValueError):  # workers of joblib know the id of their parent alone
            starter.join()
        parent = starter.pid or parent
    while os.getppid() == parent:  # on Linux and macOS, a process whose parent is gone gets another parent
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)  # no cleanup: it could wait for other processes that are gone
