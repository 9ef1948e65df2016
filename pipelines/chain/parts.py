"""The folds and seeds of a run: one after the other, or in a plan that makes several stages at the same time."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipelines.results.run_record import FoldSeed
from pipelines.settings.run_settings import RunSettings
from pipelines.store.outputs import keep_claimed
from pipelines.store.stage import Plan, Session, open_plan
from pipelines.store.store import Entry, some_options
from pipelines.store.tracking import Say, Tracking
from wordless.audio.recordings.manifest import Clips
from wordless.base.machine import limited_threads
from wordless.base.messages import counted
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

Parts = Mapping[FoldSeed, tuple[Clips, RunSettings]]  # the divided recordings, and the options, moved to the seed
Make = Callable[[Session, Clips, RunSettings], dict[str, Entry]]
Made = dict[FoldSeed, dict[str, Entry]]  # entries of each part by their names


def make_parts(session: Session, parts: Parts, make: Make, *, processes: int, threads: int) -> Made:
    """Make the entries of all parts, by up to ``processes`` with ``threads`` each."""
    keep_claimed()
    about: dict[str, Any] = some_options(session, "store", "folder", "engine", "shared")
    workers = session.workers and (session.workers // processes or 1)  # 0: all of Ray, which shares them itself
    open_session = partial(Session, **about, gang=Gang(torch.device("cpu")), workers=workers)
    elsewhere = None if session.tracking is None else session.tracking.elsewhere
    repeat = partial(_repeat, make, parts, open_session, elsewhere, session.terminal.log, torch.get_num_threads())
    line = f"parallel  {processes} stages at the same time, with {counted(threads, 'thread')} each"
    tell = partial(session.terminal.say, line)
    several = open_plan(repeat, [*parts], processes=processes, threads=threads, tell=tell)
    made: Made = {}
    with several if processes > 1 else nullcontext() as plan:
        for (fold, seed), part in parts.items():
            if plan is None and len(parts) > 1:
                session.terminal.say(f"fold      {fold} held out for test, seed {seed}")
            place = _place(parts, (fold, seed))
            made[fold, seed] = make(replace(session, place=place, plan=plan, part=(fold, seed)), *part)
    return first_marked(made)


def _place(parts: Parts, key: FoldSeed) -> str:
    """Name a part in the names of trainings; the only part of a run has no name."""
    return f"{key[0]}, seed {key[1]}" if len(parts) > 1 else ""


def _repeat(
    make: Make,
    parts: Parts,
    open_session: Callable[..., Session],
    open_tracking: Callable[[Say], Tracking] | None,
    log: Path | None,
    threads: int,
    plan: Plan,
    key: Hashable,
) -> None:
    """Make the calls of a part again, in another process, with the ``threads`` of the first, which decide keys."""
    [(own, part)] = [(own, part) for own, part in parts.items() if own == key]
    place = _place(parts, own)
    terminal = Terminal(place=place, shared=True, log=log)
    tracking = open_tracking and open_tracking(terminal.say)
    session = open_session(terminal=terminal, place=place, tracking=tracking, plan=plan, part=key)
    with limited_threads(threads), terminal.silenced():  # the process that plans says what there is to say
        make(session, *part)


def first_marked(made: Made) -> Made:
    """Mark entries that a run made as such in their first place alone: other parts and names reuse them."""
    new = {entry.place for entries in made.values() for entry in entries.values() if not entry.reused}
    for entries in made.values():
        for name, entry in entries.items():
            entries[name] = replace(entry, reused=entry.place not in new)
            new.discard(entry.place)
    return made
