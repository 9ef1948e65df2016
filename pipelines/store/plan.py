"""The plan of a run: its calls of stages, and one scheduler that makes those whose inputs are there.

A stage that is called in a plan gives its entry at once, because its key follows from its arguments. The entry is made
when somebody opens its folder, or at the end of the plan, where several are made at the same time in processes. Such a
process repeats the calls of a part, such as a fold and a seed, because functions do not travel between processes. Some
calls read an entry while a part is planned; so where several parts are left, processes repeat all of them first.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from pipelines.store.store import Entry
from wordless.base.machine import limited_threads, open_processes

Repeat = Callable[["Plan", Hashable], None]  # makes the calls of one part of a run again
Begin = Callable[[Hashable, str | None], "Future[set[str]]"]  # lets a process work for a part: `_Repeated.answer`


@dataclass(frozen=True, kw_only=True)
class Call:
    read: set[str]  # keys of its inputs
    entry: Entry  # that it makes, or that the store has
    make: Callable[[], Entry]  # makes or finds the entry, in this process
    threads: int  # that it computes with: they decide last bits, so they are those of the process that made the plan
    part: Hashable  # of the run, such as a fold and a seed
    is_training: bool


class Plan:
    """Calls of stages in order, of which those that are ready are made; `open_plan` creates one."""

    def __init__(self, begin: "Begin | None" = None, *, threads: int = 1, parts: Sequence[Hashable] = ()) -> None:
        """Plan ``parts`` for processes that ``begin`` work and have so many ``threads`` together; None: this one."""
        self._begin, self._threads, self._parts = begin, threads, [*parts]
        self.entries: dict[str, Entry] = {}  # by key, of all calls
        self.made: set[str] = set()  # keys of entries that this process made, or another one that planned ahead
        self._left: dict[str, Call] = {}  # calls by key whose entries are not made yet
        self._notices: dict[str, list[Callable[[Entry], object]]] = {}

    def add(
        self, entry: Entry, make: Callable[[], Entry], *, read: set[str], part: Hashable, is_training: bool
    ) -> Entry:
        """Take a new call, and return its entry, which is made when it is first read."""
        key, threads = entry.key, torch.get_num_threads()
        while self._parts and self._parts[0] != part:
            self._parts.pop(0)  # it is planned
        if not entry.reused and key not in self.made:
            call = Call(read=read, entry=entry, make=make, threads=threads, part=part, is_training=is_training)
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

        Trainings and their inputs begin first. What is ready alone is made in this process, with all of its workers.
        """
        waiting = [*self._left] if keys is None else self._with_inputs(keys)
        if keys is not None and waiting:
            self._plan_ahead()
        running: dict[Future[set[str]], str] = {}
        while waiting or running:
            ready = [key for key in waiting if not self._missing(key)]
            if not running and (self._begin is None or len(ready) == 1):
                waiting.remove(ready[0])
                call = self._left[ready[0]]
                with limited_threads(call.threads):
                    made = call.make()
                if not made.reused:
                    self.made.add(made.key)
                self._finish(ready[0])
                continue
            trainings = [key for key in waiting if self._left[key].is_training]
            first = {*trainings}.union(*map(self._missing, trainings))
            for key in sorted(ready, key=lambda key: key not in first):
                busy = sum(self._left[each].threads for each in running.values())
                if self._begin is not None and (not running or busy + self._left[key].threads <= self._threads):
                    waiting.remove(key)
                    running[self._begin(self._left[key].part, key)] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                self._finish(running.pop(future))

    def _plan_ahead(self) -> None:
        """Let processes plan the parts that are left, and make what is read on the way."""
        parts, self._parts = self._parts, []
        if self._begin is not None and len(parts) > 1:
            for future in [self._begin(part, None) for part in parts]:
                self.made |= future.result()

    def _finish(self, key: str) -> None:
        entry = replace(self._left.pop(key).entry, make=None)
        for tell in self._notices.pop(key, ()):
            tell(entry)

    def _missing(self, key: str) -> list[str]:
        """Return the keys of inputs that are not made yet."""
        return [each for each in self._left[key].read if each in self._left]

    def _with_inputs(self, keys: Sequence[str]) -> list[str]:
        """Return those of the keys that are left, and all of their inputs that are, in the order of the calls."""
        wanted, found = [key for key in keys if key in self._left], set[str]()
        while wanted:
            found.add(key := wanted.pop())
            wanted += self._missing(key)
        return [key for key in self._left if key in found]


@contextmanager
def open_plan(
    repeat: Repeat, parts: Sequence[Hashable], *, processes: int, threads: int, tell: Callable[[], object]
) -> Iterator[Plan]:
    """Give a plan of parts that up to ``processes`` make with ``threads`` each; the end of the block makes the rest.

    ``repeat`` makes the calls of a part again, in another process. ``tell`` is called when the first process starts.
    """
    with ExitStack() as stack:
        submit: list[Callable[..., Future[set[str]]]] = []

        def begin(part: Hashable, key: str | None) -> "Future[set[str]]":
            if not submit:  # processes take seconds to start
                tell()
                opened = open_processes(processes, partial(_Repeated.begin, repeat), threads=threads)
                submit.append(stack.enter_context(opened))
            return submit[0](_Repeated.answer, part, key)

        plan = Plan(begin, threads=processes * threads, parts=parts)
        yield plan
        plan.make()


class _Repeated(Plan):
    """The plan of a part in a process that makes its entries for another one, which tells what there is to tell."""

    repeat: Repeat
    plans: dict[Hashable, Plan]

    @classmethod
    def begin(cls, repeat: Repeat) -> None:
        cls.repeat, cls.plans = repeat, {}

    @classmethod
    def answer(cls, part: Hashable, key: str | None) -> set[str]:
        """Make the entry of a key, or None, of a part; return the keys of all that this process made of it so far."""
        if part not in cls.plans:
            cls.plans[part] = cls()
            cls.repeat(cls.plans[part], part)
        plan = cls.plans[part]
        if key is not None:
            if key not in plan.entries:
                raise RuntimeError(f"the repeated calls of {part} have no entry {key}")
            plan.make([key])
        return plan.made

    def when_made(self, entry: Entry, tell: Callable[[Entry], object]) -> None:
        """Tell nothing."""
