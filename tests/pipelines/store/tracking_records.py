"""What trackers hold of a run, read back from their files by their own libraries."""

from __future__ import annotations

import atexit
import json
import shutil
import struct
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = list[tuple[int, float]]  # step and value, in the order in which they were logged
WANDB_BLOCK, WANDB_HEAD = 1 << 15, 7  # bytes: its files are logs of LevelDB behind a head
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # parts of a record


@dataclass
class Record:
    name: str = ""
    curves: dict[str, Curve] = field(default_factory=dict)  # by "<training>/<value>"
    figures: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    report: str = ""
    pictures: int = 0


def read_tensorboard(folder: Path) -> Record:
    """The event files of a run folder."""
    record, root = Record(name=folder.name), folder / "tensorboard"
    for training in (path.name for path in root.iterdir() if path.name != "run"):
        for log, tags in (("loss_train", {"loss": "train_loss"}), ("loss_validation", {"loss": "validation_loss"})):
            record.curves |= _scalars(root / training / log, training, tags)
        record.curves |= _scalars(root / training, training, {"learning_rate": "learning_rate"})
    if (root / "run").exists():
        log = _log(root / "run")
        found = {tag.partition("/")[0]: log.Tensors(tag)[0].tensor_proto for tag in log.Tags()["tensors"]}
        texts = {name: bytes(proto.string_val[0]).decode() for name, proto in found.items()}
        record.config = json.loads(texts["config"].strip("`\n")) if "config" in texts else {}
        rows = [line.strip("| ").split(" | ") for line in texts.get("figures", "").splitlines()[2:]]
        record.figures = {name: float(value) for name, value in rows}
        record.pictures = len(log.Tags()["images"])
        (report,) = [line[2:] for line in texts.get("files", "").splitlines() if line.endswith(".html")] or [""]
        record.report = Path(report).read_text() if report else ""
    return record


def _log(folder: Path) -> EventAccumulator:
    # Files of the same second have no order by their names.
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()


def _scalars(folder: Path, training: str, tags: dict[str, str]) -> dict[str, Curve]:
    log = _log(folder)
    return {
        f"{training}/{name}": sorted((event.step, event.value) for event in log.Scalars(tag))
        for tag, name in tags.items()
        if tag in log.Tags()["scalars"]
    }


def read_mlflow(folder: Path) -> Record:
    """The one run in MLflow whose tag names the folder."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts, load_dict

    client = MlflowClient()
    experiment = client.get_experiment_by_name("wordless")
    runs = client.search_runs([experiment.experiment_id], f"tags.`wordless.folder` = '{folder}'")
    assert len(runs) == 1
    run, run_id = runs[0], runs[0].info.run_id
    history = {name: client.get_metric_history(run_id, name) for name in run.data.metrics}
    kept = {name: [(each.step, each.value) for each in values] for name, values in history.items()}
    curves = {name: values for name, values in kept.items() if values[0][0]}
    assert all(len(values) == 1 for name, values in kept.items() if name not in curves)
    artifacts = {each.path for each in client.list_artifacts(run_id)}
    found = "report.html" in artifacts
    report = Path(download_artifacts(run_id=run_id, artifact_path="report.html")).read_text() if found else ""
    assert run.data.params.get("lm.fit.steps", "8") == "8"
    return Record(
        name=run.info.run_name,
        curves=curves,
        figures={name: value for name, value in run.data.metrics.items() if name not in curves},
        config=load_dict(f"runs:/{run_id}/config.json") if "config.json" in artifacts else {},
        report=report,
        pictures=len(client.list_artifacts(run_id, "pictures")) if "pictures" in artifacts else 0,
    )


def read_wandb(folder: Path) -> Record:
    """The one offline run of W&B in a run folder."""
    paths = list((folder / "tracking/wandb").glob("offline-run-*/*.wandb"))
    assert len(paths) == 1, paths
    record, history = Record(), defaultdict(list)
    for found in _finished(paths[0]):
        kind = found.WhichOneof("record_type")
        if kind == "run":
            record.name = found.run.display_name
            record.config |= {each.key: json.loads(each.value_json) for each in found.run.config.update}
        elif kind == "history":
            row = {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in found.history.item}
            steps = {name.rpartition("/")[0]: value for name, value in row.items() if name.endswith("/step")}
            for name, value in row.items():
                training = name.rpartition("/")[0]
                if training in steps and not name.endswith("/step"):
                    history[name].append((steps[training], value))
        elif kind == "summary":
            for each in found.summary.update:
                name, value = each.key or "/".join(each.nested_key), json.loads(each.value_json)
                if isinstance(value, (int, float)):
                    record.figures[name] = value
    record.curves = dict(history)
    report = paths[0].parent / "files/report.html"
    record.report = report.read_text() if report.exists() else ""
    record.pictures = len([*(paths[0].parent / "files/media/images/pictures").rglob("*.png")])
    return record


def _finished(path: Path) -> list[Any]:
    """All records of a finished run: another process of W&B writes the last ones a moment later."""
    for _ in range(200):
        records = list(_wandb_records(path))
        if any(each.WhichOneof("record_type") == "exit" for each in records):
            return records
        time.sleep(0.05)
    raise TimeoutError(f"{path} has no end")


def _wandb_records(path: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record as Message

    data, place, parts = path.read_bytes(), WANDB_HEAD, b""
    while place < len(data):
        if WANDB_BLOCK - place % WANDB_BLOCK < WANDB_HEAD:
            place += WANDB_BLOCK - place % WANDB_BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + WANDB_HEAD : place + WANDB_HEAD + size]
        place += WANDB_HEAD + size
        if kind in (WHOLE, LAST):
            yield Message.FromString(parts)
            parts = b""


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb}


def prepare(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tracker write below ``place`` alone, or skip the test where its library is missing."""
    if name == "wandb":
        pytest.importorskip("wandb", reason="needs pip install 'wordless[wandb]'")
        monkeypatch.setenv("WANDB_MODE", "offline")
        for folder in ("CACHE", "CONFIG", "DATA"):
            monkeypatch.setenv(f"WANDB_{folder}_DIR", str(place / folder.lower()))
    if name == "mlflow":
        pytest.importorskip("mlflow", reason="needs pip install 'wordless[mlflow]'")
        monkeypatch.chdir(place)  # artifacts are in ./mlruns
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        if find_spec("sqlalchemy") is None:  # mlflow-skinny alone
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{place}/mlruns")
            monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        else:
            shutil.copy(database(), place)


@cache
def database() -> Path:
    """A new database of MLflow, which takes seconds to make."""
    from mlflow import MlflowClient

    path = Path(tempfile.mkdtemp()) / "mlflow.db"
    atexit.register(shutil.rmtree, path.parent)
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path
