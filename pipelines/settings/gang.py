"""The processes that train together, and options that fit their number."""

import os

from pipelines.stages.options import LanguageModelSettings
from wordless.base.errors import InputError


def processes() -> int:
    """Return the number of training processes: those of torchrun, or 1."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def require_equal_share(option: str, size: int, *, accumulation: int) -> None:
    """Refuse a batch of ``size`` that processes and accumulation steps cannot divide equally.

    ``option`` is the name of the group of options that has the batch size.
    """
    parts = processes() * accumulation
    if size % parts:
        raise InputError(
            f"{option}.batch_size is {size}, to be shared by {parts} (processes times accumulation steps); choose a "
            f"multiple of {parts}"
        )


def require_sharding(lm: LanguageModelSettings) -> None:
    """Refuse weights divided among one process."""
    if lm.fit.sharding != "none" and processes() == 1:
        raise InputError(
            "lm.fit.sharding is fsdp, which divides the weights among processes, and this run has one: start it with "
            "torchrun --nproc-per-node=2 -m pipelines.run (or more processes), or choose lm.fit.sharding=none"
        )
