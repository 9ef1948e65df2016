"""Runs of the whole chain, and fine-tunings, as trackers record them."""

import json
import signal
from pathlib import Path

import pytest

from pipelines.chain.chain import run_chain
from pipelines.chain.run_output import figures
from pipelines.results.run_record import read_results
from pipelines.tracking.mlflow import FORBIDDEN
from tests.killing import Call, call
from tests.pipelines.chain.test_pairs import FOLDS, TRAINED
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.finetuning import tiny_finetuning
from tests.pipelines.tiny_chain import TINY, composed
from tests.pipelines.tracking.records import READERS, prepare

EACH = ["tensorboard", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mlflow", "wandb"))]
TRAININGS = {"autoencoder": "autoencoder", "language model": "lm", "vocoder": "vocoder"}  # and their stages


@pytest.mark.parametrize("name", EACH)
def test_a_run_that_reuses_everything_is_recorded_whole(
    name: str, finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(name, tmp_path, monkeypatch)
    folder = tmp_path / "x"
    folder.mkdir()
    config = composed(finished_run.store, f"tracking=[{name}]", "workers=1")
    run_chain(config, folder)
    record = READERS[name](folder)
    curves = json.loads((folder / "results.json").read_text())["curves"]
    for training, stage in TRAININGS.items():
        losses = [(point["step"], pytest.approx(point["train_loss"])) for point in curves[stage]["curve"]]
        assert record.curves[f"{training}/train_loss"] == losses
        assert [step for step, _ in record.curves[f"{training}/learning_rate"]] == [step for step, _ in losses]
    wanted = figures(read_results(folder))
    assert len(wanted) > 50
    if name == "mlflow":
        wanted = {key.replace("@", "_"): value for key, value in wanted.items()}
    assert {key: record.figures[key] for key in wanted} == pytest.approx(wanted, rel=1e-4)
    assert record.config["lm"]["fit"]["steps"] == 8
    assert record.report == (folder / "report.html").read_text()
    assert (record.name, record.state, record.pictures) == ("x", "finished", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
@pytest.mark.parametrize("parallel", [1, 2])
def test_every_fold_is_recorded(parallel: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(name, tmp_path, monkeypatch)
    words = (*TINY, *FOLDS, *TRAINED, f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'x'}")
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
    assert record.state == "finished"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "state"), [(signal.SIGTERM, "killed"), (signal.SIGINT, "killed"), (signal.SIGKILL, "running")]
)
def test_a_killed_run_says_so_and_is_completed(
    number: signal.Signals, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL leaves no time to say anything."""
    prepare("mlflow", tmp_path, monkeypatch)
    words = (*TINY, f"store.root={tmp_path / 'store'}", f"hydra.run.dir={tmp_path / 'x'}", "tracking=mlflow")
    running = Call("run", *words, place=tmp_path)
    while not list(tmp_path.glob("store/vocoder/*.partial")):
        assert not running.ended_within(0.05), running.told
    running.end(number)
    done = running.wait()
    assert done.code == (130 if number is signal.SIGINT else -number), done.told
    half = READERS["mlflow"](tmp_path / "x")
    assert half.state == state
    assert call("run", *words, place=tmp_path).code == 0
    whole = READERS["mlflow"](tmp_path / "x")
    assert whole.state == "finished"
    for training in TRAININGS:
        assert [step for step, _ in whole.curves[f"{training}/train_loss"]] == [4, 8]


@pytest.mark.parametrize("name", EACH)
def test_a_fine_tuning_is_recorded(
    name: str, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each learning rate that is tried has a curve of its own."""
    from pipelines.finetuning.job import finetune_body

    prepare(name, tmp_path, monkeypatch)
    tones, folder = tiny_finetuning.write_tones(tmp_path / "tones"), tmp_path / "x"
    words = (f"model={run_folder}", f"output={folder}", f"store.root={tmp_path / 'store'}", f"tracking=[{name}]")
    rates = ("body.learning_rates=[0.01,0.001]", "beside=[scratch]")
    for _ in range(2):  # the second time it reuses everything
        finetune_body(tiny_finetuning.composed(*words, *rates, f"corpus.root={tones}"))
    record = READERS[name](folder)
    trainings = {curve.rpartition("/")[0] for curve in record.curves if curve.endswith("/train_loss")}
    assert len(trainings) == 4
    assert all(rate in " ".join(trainings) for rate in ("lr 0.01", "lr 0.001"))
    for training in trainings:
        assert [step for step, _ in record.curves[f"{training}/train_loss"]] == [2, 4, 6]
    assert {"fine-tuned/accuracy", "from scratch/accuracy"} <= record.figures.keys()
    assert record.state == "finished"
