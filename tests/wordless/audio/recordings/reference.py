"""Slow oracles of selections, written as plainly as their definition."""

import hashlib
from collections.abc import Mapping, Sequence


def first_hours_by_loop(sources: Sequence[Mapping[str, int]], milliseconds: float) -> list[list[str]]:
    """Names that are taken from each source: in the order of their hashes until one does not fit."""
    taken: list[list[str]] = [[] for _ in sources]
    used = 0
    waiting = [
        (hashlib.sha256(name.encode()).hexdigest(), number, name)
        for number, each in enumerate(sources)
        for name in each
    ]
    for _, number, name in sorted(waiting):
        used += sources[number][name]
        if used > milliseconds + 1e-3:
            break
        taken[number].append(name)
    return [[name for name in each if name in names] for each, names in zip(sources, taken, strict=True)]


def radical_inverse(number: int, base: int) -> float:
    """Mirror the digits of a number at the point: van der Corput, 1935. In base 2, 6 = 110 becomes 0.011 = 3/8."""
    value, weight = 0.0, 1.0
    while number:
        weight /= base
        value += weight * (number % base)
        number //= base
    return value
