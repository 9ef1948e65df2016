"""What a run tells TensorBoard, MLflow and Weights & Biases: its curves, figures, pictures and files.

TensorBoard has each point of a curve as soon as it is measured. MLflow and W&B receive a run when it is finished.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wordless.base.files import remove, write_aside
from wordless.base.messages import InputError, first_line, suggestion
from wordless.base.options import leaves
from wordless.training import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Say = Callable[[str], None]
_FOLDER: Final = "tracking"  # in a run folder
EVENTS, _RUN = "tensorboard", "run"  # in a run folder, and in `EVENTS`
_LOSSES = {"train_loss": "train", "validation_loss": "validation"}  # both in one chart of TensorBoard
FORBIDDEN = re.compile(r"[^\w.\- :/]")  # in MLflow's names of metrics, parameters and files


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


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What a finished run came to."""

    curves: Mapping[str, Sequence[Point]]  # by training
    figures: Mapping[str, float]  # by names such as "lm/perplexity"
    files: Sequence[Path]  # that exist, such as the report
    pictures: Mapping[str, Figure]  # by title


def values_of(point: Point) -> dict[str, float]:
    """Return the values of a point of a training curve that are finite, by name."""
    values = {name: value for name, value in point.items() if name != "step" and isinstance(value, float)}
    return {name: value for name, value in values.items() if isfinite(value)}


# Variables that name a record, or one that it continues, as agents and launchers set them for a single run.
RECORDS = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM", "MLFLOW_RUN_ID")


@contextmanager
def _own_record(run: TrackedRun) -> Iterator[None]:
    """Take `RECORDS` out of the environment in the block for a job of a sweep: all jobs would write into one record."""
    taken = {name: os.environ.pop(name) for name in RECORDS if run.group is not None and name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)


def log_to_tensorboard(run: TrackedRun, outcome: _Outcome) -> bool:
    """Replace the folder ``tensorboard/run`` of the run, whose curves stand beside it."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import

    remove(run.folder / EVENTS / _RUN)
    rows = "\n".join([f"| {name} | {value:.6g} |" for name, value in outcome.figures.items()])
    commit = f", commit {run.commit}" if run.commit else ""
    with SummaryWriter(str(run.folder / EVENTS / _RUN)) as writer:  # type: ignore[no-untyped-call]  # torch's own
        writer.add_text("run", f"`{run.command}`\n\nWordless {run.version}{commit}\n\nfolder {run.folder.absolute()}")
        writer.add_text("config", f"```\n{json.dumps(run.config, indent=1, sort_keys=True)}\n```")
        writer.add_text("figures", f"| figure | value |\n|---|---|\n{rows}")
        writer.add_text("files", "\n".join(f"- {file.absolute()}" for file in outcome.files))
        for title, picture in outcome.pictures.items():
            writer.add_figure(title, picture)
    return True


def log_to_mlflow(run: TrackedRun, outcome: _Outcome) -> bool:
    """Log a run to the server or database that MLflow's own variables name; its experiment is else ``wordless``."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # MLflow's own seven take minutes without a network
    import mlflow
    from mlflow.entities import Metric

    for library in ("mlflow", "alembic"):  # they tell how they create a database
        logging.getLogger(library).setLevel(logging.WARNING)
    if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
        mlflow.set_experiment("wordless")
    tags = {
        "mlflow.source.name": run.command,
        "mlflow.source.git.commit": run.commit,
        "wordless.version": run.version,
        "wordless.folder": str(run.folder.absolute()),
        "wordless.sweep": run.group,
    }
    allowed, now = partial(FORBIDDEN.sub, "_"), round(1000 * time.time())
    with mlflow.start_run(run_name=run.name, tags={name: value for name, value in tags.items() if value}) as logged:
        mlflow.log_params({allowed(name): str(value) for name, value in leaves(run.config)})
        mlflow.log_metrics({allowed(name): value for name, value in outcome.figures.items()})
        metrics = [
            Metric(allowed(f"{training}/{name}"), value, now, point["step"])
            for training, points in outcome.curves.items()
            for point in points
            for name, value in values_of(point).items()
        ]
        mlflow.MlflowClient().log_batch(logged.info.run_id, metrics)
        mlflow.log_dict(dict(run.config), "config.json")
        for path in outcome.files:
            mlflow.log_artifact(str(path))
        for title, picture in outcome.pictures.items():
            mlflow.log_figure(picture, f"pictures/{allowed(title).replace('/', '_')}.png")
    return True


def log_to_wandb(run: TrackedRun, outcome: _Outcome) -> bool:
    """Log a run to the project that W&B's own variables name, else ``wordless``: offline without a login.

    Nothing is logged where W&B is switched off, by WANDB_MODE=disabled or ``wandb disabled``.
    """
    import matplotlib.pyplot  # noqa: F401  W&B takes pictures for those of pyplot, which need not be imported otherwise
    import wandb
    from requests.utils import get_netrc_auth  # what `wandb login` writes is a line of netrc

    own, folder = wandb.setup().settings, Path(os.environ.get("WANDB_DIR") or run.folder / _FOLDER)
    if own.mode == "disabled":
        return False
    folder.mkdir(parents=True, exist_ok=True)
    online = "WANDB_MODE" in os.environ or own.api_key or own.identity_token_file or get_netrc_auth(own.base_url)
    about = {"version": run.version, "commit": run.commit, "command": run.command}
    with wandb.init(
        name=run.name,
        project=own.project or "wordless",
        group=os.environ.get("WANDB_RUN_GROUP") or run.group,
        notes=run.command,
        dir=folder,
        mode=None if online else "offline",
        config={**run.config, "wordless": {**about, "folder": str(run.folder.absolute())}},
        # Neither code nor printed lines nor changes of a checkout are uploaded.
        settings=wandb.Settings(
            console="off", silent=True, disable_code=True, disable_git=True, x_save_requirements=False
        ),
    ) as logged:
        for training, points in outcome.curves.items():
            logged.define_metric(f"{training}/*", step_metric=f"{training}/step")
            for point in points:
                values = {"step": point["step"], **values_of(point)}
                logged.log({f"{training}/{name}": value for name, value in values.items()})
        logged.summary.update(dict(outcome.figures))
        logged.log({f"pictures/{title}": wandb.Image(picture) for title, picture in outcome.pictures.items()})
        for path in (Path(shutil.copy(file, logged.dir)) for file in outcome.files):  # it would only link other folders
            logged.save(path, base_path=logged.dir, policy="now")
    return True


TRACKERS = {  # name -> title, and what records a finished run, and returns whether it did
    "tensorboard": ("TensorBoard", log_to_tensorboard),
    "mlflow": ("MLflow", log_to_mlflow),
    "wandb": ("Weights & Biases", log_to_wandb),
}


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that do not exist, or need a library that is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"tracking={name} is not a tracker; {suggestion(name, TRACKERS)}")
        if find_spec(name) is None:
            raise InputError(f"tracking={name} needs {name}, not installed here: pip install 'wordless[{name}]'")


class Tracking:
    """The trackers of a run, each given up after its first error."""

    def __init__(self, names: Sequence[str] = (), run: TrackedRun | None = None, say: Say = print) -> None:
        self.names = [*names] if run else []  # those that had no error
        self._run, self._say = run, say
        self._curves: dict[str, list[Point]] = {}  # by training
        self._writer: Any = None  # SummaryWriter, untyped; of the last training alone: each has threads

    def add(self, training: str, *points: Point) -> None:
        """Add points to the curve of a training, which TensorBoard shows at once."""
        curve = self._curves.setdefault(training, [])
        self._each(["tensorboard"], lambda run, _: self._write(run, training, points, anew=not curve))
        curve += points

    def complete(self, training: str, points: Sequence[Point]) -> None:
        """Have the whole curve of a training, which ended in this process, in another one, or in an earlier call."""
        if self._curves.get(training) != points:
            self._curves.pop(training, None)
            self.add(training, *points)

    def conclude(self, figures: Mapping[str, float], files: Sequence[Path], pictures: Mapping[str, Figure]) -> None:
        """Record what the run came to. MLflow and W&B have a run once, unless its figures or options change."""
        outcome = _Outcome(curves=self._curves, figures=figures, files=files, pictures=pictures)
        lasting = {name: value for name, value in figures.items() if "per_second" not in name}  # no measured speeds
        made_of = json.dumps([lasting, self._run and self._run.config])

        def log(run: TrackedRun, name: str) -> None:
            logged = run.folder / _FOLDER / f"{name}.json"
            if name == "tensorboard" or not logged.is_file() or logged.read_text(encoding="utf-8") != made_of:
                logged.parent.mkdir(parents=True, exist_ok=True)
                with _own_record(run):
                    if TRACKERS[name][1](run, outcome):
                        write_aside(logged, made_of)

        self._each(self.names, log)

    @property
    def elsewhere(self) -> Callable[[Say], Tracking]:
        """A function that opens the trackers in another process, which trains parts of the run."""
        return partial(Tracking, tuple(self.names), self._run)

    def _write(self, run: TrackedRun, training: str, points: Sequence[Point], *, anew: bool) -> None:
        """Write points to TensorBoard's folder of a training, or replace the folder."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        if anew:
            if self._writer is not None:
                self._writer.close()
            remove(run.folder / EVENTS / training)
            self._writer = SummaryWriter(str(run.folder / EVENTS / training))  # type: ignore[no-untyped-call]  # torch's
        for point in points:
            values = values_of(point)
            losses = {title: values[name] for name, title in _LOSSES.items() if name in values}
            self._writer.add_scalars("loss", losses, point["step"])
            self._writer.add_scalar("learning_rate", values["learning_rate"], point["step"])
        self._writer.flush()

    def _each(self, names: Sequence[str], work: Callable[[TrackedRun, str], None]) -> None:
        for name in [name for name in names if name in self.names]:
            try:
                if self._run is not None:
                    work(self._run, name)
            except Exception as error:  # of a library: a tracker may not cost a run
                self.names.remove(name)
                reason = f"{type(error).__name__}: {first_line(error)}"
                rest = "the run goes on, and the same command records it whole"
                self._say(f"WARNING   {TRACKERS[name][0]} tracks no more ({reason}); {rest}")
