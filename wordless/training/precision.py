"""The meaning of ``precision=auto`` on the devices of a run: bf16 or fp32.

Without instructions for bfloat16, products in bfloat16 take longer than in float32: the default WaveNet takes 22
seconds a step on two cores of an AMD EPYC with AVX2 only, and 2.5 in float32.
"""

import dataclasses
from typing import Any, TypeVar, cast

from wordless.base.devices import multiplies_bf16
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig
from wordless.training.state import Precision

T = TypeVar("T")


def choose_precision(gang: Gang) -> Precision:
    """Return ``bf16`` if the device of each process has instructions for it, else ``fp32``."""
    lacking = gang.sum([float(not multiplies_bf16(gang.device))])[0]
    return "fp32" if lacking else "bf16"


def with_precision(settings: T, gang: Gang) -> T:
    """Return a dataclass in which each `FitConfig` with ``precision=auto`` has that of `choose_precision`."""
    return _replaced(settings, choose_precision(gang))


def _replaced(settings: T, precision: Precision) -> T:
    if isinstance(settings, FitConfig):
        return dataclasses.replace(settings, precision=precision) if settings.precision == "auto" else settings
    own = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(cast(Any, settings)))
    changed = {
        name: new
        for name, value in own
        if dataclasses.is_dataclass(value) and (new := _replaced(value, precision)) is not value
    }
    return dataclasses.replace(cast(Any, settings), **changed) if changed else settings
