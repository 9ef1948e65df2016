"""A run's session: its store, processes and folder, and the stages that it reuses or makes."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from pipelines.store.outputs import keep_claimed
from pipelines.store.store import CURVE, Entry, Recipe, Store, checkpoints_of, write_json
from wordless.base.machine import LOCAL, EngineConfig, Pool, in_order, open_pool
from wordless.base.messages import InputError
from wordless.base.progress import Terminal
from wordless.training.fit import B, Batches, Gang, LossFunction, fit
from wordless.training.fit_options import FitConfig, Point

if TYPE_CHECKING:  # who opens a session makes both
    from pipelines.store.plan import Plan
    from pipelines.store.tracking import Tracking

J = TypeVar("J")
R = TypeVar("R")
S = TypeVar("S", bound="Session")
CHECKPOINT = "fit.safetensors"
WIDTH = 20  # of the column of stages in the log


def training_name(stage: str, place: str = "") -> str:
    """Name a training on the terminal and in trackers; ``place`` is its fold and seed."""
    name = f"{'language model' if stage == 'lm' else stage.replace('_', ' ')} {place}".strip()
    return name.replace("/", "_")  # names of groups may contain "/"


@dataclass(frozen=True, kw_only=True)
class Session:
    """The resources of every stage."""

    store: Store
    gang: Gang
    terminal: Terminal
    folder: Path  # of the run
    workers: int  # that read and encode recordings, as `EngineConfig.workers` counts them
    place: str = ""  # fold and seed, where a run has several
    training: str = "{stage}"  # names of trainings: those of their stages, with a rate; or the title of a method
    tracking: "Tracking | None" = None
    engine: EngineConfig = LOCAL  # of the workers
    shared: tuple[Path, ...] = ()  # files and folders that all workers must see, beside the store
    plan: "Plan | None" = None  # that makes entries later, several at the same time; None: they are made at once
    part: Hashable = None  # of the plan

    def entry(
        self, recipe: Recipe, title: str, make: "Callable[[Run], None]", *, read: set[str], together: bool
    ) -> Entry:
        """Return the entry of ``recipe``, found, made now, or left to the plan; ``read`` are keys of its inputs."""
        if together:
            processes = {"threads": self._threads(), "processes": self.gang.size}
            recipe = replace(recipe, arguments={**recipe.arguments, **processes})
        name = self.training.format(stage=recipe.stage)
        title = f"{recipe.stage:<{WIDTH}} {recipe.key}  {title}"
        make_it = partial(self._make, recipe, title, make, together=together)
        if self.plan is None:
            entry = make_it()
            self._track(entry, name)
            return entry
        if (known := self.plan.entries.get(recipe.key)) is not None:
            return known
        if found := self.store.find(recipe) is not None and recipe.key not in self.plan.made:
            self.terminal.say(f"reused    {title}")
        entry = self.store.entry(recipe, reused=found)
        entry = self.plan.add(entry, make_it, read=read, part=self.part, is_training=together)
        self.plan.when_made(entry, lambda made: self._track(made, name))
        return entry

    def _make(self, recipe: Recipe, title: str, make: "Callable[[Run], None]", *, together: bool) -> Entry:
        if self.plan is not None and (made := self.store.find(recipe)) is not None:
            return made  # by another process of the plan
        leader = self.gang.rank == 0

        def waiting(recipe: Recipe) -> None:
            self.terminal.say(f"waiting   {title}: another process is making it")

        with self.store.locked(recipe, waiting) if leader else nullcontext():
            if leader:
                keep_claimed()
            entry = self.store.find(recipe) if leader else None
            # Rank 0's look at the store decides for all: another run may finish the entry at any moment.
            found = self.gang.sum([float(entry is not None)])[0] > 0
            if found and self.plan is None:
                self.terminal.say(f"reused    {title}")
            elif not found and (leader or together):
                making = self.store.making(recipe) if leader else nullcontext(self.store.partial(recipe))
                with self.terminal.computing(title), making as place:
                    make(Run(**{**vars(self), "folder": place, "stage": recipe.stage}))
        self.gang.barrier()
        return self.store.entry(recipe, reused=found)

    def when_made(self, entry: Entry, describe: Callable[[Entry], object]) -> None:
        """Print the line that ``describe`` gives of an entry, if any, once the entry is made."""

        def tell(made: Entry) -> None:
            if line := describe(made):
                self.terminal.say(str(line))

        tell(entry) if self.plan is None else self.plan.when_made(entry, tell)

    def alone(self: S) -> S:
        """Return the same session without the other processes, for work that is too small to share."""
        return replace(self, gang=Gang(self.gang.device))

    def named(self: S, training: str) -> S:
        """Return the same session for a training that has a name of its own."""
        return replace(self, training=training)

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

    def _threads(self) -> int:
        own = torch.get_num_threads()
        total, squares = self.gang.sum([own, own * own])
        if squares * self.gang.size != total * total:
            problem = f"one of {self.gang.size} processes computes with {own} threads, and another with another number"
            raise InputError(f"{problem}; give all of them the same, such as threads=1")
        return own

    def _track(self, entry: Entry, name: str) -> None:
        """Give trackers the whole curve of a training, made here or found; a training without steps has no points."""
        if self.tracking is None or not self.tracking.names or not (entry.folder / CURVE).is_file():
            return
        if points := entry.read_rows(CURVE, "curve"):
            self.tracking.complete(training_name(name, self.place), points)


@dataclass(frozen=True, kw_only=True)
class Run(Session):
    """The session of a stage that makes its entry: `folder` is the entry's, which is renamed when it is complete.

    `wordless.Run` is another class: the finished run of a user.
    """

    stage: str

    def fit(
        self,
        option: str,
        model: nn.Module,
        batches: Batches[B],
        validation: Sequence[B],
        loss: LossFunction[B],
        config: FitConfig,
    ) -> None:
        """Call `fit` with checkpoints, progress and trackers; ``option`` names the config on the command line."""
        name = self.training.format(stage=self.stage)

        def track(point: Point) -> None:
            if self.tracking is not None:
                self.tracking.add(training_name(name, self.place), point)

        with self.terminal.working(training_name(name), config.steps, "steps") as progress:
            report = fit(
                model,
                batches,
                validation,
                loss,
                config,
                gang=self.gang,
                option=option,
                checkpoint=checkpoints_of(self.folder) / CHECKPOINT,
                progress=progress,
                track=track,
                say=self.terminal.say,
            )
        if self.gang.rank == 0:
            write_json(self.folder / CURVE, report)
