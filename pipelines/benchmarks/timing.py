"""The clock of all benchmarks, and their tables."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The fastest of several tries at one piece of work."""

    seconds: float
    cpu_seconds: float  # of this process; other processes do not change it


def timed(work: Callable[[], object], repeats: int, *, warm_up: bool = True) -> Timing:
    """Time the fastest of ``repeats`` runs, by default after one that warms up."""
    if warm_up:
        work()
    tries = []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        work()
        tries.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return Timing(seconds=min(wall for wall, _ in tries), cpu_seconds=min(cpu for _, cpu in tries))


def table(*columns: str, title: str | None = None) -> Table:
    """Make a table without lines; the first column is text, the others are numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="left" if name == columns[0] else "right", no_wrap=True)
    return made
