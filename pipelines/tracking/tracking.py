"""What a run tells TensorBoard, MLflow and Weights & Biases: its curves, figures, pictures and files.

Each library has a class with the calls that it wants: ``last`` is the last step that the library holds of a curve,
``add`` appends points, ``conclude`` records what the run came to, ``close`` its state. Any of them may raise.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from uuid import uuid4

from wordless.base.errors import InputError
from wordless.base.files import remove, write_aside
from wordless.base.text import first_line, suggestion
from wordless.base.values import leaves
from wordless.training.options import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = Literal["finished", "failed", "killed"]
CurvePoint: TypeAlias = tuple[int, dict[str, float]]  # step, and the known and finite values by name
Figures: TypeAlias = Mapping[str, float]  # by names such as "lm/perplexity"
Files: TypeAlias = Sequence[Path]  # that exist, such as the report
Pictures: TypeAlias = "Mapping[str, Figure]"  # by title
Say = Callable[[str], None]
FOLDER: Final = "tracking"  # in a run folder
EVENTS, RUN = "tensorboard", "run"  # in a run folder, and in `EVENTS`
LOSSES = {"train_loss": "train", "validation_loss": "validation"}  # both in one chart of TensorBoard
ID = "wordless.id"  # tag of a run in MLflow
FORBIDDEN = re.compile(r"[^\w.\- :/]")  # in MLflow's names of metrics, parameters and files
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own seven take minutes where there is no network
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds
}


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run, as it is known when it begins."""

    name: str
    group: str | None = None  # the sweep that the run is a job of
    folder: Path
    command: str
    config: Mapping[str, object]  # the composed one: plain values, nested
    version: str  # of Wordless
    commit: str | None  # of the checkout

    def find_id(self) -> str:
        """Return the id of the run in libraries, which is kept in its folder."""
        path = self.folder / FOLDER / "id"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_aside(path, uuid4().hex)
        return path.read_text()


class TensorBoard:
    """Event files in the folder ``tensorboard`` of a run: a folder for each training, and ``run`` for all else."""

    title, everywhere = "TensorBoard", True  # each process that trains may write its own files

    def __init__(self, run: TrackedRun) -> None:
        self._run, self._root = run, run.folder / EVENTS
        self._writers: dict[str, Any] = {}  # SummaryWriter, untyped; of one training at a time: each has threads

    def last(self, curve: str) -> int:
        folder = self._root / curve / "loss_train"
        if not folder.is_dir():
            return -1
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

        log = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        return max((event.step for event in log.Scalars("loss")), default=-1) if log.Tags()["scalars"] else -1

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        writer = self._writer(curve)
        for step, values in points:
            writer.add_scalars("loss", {LOSSES[name]: value for name, value in values.items() if name in LOSSES}, step)
            for name in values.keys() - LOSSES.keys():
                writer.add_scalar(name, values[name], step)
        writer.flush()

    def conclude(self, figures: Figures, files: Files, pictures: Pictures) -> None:
        remove(self._root / RUN)
        writer, run = self._writer(RUN), self._run
        rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in figures.items())
        commit = f", commit {run.commit}" if run.commit else ""
        writer.add_text("run", f"`{run.command}`\n\nWordless {run.version}{commit}\n\nfolder {run.folder.absolute()}")
        writer.add_text("config", f"```\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        writer.add_text("figures", f"| figure | value |\n|---|---|\n{rows}")
        writer.add_text("files", "\n".join(f"- {file.absolute()}" for file in files))
        for title, picture in pictures.items():
            writer.add_figure(title, picture)

    def close(self, state: State) -> None:
        if RUN not in self._writers:
            remove(self._root / RUN)
        self._writer(RUN).add_text("state", state)
        self._writers.pop(RUN).close()

    def _writer(self, folder: str) -> Any:
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            while self._writers:  # that of the training before
                self._writers.popitem()[1].close()
            self._writers[folder] = SummaryWriter(str(self._root / folder))  # type: ignore[no-untyped-call]  # torch's own
        return self._writers[folder]


class Mlflow:
    """A run of an experiment in MLflow, new or continued, on a server or in a database of this machine.

    MLflow's own variables say where: MLFLOW_TRACKING_URI, else ``mlflow.db`` and ``mlruns`` in the current folder;
    MLFLOW_EXPERIMENT_NAME, else ``wordless``.
    """

    title, everywhere = "MLflow", False

    def __init__(self, run: TrackedRun) -> None:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        for library in ("mlflow", "alembic"):  # they tell how they create a database
            logging.getLogger(library).setLevel(logging.WARNING)
        self._run, own = run, run.find_id()
        client = self._client = MlflowClient()
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", "wordless")
        with suppress(MlflowException):  # it exists, or another job of a sweep was faster
            client.create_experiment(wanted)
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID") or client.get_experiment_by_name(wanted).experiment_id
        if found := client.search_runs([experiment], f"tags.`{ID}` = '{own}'", max_results=1):
            self._id = found[0].info.run_id
            client.update_run(self._id, status="RUNNING")
            return
        tags = {
            "mlflow.source.name": run.command,
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": run.commit,
            "wordless.version": run.version,
            "wordless.folder": str(run.folder.absolute()),
            "wordless.sweep": run.group,
            ID: own,
        }
        known = {name: value for name, value in tags.items() if value}
        self._id = client.create_run(experiment, run_name=run.name, tags=known).info.run_id
        client.log_batch(self._id, params=[Param(_allowed(name), str(value)) for name, value in leaves(run.config)])

    def last(self, curve: str) -> int:
        name = _allowed(f"{curve}/train_loss")
        known = name in self._client.get_run(self._id).data.metrics
        return max(int(each.step) for each in self._client.get_metric_history(self._id, name)) if known else -1

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        self._log((f"{curve}/{name}", value, step) for step, values in points for name, value in values.items())

    def conclude(self, figures: Figures, files: Files, pictures: Pictures) -> None:
        known = self._client.get_run(self._id).data.metrics
        self._log((name, value, 0) for name, value in figures.items() if known.get(_allowed(name)) != value)
        self._client.log_dict(self._id, dict(self._run.config), "config.json")
        for path in files:
            self._client.log_artifact(self._id, str(path))
        for title, picture in pictures.items():
            self._client.log_figure(self._id, picture, f"pictures/{_allowed(title).replace('/', '_')}.png")

    def close(self, state: State) -> None:
        self._client.set_terminated(self._id, status=state.upper())

    def _log(self, metrics: Iterable[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        each = [Metric(_allowed(name), value, now, step) for name, value, step in metrics]
        self._client.log_batch(self._id, metrics=each)


def _allowed(name: str) -> str:
    return FORBIDDEN.sub("_", name)


class Wandb:
    """A run of a project in Weights & Biases, new or continued. An offline run is written anew by each call.

    The library's own variables say where: WANDB_PROJECT, else ``wordless``; WANDB_ENTITY; WANDB_DIR, else the folder
    ``tracking`` of the run; WANDB_MODE, else online for a user who is logged in, and offline for all others.
    """

    title, everywhere = "Weights & Biases", False

    def __init__(self, run: TrackedRun) -> None:
        import wandb
        from requests.utils import get_netrc_auth  # what `wandb login` writes is a line of netrc

        own = wandb.setup().settings
        mode: Literal["online", "offline"] | None = None
        if "WANDB_MODE" not in os.environ:  # offline unless there are credentials for the server
            known = own.api_key or own.identity_token_file or get_netrc_auth(own.base_url)
            mode = "online" if known and own.mode == "online" else "offline"
        folder = Path(os.environ.get("WANDB_DIR") or run.folder / FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        for before in folder.glob(f"wandb/offline-run-*-{run.find_id()}") if (mode or own.mode) == "offline" else ():
            if not any(before.glob("*.synced")):  # nobody has its points, and this call logs them again
                remove(before)
        about = {"version": run.version, "commit": run.commit, "command": run.command}
        self._wandb = wandb.init(
            id=run.find_id(),
            name=run.name,
            project=own.project or "wordless",
            group=os.environ.get("WANDB_RUN_GROUP") or run.group,
            notes=run.command,
            dir=folder,
            mode=mode,
            resume="allow",
            config={**run.config, "wordless": {**about, "folder": str(run.folder.absolute())}},
            allow_val_change=True,
            reinit="create_new",
            # Neither code nor printed lines nor changes of a checkout are uploaded.
            settings=wandb.Settings(
                console="off", silent=True, disable_code=True, disable_git=True, x_save_requirements=False
            ),
        )

    def last(self, curve: str) -> int:
        return int(self._wandb.summary.get(f"{curve}/step", -1))

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        self._wandb.define_metric(f"{curve}/*", step_metric=f"{curve}/step")
        for step, values in points:
            self._wandb.log({f"{curve}/{key}": value for key, value in {"step": step, **values}.items()})

    def conclude(self, figures: Figures, files: Files, pictures: Pictures) -> None:
        from wandb import Image

        self._wandb.summary.update(dict(figures))
        for title, picture in pictures.items():
            self._wandb.log({f"pictures/{title}": Image(picture)})
        for path in (Path(shutil.copy(file, self._wandb.dir)) for file in files):  # it would only link other folders
            self._wandb.save(path, base_path=self._wandb.dir, policy="now")

    def close(self, state: State) -> None:
        self._wandb.summary["state"] = state
        self._wandb.finish(exit_code=int(state != "finished"))  # it waits until all is written


Tracker: TypeAlias = TensorBoard | Mlflow | Wandb
TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": Mlflow, "wandb": Wandb}


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that do not exist, or need a library that is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"tracking={name} is not a tracker; {suggestion(name, TRACKERS)}")
        if find_spec(name) is None:
            raise InputError(f"tracking={name} needs {name}, not installed here: pip install 'wordless[{name}]'")


class Tracking:
    """The trackers of a run, each opened when there is something to track, and given up after its first error."""

    def __init__(self, names: Sequence[str] = (), run: TrackedRun | None = None, say: Say = print) -> None:
        self.kinds = {name: TRACKERS[name] for name in names if run is not None}  # those that had no error
        self._run, self._say = run, say
        self._open: dict[str, Tracker] = {}
        self._last: dict[tuple[str, str], int] = {}  # step by tracker and training

    def watch(self, training: str) -> LiveCurve:
        """Track a training that this process carries out or continues."""
        return LiveCurve(partial(self.complete, training))

    def complete(self, training: str, points: Sequence[CurvePoint]) -> None:
        """Have each tracker hold these points of a training, and the first time all points so far."""

        def add(name: str, tracker: Tracker) -> None:
            last = self._last[name, training] if (name, training) in self._last else tracker.last(training)
            if new := [point for point in points if point[0] > last]:
                tracker.add(training, new)
            self._last[name, training] = max(last, points[-1][0])

        self._each([*self.kinds], add)

    def conclude(self, figures: Figures, files: Files, pictures: Pictures) -> None:
        """Record what the run came to, in place of what an earlier call recorded."""
        self._each([*self.kinds], lambda _, tracker: tracker.conclude(figures, files, pictures))

    def close(self, state: State) -> None:
        """Say how the run ended, where there was anything to track, and wait for the trackers."""
        self._each([*self._open], lambda _, tracker: tracker.close(state))

    @property
    def elsewhere(self) -> Callable[[Say], Tracking]:
        """A function that opens, in another process, the trackers that this process can reach."""
        return partial(Tracking, tuple(name for name, kind in self.kinds.items() if kind.everywhere), self._run)

    def _each(self, names: Sequence[str], work: Callable[[str, Tracker], None]) -> None:
        for name in names:
            try:
                if name not in self._open and self._run is not None:
                    self._open[name] = self.kinds[name](self._run)
                work(name, self._open[name])
            except Exception as error:  # of a library: a tracker may not cost a run
                self._open.pop(name, None)
                reason = f"{type(error).__name__}: {first_line(error)}"
                rest = "the run goes on, and the same command adds what is missing"
                self._say(f"WARNING   {self.kinds.pop(name).title} tracks no more ({reason}); {rest}")


NO_TRACKING = Tracking()


class LiveCurve:
    """The points of a training that goes on, with its speed."""

    def __init__(self, show: Callable[[Sequence[CurvePoint]], None]) -> None:
        """Pass the points of an earlier attempt to ``show``, and then each new one."""
        self._show = show
        self._before: tuple[int, float] | None = (0, time.monotonic())  # step and time of the point before

    def resume(self, points: Sequence[Point]) -> None:
        """Take the points of an earlier attempt; the next point has no speed, because some of its steps are older."""
        self._before = None
        if points:
            self._show([*map(curve_point, points)])

    def add(self, point: Point) -> None:
        step, now = point["step"], time.monotonic()
        speed = (step - self._before[0]) / max(now - self._before[1], 1e-9) if self._before else None
        self._before = step, now
        self._show([curve_point(point, steps_per_second=speed)])


def curve_point(point: Point, *, steps_per_second: float | None = None) -> CurvePoint:
    """Return the values of a point of a training curve that are known, by name."""
    values = {"train_loss": point["train_loss"], "validation_loss": point["validation_loss"]}
    others = {"learning_rate": point.get("learning_rate"), "steps_per_second": steps_per_second}
    values |= {name: value for name, value in others.items() if value is not None}
    return point["step"], {name: value for name, value in values.items() if isfinite(value)}


@contextmanager
def tracked(tracking: Tracking) -> Iterator[Tracking]:
    """Close the trackers when the block ends, with the state that its end stands for.

    SIGTERM, as a cluster sends it, is an exit if a tracker of a network would show the run as running, unless somebody
    else handles or ignores it.
    """
    remote = not all(kind.everywhere for kind in tracking.kinds.values())
    ours = remote and threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    state: State = "failed"
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield tracking
        state = "finished"
    except (KeyboardInterrupt, SystemExit):
        state = "killed"
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tracking.close(state)
