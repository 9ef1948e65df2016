"""A few of many."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Sequence[T], count: int) -> list[T]:
    """So many items, evenly spaced, or all of fewer: of clips in order of path, some of each folder."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else list(items)
