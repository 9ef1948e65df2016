"""wav2vec 2.0's trainings, killed and resumed, and by two processes."""

import math
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.pipelines.tiny_chain import TINY, Kill, run, stored
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from tests.wordless.training.test_gangs import losses, together

STEPS = 6
TRAININGS = ("wav2vec2.pretraining", "wav2vec2.finetuning")
WORDS = (
    *("stages=[tokenizer,probe]", "compare.methods=[wav2vec2,wav2vec2_finetuned]", "wav2vec2=tiny"),
    *(f"{part}.fit.steps={STEPS}" for part in TRAININGS),
    *(f"{part}.fit.validate_every=2" for part in TRAININGS),
    *(f"{part}.fit.checkpoint_minutes=0" for part in TRAININGS),
)
KILLS = (
    Kill(path="wav2vec2/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="wav2vec2/*.partial/targets.json.aside"),
    Kill(path="wav2vec2/*.partial/model.safetensors*"),
    Kill(path="wav2vec2_features/*.partial/features.safetensors"),
    Kill(path="wav2vec2_finetuned/*.checkpoints/fit.safetensors", count=STEPS - 1),
    Kill(path="wav2vec2_finetuned/*.partial/config.json"),
    Kill(path="wav2vec2_finetuned_features/*.partial/scores.safetensors"),
)


@pytest.mark.slow
def test_killed_once_in_each_stage_and_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    whole, store = tmp_path / "whole", tmp_path / "store"
    assert run(whole, tmp_path / "undisturbed", *WORDS) == 0
    for number, kill in enumerate(KILLS):
        assert run(store, tmp_path / str(number), *WORDS, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *WORDS, "workers=2") == 0
    wanted = stored(whole)
    assert stored(store) == wanted
    assert {name.split("/")[0] for name in wanted} >= {"wav2vec2", "wav2vec2_finetuned", "wav2vec2_finetuned_features"}


@pytest.mark.slow
def test_two_processes_fine_tune_as_one_does_and_pre_train_together(tmp_path: Path) -> None:
    """Without dropout and masked frames nothing is random in fine-tuning; pre-training draws noise in each process."""
    one, two, weights = tmp_path / "one", tmp_path / "two", tmp_path / "weights"
    model = save_checkpoint(weights, sample_rate=8000)
    for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"):
        setattr(model.config, name, 0.0)
    model.config.save_pretrained(weights)
    tuning = ("compare.methods=[wav2vec2_finetuned]", "wav2vec2.finetuning.masking.share=0")
    words = (*WORDS, *tuning, f"wav2vec2.weights={weights}", "wav2vec2.finetuning.fit.validate_every=1")
    assert run(one, tmp_path / "alone", *words) == 0
    done = together("-m", "pipelines.run", *TINY, *words, f"store.root={two}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(losses(one, "wav2vec2_finetuned")) == STEPS
    np.testing.assert_allclose(losses(two, "wav2vec2_finetuned"), losses(one, "wav2vec2_finetuned"), atol=1e-4)
    words = (*WORDS, "compare.methods=[wav2vec2]", "wav2vec2.pretraining.fit.accumulation=2")
    done = together("-m", "pipelines.run", *TINY, *words, f"store.root={two}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(math.isfinite(each) for pair in losses(two, "wav2vec2") for each in pair)
