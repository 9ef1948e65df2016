"""Checks of option values; every refusal reads ``<option> is <value>; <rule>``."""

import math

from wordless.base.errors import InputError


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Refuse a value unless a condition holds; ``rule`` tells the user what to choose."""
    if not holds:
        raise InputError(f"{option} is {value}", remedy=rule)


def samples_to_generate(seconds: float, sample_rate: int) -> int:
    """Return the number of samples of a length that is to be generated.

    Raises:
        InputError: the length is not finite, or shorter than a sample.
    """
    num_samples = round(seconds * sample_rate) if math.isfinite(seconds) else 0
    require(num_samples >= 1, "seconds", seconds, "ask for more than 0 seconds")
    return num_samples
