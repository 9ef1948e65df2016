"""The number of (fold, seed) pairs that a run trains at the same time, each in a process of its own."""

import os

from foundation.devices import Device, choose_device, cores
from foundation.errors import InputError
from foundation.ranges import require


def require_parallel(parallel: int | None, *, threads: int | None, device: Device) -> None:
    """Refuse several trainings at the same time where they would share a GPU, or would have no number of threads."""
    rule = "choose null (as many as there are cores for), or 1 or more"
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
    """Return the number of pairs at the same time; None: as many as the cores allow, one on a GPU or under torchrun."""
    if parallel is not None:
        return parallel
    if threads is None or _shares_trainings() or choose_device(device).type == "cuda":
        return 1
    return max(cores() // threads, 1)


def _shares_trainings() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
