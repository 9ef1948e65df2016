"""MLflow: a run of an experiment, on a server or in a database of this machine.

MLflow's own variables say where: MLFLOW_TRACKING_URI, else ``mlflow.db`` and ``mlruns`` in the current folder;
MLFLOW_EXPERIMENT_NAME, else ``wordless``.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipelines.tracking.ledger import Ledger
from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, TrackedTraining, TrackerKind

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

NAME = "mlflow"
EXPERIMENT = "wordless"
STATES: dict[State, str] = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
MOST_METRICS, MOST_PARAMETERS = 1000, 100  # of one request
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # beginnings of an address
FORBIDDEN = re.compile(r"[^\w.\- :/]")  # in names of metrics and parameters
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own seven take minutes where there is no network
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds
}


class MlflowRun:
    """A run in MLflow, new or continued."""

    def __init__(self, run: TrackedRun) -> None:
        """Create the run, or find it by the ledger in the folder of ``run``."""
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for library in ("mlflow", "alembic"):  # they tell how they create a database
            logging.getLogger(library).setLevel(logging.WARNING)
        self._run = run
        self._client = MlflowClient()
        experiment = _experiment(self._client)
        self._ledger = Ledger.read(run, NAME, place=f"{self._client.tracking_uri} {experiment}")
        self._id = self._ledger.id if _exists(self._client, self._ledger.id) else None
        if self._id is None:
            self._id = self._client.create_run(experiment, run_name=run.name, tags=_tags(run)).info.run_id
            self._ledger.begin(self._id)
            self._add_parameters()
        else:
            self._client.update_run(self._id, status="RUNNING")

    def begin(self, training: TrackedTraining) -> None:
        """Do nothing: the first points begin a curve."""

    def add(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Log the points that MLflow does not hold."""
        name, new = self._ledger.new(training, points)
        if new:
            curves = [(f"{name}/{key}", value, point.step) for point in new for key, value in point.values.items()]
            self._log(_metric(*each) for each in curves)
            self._ledger.note(training, new)

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Log the points that MLflow does not hold."""
        self.add(training, points)

    def conclude(self, outcome: Outcome) -> None:
        """Log figures that are new or have changed, the options, files and pictures."""
        known = self._client.get_run(self._id).data.metrics
        figures = (_metric(name, value, 0) for name, value in outcome.figures.items())
        self._log(each for each in figures if known.get(each.key) != each.value)
        self._client.log_dict(self._id, dict(self._run.config), "config.json")
        for path in outcome.files:
            self._client.log_artifact(self._id, str(path))
        with TemporaryDirectory() as folder:
            for title, png in outcome.pictures.items():
                (Path(folder) / f"{FORBIDDEN.sub('_', title).replace('/', '_')}.png").write_bytes(png)
            self._client.log_artifacts(self._id, folder, "pictures")

    def close(self, state: State) -> None:
        """Set the state of the run."""
        self._client.set_terminated(self._id, status=STATES[state])

    def _log(self, metrics: Iterator[Metric]) -> None:
        while batch := list(islice(metrics, MOST_METRICS)):
            self._client.log_batch(self._id, metrics=batch)

    def _add_parameters(self) -> None:
        from mlflow.entities import Param

        params = (Param(FORBIDDEN.sub("_", name), str(value)) for name, value in options(self._run.config))
        while batch := list(islice(params, MOST_PARAMETERS)):
            self._client.log_batch(self._id, params=batch)


def options(config: Mapping[str, object], place: str = "") -> Iterator[tuple[str, object]]:
    """Give every option of a nested config by its dotted name, as on the command line."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from options(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def _modules() -> tuple[str, ...]:
    """Return the modules that are needed: a server needs no database here."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:")
    return ("mlflow", "sqlalchemy", "alembic") if uri.startswith(DATABASES) else ("mlflow",)


def _experiment(client: MlflowClient) -> str:
    """Return the id of the experiment, which is created if it does not exist."""
    if found := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return found
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if known := client.get_experiment_by_name(name):
        return str(known.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another job of a sweep was faster
        if known := client.get_experiment_by_name(name):
            return str(known.experiment_id)
        raise


def _exists(client: MlflowClient, run_id: str | None) -> bool:
    """Return whether MLflow has a run that is not deleted."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    if run_id is None:
        return False
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise


def _tags(run: TrackedRun) -> dict[str, str]:
    tags = {
        "mlflow.source.name": run.command,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": run.commit,
        "wordless.version": run.version,
        "wordless.folder": str(run.folder.absolute()),
        "wordless.sweep": run.group,
    }
    return {name: value for name, value in tags.items() if value}


def _metric(name: str, value: float, step: int) -> Metric:
    from mlflow.entities import Metric

    return Metric(FORBIDDEN.sub("_", name), value, round(1000 * time.time()), step)


MLFLOW = TrackerKind(NAME, title="MLflow", modules=_modules, extra="mlflow", everywhere=False, open=MlflowRun)
