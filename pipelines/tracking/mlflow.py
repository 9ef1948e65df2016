"""MLflow: a run of an experiment, on a server or in a database of this machine.

MLflow's own variables say where: MLFLOW_TRACKING_URI, else ``mlflow.db`` and ``mlruns`` in the current folder;
MLFLOW_EXPERIMENT_NAME, else ``wordless``.
"""

import logging
import os
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, Tracker
from wordless.base.values import leaves

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
    """A run in MLflow, new or continued."""

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
