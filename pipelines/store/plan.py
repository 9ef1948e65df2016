"""The plan of a run: its calls of stages, and one scheduler that makes those whose inputs are there.

A stage that is called in a plan gives its entry at once, because its key follows from its arguments and not from its
files. The entry is made when somebody opens its folder, or at the end of the plan, where several are made at the same
time in processes of their own. Such a process repeats the calls, as functions do not travel between processes, and then
makes the entry it was asked for.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from pipelines.store.store import Entry, Recipe
from wordless.base.machine import limited_threads
from wordless.base.pools import open_processes

Repeat = Callable[["Plan", Hashable], None]  # makes the calls of one part of a run again


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a stage."""

    recipe: Recipe
    entry: Entry  # that it makes, or that the store has
    make: Callable[[], object]  # makes or finds the entry, in this process
    threads: int  # that it computes with: they decide last bits, so they are those of the process that made the plan
    part: Hashable  # of the run, such as a fold and a seed
    is_training: bool


class Plan:
    """Calls of stages in order, of which those that are ready are made; `open_plan` creates one."""

    def __init__(self, begin: "Callable[[Hashable, str], Future[None]] | None" = None, *, threads: int = 1) -> None:
        """Plan for processes that ``begin`` an entry and have so many ``threads`` together; None: this one alone."""
        self._begin, self._threads = begin, threads
        self.entries: dict[str, Entry] = {}  # by key, of all calls
        self._left: dict[str, Call] = {}  # calls by key whose entries are not made yet
        self._notices: dict[str, list[Callable[[Entry], object]]] = {}

    def add(self, call: Call) -> Entry:
        """Take a new call, and return its entry, which is made when it is first read."""
        entry, key = call.entry, call.entry.key
        if not entry.reused:
            self._left[key] = call
            entry = replace(entry, make=lambda: self.make([key]))
        self.entries[key] = entry
        return entry

    def when_made(self, entry: Entry, tell: Callable[[Entry], object]) -> None:
        """Call ``tell`` once the entry is made."""
        if entry.key in self._left:
            self._notices.setdefault(entry.key, []).append(tell)
        else:
            tell(entry)

    def make(self, keys: Sequence[str] | None = None) -> None:
        """Make the entries of some keys and their inputs, by default all that are left.

        Trainings begin before other stages, and these in the order of their calls. What is ready alone is made in this
        process, with all of its workers.
        """
        waiting = [*self._left] if keys is None else self._with_inputs(keys)
        running: dict[Future[None], str] = {}
        while waiting or running:
            ready = [key for key in waiting if not self._missing(key)]
            if not running and (self._begin is None or len(ready) == 1):
                waiting.remove(ready[0])
                call = self._left[ready[0]]
                with limited_threads(None if call.threads == torch.get_num_threads() else call.threads):
                    call.make()
                self._finish(ready[0])
                continue
            for key in sorted(ready, key=lambda key: not self._left[key].is_training):
                busy = sum(self._left[each].threads for each in running.values())
                if self._begin is not None and (not running or busy + self._left[key].threads <= self._threads):
                    waiting.remove(key)
                    running[self._begin(self._left[key].part, key)] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                self._finish(running.pop(future))

    def _finish(self, key: str) -> None:
        entry = replace(self._left.pop(key).entry, make=None)
        for tell in self._notices.pop(key, ()):
            tell(entry)

    def _missing(self, key: str) -> list[str]:
        """Return the keys of inputs that are not made yet."""
        read = self._left[key].recipe.inputs.values()
        return [each for value in read for each in str(value).split() if each in self._left]

    def _with_inputs(self, keys: Sequence[str]) -> list[str]:
        """Return those of the keys that are left, and all of their inputs that are, in the order of the calls."""
        wanted, found = [key for key in keys if key in self._left], set[str]()
        while wanted:
            found.add(key := wanted.pop())
            wanted += self._missing(key)
        return [key for key in self._left if key in found]


@contextmanager
def open_plan(repeat: Repeat, *, processes: int, threads: int, tell: Callable[[], object]) -> Iterator[Plan]:
    """Give a plan whose entries are made by up to ``processes`` with ``threads`` each; the block's end makes the rest.

    ``repeat`` makes the calls of one part of the plan again, in a process that then makes entries of it. ``tell`` is
    called when the first process starts.
    """
    with ExitStack() as stack:
        submit: list[Callable[..., Future[None]]] = []

        def begin(part: Hashable, key: str) -> "Future[None]":
            if not submit:  # processes take seconds to start
                tell()
                opened = open_processes(processes, partial(_Repeated.begin, repeat), threads=threads)
                submit.append(stack.enter_context(opened))
            return submit[0](_Repeated.make, part, key)

        plan = Plan(begin, threads=processes * threads)
        yield plan
        plan.make()


class _Repeated:
    """The plans of a process that makes entries for another one."""

    repeat: Repeat
    plans: dict[Hashable, Plan]

    @classmethod
    def begin(cls, repeat: Repeat) -> None:
        cls.repeat, cls.plans = repeat, {}

    @classmethod
    def make(cls, part: Hashable, key: str) -> None:
        if part not in cls.plans:
            cls.plans[part] = Plan()
            cls.repeat(cls.plans[part], part)
        cls.plans[part].make([key])
