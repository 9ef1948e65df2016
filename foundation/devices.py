"""The device that training, encoding and generation run on. PyTorch is imported after the options are checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from foundation.errors import InputError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def choose_device(wanted: Device) -> torch.device:
    """Return the device of that name; ``auto`` means the GPU if there is one."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError("device=cuda, but PyTorch sees no GPU; choose device=cpu, or see wordless doctor")
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
