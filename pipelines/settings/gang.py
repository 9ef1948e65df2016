"""The processes that train together, and options that fit their number."""

import os

from pipelines.stages.options import LanguageModelSettings
from wordless.base.errors import InputError


def processes() -> int:
    """Return the number of training processes: those of torchrun, or 1."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def require_equal_share(option: str, size: int, *, accumulation: int, views: int = 1) -> None:
    """Refuse a batch of ``size`` that processes and accumulation steps cannot divide equally, with ``views`` of a clip.

    ``option`` is the name of the group of options that has the batch size.
    """
    parts = processes() * accumulation
    if size % (views * parts):
        raise InputError(
            f"{option}.batch_size is {size}, to be shared by {parts} (processes times accumulation steps)"
            f"{', in pairs' if views == 2 else ''}; choose a multiple of {views * parts}"
        )


def require_sharding(lm: LanguageModelSettings) -> None:
    """Refuse weights divided among one process, and a contrastive loss, whose projection head cannot be divided."""
    if lm.fit.sharding == "none":
        return
    if processes() == 1:
        raise InputError(
            "lm.fit.sharding is fsdp, which divides the weights among processes, and this run has one: start it with "
            "torchrun --nproc-per-node=2 -m pipelines.run (or more processes), or choose lm.fit.sharding=none"
        )
    if lm.contrasts:
        raise InputError(
            f"lm.fit.sharding is fsdp and lm.contrast_weight {lm.contrast_weight}: the contrastive loss is not "
            "computed on divided weights; choose lm.contrast_weight=0 or lm.fit.sharding=none"
        )
