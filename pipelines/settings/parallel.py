"""The number of (fold, seed) pairs that a run trains at the same time, each in a process of its own."""

import os

from foundation.devices import Device, choose_device, cores
from foundation.errors import InputError
from foundation.memory import machine_memory
from foundation.parent import is_started_by_another
from foundation.ranges import require

PROCESS_BYTES = 2 * 2**30  # of main memory for each process, generously rounded


def require_parallel(parallel: int | None, *, threads: int | None, device: Device) -> None:
    """Refuse several trainings at the same time where they would share a GPU, or would have no number of threads."""
    rule = "choose null (as many as cores and memory allow), or 1 or more"
    require(parallel is None or parallel >= 1, "parallel", parallel, rule)
    if parallel is None or parallel == 1:
        return
    if _shares_trainings():
        raise InputError(f"parallel={parallel} under torchrun, whose processes share each training: use parallel=1")
    if choose_device(device).type == "cuda":
        raise InputError(
            f"parallel={parallel} on a GPU, which all processes would share: use parallel=1, or device=cpu"
        )
    if threads is None:
        raise InputError(
            f"parallel={parallel} needs the number of threads of each process, which decides the rounding of the "
            "trained weights: add threads=1"
        )


def choose_parallel(parallel: int | None, *, threads: int | None, device: Device) -> int:
    """Return the number of pairs at the same time; None: as many as cores and memory allow, or one at an `obstacle`."""
    if parallel is not None:
        return parallel
    if threads is None or obstacle(threads, device):
        return 1
    return max(min(cores() // threads, machine_memory() // PROCESS_BYTES), 1)


def obstacle(threads: int | None, device: Device) -> str:
    """Say why pairs are trained one after the other unless a number is given; empty if there is no reason."""
    if threads is None:
        return "parallel=null needs a number of threads, such as threads=1"
    if is_started_by_another():
        return "this process is one of several, which share the cores"
    return "all processes would share the GPU" if choose_device(device).type == "cuda" else ""


def _shares_trainings() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
