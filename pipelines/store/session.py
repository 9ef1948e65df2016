"""A run's session: its store, processes and folder, and the stages that it reuses or makes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pipelines.commandline.outputs import keep_claimed
from pipelines.store.store import CURVE, ENTRY, Entry, Recipe, Store, checkpoints_of, training_name, write_json
from pipelines.store.unused import note_user
from pipelines.tracking.tracking import NO_TRACKING, Tracking, stored_points
from wordless.base.errors import InputError
from wordless.base.machine import cores
from wordless.base.pools import LOCAL, EngineConfig, Pool, in_order, open_pool
from wordless.base.progress import Terminal
from wordless.training.fit import B, Batches, LossFunction, fit
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig

J = TypeVar("J")
R = TypeVar("R")
CHECKPOINT = "fit.safetensors"


def rate_prefix(number: int) -> str:
    """Return the prefix of names of one of several rates, from 1."""
    return f"rate_{number}_"


class MissingEntryError(Exception):
    """An entry that the store does not have, and that was only to be found."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The resources of every stage."""

    store: Store
    gang: Gang
    terminal: Terminal
    folder: Path  # of the run
    user: Path | None = None  # the folder whose deletion makes entries unused; None: the run's
    workers: int  # that read and encode recordings, as `EngineConfig.workers` counts them
    place: str = ""  # fold and seed, where a run has several
    prefix: str = ""  # of the names of trainings, where a run has several rates
    tracking: Tracking = NO_TRACKING
    engine: EngineConfig = LOCAL  # of the workers
    shared: tuple[Path, ...] = ()  # files and folders that all workers must see, beside the store
    parallel: int = 1  # trainings at the same time, each in a process of its own
    made: frozenset[Path] = frozenset()  # folders of entries that other processes of this run made
    finds_only: bool = False  # whether a missing entry raises `MissingEntryError`, and none is made

    def obtain(
        self,
        recipe: Recipe,
        title: str,
        make: Callable[[Path], None],
        *,
        files: Sequence[str],
        together: bool = False,
        training: str | None = None,
    ) -> Entry:
        """Return the entry of ``recipe``: from the store, or made by ``make(partial folder)``.

        ``files`` are the names, or patterns such as ``*.wav``, of the files of the entry that ``make`` writes. Rank 0
        makes the entry alone. With ``together``, ``make`` runs on every rank, and only rank 0 may write. The numbers of
        threads and processes decide the rounding of sums in entries made together, so they belong to the keys of these
        entries, and through them to later keys. Entries that rank 0 makes alone must be the same bytes for any number
        of threads, so PyTorch computes them with `one_thread`. ``training`` is the name that `train` gets, if it is not
        that of the recipe's stage; trackers get the whole curve of every training, made here or found.
        """
        leader = self.gang.rank == 0

        def waiting(recipe: Recipe) -> None:
            self.terminal.say(f"waiting   {recipe.stage:<12} {recipe.key}  another process is making it")

        if together:
            recipe = replace(recipe, config={**recipe.config, "threads": self._threads(), "processes": self.gang.size})
        if self.finds_only:
            if (known := self.store.find(recipe)) is None:
                raise MissingEntryError
            return known
        with self.store.locked(recipe, waiting) if leader else nullcontext():
            if leader:
                note_user(self.store.folder(recipe), self.user or self.folder, self.store.root)
                keep_claimed()
            entry = self.store.find(recipe) if leader else None
            # Rank 0's look at the store decides for all: another run may finish the entry at any moment.
            found = self.gang.sum([float(entry is not None)])[0] > 0
            reused = found and self.store.folder(recipe) not in self.made
            if reused:
                self.terminal.say(f"reused    {recipe.stage:<12} {recipe.key}")
            elif not found and (leader or together):
                making = self.store.making(recipe, files) if leader else nullcontext(self.store.partial(recipe))
                with self.terminal.computing(f"{recipe.stage:<12} {recipe.key}", title), making as partial:
                    make(partial)
        self.gang.barrier()
        entry = Entry(stage=recipe.stage, key=recipe.key, folder=self.store.folder(recipe), reused=reused)
        if leader:
            self._track(entry, training or recipe.stage)
        return entry

    def contains(self, find: Callable[["Session"], object]) -> bool:
        """Return whether the store has every entry that ``find`` obtains; nothing is made, printed or tracked."""
        silent = Terminal(silent=True)
        try:
            find(replace(self, terminal=silent, tracking=NO_TRACKING, parallel=1, finds_only=True))
        except MissingEntryError:
            return False
        return True

    def after(self, others: Iterable[Entry]) -> "Session":
        """Return the same session after other processes of this run made entries, which do not count as reused."""
        return replace(self, made=self.made | {entry.folder for entry in others if not entry.reused})

    def alone(self) -> "Session":
        """Return the same session without the other processes, for work that is too small to share."""
        return replace(self, gang=Gang(self.gang.device))

    def at_rate(self, number: int) -> "Session":
        """Return the same session for the trainings of one of several rates, from 1."""
        return replace(self, prefix=rate_prefix(number))

    def on_this_machine(self) -> "Session":
        """Return the same session with local workers, for work that writes into parts of one file."""
        return replace(self, engine=LOCAL, workers=self.workers or cores())

    def pool(self, *, gpu: bool = True) -> AbstractContextManager[Pool]:
        """Start the workers; with ``gpu``, each has the run's device."""
        shared, on_gpu = [self.store.root, *self.shared], gpu and self.gang.device.type == "cuda"
        return open_pool(self.engine, self.workers, shared=shared, gpu=on_gpu)

    def each(self, title: str, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Give the results of ``work`` for each job, in order, computed by all workers, and show the progress."""
        with self.terminal.working(title, len(jobs), "clips") as progress, self.pool() as pool:
            yield from progress.each(in_order(work, jobs, pool))

    def each_together(
        self, title: str, work: Callable[[Sequence[J]], Sequence[R]], groups: Sequence[Sequence[J]]
    ) -> Iterator[R]:
        """Give the results of ``work``, which computes a group of jobs at once, job by job and in order."""
        with self.terminal.working(title, sum(map(len, groups)), "clips") as progress, self.pool() as pool:
            yield from progress.each(chain.from_iterable(in_order(work, groups, pool)))

    def train(
        self,
        stage: str,
        option: str,
        model: nn.Module,
        batches: Batches[B],
        validation: Sequence[B],
        loss: LossFunction[B],
        config: FitConfig,
        folder: Path,
    ) -> None:
        """Call `fit` inside a partial ``folder``, with checkpoints, progress and trackers; rank 0 writes the curve.

        ``option`` is the name of the config on the command line.
        """
        title = training_name(f"{self.prefix}{stage}")
        tracking = NO_TRACKING if self.gang.rank else self.tracking  # rank 0 tracks alone
        curve = tracking.watch(self._training_name(stage), config)
        with self.terminal.working(title, config.steps, "steps") as progress:
            report = fit(
                model,
                batches,
                validation,
                loss,
                config,
                gang=self.gang,
                option=option,
                checkpoint=checkpoints_of(folder) / CHECKPOINT,
                progress=progress,
                track=curve.add,
                resumed=curve.resume,
                say=self.terminal.say,
            )
        if self.gang.rank == 0:
            write_json(folder / CURVE, report)

    def _threads(self) -> int:
        """Return the number of computing threads, which must be the same in each process."""
        own = torch.get_num_threads()
        total, squares = self.gang.sum([own, own * own])
        if squares * self.gang.size != total * total:
            raise InputError(
                f"one of {self.gang.size} processes computes with {own} threads, and another with another number; "
                "give all of them the same, such as threads=1"
            )
        return own

    def track_others(self, entries: Mapping[str, Entry], place: str) -> None:
        """Give trackers the curves of entries that another process made for ``place``."""
        own = replace(self, place=place)
        for name, entry in entries.items():
            own._track(entry, name)

    def _training_name(self, stage: str) -> str:
        return training_name(f"{self.prefix}{stage}", self.place)

    def _track(self, entry: Entry, name: str) -> None:
        """Give trackers the whole curve of an entry, if it has one."""
        if self.tracking.kinds and (entry.folder / CURVE).is_file():
            fit = _fit_options(entry.read_json(ENTRY).get("config"))
            if points := stored_points(entry.read_rows(CURVE, "curve"), fit):  # none of a training without steps
                self.tracking.complete(self._training_name(name), points)


def _fit_options(config: object) -> object:
    """Return the options of a training in a recipe, which stand in the group ``fit`` of its model's options."""
    if not isinstance(config, dict):
        return None
    return config.get("fit") or next(filter(None, map(_fit_options, config.values())), None)
