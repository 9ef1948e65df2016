"""A run's session: its store, processes, terminal and folder, and the reuse or making of a stage."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from foundation.devices import cores
from foundation.engine import LOCAL, EngineConfig
from foundation.errors import InputError
from foundation.pools import Pool, in_order, open_pool
from foundation.progress import Terminal
from pipelines.store.store import Entry, Recipe, Store, checkpoints_of, write_json
from pipelines.store.training_curve import CURVE, TENSORBOARD, training_name
from pipelines.store.users import note_user
from training.fit import fit
from training.gangs import Alone, Gang
from training.record import Point
from training.state import FitConfig, Sharding
from training.steps import B, Batches, LossFunction
from training.tracking import tensorboard

J = TypeVar("J")
R = TypeVar("R")
CHECKPOINT = "fit.safetensors"


@dataclass(frozen=True, kw_only=True)
class Session:
    """The resources of every stage."""

    store: Store
    gang: Gang
    terminal: Terminal
    folder: Path  # of the run
    workers: int  # that read and encode recordings, as `EngineConfig.workers` counts them
    place: str = ""  # fold and seed, where a run has several
    engine: EngineConfig = LOCAL  # of the workers
    shared: tuple[Path, ...] = ()  # files and folders that all workers must see, beside the store

    def obtain(
        self, recipe: Recipe, title: str, make: Callable[[Path], None], *, files: Sequence[str], together: bool = False
    ) -> Entry:
        """Return the entry of ``recipe``: from the store, or made by ``make(partial folder)``.

        ``files`` are the names, or patterns such as ``*.wav``, of the files of the entry that ``make`` writes. Rank 0
        makes the entry alone. With ``together``, ``make`` runs on every rank, and only rank 0 may write. The numbers of
        threads and processes decide the rounding of sums in entries made together, so they belong to the keys of these
        entries, and through them to later keys. Entries that rank 0 makes alone must be the same bytes for any number
        of threads, so PyTorch computes them with `one_thread`.
        """
        leader = self.gang.rank == 0
        if together:
            recipe = replace(recipe, config={**recipe.config, "threads": self._threads(), "processes": self.gang.size})
        with self.store.locked(recipe, self._waiting) if leader else nullcontext():
            if leader:
                note_user(self.store.folder(recipe), self.folder, self.store.root)
            entry = self.store.find(recipe) if leader else None
            # Rank 0's look at the store decides for all: another run may finish the entry at any moment.
            reused = self.gang.sum([float(entry is not None)])[0] > 0
            if reused:
                self.terminal.say(f"reused    {recipe.stage:<12} {recipe.key}")
            elif leader or together:
                making = self.store.making(recipe, files) if leader else nullcontext(self.store.partial(recipe))
                with self.terminal.computing(f"{recipe.stage:<12} {recipe.key}", title), making as partial:
                    make(partial)
        self.gang.barrier()
        return Entry(stage=recipe.stage, key=recipe.key, folder=self.store.folder(recipe), reused=reused)

    def alone(self) -> "Session":
        """Return the same session without the other processes, for work that is too small to share."""
        return replace(self, gang=Alone(self.gang.device))

    def on_this_machine(self) -> "Session":
        """Return the same session with local workers, for work that writes into parts of one file."""
        return replace(self, engine=LOCAL, workers=self.workers or cores())

    def pool(self) -> AbstractContextManager[Pool]:
        """Start the workers."""
        shared, gpu = [self.store.root, *self.shared], self.gang.device.type == "cuda"
        return open_pool(self.engine, self.workers, shared=shared, gpu=gpu)

    def each(self, title: str, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Give the results of ``work`` for each job, in order, computed by all workers, and show the progress."""
        with self.terminal.working(title, len(jobs), "clips") as progress, self.pool() as pool:
            yield from progress.each(in_order(work, jobs, pool))

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
        *,
        sharding: Sharding = "none",
    ) -> None:
        """Call `fit` inside a partial ``folder``, with checkpoints, progress and TensorBoard; rank 0 writes the curve.

        ``option`` is the name of the config on the command line.
        """
        title = training_name(stage)
        with self.terminal.working(title, config.steps, "steps") as progress:
            report = fit(
                model,
                batches,
                validation,
                loss,
                config,
                gang=self.gang,
                option=option,
                sharding=sharding,
                checkpoint=checkpoints_of(folder) / CHECKPOINT,
                progress=progress,
                track=self._tracker(training_name(stage, self.place)),
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

    def _tracker(self, name: str) -> Callable[[Point], None]:
        """Write points of a training curve to TensorBoard; errors of its files do not end the training."""
        if self.gang.rank:
            return lambda point: None
        return tensorboard(self.folder / TENSORBOARD / name, self.terminal.say)

    def _waiting(self, recipe: Recipe) -> None:
        self.terminal.say(f"waiting   {recipe.stage:<12} {recipe.key}  another process is making it")
