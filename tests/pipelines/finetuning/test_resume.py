"""Fine-tuning that is killed, or that two processes share."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.killing import PROCESSES, Kill, arm
from tests.pipelines.finetuning.conftest import Finetuned
from tests.pipelines.finetuning.tiny_finetuning import PITCHES, STEPS, WITHOUT_PROBE, composed, write_tones
from tests.pipelines.tiny_chain import stored
from tests.wordless.training.test_gangs import together

# Once in each stage, where it hurts: in the middle of training, between two files, before the last rename.
KILLS = (
    Kill(path="body_inputs/*.partial/offsets.npy.aside"),
    Kill(path="finetuned/*.checkpoints/fit.safetensors", count=STEPS - 1),
    Kill(path="finetuned/*.partial/outputs.npy.aside"),
    Kill(path="finetuned/????????????????", count=2),
    Kill(path="body_features/*.partial/features.safetensors"),
    Kill(path="body_probed/*.partial/chosen.json.aside"),
)


def _finetune(config: dict[str, object], store: Path, kill: Kill | None) -> None:
    from pipelines.finetuning.job import finetune_body

    if kill:
        arm(store, kill)
    finetune_body(config)


def ended(config: dict[str, object], store: Path, kill: Kill | None = None) -> int:
    """Exit code of a fine-tuning in a process of its own; negative: the signal that ended it."""
    process = PROCESSES.Process(target=_finetune, args=(config, store, kill))
    process.start()
    process.join(300)
    assert process.exitcode is not None, "it takes too long"
    return process.exitcode


@pytest.mark.slow
def test_killed_once_in_each_stage(classifier: Finetuned, tmp_path: Path) -> None:
    store, words = tmp_path / "store", (*classifier.words, "body.fit.checkpoint_minutes=0")
    config = composed(*words, f"output={tmp_path / 'model'}", f"store.root={store}")
    for kill in KILLS:
        assert ended(config, store, kill) == -signal.SIGKILL, kill
    assert ended(config, store) == 0
    assert stored(store) == stored(classifier.store)
    for name in ("model.safetensors", "config.json", "predictions.tsv", "figures.md"):
        assert (tmp_path / "model" / name).read_bytes() == (classifier.folder / name).read_bytes()


def losses(store: Path) -> np.ndarray:
    """Training and validation losses of all trainings, in the order of their recipes but for threads and processes."""
    curves = {}
    for entry in store.glob("finetuned/*/entry.json"):
        recipe = json.loads(entry.read_text())
        own = {name: value for name, value in recipe["config"].items() if name not in ("threads", "processes")}
        points = json.loads((entry.parent / "curve.json").read_text())["curve"]
        key = json.dumps([own, recipe["inputs"]], sort_keys=True)
        curves[key] = [[point["train_loss"], point["validation_loss"]] for point in points]
    return np.array([curves[key] for key in sorted(curves)])


def tones_for(head: str, root: Path) -> Path:
    """Tones whose labels the head can learn: names, or pitches in Hz."""
    return write_tones(root, label=lambda name: str(PITCHES[name]) if head == "regression" else name)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["sequence", "regression"])
def test_a_kill_changes_no_byte_of_other_heads(head: str, run_folder: Path, tmp_path: Path) -> None:
    root = tones_for(head, tmp_path / "tones")
    words = (f"model={run_folder}", f"corpus.root={root}", f"head={head}", "body.fit.checkpoint_minutes=0")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert ended(composed(*words, f"output={tmp_path / 'a'}", f"store.root={whole}"), whole) == 0
    config = composed(*words, f"output={tmp_path / 'b'}", f"store.root={killed}")
    assert ended(config, killed, Kill(path="finetuned/*.checkpoints/fit.safetensors", count=STEPS - 1)) < 0
    assert ended(config, killed, Kill(path="finetuned/????????????????", count=2)) < 0
    assert ended(config, killed) == 0
    assert stored(killed) == stored(whole)
    for name in ("model.safetensors", "config.json", "predictions.tsv", "figures.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["classification", "sequence", "regression"])
def test_two_processes_learn_what_one_does(head: str, run_folder: Path, tmp_path: Path) -> None:
    """The loss of texts counts characters, of which each process has another number."""
    tones = tones_for(head, tmp_path / "tones")
    # no dropout: it is drawn anew in each process
    words = (f"model={run_folder}", f"corpus.root={tones}", "beside=[]", "head.dropout=0", "body.dropout=0")
    words = (*words, f"head={head}")
    words = (*words, "body.fit.validate_every=1")
    one, two = tmp_path / "one", tmp_path / "two"
    assert ended(composed(*words, f"output={tmp_path / 'a'}", f"store.root={one}"), one) == 0
    done = together("-m", "pipelines.finetune", *WITHOUT_PROBE, *words, f"output={tmp_path / 'b'}", f"store.root={two}")
    assert done.returncode == 0, done.stderr
    assert losses(one).shape == losses(two).shape == (1, STEPS, 2)
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-4)
    assert json.loads((tmp_path / "b/figures.json").read_text())["provenance"]["ranks"] == 2
