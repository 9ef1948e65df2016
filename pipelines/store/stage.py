"""A stage: a function whose arguments decide the artifact that it writes; its session, and the task graph of a run.

::

    @stage("codes", version=3, title="encoding {clips} clips")
    def codes(run: Run, clips: Clips, tokenizer: CachedArtifact) -> None:
        ...  # writes files into run.folder

``codes(session, clips, tokenizer)`` returns the artifact, from the store or made now. Its key is the hash of the
stage's name, its version, and all arguments:

- plain values, lists, mappings and options are themselves; options that decide no result are left out;
- an artifact is its key;
- what has a ``key`` is this key. That of a clip table is its sound, so the stage gets the table without labels;
- where something else of an argument decides the result, a function says what: ``keys={"clips": labels_of}``.

A stage that is called in a task graph gives its artifact at once, because its key follows from its arguments. The
artifact is made when somebody opens its folder, or at the end of the graph, where several are made at the same time in
processes. Such a process repeats the calls of a trial (a fold and a seed), because functions do not travel between
processes. Some calls read an artifact while a trial is planned; so where several trials are left, processes repeat all
of them first.
"""

import inspect
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial, wraps
from itertools import chain
from pathlib import Path
from string import Formatter
from types import MappingProxyType, NoneType
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import nn

from pipelines.store.claims import keep_claimed
from pipelines.store.run_progress import RunProgress
from pipelines.store.store import COVERAGE, CURVE, CachedArtifact, CacheKey, Store, checkpoints_of, write_json
from pipelines.store.tracking import Tracking
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.coverage import TrainingSound, describe_coverage
from wordless.base.files import list_hash
from wordless.base.messages import InputError
from wordless.base.options import DECIDES, values_in_keys
from wordless.base.pools import LOCAL, EngineConfig, Pool, in_order, open_pool, open_processes
from wordless.base.progress import Terminal
from wordless.base.threads import limited_threads
from wordless.training import FitConfig, Point, TrainingRecord
from wordless.training.fit import B, Batches, Gang, LossFunction, fit

J = TypeVar("J")
R = TypeVar("R")
S = TypeVar("S", bound="Session")
CHECKPOINT = "fit.safetensors"
_WIDTH = 20  # of the column of stages in the log


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
    graph: "TaskGraph | None" = None  # makes artifacts later, several at the same time; None: made at once
    trial: Hashable = None  # of the graph
    progress: RunProgress | None = None  # of the run as a whole

    def artifact(
        self, cache_key: CacheKey, title: str, make: "Callable[[StageRun], None]", *, read: set[str], together: bool
    ) -> CachedArtifact:
        """Return the artifact of ``cache_key``, found, made now, or left to the graph; ``read``: keys of its inputs."""
        if together:
            processes = {"threads": self._threads(), "processes": self.gang.size}
            cache_key = replace(cache_key, arguments={**cache_key.arguments, **processes})
        name = self.training.format(stage=cache_key.stage)
        title = f"{cache_key.stage:<{_WIDTH}} {cache_key.digest}  {title}"
        make_it = partial(self._make, cache_key, title, make, together=together)
        if self.graph is None:
            artifact = make_it()
            self._track(artifact, name)
            return artifact
        if (known := self.graph.artifacts.get(cache_key.digest)) is not None:
            return known
        if found := self.store.find(cache_key) is not None and cache_key.digest not in self.graph.made:
            self.terminal.say(f"reused    {title}")
            self._note_reused(cache_key)
        artifact = self.store.artifact(cache_key, reused=found)
        artifact = self.graph.add(artifact, make_it, read=read, trial=self.trial, is_training=together)
        self.graph.when_made(artifact, lambda made: self._track(made, name))
        return artifact

    def _make(
        self, cache_key: CacheKey, title: str, make: "Callable[[StageRun], None]", *, together: bool
    ) -> CachedArtifact:
        if self.graph is not None and (made := self.store.find(cache_key)) is not None:
            return made  # by another process of the graph
        leader = self.gang.rank == 0

        def waiting(cache_key: CacheKey) -> None:
            self.terminal.say(f"waiting   {title}: another process is making it")

        artifact = self.store.find(cache_key) if leader else None  # most stages of a repeated run need no lock
        with self.store.locked(cache_key, waiting) if leader and artifact is None else nullcontext():
            if leader:
                keep_claimed()
                # Again, under the lock: another process may have finished the artifact during the wait.
                artifact = artifact or self.store.find(cache_key)
            # Rank 0's look at the store decides for all: another run may finish the artifact at any moment.
            found = self.gang.sum([float(artifact is not None)])[0] > 0
            if found and self.graph is None:
                self.terminal.say(f"reused    {title}")
                self._note_reused(cache_key)
            elif not found and (leader or together):
                making = self.store.making(cache_key) if leader else nullcontext(self.store.partial(cache_key))
                with self.terminal.computing(title), self._watched(cache_key), making as place:
                    make(StageRun(**{**vars(self), "folder": place, "stage": cache_key.stage}))
        self.gang.barrier()  # after rank 0 has renamed the folder: the others read the artifact from here on
        return artifact or self.store.artifact(cache_key, reused=found)

    def _note_reused(self, cache_key: CacheKey) -> None:
        if self.progress is not None and self.gang.rank == 0:
            self.progress.reused(cache_key.stage, cache_key.digest)

    @contextmanager
    def _watched(self, cache_key: CacheKey) -> Iterator[None]:
        """Let the run as a whole know how far the artifact of ``cache_key`` is, and say what is left of the run."""
        if (progress := self.progress) is None or self.gang.rank:
            yield
            return
        started, of = time.monotonic(), (cache_key.stage, cache_key.digest)

        def advance(share: float) -> str:
            return progress.advance(*of, share, time.monotonic() - started)

        with self.terminal.watched(advance):
            yield
        if line := progress.finish(*of, time.monotonic() - started):
            self.terminal.say(line)

    def when_made(self, artifact: CachedArtifact, describe: Callable[[CachedArtifact], object]) -> None:
        """Print the line that ``describe`` gives of an artifact, if any, once the artifact is made."""

        def tell(made: CachedArtifact) -> None:
            if line := describe(made):
                self.terminal.say(str(line))

        tell(artifact) if self.graph is None else self.graph.when_made(artifact, tell)

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

    def _track(self, artifact: CachedArtifact, name: str) -> None:
        """Give trackers the whole curve of a training, made here or found; a training without steps has no points."""
        if self.tracking is None or not self.tracking.names or not (artifact.folder / CURVE).is_file():
            return
        if points := artifact.read_rows(CURVE, "curve"):
            self.tracking.complete(training_name(name, self.place), points)


@dataclass(frozen=True, kw_only=True)
class StageRun(Session):
    """The session of a stage that makes its artifact: `folder` is the artifact's, which is renamed when it is complete.

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
        *,
        sound: TrainingSound | None = None,
    ) -> TrainingRecord:
        """StageTask `fit` with checkpoints, progress and trackers; ``option`` names the config on the command line.

        Afterwards the log and `COVERAGE` say what was read of the training recordings, ``sound``; None: of none.
        """
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
        # After `fit`, which saves its checkpoint at the last step: a run that is killed here takes no step again, and
        # writes the same curve.
        if self.gang.rank == 0:
            write_json(self.folder / CURVE, report)
            if sound is not None:
                coverage = sound.coverage(report["steps"])
                if report["steps"]:
                    self.terminal.say(f"  {training_name(name)}: {describe_coverage(coverage)}")
                write_json(self.folder / COVERAGE, coverage)
        return report


P = ParamSpec("P")
LONG = 100  # values of a list or mapping that a record of an artifact shows; of more it has the hash


def labels_of(clips: Clips) -> list[object]:
    """Return what tables say of clips, as the key of a stage that reads this and not their sound."""
    rows = zip(clips.names, *(clips.frame[name].tolist() for name in ("split", "label", "group", "fold")), strict=True)
    return [*map(list, rows)]


_PLAIN = frozenset((NoneType, bool, int, float, str))  # types of values that are their own key


def stage(
    name: str,
    *,
    version: int,
    title: str,
    splits: tuple[Split, ...] = (),
    keys: Mapping[str, Callable[[Any], object] | None] = MappingProxyType({}),
    together: bool = False,
    formerly: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[Concatenate[StageRun, P], None]], Callable[Concatenate[Session, P], CachedArtifact]]:
    """Make a stage of a function that writes the files of an artifact into ``run.folder``.

    Arguments can stand in ``name`` and ``title``, such as ``{fit.summary}``; in the title, lists, views and clip tables
    are their lengths. Raise the ``version`` when the same arguments give other bytes. Clip tables get into the function
    and the key with the clips of ``splits`` alone, one split after the other; (): with all clips. ``keys`` say what of
    an argument is in the key; None: nothing, because the argument follows from the others. An argument that was renamed
    keeps the name in its key that ``formerly`` gives.

    Rank 0 makes the artifact alone, with the same bytes for any number of threads (`wordless.base.threads.one_thread`).
    With ``together``, as for trainings, the function runs on every rank, of which only rank 0 may write; the key has
    the numbers of threads and processes, which decide the rounding of sums.
    """

    def decorate(make: Callable[Concatenate[StageRun, P], None]) -> Callable[Concatenate[Session, P], CachedArtifact]:
        signature = inspect.signature(make)
        in_title = {str(of).partition(".")[0] for _, of, _, _ in Formatter().parse(title) if of}

        @wraps(make)
        def call(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> CachedArtifact:
            bound = signature.bind(session, *args, **kwargs)
            bound.apply_defaults()
            given = {
                of: each.only(*splits) if splits and isinstance(each, Clips) else each
                for of, each in [*bound.arguments.items()][1:]
            }
            read = {artifact.key for artifact in given.values() if isinstance(artifact, CachedArtifact)}
            decide = {each: value for each, value in given.items() if each not in keys}
            decide |= {each: key(given[each]) for each, key in keys.items() if key is not None and each in given}
            arguments = {formerly.get(each, each): argument_key(value, read) for each, value in decide.items()}
            cache_key = CacheKey(name.format_map(given), version, arguments)
            shown = title.format_map({each: _shown(given[each]) for each in in_title})

            def work(run: StageRun) -> None:
                for of, each in given.items():
                    plain = isinstance(each, Clips) and of not in keys  # its key does not have the labels
                    bound.arguments[of] = each.with_columns(label=None, group=None) if plain else each
                make(run, *bound.args[1:], **bound.kwargs)

            return session.artifact(cache_key, shown, work, read=read, together=together)

        return call

    return decorate


def _shown(value: object) -> object:
    if isinstance(value, Clips):
        return len(value.frame)
    return len(value) if isinstance(value, Sized) and not isinstance(value, str) else value


def argument_key(value: object, read: set[str]) -> object:
    """Return the JSON by which an argument decides a result, and add the keys of artifacts in it to ``read``."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case CachedArtifact():
            read.add(value.key)
            return value.key
        case Mapping():
            # plain values without a call of this function: lists of clips and labels hold thousands
            named = {
                str(name): each if type(each) in _PLAIN else argument_key(each, read) for name, each in value.items()
            }
            return named if len(named) <= LONG else list_hash(sorted(named.items()))
        case list() | tuple():
            # rows of plain values, too
            keys = [
                each
                if type(each) in _PLAIN
                or (type(each) is list and len(each) <= LONG and _PLAIN.issuperset(map(type, each)))
                else argument_key(each, read)
                for each in value
            ]
            return keys if len(keys) <= LONG else list_hash(keys)
    if (key := getattr(value, "key", None)) is not None:
        return argument_key(key, read)
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"a key cannot have a {type(value).__name__}")
    if (choice := getattr(value, "precision", None)) in ("auto", "auto_gpu"):
        raise ValueError(f"a key needs the meaning of precision={choice}: call with_precision on the settings first")
    # On a GPU the default may round otherwise; `true` does so on each device.
    left_out = () if getattr(value, "compile", None) else ("compile",)
    if getattr(value, "follows", False):
        raise ValueError("a key needs the number of steps: call `followed` on the training's options first")
    keyless: Mapping[str, object] = getattr(value, "keyless", {})
    decide = [
        each
        for each in fields(value)
        if each.metadata.get(DECIDES, True)
        and each.name not in left_out
        and (each.name not in keyless or getattr(value, each.name) != keyless[each.name])
    ]
    return argument_key(values_in_keys(value, decide), read)


Repeat = Callable[["TaskGraph", Hashable], None]  # makes the calls of one trial of a run again
Begin = Callable[[Hashable, str | None], "Future[set[str]]"]  # lets a process work for a trial: `_Repeated.answer`


@dataclass(frozen=True, kw_only=True)
class StageTask:
    read: set[str]  # keys of its inputs
    artifact: CachedArtifact  # that it makes, or that the store has
    make: Callable[[], CachedArtifact]  # makes or finds the artifact, in this process
    threads: int  # that it computes with: they decide last bits, so they are those of the process that made the graph
    trial: Hashable  # of the run: a fold and a seed
    is_training: bool


class TaskGraph:
    """Calls of stages in order, of which those that are ready are made; `open_task_graph` creates one."""

    def __init__(self, begin: "Begin | None" = None, *, threads: int = 1, trials: Sequence[Hashable] = ()) -> None:
        """Plan ``trials`` for processes that ``begin`` work and have so many ``threads`` together; None: this one."""
        self._begin, self._threads, self._trials = begin, threads, [*trials]
        self.artifacts: dict[str, CachedArtifact] = {}  # by key, of all calls
        self.made: set[str] = set()  # keys of artifacts that this process made, or another one that planned ahead
        self._left: dict[str, StageTask] = {}  # calls by key whose artifacts are not made yet
        self._notices: dict[str, list[Callable[[CachedArtifact], object]]] = {}

    def add(
        self,
        artifact: CachedArtifact,
        make: Callable[[], CachedArtifact],
        *,
        read: set[str],
        trial: Hashable,
        is_training: bool,
    ) -> CachedArtifact:
        """Take a new call, and return its artifact, which is made when it is first read."""
        key, threads = artifact.key, torch.get_num_threads()
        while self._trials and self._trials[0] != trial:
            self._trials.pop(0)  # it is planned
        if not artifact.reused and key not in self.made:
            call = StageTask(
                read=read, artifact=artifact, make=make, threads=threads, trial=trial, is_training=is_training
            )
            self._left[key] = call
            artifact = replace(artifact, make=lambda: self.make([key]))
        self.artifacts[key] = artifact
        return artifact

    def when_made(self, artifact: CachedArtifact, tell: Callable[[CachedArtifact], object]) -> None:
        """StageTask ``tell`` once the artifact is made."""
        if artifact.key in self._left:
            self._notices.setdefault(artifact.key, []).append(tell)
        else:
            tell(artifact)

    def make(self, keys: Sequence[str] | None = None) -> None:
        """Make the artifacts of some keys and their inputs, by default all that are left.

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
                    running[self._begin(self._left[key].trial, key)] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                self._finish(running.pop(future))

    def _plan_ahead(self) -> None:
        """Let processes plan the trials that are left, and make what is read on the way."""
        trials, self._trials = self._trials, []
        # Before this process makes anything: else what each trial reads while it is planned would be made one trial
        # after the other.
        if self._begin is not None and len(trials) > 1:
            for future in [self._begin(trial, None) for trial in trials]:
                self.made |= future.result()

    def _finish(self, key: str) -> None:
        artifact = replace(self._left.pop(key).artifact, make=None)
        for tell in self._notices.pop(key, ()):
            tell(artifact)

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
def open_task_graph(
    repeat: Repeat, trials: Sequence[Hashable], *, processes: int, threads: int, tell: Callable[[], object]
) -> Iterator[TaskGraph]:
    """Give a graph of trials that up to ``processes`` make with ``threads`` each; the end of the block makes the rest.

    ``repeat`` makes the calls of a trial again, in another process. ``tell`` is called when the first process starts.
    """
    with ExitStack() as stack:
        submit: list[Callable[..., Future[set[str]]]] = []

        def begin(trial: Hashable, key: str | None) -> "Future[set[str]]":
            if not submit:  # processes take seconds to start
                tell()
                opened = open_processes(processes, partial(_Repeated.begin, repeat), threads=threads)
                submit.append(stack.enter_context(opened))
            return submit[0](_Repeated.answer, trial, key)

        graph = TaskGraph(begin, threads=processes * threads, trials=trials)
        yield graph
        graph.make()


class _Repeated(TaskGraph):
    """The graph of a trial in a process that makes its artifacts for another one, which tells what there is to tell."""

    repeat: Repeat
    graphs: dict[Hashable, TaskGraph]

    @classmethod
    def begin(cls, repeat: Repeat) -> None:
        cls.repeat, cls.graphs = repeat, {}

    @classmethod
    def answer(cls, trial: Hashable, key: str | None) -> set[str]:
        """Make the artifact of a key, or None, of a trial; return the keys of what this process made of it so far."""
        if trial not in cls.graphs:
            cls.graphs[trial] = cls()
            cls.repeat(cls.graphs[trial], trial)
        graph = cls.graphs[trial]
        if key is not None:
            if key not in graph.artifacts:
                raise RuntimeError(f"the repeated calls of {trial} have no artifact {key}")
            graph.make([key])
        return graph.made

    def when_made(self, artifact: CachedArtifact, tell: Callable[[CachedArtifact], object]) -> None:
        """Tell nothing."""
