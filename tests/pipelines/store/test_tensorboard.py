"""What TensorBoard's own reader finds of tiny trainings: whole, once, and at no cost."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from pipelines.jobs.run_chain import run_chain
from pipelines.results.run_record import read_results, values_by_name
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import CURVE, CachedArtifact
from pipelines.store.tensorboard import TensorBoard
from tests.killing import call
from tests.pipelines.chain.test_parts import OF_FOLDS
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.jobs import conftest as finetuning
from tests.pipelines.tiny import silent_session
from tests.pipelines.tiny_chain import TINY, composed
from wordless.base.devices import Batch
from wordless.training import Examples, FitConfig, Point

FIT = FitConfig(precision="fp32", steps=8, lr=0.02, warmup_steps=2, validate_every=2, checkpoint_minutes=0)
STEPS = [2, 4, 6, 8]
TRAINING = "language model"
FIGURES = {"lm/perplexity": 12.5, "probe/accuracy/gpt - log_mel": -0.25, "vocoder/rms/continuation@0.7": -29.0}
CONFIG: dict[str, object] = {"lm": {"fit": {"steps": 8}}, "stages": ["lm"], "name": None, "workers": 1}
SOURCE = {"command": "wordless run name=x", "config": CONFIG, "version": "1", "commit": "abc"}
Curve = list[tuple[int, float]]  # step and value, in the order in which they were logged


@dataclass
class Record:
    curves: dict[str, Curve] = field(default_factory=dict)  # by "<training>/<value>"
    figures: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    report: str = ""
    pictures: int = 0


def recorded(folder: Path) -> Record:
    """Read the event files of a run folder."""
    record, root = Record(), folder / "tensorboard"
    for training in (path.name for path in root.iterdir() if path.name != "run"):
        for log, tags in (("loss_train", {"loss": "train_loss"}), ("loss_validation", {"loss": "validation_loss"})):
            record.curves |= _scalars(root / training / log, training, tags)
        record.curves |= _scalars(root / training, training, {"learning_rate": "learning_rate"})
    if (root / "run").exists():
        log = _log(root / "run")
        found = {tag.partition("/")[0]: log.Tensors(tag)[0].tensor_proto for tag in log.Tags()["tensors"]}
        texts = {name: bytes(proto.string_val[0]).decode() for name, proto in found.items()}
        record.config = json.loads(texts["config"].strip("`\n"))
        rows = [line.strip("| ").split(" | ") for line in texts["figures"].splitlines()[2:]]
        record.figures = {name: float(value) for name, value in rows}
        record.pictures = len(log.Tags()["images"])
        (report,) = [line[2:] for line in texts["files"].splitlines() if line.endswith(".html")] or [""]
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
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / self.name

    def train(self, batches: Noise | None = None) -> CachedArtifact:
        """Train, or find what was trained before, and come to an outcome, as a run does."""
        self.folder.mkdir(exist_ok=True)
        tensorboard = TensorBoard(self.folder, self.said.append)
        session = replace(silent_session(self.root), folder=self.folder, tensorboard=tensorboard)
        artifact = tiny_model(session, batches or Noise(), FIT)
        report = self.folder / "report.html"
        report.write_text("<html>the report</html>")
        figure = Figure()
        figure.subplots().plot([1, 2])
        tensorboard.conclude(SOURCE, FIGURES, [report], {"1 two/anna": figure})
        return artifact


@stage("lm", title="a tiny model", keys={"batches": lambda batches: None})
def tiny_model(run: StageRun, batches: Noise, fit: FitConfig) -> None:
    torch.manual_seed(0)
    run.fit(
        "lm.fit",
        nn.Linear(4, 4),
        batches,
        [Noise().batch(99)],
        loss,
        fit,
        Examples(batch_size=8, seconds=1.0, hours=1.0),
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(root=tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_run_is_completed_and_nothing_is_recorded_twice(error: type[BaseException], place: Place) -> None:
    """Stopped between two points, resumed, and called once more when all is finished.

    The points before the stop are there. What another run trained in between completes the curve. In the end the record
    has every step once, in order.
    """
    with pytest.raises(error):
        place.train(Noise(5, error))
    assert [step for step, _ in recorded(place.folder).curves[f"{TRAINING}/train_loss"]] == [2, 4]
    if error is RuntimeError:
        replace(place, name="other").train()
    for _ in range(2):
        stored, record = place.train().read_rows(CURVE, "curve"), recorded(place.folder)
        assert [point["step"] for point in stored] == STEPS
        for value in ("train_loss", "validation_loss"):
            losses = [(point["step"], pytest.approx(point[value], rel=1e-6)) for point in stored]
            assert record.curves[f"{TRAINING}/{value}"] == losses
        rates = [(step, pytest.approx(FIT.learning_rate(step - 1), rel=1e-6)) for step in STEPS]
        assert record.curves[f"{TRAINING}/learning_rate"] == rates
        assert record.figures == pytest.approx(FIGURES)
        assert record.config == CONFIG
        assert record.report == "<html>the report</html>"
        assert record.pictures == 1
    assert place.said == []


def test_a_folder_that_cannot_be_written_costs_nothing(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "tensorboard").symlink_to("/proc/self/nowhere")
    artifact = place.train()
    assert [point["step"] for point in artifact.read_rows(CURVE, "curve")] == STEPS
    (line,) = place.said
    assert re.match(r"WARNING   TensorBoard .*\w(Error|Exception): ", line)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own thread
def test_a_full_disk_ends_no_training(small_disk: Path) -> None:
    said: list[str] = []
    tensorboard = TensorBoard(small_disk / "x", said.append)
    (small_disk / "taken").write_bytes(bytes((1 << 20) - (64 << 10)))
    for step in range(1, 1201):
        tensorboard.add(TRAINING, Point(step=step, train_loss=0.5, validation_loss=0.25, learning_rate=0.01))
    assert len(said) == 1
    assert re.match(r"WARNING   TensorBoard\b.*\bNo space left on device\b", said[0])
    written = recorded(small_disk / "x").curves[f"{TRAINING}/train_loss"]
    assert written == [(step, 0.5) for step in range(1, len(written) + 1)]  # whole events alone


TRAININGS = {"autoencoder": "autoencoder", "language model": "lm", "vocoder": "vocoder"}  # and their stages


def test_a_run_that_reuses_everything_is_recorded_whole(finished_run: FinishedRun, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    run_chain(composed(finished_run.store, "tensorboard=true", "workers=1"), folder)
    record = recorded(folder)
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
    assert record.pictures == 1


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [1, 2])
def test_every_fold_is_recorded(parallel: int, tmp_path: Path) -> None:
    words = (*TINY, *OF_FOLDS, f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'x'}")
    done = call("run", *words, "lm.fit.steps=8", f"parallel={parallel}", "tensorboard=true", place=tmp_path)
    assert done.code == 0, done.told
    assert "records no more" not in done.told
    tracked = {curve.rpartition("/")[0] for curve in recorded(tmp_path / "x").curves}
    folds = {row["fold"] for row in json.loads((tmp_path / "x/results.json").read_text())["stages"]}
    assert len(folds) == 2
    assert {f"{training} {fold}, seed 0" for fold in folds for training in ("language model", "SimCLR")} <= tracked


def test_a_fine_tuning_is_recorded(run_folder: Path, tmp_path: Path) -> None:
    """Each learning rate that is tried has a curve of its own."""
    tones, folder = finetuning.write_tones(tmp_path / "tones"), tmp_path / "x"
    words = (f"model={run_folder}", f"output={folder}", f"store.root={tmp_path / 'store'}", "tensorboard=true")
    rates = ("backbone.learning_rates=[0.01,0.001]", "beside=[scratch]")
    for _ in range(2):  # the second time it reuses everything
        finetuning.fine_tune(*words, *rates, f"corpus.root={tones}")
    record = recorded(folder)
    trainings = {curve.rpartition("/")[0] for curve in record.curves if curve.endswith("/train_loss")}
    assert len(trainings) == 4
    assert all(rate in " ".join(trainings) for rate in ("lr 0.01", "lr 0.001"))
    for training in trainings:
        assert [step for step, _ in record.curves[f"{training}/train_loss"]] == [2, 4, 6]
    assert {"fine-tuned/accuracy", "from scratch/accuracy"} <= record.figures.keys()
