"""Tiny trainings that each tracker records: whole, once, and at no cost."""

import json
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pipelines.jobs.run_chain import run_chain
from pipelines.results.run_record import read_results, values_by_name
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import CURVE, CachedArtifact
from pipelines.store.tracking import FORBIDDEN, TRACKERS, TrackedRun, Tracking, require_trackers
from tests.killing import call
from tests.pipelines.chain.test_parts import OF_FOLDS
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs import conftest as finetuning
from tests.pipelines.store.tracking_records import READERS, prepare
from tests.pipelines.tiny import silent_session
from tests.pipelines.tiny_chain import TINY, composed
from wordless.base.devices import Batch
from wordless.base.messages import InputError
from wordless.training import FitConfig, Point

FIT = FitConfig(precision="fp32", steps=8, lr=0.02, warmup_steps=2, validate_every=2, checkpoint_minutes=0)
STEPS = [2, 4, 6, 8]
TRAINING = "language model"
FIGURES = {"lm/perplexity": 12.5, "probe/accuracy/gpt - log_mel": -0.25, "vocoder/rms/continuation@0.7": -29.0}
CONFIG: dict[str, object] = {"lm": {"fit": {"steps": 8}}, "stages": ["lm"], "name": None, "workers": 1}
NAMES = tuple(TRACKERS)
FIGURE_NAMES = {"mlflow": {name.replace("@", "_"): value for name, value in FIGURES.items()}}


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers(Batch):
    x: Tensor  # (batch, 4)


class Noise:
    """Batches that are functions of the step; one step may raise an error."""

    def __init__(self, at: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.at, self.error = at, error

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Numbers:
        if step == self.at:
            raise self.error
        return Numbers(x=torch.from_numpy(np.random.default_rng([7, step]).normal(size=(8, 4)).astype(np.float32)))


def loss(model: nn.Module, batch: Numbers) -> tuple[Tensor, int]:
    return ((model(batch.x) - batch.x.flip(1)) ** 2).sum(), len(batch.x)


@dataclass(frozen=True, kw_only=True)
class Place:
    root: Path
    name: str = "x"
    group: str | None = None
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def run(self) -> TrackedRun:
        command = f"wordless run name={self.name}"
        about = {"command": command, "config": CONFIG, "version": "1", "commit": "abc"}
        return TrackedRun(name=self.name, group=self.group, folder=self.folder, **about)  # type: ignore[arg-type]  # values of several types

    def train(self, *names: str, batches: Noise | None = None) -> CachedArtifact:
        """Train, or find what was trained before, and come to an outcome, as a run does."""
        self.folder.mkdir(exist_ok=True)
        tracking = Tracking(names, self.run, self.said.append)
        session = replace(silent_session(self.root), folder=self.folder, tracking=tracking)
        artifact = tiny_model(session, batches or Noise(), FIT)
        report = self.folder / "report.html"
        report.write_text("<html>the report</html>")
        figure = Figure()
        figure.subplots().plot([1, 2])
        tracking.conclude(FIGURES, [report], {"1 two/anna": figure})
        return artifact


@stage("lm", title="a tiny model", keys={"batches": lambda batches: None})
def tiny_model(run: StageRun, batches: Noise, fit: FitConfig) -> None:
    torch.manual_seed(0)
    run.fit("lm.fit", nn.Linear(4, 4), batches, [Noise().batch(99)], loss, fit)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "WANDB_PROJECT", "WANDB_DIR", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    return Place(root=tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_run_is_completed_and_nothing_is_recorded_twice(
    name: str, error: type[BaseException], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two points, resumed, and called once more when all is finished.

    TensorBoard has the points before the stop. What another run trained in between completes the curve. In the end the
    record has every step once, in order.
    """
    prepare(name, place.root, monkeypatch)
    with pytest.raises(error):
        place.train(name, batches=Noise(5, error))
    if name == "tensorboard":
        assert [step for step, _ in READERS[name](place.folder).curves[f"{TRAINING}/train_loss"]] == [2, 4]
    if error is RuntimeError:
        replace(place, name="other").train()
    for _ in range(2):
        stored, record = place.train(name).read_rows(CURVE, "curve"), READERS[name](place.folder)
        assert [point["step"] for point in stored] == STEPS
        for value in ("train_loss", "validation_loss"):
            losses = [(point["step"], pytest.approx(point[value], rel=1e-6)) for point in stored]
            assert record.curves[f"{TRAINING}/{value}"] == losses
        rates = [(step, pytest.approx(FIT.learning_rate(step - 1), rel=1e-6)) for step in STEPS]
        assert record.curves[f"{TRAINING}/learning_rate"] == rates
        figures = FIGURE_NAMES.get(name, FIGURES)
        assert {key: record.figures[key] for key in figures} == pytest.approx(figures)
        assert {key: record.config[key] for key in CONFIG} == CONFIG
        assert (record.name, record.report) == ("x", "<html>the report</html>")
        assert record.pictures == 1
    assert place.said == []


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_the_jobs_of_a_sweep_have_records_of_their_own(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents and launchers of jobs set the number of a record in the shell."""
    prepare(name, place.root, monkeypatch)
    if name == "wandb":
        import wandb

        wandb.teardown()  # W&B reads the environment once
        environment = {"WANDB_RUN_ID": "abcd1234", "WANDB_RESUME": "must"}
    else:
        from mlflow import MlflowClient

        experiment = MlflowClient().create_experiment("wordless")
        environment = {"MLFLOW_RUN_ID": MlflowClient().create_run(experiment).info.run_id}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    for job in "ab":
        own = replace(place, name=job, group="sizes")
        own.train(name)
        assert own.said == []
        assert READERS[name](own.folder).name == job
        assert not [*own.folder.glob(f"tracking/wandb/*{environment.get('WANDB_RUN_ID')}")]
    assert {variable: os.environ[variable] for variable in environment} == environment


@pytest.mark.parametrize("switch", [{"WANDB_MODE": "disabled"}])
def test_a_tracker_that_is_switched_off_says_nothing_and_records_the_run_when_it_is_on(
    switch: dict[str, str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("wandb", place.root, monkeypatch)
    import wandb

    with monkeypatch.context() as off:
        for variable, value in switch.items():
            off.setenv(variable, value)
        wandb.teardown()
        place.train("wandb")
    assert place.said == []
    assert not (place.folder / "tracking" / "wandb").exists()
    wandb.teardown()
    place.train("wandb")
    assert READERS["wandb"](place.folder).name == "x"


# What a failing tracker costs


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_that_cannot_write_costs_nothing(name: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(name, place.root, monkeypatch)
    place.folder.mkdir()
    match name:
        case "tensorboard":
            (place.folder / "tensorboard").symlink_to("/proc/self/nowhere")
        case "mlflow":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens there
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        case _:
            (place.folder / "tracking").write_text("a file where a folder should be")
    artifact = place.train(name)
    assert [point["step"] for point in artifact.read_rows(CURVE, "curve")] == STEPS
    (line,) = place.said
    assert re.match(rf"WARNING   {TRACKERS[name][0]} .*\w(Error|Exception): ", line)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own thread
def test_a_full_disk_ends_no_training(small_disk: Path) -> None:
    said: list[str] = []
    tracking = Tracking(["tensorboard"], Place(root=small_disk).run, said.append)
    (small_disk / "taken").write_bytes(bytes((1 << 20) - (64 << 10)))
    for step in range(1, 1201):
        tracking.add(TRAINING, Point(step=step, train_loss=0.5, validation_loss=0.25, learning_rate=0.01))
    assert len(said) == 1
    assert re.match(r"WARNING   TensorBoard\b.*\bNo space left on device\b", said[0])
    written = READERS["tensorboard"](small_disk / "x").curves[f"{TRAINING}/train_loss"]
    assert written == [(step, 0.5) for step in range(1, len(written) + 1)]  # whole events alone


# What is refused


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["tensorbord"], r"tracking=tensorbord\b.*\btensorboard\b"),
        (["tensorboard", "mlflow"], r"tracking=mlflow\b.*pip install 'wordless\[mlflow\]'"),
        (["tensorboard", "wandb"], r"tracking=wandb\b.*pip install 'wordless\[wandb\]'"),
    ],
)
def test_trackers_that_there_are_not_are_refused(names: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, library, None)  # not installed
    with pytest.raises(InputError, match=told):
        require_trackers(names)


TRAININGS = {"autoencoder": "autoencoder", "language model": "lm", "vocoder": "vocoder"}  # and their stages


def test_a_run_that_reuses_everything_is_recorded_whole(finished_run: FinishedRun, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    run_chain(composed(finished_run.store, "tracking=tensorboard", "workers=1"), folder)
    record = READERS["tensorboard"](folder)
    curves = json.loads((folder / "results.json").read_text())["curves"]
    for training, of in TRAININGS.items():
        losses = [(point["step"], pytest.approx(point["train_loss"])) for point in curves[of]["curve"]]
        assert record.curves[f"{training}/train_loss"] == losses
        assert [step for step, _ in record.curves[f"{training}/learning_rate"]] == [step for step, _ in losses]
    wanted = values_by_name(read_results(folder)["figures"])
    assert len(wanted) > 50
    assert {key: record.figures[key] for key in wanted} == pytest.approx(wanted, rel=1e-4)
    assert record.config["lm"]["fit"]["steps"] == 8
    assert record.report == (folder / "report.html").read_text()
    assert (record.name, record.pictures) == ("x", 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parallel"), [*((name, 2) for name in NAMES), ("mlflow", 1)])
def test_every_fold_is_recorded(name: str, parallel: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(name, tmp_path, monkeypatch)
    words = (*TINY, *OF_FOLDS, f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'x'}")
    done = call("run", *words, "lm.fit.steps=8", f"parallel={parallel}", f"tracking={name}", place=tmp_path)
    assert done.code == 0, done.told
    assert "tracks no more" not in done.told
    record = READERS[name](tmp_path / "x")
    tracked = {curve.rpartition("/")[0] for curve in record.curves}
    folds = {row["fold"] for row in json.loads((tmp_path / "x/results.json").read_text())["stages"]}
    assert len(folds) == 2
    for fold in folds:
        for training in ("language model", "SimCLR"):
            written = f"{training} {fold}, seed 0"
            assert (FORBIDDEN.sub("_", written) if name == "mlflow" else written) in tracked


def test_a_fine_tuning_is_recorded(run_folder: Path, tmp_path: Path) -> None:
    """Each learning rate that is tried has a curve of its own."""
    tones, folder = finetuning.write_tones(tmp_path / "tones"), tmp_path / "x"
    words = (f"model={run_folder}", f"output={folder}", f"store.root={tmp_path / 'store'}", "tracking=[tensorboard]")
    rates = ("backbone.learning_rates=[0.01,0.001]", "beside=[scratch]")
    for _ in range(2):  # the second time it reuses everything
        finetuning.fine_tune(*words, *rates, f"corpus.root={tones}")
    record = READERS["tensorboard"](folder)
    trainings = {curve.rpartition("/")[0] for curve in record.curves if curve.endswith("/train_loss")}
    assert len(trainings) == 4
    assert all(rate in " ".join(trainings) for rate in ("lr 0.01", "lr 0.001"))
    for training in trainings:
        assert [step for step, _ in record.curves[f"{training}/train_loss"]] == [2, 4, 6]
    assert {"fine-tuned/accuracy", "from scratch/accuracy"} <= record.figures.keys()
