"""What a tracker is told of a run, what a tracker is, and the three that exist."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, Literal
from uuid import uuid4

import numpy as np
from PIL import Image

from wordless.base.files import remove, write_aside
from wordless.base.values import find_object, leaves

State = Literal["finished", "failed", "killed"]
FOLDER: Final = "tracking"  # in a run folder
# Options that say where and how a run computes; the same tracked run may have other values of them.
ELSEWHERE = frozenset({"name", "device", "workers", "parallel", "engine", "store", "tracking"})


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
        """Return the id of the run in libraries, from its folder; other options in the same folder get a new id."""
        deciding = {name: value for name, value in self.config.items() if name not in ELSEWHERE}
        options = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / FOLDER / "id.json"
        found = find_object(path) or {}
        if found.get("options") == options and isinstance(known := found.get("id"), str):
            return known
        path.parent.mkdir(parents=True, exist_ok=True)
        new = uuid4().hex
        write_aside(path, json.dumps({"options": options, "id": new}) + "\n")
        return new


@dataclass(frozen=True, kw_only=True)
class TrackedTraining:
    """A training of a run."""

    name: str  # unique in the run
    key: str  # of its entry in the store


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a training curve, as trackers show it; losses per item."""

    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float | None = None  # None: the options of the training are not known
    steps_per_second: float | None = None  # since the point before, with validation; None: of a stored curve

    @property
    def values(self) -> dict[str, float]:
        """The known and finite values by name, without the step."""
        known = {name: value for name, value in asdict(self).items() if value is not None and isfinite(value)}
        return {name: value for name, value in known.items() if name != "step"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to."""

    figures: Mapping[str, float]  # by names such as "lm/perplexity"
    files: Sequence[Path]  # that exist, such as the report
    pictures: Mapping[str, bytes]  # PNG by title


class Tracker(ABC):
    """The record of one run in a library. Any method may raise any exception: the run then gives up this tracker."""

    name: ClassVar[str]  # in the option tracking
    title: ClassVar[str]
    extra: ClassVar[str | None] = None  # of Wordless that installs what it needs; None: the base install does
    modules: ClassVar[tuple[str, ...]] = ()  # that must be installed
    everywhere: ClassVar[bool] = False  # whether each process that trains may write; else only that which began the run

    @classmethod
    def needs(cls) -> tuple[str, ...]:
        """Name the modules that must be installed for what the environment asks for."""
        return cls.modules

    @abstractmethod
    def __init__(self, run: TrackedRun) -> None:
        """Begin the record of a run, or find that of an earlier call; may be slow."""

    @abstractmethod
    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        """Return steps and training losses of a curve that the library holds of an earlier call, in order."""

    @abstractmethod
    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        """Append points to a curve."""

    @abstractmethod
    def conclude(self, outcome: Outcome) -> None:
        """Record what the run came to, in place of what an earlier call recorded."""

    @abstractmethod
    def close(self, state: State) -> None:
        """Record how the run ended, and finish all writing."""


EVENTS = "tensorboard"  # in a run folder
RUN = "run"  # in `EVENTS`
LOSSES = {"train_loss": "train", "validation_loss": "validation"}  # both in one chart


class TensorBoard(Tracker):
    """Event files in the folder ``tensorboard`` of a run.

    Each training has a folder: one log of training losses, one of validation losses, and one of everything else. The
    folder ``run`` has the options, figures and pictures.
    """

    name, title, everywhere, modules = "tensorboard", "TensorBoard", True, ("tensorboard",)

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._root = run.folder / EVENTS
        self._writers: dict[str, Any] = {}  # SummaryWriter, untyped; of one training at a time: each has threads

    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        folder = self._root / curve / "loss_train"
        if not folder.is_dir():
            return []
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

        log = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        return [(event.step, event.value) for event in log.Scalars("loss")] if "loss" in log.Tags()["scalars"] else []

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        writer = self._writer(curve)
        for point in points:
            values = point.values
            losses = {log: values.pop(name) for name, log in LOSSES.items() if name in values}
            writer.add_scalars("loss", losses, point.step)
            for name, value in values.items():
                writer.add_scalar(name, value, point.step)
        writer.flush()

    def conclude(self, outcome: Outcome) -> None:
        remove(self._root / RUN)
        writer, run = self._writer(RUN), self._run
        commit = f", commit {run.commit}" if run.commit else ""
        about = (f"`{run.command}`", f"Wordless {run.version}{commit}", f"folder {run.folder.absolute()}")
        writer.add_text("run", "\n\n".join(about))
        writer.add_text("config", f"```\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        rows = "\n".join(f"| {name} | {value:.6g} |" for name, value in outcome.figures.items())
        writer.add_text("figures", f"| figure | value |\n|---|---|\n{rows}")
        writer.add_text("files", "\n".join(f"- {file.absolute()}" for file in outcome.files))
        for title, png in outcome.pictures.items():
            writer.add_image(title, np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), dataformats="HWC")

    def close(self, state: State) -> None:
        if RUN not in self._writers:
            remove(self._root / RUN)
        self._writer(RUN).add_text("state", state)
        self._writers.pop(RUN).close()

    def _writer(self, folder: str) -> Any:
        """Return the writer of a folder, and close the one before."""
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            while self._writers:
                self._writers.popitem()[1].close()
            self._writers[folder] = SummaryWriter(str(self._root / folder))  # type: ignore[no-untyped-call]  # torch's own
        return self._writers[folder]


ID = "wordless.id"  # tag of a run
STATES: dict[State, str] = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
MOST_METRICS, MOST_PARAMETERS = 1000, 100  # of one request
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # beginnings of an address
FORBIDDEN = re.compile(r"[^\w.\- :/]")  # in names of metrics and parameters
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own seven take minutes where there is no network
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds
}


class Mlflow(Tracker):
    """A run of an experiment in MLflow, new or continued, on a server or in a database of this machine.

    MLflow's own variables say where: MLFLOW_TRACKING_URI, else ``mlflow.db`` and ``mlruns`` in the current folder;
    MLFLOW_EXPERIMENT_NAME, else ``wordless``.
    """

    name, title, extra, modules = "mlflow", "MLflow", "mlflow", ("mlflow",)

    @classmethod
    def needs(cls) -> tuple[str, ...]:
        """Name the library, and those of a database on this machine; a server needs none here."""
        uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:")
        return (*cls.modules, "sqlalchemy", "alembic") if uri.startswith(DATABASES) else cls.modules

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
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
        if not experiment:
            wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", "wordless")
            with suppress(MlflowException):  # another job of a sweep was faster
                if client.get_experiment_by_name(wanted) is None:
                    client.create_experiment(wanted)
            experiment = str(client.get_experiment_by_name(wanted).experiment_id)
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
        params = (Param(FORBIDDEN.sub("_", name), str(value)) for name, value in leaves(run.config))
        while batch := list(islice(params, MOST_PARAMETERS)):
            client.log_batch(self._id, params=batch)

    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        name = FORBIDDEN.sub("_", f"{curve}/train_loss")
        if name not in self._client.get_run(self._id).data.metrics:
            return []
        return sorted((each.step, each.value) for each in self._client.get_metric_history(self._id, name))

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        self._log((f"{curve}/{name}", value, point.step) for point in points for name, value in point.values.items())

    def conclude(self, outcome: Outcome) -> None:
        """Log figures that are new or have changed, the options, files and pictures."""
        known = self._client.get_run(self._id).data.metrics
        figures = outcome.figures.items()
        self._log((name, value, 0) for name, value in figures if known.get(FORBIDDEN.sub("_", name)) != value)
        self._client.log_dict(self._id, dict(self._run.config), "config.json")
        for path in outcome.files:
            self._client.log_artifact(self._id, str(path))
        with TemporaryDirectory() as folder:
            for title, png in outcome.pictures.items():
                (Path(folder) / f"{FORBIDDEN.sub('_', title).replace('/', '_')}.png").write_bytes(png)
            self._client.log_artifacts(self._id, folder, "pictures")

    def close(self, state: State) -> None:
        self._client.set_terminated(self._id, status=STATES[state])

    def _log(self, metrics: Iterable[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        each = (Metric(FORBIDDEN.sub("_", name), value, now, step) for name, value, step in metrics)
        while batch := list(islice(each, MOST_METRICS)):
            self._client.log_batch(self._id, metrics=batch)


EXIT_CODES: dict[State, int] = {"finished": 0, "failed": 1, "killed": 130}


class Wandb(Tracker):
    """A run of a project in Weights & Biases, new or continued. An offline run is written anew by each call.

    The library's own variables say where: WANDB_PROJECT, else ``wordless``; WANDB_ENTITY; WANDB_DIR, else the folder
    ``tracking`` of the run; WANDB_MODE, else online for a user who is logged in, and offline for all others.
    """

    name, title, extra, modules = "wandb", "Weights & Biases", "wandb", ("wandb",)

    def __init__(self, run: TrackedRun) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # of crashes of the library, to its makers
        import wandb
        from requests.utils import get_netrc_auth  # what `wandb login` writes is a line of netrc

        own = wandb.setup().settings
        mode: Literal["online", "offline"] | None = None
        if "WANDB_MODE" not in os.environ:  # offline unless there are credentials for the server
            known = own.api_key or own.identity_token_file or get_netrc_auth(own.base_url)
            mode = "online" if known and own.mode == "online" else "offline"
        folder, key = Path(os.environ.get("WANDB_DIR") or run.folder / FOLDER), run.find_id()
        folder.mkdir(parents=True, exist_ok=True)
        if (mode or own.mode) == "offline":
            before = [path for path in folder.glob(f"wandb/offline-run-*-{key}*") if path.is_dir()]
            uploaded = [path for path in before if any(path.glob("*.wandb.synced"))]
            for path in {*before} - {*uploaded}:  # nobody has its points, and this call logs them again
                shutil.rmtree(path, ignore_errors=True)
            key += f"-{len(uploaded)}" if uploaded else ""  # a server would show the points of both
        about = {"version": run.version, "commit": run.commit, "command": run.command}
        self._wandb = wandb.init(
            id=key,
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
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                x_save_requirements=False,
                init_timeout=30.0,  # seconds that the library waits for its server
                finish_timeout=50.0,
            ),
        )
        self._named: set[str] = set()

    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        """Return the last step and loss of a curve: a run that is continued has them in its summary."""
        step, loss = (self._wandb.summary.get(f"{curve}/{name}") for name in ("step", "train_loss"))
        return [] if step is None or loss is None else [(int(step), float(loss))]

    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        """Log points, with the steps of the training as their horizontal axis."""
        if curve not in self._named:
            self._wandb.define_metric(f"{curve}/*", step_metric=f"{curve}/step")
            self._named.add(curve)
        for point in points:
            self._wandb.log({f"{curve}/{key}": value for key, value in {"step": point.step, **point.values}.items()})

    def conclude(self, outcome: Outcome) -> None:
        self._wandb.summary.update(dict(outcome.figures))
        for path in outcome.files:
            self._save(path.name, path.read_bytes())
        for title, png in outcome.pictures.items():
            self._save(f"pictures/{title.replace('/', '_')}.png", png)

    def close(self, state: State) -> None:
        """Set the state of the run, and wait until the library has written everything."""
        self._wandb.summary["state"] = state
        self._wandb.finish(exit_code=EXIT_CODES[state])

    def _save(self, name: str, content: bytes) -> None:
        path = Path(self._wandb.dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)  # a copy: the library would only link a file of another folder
        self._wandb.save(path, base_path=self._wandb.dir, policy="now")
