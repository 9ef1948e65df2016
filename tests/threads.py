"""Calls in several threads of Python at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS, ROUNDS = 4, 2


def require_alike(answer: Callable[[int], object], count: int) -> None:
    """Assert that ``answer(0)`` to ``answer(count - 1)`` are the same when four threads ask at once."""
    alone = [answer(number) for number in range(count)]
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [number % count for number in range(THREADS * ROUNDS * count)]
        for number, found in zip(asked, pool.map(answer, asked), strict=True):
            assert found == alone[number]
