"""wav2vec 2.0's trainings, killed and resumed, and by two processes."""

import signal
from pathlib import Path

import pytest

from tests.pipelines.tiny_chain import Kill, run, stored

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
