"""The folds and seeds of a run, one after the other or several at the same time; the entries have the same bytes.

Trainings of one fold and seed that do not need each other can be made at the same time, too: vocoder and language
model, those of methods that are compared, and language models of samples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch

from pipelines.commandline.outputs import keep_claimed
from pipelines.methods.study import RunEntries
from pipelines.settings.run import RunSettings
from pipelines.store.session import Session
from pipelines.store.store import Entry, Store
from pipelines.tracking.tracking import Say, Tracking
from wordless.audio.recordings.manifest import Clips
from wordless.base.pools import EngineConfig, as_finished
from wordless.base.progress import Terminal
from wordless.base.text import counted
from wordless.training.gangs import Gang

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A fold and a seed, or one of its trainings: the divided recordings, and the options, moved to the seed."""

    fold: str
    place: str  # for people, and in the names of trainings; empty if it is the only pair
    training: str = ""  # name of the one training that is made; empty: all that the pair needs
    manifest: Clips
    settings: RunSettings
    unlabelled: Sequence[Clips]

    @property
    def title(self) -> str:
        """The pair and its training, for people."""
        return ", ".join(filter(None, (self.place, self.training)))


Make = Callable[[Session, Pair], RunEntries]


def make_pairs(
    session: Session, pairs: Mapping[K, Pair], make: Make, *, parallel: int, what: str = "folds and seeds"
) -> dict[K, RunEntries]:
    """Make the entries of every pair, at most ``parallel`` pairs at the same time; ``what`` is their name for people.

    If several pairs need the same entry, the first process that asks for it makes it, and the others wait.
    """
    if (processes := min(parallel, len(pairs))) > 1:
        return _made_apart(session, pairs, make, processes, what)
    made = {}
    for key, pair in pairs.items():
        if len(pairs) > 1:
            session.terminal.say(f"fold      {pair.fold} held out for test, seed {pair.settings.seed}")
        made[key] = make(replace(session, place=pair.place), pair)
    return made


def _made_apart(
    session: Session, pairs: Mapping[K, Pair], make: Make, processes: int, what: str
) -> dict[K, RunEntries]:
    """Make the entries of every pair in ``processes`` processes that share the store."""
    say, threads, made = session.terminal.say, torch.get_num_threads(), {}
    keep_claimed()  # the processes note the run's folder as a user of their entries
    say(f"parallel  {len(pairs)} {what}, {processes} at the same time, with {counted(threads, 'thread')} each")
    workers = session.workers and (session.workers // processes or 1)  # 0: all of Ray, which shares them itself
    places = (session.store.root, session.folder, session.terminal.log)
    work = partial(_make_apart, make, places, workers, session.engine, session.shared, session.tracking.elsewhere)
    by_seed = dict(sorted(pairs.items(), key=lambda each: each[1].settings.seed))
    for key, entries in as_finished(work, by_seed, processes=processes, threads=threads, remedy="parallel=1"):
        made[key] = entries
        session.track_others(entries.named, pairs[key].place)
        say(f"finished  {len(made)} of {len(pairs)} {what}: {pairs[key].title}")
    return {key: made[key] for key in pairs}


def _make_apart(
    make: Make,
    places: tuple[Path, Path, Path | None],
    workers: int,
    engine: EngineConfig,
    shared: tuple[Path, ...],
    open_tracking: Callable[[Say], Tracking],
    pair: Pair,
) -> RunEntries:
    """Make the entries of a pair in a process of its own; ``places`` are the store, the run folder and its log."""
    store, folder, log = places
    terminal = Terminal(place=pair.title, log=log)
    alone = Gang(torch.device("cpu"))
    session = Session(
        store=Store(store),
        gang=alone,
        terminal=terminal,
        folder=folder,
        workers=workers,
        place=pair.place,
        engine=engine,
        shared=shared,
        tracking=open_tracking(terminal.say),
    )
    return make(session, pair)


def reused_in_order(made: Mapping[K, RunEntries], before: Iterable[Entry] = ()) -> dict[K, RunEntries]:
    """Mark the entries that a run of one fold after the other would have reused.

    An entry that several pairs share, or that has two names in a pair, counts as reused but for its first place,
    whichever process made it. Entries made ``before`` the pairs count as made by the first pair that has them.
    """
    all_entries = chain(before, *(each.named.values() for each in made.values()))
    new = {entry.folder for entry in all_entries if not entry.reused}
    marked = {}
    for key, entries in made.items():
        first = {entry.folder: name for name, entry in reversed(entries.named.items()) if entry.folder in new}
        marked[key] = replace(entries, new=frozenset(first.values()))
        new -= first.keys()
    return marked
