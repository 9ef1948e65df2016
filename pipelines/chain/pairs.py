"""The folds and seeds of a run, one after the other or several at the same time; the entries have the same bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from audio.recordings.manifest import Manifest
from foundation.engine import EngineConfig
from foundation.progress import Terminal
from foundation.text import counted
from foundation.workers import as_finished
from pipelines.results.results import FoldSeed
from pipelines.settings.run import RunSettings
from pipelines.store.session import Session
from pipelines.store.store import Entry, Store
from pipelines.tracking.tracking import NO_TRACKING, TrackedElsewhere
from training.gangs import Alone

Made = dict[str, Entry]  # by stage


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A fold and a seed: the recordings, divided for the fold, and the options, moved to the seed."""

    place: str  # for people; empty if it is the only pair
    manifest: Manifest
    settings: RunSettings
    unlabelled: Sequence[Manifest]


Make = Callable[[Session, Pair], Made]


def make_pairs(session: Session, pairs: Mapping[FoldSeed, Pair], make: Make, *, parallel: int) -> dict[FoldSeed, Made]:
    """Make the entries of every pair, at most ``parallel`` pairs at the same time.

    An entry that several pairs share counts as reused by all but the first of them, whichever process made it.
    """
    if (processes := min(parallel, len(pairs))) > 1:
        return _reused_in_order(_made_apart(session, pairs, make, processes))
    made = {}
    for (fold, seed), pair in pairs.items():
        if len(pairs) > 1:
            session.terminal.say(f"fold      {fold} held out for test, seed {seed}")
        made[fold, seed] = make(replace(session, place=pair.place), pair)
    return made


def _made_apart(session: Session, pairs: Mapping[FoldSeed, Pair], make: Make, processes: int) -> dict[FoldSeed, Made]:
    """Make the entries of every pair in ``processes`` processes that share the store."""
    say, threads, made = session.terminal.say, torch.get_num_threads(), {}
    say(f"parallel  {len(pairs)} folds and seeds, {processes} at the same time, with {counted(threads, 'thread')} each")
    workers = session.workers and (session.workers // processes or 1)  # 0: all of Ray, which shares them itself
    places = (session.store.root, session.folder, session.terminal.log)
    work = partial(_make_apart, make, places, workers, session.engine, session.shared, session.tracking.elsewhere)
    by_seed = dict(sorted(pairs.items(), key=lambda each: each[0][1]))
    for key, entries in as_finished(work, by_seed, processes=processes, threads=threads, remedy="parallel=1"):
        made[key] = entries
        session.track_others(entries.values(), pairs[key].place)
        say(f"finished  {len(made)} of {len(pairs)} folds and seeds: {pairs[key].place}")
    return {key: made[key] for key in pairs}


def _make_apart(
    make: Make,
    places: tuple[Path, Path, Path | None],
    workers: int,
    engine: EngineConfig,
    shared: tuple[Path, ...],
    tracked: TrackedElsewhere | None,
    pair: Pair,
) -> Made:
    """Make the entries of a pair in a process of its own; ``places`` are the store, the run folder and its log."""
    store, folder, log = places
    terminal = Terminal(place=pair.place, log=log)
    alone = Alone(torch.device("cpu"))
    session = Session(
        store=Store(store),
        gang=alone,
        terminal=terminal,
        folder=folder,
        workers=workers,
        place=pair.place,
        engine=engine,
        shared=shared,
        tracking=tracked.open(terminal.say) if tracked else NO_TRACKING,
    )
    return make(session, pair)


def _reused_in_order(made: Mapping[FoldSeed, Made]) -> dict[FoldSeed, Made]:
    """Mark the entries that a run of one fold after the other would have reused."""
    new = {entry.folder for entries in made.values() for entry in entries.values() if not entry.reused}
    seen: set[Path] = set()
    ordered: dict[FoldSeed, Made] = {}
    for key, entries in made.items():
        own = {entry.folder for entry in entries.values()} & new - seen
        ordered[key] = {stage: replace(entry, reused=entry.folder not in own) for stage, entry in entries.items()}
        seen |= own
    return ordered
