"""A few of many."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def choose_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose ``count`` evenly spaced items, or all of fewer; of clips in order of path, some of each folder."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else list(items)


def choose_randomly(items: Sequence[T], count: int, *, seed: int) -> list[T]:
    """Choose ``count`` random items, in their order, or all if there are fewer; an even step may hit one group only."""
    chosen = np.random.default_rng(seed).choice(len(items), min(count, len(items)), replace=False)
    return [items[index] for index in sorted(chosen)]
