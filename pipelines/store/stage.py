"""A stage: a function whose arguments decide the artifact that it writes; its session, and the task graph of a run.

::

    @stage("codes", title="encoding {clips} clips")
    def codes(run: Run, clips: Clips, tokenizer: CachedArtifact) -> None:
        ...  # writes files into run.folder

``codes(session, clips, tokenizer)`` returns the artifact, from the store or made now. Its key is the hash of the
stage's name, its version, and all arguments:

- plain values, lists, mappings and options are themselves; options that decide no result are left out;
- an artifact is its key;
- what has a ``key`` is this key. That of a clip table is its sound and splits, so the stage gets no labels;
- where something else of an argument decides the result, a function says what: ``keys={"clips": labels_of}``.

A stage that is called in a task graph gives its artifact at once, because its key follows from its arguments. The
artifact is made when somebody opens its folder, or at the end of the graph, where several are made at the same time in
processes. What travels to a process is the call, a `StageTask`, and nothing of the session: the process has its own.
`stage` is the outermost decorator of a function, because a process finds the stage by the function's name.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial, update_wrapper
from itertools import chain
from pathlib import Path
from string import Formatter
from threading import Semaphore, Thread
from types import MappingProxyType, NoneType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import torch
from torch import nn

from pipelines.store.claims import keep_claimed
from pipelines.store.store import CURVE, CachedArtifact, CacheKey, Store, checkpoints_of, write_json
from pipelines.store.tensorboard import TensorBoard
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.files import list_hash
from wordless.base.messages import InputError
from wordless.base.options import DECIDES
from wordless.base.pools import LOCAL, EngineConfig, Pool, in_order, open_pool, open_processes
from wordless.base.progress import Terminal
from wordless.base.threads import limited_threads
from wordless.training import Examples, FitConfig, Point, TrainingRecord
from wordless.training.fit import B, Batches, Gang, LossFunction, fit

J = TypeVar("J")
R = TypeVar("R")
S = TypeVar("S", bound="Session")
P = ParamSpec("P")
CHECKPOINT = "fit.safetensors"
_WIDTH = 20  # of the column of stages in the log


def training_name(stage: str, place: str = "") -> str:
    """Name a training on the terminal and in TensorBoard; ``place`` is its fold and seed."""
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
    tensorboard: TensorBoard | None = None
    engine: EngineConfig = LOCAL  # of the workers
    shared: tuple[Path, ...] = ()  # files and folders that all workers must see, beside the store
    graph: "TaskGraph | None" = None  # makes artifacts later, several at the same time; None: made at once
    threads: int | None = None  # with which stages compute; None: as this process is set

    def artifact(self, task: "StageTask") -> CachedArtifact:
        """Return the artifact of a call, found, made now, or left to the graph."""
        if self.graph is None:
            artifact = self.make(task)
            self._track(artifact, task.training)
            return artifact
        if (known := self.graph.artifacts.get(task.cache_key.digest)) is not None:
            return known
        if found := self.store.find(task.cache_key) is not None:
            self.terminal.say(f"reused    {task.line}")
        artifact = self.graph.add(task, self.store.artifact(task.cache_key, reused=found), self)
        self.graph.when_made(artifact, lambda made: self._track(made, task.training))
        return artifact

    def make(self, task: "StageTask") -> CachedArtifact:
        """Make the artifact of a call in this process, with the threads of the call, or find it in the store."""
        with limited_threads(task.threads):
            return self._make(task)

    def _make(self, task: "StageTask") -> CachedArtifact:
        cache_key, together = task.cache_key, task.stage.together
        leader = self.gang.rank == 0
        artifact = self.store.find(cache_key) if leader else None  # most stages of a repeated run need no lock
        if artifact is not None and self.graph is not None:
            return artifact  # made by another process of the graph

        def waiting(cache_key: CacheKey) -> None:
            self.terminal.say(f"waiting   {task.line}: another process is making it")

        with self.store.locked(cache_key, waiting) if leader and artifact is None else nullcontext():
            if leader:
                keep_claimed()
                # Again, under the lock: another process may have finished the artifact during the wait.
                artifact = artifact or self.store.find(cache_key)
            # Rank 0's look at the store decides for all: another run may finish the artifact at any moment.
            found = self.gang.sum([float(artifact is not None)])[0] > 0
            if found and self.graph is None:
                self.terminal.say(f"reused    {task.line}")
            elif not found and (leader or together):
                making = self.store.making(cache_key) if leader else nullcontext(self.store.partial(cache_key))
                with self.terminal.computing(f"{task.line}{task.number}"), making as place:
                    task.stage.write(StageRun(**{**vars(self), "folder": place, "stage": cache_key.stage}), task.given)
        self.gang.barrier()  # after rank 0 has renamed the folder: the others read the artifact from here on
        return artifact or self.store.artifact(cache_key, reused=found)

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

    def require_same_threads(self, own: int) -> None:
        """Refuse a gang whose processes compute with other numbers of threads, which decide keys."""
        total, squares = self.gang.sum([own, own * own])
        if squares * self.gang.size != total * total:
            problem = f"one of {self.gang.size} processes computes with {own} threads, and another with another number"
            raise InputError(f"{problem}; give all of them the same, such as threads=1")

    def _track(self, artifact: CachedArtifact, name: str) -> None:
        """Give TensorBoard the whole curve of a training, made here or found; no steps have no points."""
        if self.tensorboard is None or not (artifact.folder / CURVE).is_file():
            return
        if points := artifact.read_rows(CURVE, "curve"):
            self.tensorboard.complete(training_name(name, self.place), points)


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
        examples: Examples,
    ) -> TrainingRecord:
        """Call `fit` with checkpoints, progress and TensorBoard; ``option`` names the config on the command line.

        Afterwards the log and `CURVE` say in one line how often the training has read its recordings.
        """
        name = self.training.format(stage=self.stage)

        def track(point: Point) -> None:
            if self.tensorboard is not None:
                self.tensorboard.add(training_name(name, self.place), point)

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
            report["passes"] = examples.describe(report)
            self.terminal.say(f"  {training_name(name)}: {report['passes']}")
            write_json(self.folder / CURVE, report)
        return report


LONG = 100  # values of a list or mapping that a record of an artifact shows; of more it has the hash


def labels_of(clips: Clips) -> list[object]:
    """Return what tables say of clips, as the key of a stage that reads this and not their sound."""
    rows = zip(clips.names, *(clips.frame[name].tolist() for name in ("split", "label", "group", "fold")), strict=True)
    return [*map(list, rows)]


_PLAIN = frozenset((NoneType, bool, int, float, str))  # types of values that are their own key


@dataclass(frozen=True, kw_only=True)
class StageTask:
    """A call of a stage: values that pickle sends to the process that makes its artifact."""

    stage: "Stage[Any]"
    given: Mapping[str, object]  # arguments of the stage's function, by name
    cache_key: CacheKey
    title: str
    read: frozenset[str]  # keys of the artifacts that it reads
    threads: int  # with which it computes: they decide last bits, so they are those of the process that called
    training: str  # name of its training, as of `Session.training`
    place: str  # fold and seed, as of `Session.place`
    number: str = ""  # of a graph, when it is made: ", stage 7 of 29"

    @property
    def line(self) -> str:
        """What the log says of it: stage, key and title."""
        return f"{self.cache_key.stage:<{_WIDTH}} {self.cache_key.digest}  {self.title}"


class Stage(Generic[P]):
    """A function that writes the files of an artifact, with what of its arguments decides them: see `stage`."""

    def __init__(
        self,
        make: Callable[Concatenate[StageRun, P], None],
        *,
        name: str,
        title: str,
        version: int,
        splits: tuple[Split, ...],
        keys: Mapping[str, Callable[[Any], object] | None],
        together: bool,
    ) -> None:
        update_wrapper(self, make)
        self._function, self._signature, self._name, self._version = make, inspect.signature(make), name, version
        self._title, self._splits, self._keys = title, splits, keys
        self._in_title = {str(of).partition(".")[0] for _, of, _, _ in Formatter().parse(title) if of}
        self.together = together

    def __reduce__(self) -> str:
        """Travel between processes by name, as a function does."""
        return self._function.__qualname__

    def __call__(self, session: Session, /, *args: P.args, **kwargs: P.kwargs) -> CachedArtifact:
        """Return the artifact of these arguments, found in the store, made now, or left to the session's graph."""
        bound = self._signature.bind(session, *args, **kwargs)
        bound.apply_defaults()
        given = {
            of: each.only(*self._splits) if self._splits and isinstance(each, Clips) else each
            for of, each in [*bound.arguments.items()][1:]
        }
        return session.artifact(self.task(session, given))

    def task(self, session: Session, given: Mapping[str, object]) -> StageTask:
        """Return the call of the stage with these arguments of its function."""
        read = {artifact.key for artifact in given.values() if isinstance(artifact, CachedArtifact)}
        decide = {each: value for each, value in given.items() if each not in self._keys}
        decide |= {each: key(given[each]) for each, key in self._keys.items() if key is not None and each in given}
        arguments = {each: argument_key(value, read) for each, value in decide.items()}
        threads = session.threads or torch.get_num_threads()
        if self.together:
            session.require_same_threads(threads)
            arguments |= {"threads": threads, "processes": session.gang.size}
        name = self._name.format_map(given)
        return StageTask(
            stage=self,
            given=given,
            cache_key=CacheKey(name, self._version, arguments),
            title=self._title.format_map({each: _shown(given[each]) for each in self._in_title}),
            read=frozenset(read),
            threads=threads,
            training=session.training.format(stage=name),
            place=session.place,
        )

    def write(self, run: StageRun, given: Mapping[str, object]) -> None:
        """Write the artifact into ``run.folder``; the function gets no labels and groups that are not in the key."""
        bound = self._signature.bind_partial(run)
        for of, each in given.items():
            if isinstance(each, Clips) and of not in self._keys:
                bound.arguments[of] = each.with_columns(label=None, group=None)
            else:
                bound.arguments[of] = each
        self._function(*bound.args, **bound.kwargs)


def stage(
    name: str,
    *,
    title: str,
    version: int = 1,
    splits: tuple[Split, ...] = (),
    keys: Mapping[str, Callable[[Any], object] | None] = MappingProxyType({}),
    together: bool = False,
) -> Callable[[Callable[Concatenate[StageRun, P], None]], Stage[P]]:
    """Make a stage of a function that writes the files of an artifact into ``run.folder``.

    Arguments can stand in ``name`` and ``title``, such as ``{fit.summary}``; in the title, lists, views and clip tables
    are their lengths. Raise the ``version`` when the same arguments give other bytes. Clip tables get into the function
    and the key with the clips of ``splits`` alone, one split after the other; (): with all clips. ``keys`` say what of
    an argument is in the key; None: nothing, because the argument follows from the others.

    Rank 0 makes the artifact alone, with the same bytes for any number of threads (`wordless.base.threads.one_thread`).
    With ``together``, as for trainings, the function runs on every rank, of which only rank 0 may write; the key has
    the numbers of threads and processes, which decide the rounding of sums.
    """

    def decorate(make: Callable[Concatenate[StageRun, P], None]) -> Stage[P]:
        return Stage(
            make,
            name=name,
            title=title,
            version=version,
            splits=splits,
            keys=keys,
            together=together,
        )

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
    decide = [each.name for each in fields(value) if each.metadata.get(DECIDES, True) and each.name not in left_out]
    return argument_key({name: getattr(value, name) for name in decide}, read)


class TaskGraph:
    """Calls of stages in order, of which those that are ready are made; `open_task_graph` creates one."""

    def __init__(self, begin: Callable[[StageTask], "Future[None]"] | None = None, *, threads: int = 1) -> None:
        """Make tasks in processes that ``begin`` starts and that have so many ``threads`` together; None: in this."""
        self._begin, self._threads = begin, threads
        self.artifacts: dict[str, CachedArtifact] = {}  # by key, of all calls
        self._begun = 0  # of all calls, those whose artifact was found or is being made
        self._left: dict[str, tuple[StageTask, CachedArtifact, Session]] = {}  # by key, those that are not made yet
        self._notices: dict[str, list[Callable[[CachedArtifact], object]]] = {}
        self._planning: _Plan | None = None  # the one whose turn it is

    def add(self, task: StageTask, artifact: CachedArtifact, session: Session) -> CachedArtifact:
        """Take a new call, and return its artifact, which is made when it is first read."""
        if not artifact.reused:
            self._left[artifact.key] = task, artifact, session
            artifact = replace(artifact, make=partial(self._read, artifact.key))
        self._begun += artifact.reused
        self.artifacts[artifact.key] = artifact
        return artifact

    def when_made(self, artifact: CachedArtifact, tell: Callable[[CachedArtifact], object]) -> None:
        """Call ``tell`` once the artifact is made."""
        if artifact.key in self._left:
            self._notices.setdefault(artifact.key, []).append(tell)
        else:
            tell(artifact)

    def plan(self, plans: Sequence[Callable[[], R]]) -> list[R]:
        """Let each plan make its calls, and return what they return.

        Some calls read an artifact while they are planned. Then the next plan goes on, until all of them wait, and what
        they wait for is made, several artifacts at the same time. One plan runs at a time, so calls have one order.
        """
        if len(plans) == 1:
            return [plans[0]()]
        made = dict[int, R]()
        left = [_Plan(partial(lambda place, plan: made.update({place: plan()}), *each)) for each in enumerate(plans)]
        try:
            while left:
                for plan in left:
                    self._planning = plan
                    plan.go_on()
                self._planning = None
                left = [plan for plan in left if plan.waits_for is not None]
                self.make([key for plan in left if (key := plan.waits_for) is not None])
        finally:
            for each in left:
                each.give_up()
        return [made[place] for place in range(len(plans))]

    def _read(self, key: str) -> None:
        """Make the artifact that somebody reads; a plan lets the others go on meanwhile."""
        if key not in self._left:
            return
        if self._planning is None:
            self.make([key])
        else:
            self._planning.wait_for(key)

    def make(self, keys: Sequence[str] | None = None) -> None:
        """Make the artifacts of some keys and their inputs, by default all that are left.

        Trainings and their inputs begin first. What is ready alone is made in this process, with all of its workers.
        """
        waiting = [*self._left] if keys is None else self._with_inputs(keys)
        planned = f"{len(self.artifacts)}{'' if keys is None else ' planned so far'}"
        running: dict[Future[None], str] = {}
        while waiting or running:
            ready = [key for key in waiting if not self._missing(key)]
            if not running and (self._begin is None or len(ready) == 1):
                waiting.remove(ready[0])
                task, _, session = self._left[ready[0]]
                session.make(self._numbered(task, planned))
                self._finish(ready[0])
                continue
            trainings = [key for key in waiting if self._left[key][0].stage.together]
            first = {*trainings}.union(*map(self._missing, trainings))
            for key in sorted(ready, key=lambda key: key not in first):
                task, busy = self._left[key][0], sum(self._left[each][0].threads for each in running.values())
                if self._begin is not None and (not running or busy + task.threads <= self._threads):
                    waiting.remove(key)
                    running[self._begin(self._numbered(task, planned))] = key
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                self._finish(running.pop(future))

    def _numbered(self, task: StageTask, planned: str) -> StageTask:
        self._begun += 1
        return replace(task, number=f", stage {self._begun} of {planned}")

    def _finish(self, key: str) -> None:
        _, artifact, _ = self._left.pop(key)
        for tell in self._notices.pop(key, ()):
            tell(artifact)

    def _missing(self, key: str) -> list[str]:
        """Return the keys of inputs that are not made yet."""
        return [each for each in self._left[key][0].read if each in self._left]

    def _with_inputs(self, keys: Sequence[str]) -> list[str]:
        """Return those of the keys that are left, and all of their inputs that are, in the order of the calls."""
        wanted, found = [key for key in keys if key in self._left], set[str]()
        while wanted:
            found.add(key := wanted.pop())
            wanted += self._missing(key)
        return [key for key in self._left if key in found]


class _GivenUpError(BaseException):
    """Ends the thread of a plan that nobody waits for any more."""


class _Plan:
    """A plan in a thread of its own, which stops where it reads an artifact that is not made."""

    def __init__(self, plan: Callable[[], object]) -> None:
        self.waits_for: str | None = None  # the key of this artifact; None: the plan is at its end
        self._plan, self._turn, self._stopped = plan, Semaphore(0), Semaphore(0)
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._plan()
        except _GivenUpError:
            pass
        except BaseException as error:  # the thread that planned raises it
            self._error = error
        self.waits_for = None
        self._stopped.release()

    def go_on(self) -> None:
        """Let the plan run until it stops, and raise its error if it has one."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._turn.release()
        self._stopped.acquire()
        if self._error is not None:
            raise self._error

    def wait_for(self, key: str) -> None:
        """Stop, in the plan's own thread, until the artifact of a key is made."""
        self.waits_for = key
        self._stopped.release()
        self._turn.acquire()
        if self._given_up:
            raise _GivenUpError

    def give_up(self) -> None:
        """End the thread of a plan that waits."""
        self._given_up = True
        self._turn.release()


OpenSession = Callable[[str], Session]  # fold and seed -> the session of a process that makes artifacts for another one


@contextmanager
def open_task_graph(
    open_session: OpenSession, *, processes: int, threads: int, tell: Callable[[], object]
) -> Iterator[TaskGraph]:
    """Give a graph whose tasks up to ``processes`` make with ``threads`` each; the end of the block makes the rest.

    ``tell`` is called when the first process starts.
    """
    with ExitStack() as stack:
        submit: list[Callable[..., Future[None]]] = []

        def begin(task: StageTask) -> "Future[None]":
            if not submit:  # processes take seconds to start
                tell()
                opened = open_processes(processes, partial(_Maker.begin, open_session), threads=threads)
                submit.append(stack.enter_context(opened))
            return submit[0](_Maker.make, task)

        graph = TaskGraph(begin, threads=processes * threads)
        yield graph
        graph.make()


class _Maker:
    """The sessions of a process that makes artifacts for another one."""

    open_session: OpenSession
    sessions: dict[str, Session]

    @classmethod
    def begin(cls, open_session: OpenSession) -> None:
        cls.open_session, cls.sessions = open_session, {}

    @classmethod
    def make(cls, task: StageTask) -> None:
        """Make the artifact of a task; the process that sent it tells what there is to tell."""
        if task.place not in cls.sessions:
            cls.sessions[task.place] = cls.open_session(task.place)
        replace(cls.sessions[task.place], training=task.training).make(task)
