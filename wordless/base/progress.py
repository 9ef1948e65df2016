"""Progress of long work: bars in a terminal, a line from time to time elsewhere."""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from wordless.base.messages import escape, escape_line
from wordless.base.processes import rank

R = TypeVar("R")
_SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_SHARED_LINES = 30.0  # where several processes write lines
GROWTH, _MOST_SECONDS = 0.5, 900.0  # of the time so far, and at most: the log of hours fits a screen
# The median speed of some recent stretches says how long the rest takes: neither the first item, before which
# processes start, nor a pause decides it.
STRETCHES, STRETCH_SECONDS = 20, 3.0
FIRST_NOTES = 5  # that are all printed


class Progress:
    """Progress of one piece of work: a bar of ``bars``, or without them a line from time to time, ever less often."""

    def __init__(self, terminal: "Terminal", title: str, total: int, unit: str, bars: Bars | None = None) -> None:
        self._terminal, self._title, self._total, self._unit, self._bars = terminal, title, total, unit, bars
        self._task = bars.add_task(f"{title} ({unit})", total=total, note="") if bars else TaskID(0)
        self._started = time.monotonic()
        self._last, self._last_note, self._notes = self._started, self._started, 0  # times of the last lines
        self._begun: tuple[float, int] | None = None  # when a stretch began, and how many items were done then
        self._speeds: deque[float] = deque(maxlen=STRETCHES)  # items per second

    def note(self, line: str) -> None:
        """Say something about the work; where this is often, not each time."""
        if self._bars:
            self._bars.update(self._task, note=line)
        elif not self._terminal.shared:
            now, self._notes = time.monotonic(), self._notes + 1
            if self._notes <= FIRST_NOTES or now - self._last_note >= self._patience(now):
                self._last_note = now
                self._terminal.say(f"  {self._title}: {line}")

    def resume_at(self, done: int) -> None:
        """Record that an earlier run did the first ``done`` items, so that they do not count as speed."""
        self._begun = time.monotonic(), done

    def advance_to(self, done: int, total: int | None = None) -> None:
        """Record that ``done`` items are done; ``total`` replaces a total that was not known before."""
        total = self._total if total is None else total
        now, shared = time.monotonic(), self._terminal.shared
        if self._begun is None:
            self._begun = now, done
        elif now - self._begun[0] >= STRETCH_SECONDS:
            self._speeds.append((done - self._begun[1]) / (now - self._begun[0]))
            self._begun = now, done
        if self._bars:
            self._bars.update(self._task, completed=done, total=total)
            return
        if now - self._last < self._patience(now) and (shared or done < total):
            return
        self._last = now
        speed, unit = median(self._speeds) if self._speeds else 0.0, self._unit
        left = f", {speed:.1f} {unit}/s, {(total - done) / speed:.0f} s left" if speed > 0 else ""
        if done >= total:
            left = f" in {now - self._started:.0f} s"
        self._terminal.say(f"  {self._title}: {done}/{total} {unit}{left}")

    def _patience(self, now: float) -> float:
        """Return the seconds between two lines."""
        least = SECONDS_BETWEEN_SHARED_LINES if self._terminal.shared else _SECONDS_BETWEEN_LINES
        return min(max(least, GROWTH * (now - self._started)), _MOST_SECONDS)

    def each(self, results: Iterable[R]) -> Iterator[R]:
        """Record each result as done, and give it.

        A result counts before it is given, because whoever takes the last one need not ask for more.
        """
        for number, result in enumerate(results, 1):
            self.advance_to(number)
            yield result


class Terminal:
    """The log of a run, for people to read. Silent in all processes except the first.

    Where several processes have a ``shared`` log, there are no bars, which would overwrite each other, and ``place``
    says in front of each line which part of the run it is about. Each line is also appended to the file ``log``.
    """

    def __init__(self, *, silent: bool = False, place: str = "", shared: bool = False, log: Path | None = None) -> None:
        silent = silent or rank() > 0
        self.console = Console(file=sys.stderr, quiet=silent, highlight=False, soft_wrap=True, emoji=False)
        self.log = None if silent else log
        self._place, self.shared = place, shared or bool(place)

    def say(self, line: str) -> None:
        """Print one line; control characters in it are escaped."""
        told = escape(f"{self._place}  {line}" if self._place else line)
        self.console.print(told, markup=False)
        self.record(told)

    def record(self, line: str) -> None:
        """Append a line to the log without printing it."""
        if self.log is not None:
            append_line(self.log, line)

    @contextmanager
    def computing(self, title: str) -> Iterator[None]:
        """Print what the block computes: before the block, or after it with its seconds if processes share the log."""
        started = time.monotonic()
        if not self.shared:
            self.say(f"computing {title}")
        yield
        if self.shared:
            self.say(f"finished  {title}, {time.monotonic() - started:.0f} s")

    @contextmanager
    def working(self, title: str, total: int, unit: str) -> Iterator[Progress]:
        """Show the progress of ``total`` items of work."""
        if not self.console.is_terminal or self.shared:
            yield Progress(self, title, total, unit)
            return
        times = (TimeElapsedColumn(), "left", TimeRemainingColumn(), "{task.fields[note]}")
        columns = ("  {task.description}", BarColumn(), MofNCompleteColumn(), *times)
        redirected = sys.stdout.isatty()  # else rich would print a command's output, bound for a file, as log
        with Bars(*columns, console=self.console, redirect_stdout=redirected) as bars:
            yield Progress(self, title, total, unit, bars)


def append_line(path: Path, line: str) -> None:
    """Append a line to a file that several processes may share; a full disk does not end the work."""
    with suppress(OSError), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{line}\n")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, whose last columns wrap, or unbroken lines where there is no terminal."""
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(escape_line(cell)) for cell in row))
    for column, head in zip(table.columns, heads, strict=True):
        column.overflow, column.no_wrap = "fold", head not in ("options", "chosen")
    terminal = sys.stdout.isatty()
    Console(file=sys.stdout, width=None if terminal else 10_000, highlight=False).print(table, soft_wrap=not terminal)
