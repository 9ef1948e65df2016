"""The folds and seeds of a run: one after the other, or in a plan that makes several stages at the same time.

The entries have the same bytes either way.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from pipelines.commandline.outputs import keep_claimed
from pipelines.methods.study import RunEntries
from pipelines.results.results import FoldSeed
from pipelines.settings.run import RunSettings
from pipelines.store.plan import Plan, open_plan, threads_of
from pipelines.store.session import Session
from pipelines.store.store import Store
from pipelines.tracking.tracking import Say, Tracking
from wordless.audio.recordings.manifest import Clips
from wordless.base.pools import EngineConfig
from wordless.base.progress import Terminal
from wordless.base.text import counted
from wordless.training.gangs import Gang


@dataclass(frozen=True, kw_only=True)
class Part:
    """A fold and a seed of a run: the divided recordings, and the options, moved to the seed."""

    manifest: Clips
    settings: RunSettings
    unlabelled: Sequence[Clips]
    place: str  # for people, and in the names of trainings; empty if it is the only part


Make = Callable[[Session, Part], RunEntries]


def make_parts(
    session: Session, parts: Mapping[FoldSeed, Part], make: Make, *, processes: int, threads: int
) -> dict[FoldSeed, RunEntries]:
    """Make the entries of all parts, by up to ``processes`` with ``threads`` each."""
    made = dict[FoldSeed, RunEntries]()
    if processes == 1:
        for key, part in parts.items():
            if len(parts) > 1:
                fold, _ = key
                session.terminal.say(f"fold      {fold} held out for test, seed {part.settings.seed}")
            made[key] = make(replace(session, place=part.place), part)
        return first_marked(made)
    keep_claimed()
    workers = session.workers and (session.workers // processes or 1)  # 0: all of Ray, which shares them itself
    places = (session.store.root, session.folder, session.terminal.log)
    seen, own_threads = (session.engine, session.shared, session.tracking.elsewhere), torch.get_num_threads()
    repeat = partial(_repeat, make, parts, places, workers, own_threads, *seen)

    def tell() -> None:
        line = f"parallel  {processes} stages at the same time, with {counted(threads, 'thread')} each"
        session.terminal.say(line)

    with open_plan(repeat, [*parts], processes=processes, threads=threads, tell=tell) as plan:
        for key, part in parts.items():
            made[key] = make(replace(session, place=part.place, plan=plan, part=key), part)
    return first_marked(made)


def _repeat(
    make: Make,
    parts: Mapping[FoldSeed, Part],
    places: tuple[Path, Path, Path | None],
    workers: int,
    threads: int,
    engine: EngineConfig,
    shared: tuple[Path, ...],
    open_tracking: Callable[[Say], Tracking],
    plan: Plan,
    key: Hashable,
) -> None:
    """Make the calls of a part again, in a process of its own, whose keys need the ``threads`` of the first process.

    ``places`` are the store, the run folder and its log.
    """
    [part] = [part for own, part in parts.items() if own == key]
    store, folder, log = places
    terminal = Terminal(place=part.place, shared=True, log=log)
    session = Session(
        store=Store(store),
        gang=Gang(torch.device("cpu")),
        terminal=terminal,
        folder=folder,
        workers=workers,
        place=part.place,
        engine=engine,
        shared=shared,
        tracking=open_tracking(terminal.say),
        plan=plan,
        part=key,
    )
    with threads_of(threads), terminal.silenced():  # the process that plans says what there is to say
        make(session, part)


def first_marked(made: Mapping[FoldSeed, RunEntries]) -> dict[FoldSeed, RunEntries]:
    """Mark the entries that a run of one part after the other makes, and does not reuse.

    An entry that several parts share, or that has two names in a part, counts as reused but for its first place.
    """
    new = {entry.place for each in made.values() for entry in each.named.values() if not entry.reused}
    marked = {}
    for key, entries in made.items():
        first = {entry.place: name for name, entry in reversed(entries.named.items()) if entry.place in new}
        marked[key] = replace(entries, new=frozenset(first.values()))
        new -= first.keys()
    return marked
