"""Killed and resumed is never killed: the same bytes in every entry of the store."""

import signal
from pathlib import Path

import pytest

from tests.pipelines.tiny_chain import CHECKPOINTS, STEPS, Kill, run, stored

# Once in each stage, where it hurts: in the middle of training, between two files, before the last rename.
KILLS = (
    Kill(path="embedded/embedded-*"),
    Kill(path="inspected.jsonl", count=7),
    Kill(path="sample/*.partial/sample.json"),
    Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS // 2),
    Kill(path="tokenizer/*.partial/kmeans.json.aside"),
    Kill(path="codes/*.partial/codes-00000.parquet"),
    Kill(path="health/*.partial/timings.json.aside"),
    Kill(path="views/*.partial/codes-00000.parquet"),
    Kill(path="lm/*.checkpoints/fit.safetensors", count=STEPS - 1),
    Kill(path="code_table/*.partial/*.wav"),
    Kill(path="signal_features/*.partial/entry.json"),
    Kill(path="probe/????????????????"),
    Kill(path="waveforms/*.partial/offsets.npy"),
    Kill(path="vocoder/*.partial/config.json"),
    Kill(path="listening/*.partial/listening.json"),
)


def test_killed_once_in_each_stage(whole_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for number, kill in enumerate(KILLS):
        assert run(store, tmp_path / str(number), *CHECKPOINTS, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *CHECKPOINTS) == 0
    assert stored(store) == stored(whole_store)


def test_training_goes_on_from_its_checkpoint(whole_store: Path, tmp_path: Path) -> None:
    late = Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=STEPS)
    words = ("stages=[tokenizer]", *CHECKPOINTS)
    assert run(tmp_path / "store", tmp_path / "killed", *words, kill=late) == -signal.SIGKILL
    few = Kill(path="autoencoder/*.checkpoints/fit.safetensors", count=3)  # of which not so many are left
    assert run(tmp_path / "store", tmp_path / "resumed", *words, kill=few) == 0
    wanted = stored(whole_store)
    assert {name: wanted[name] for name in stored(tmp_path / "store")} == stored(tmp_path / "store")


SPEECH_STEPS = 6
TRAININGS = ("wav2vec2.pretraining", "wav2vec2.finetuning")
SPEECH = (
    *("stages=[tokenizer,probe]", "compare.methods=[wav2vec2,wav2vec2_finetuned]", "wav2vec2=tiny"),
    *(f"{part}.fit.steps={SPEECH_STEPS}" for part in TRAININGS),
    *(f"{part}.fit.validate_every=2" for part in TRAININGS),
    *(f"{part}.fit.checkpoint_minutes=0" for part in TRAININGS),
)
SPEECH_KILLS = (
    Kill(path="wav2vec2/*.checkpoints/fit.safetensors", count=SPEECH_STEPS // 2),
    Kill(path="wav2vec2/*.partial/targets.json.aside"),
    Kill(path="wav2vec2/*.partial/model.safetensors*"),
    Kill(path="wav2vec2_features/*.partial/features.safetensors"),
    Kill(path="wav2vec2_finetuned/*.checkpoints/fit.safetensors", count=SPEECH_STEPS - 1),
    Kill(path="wav2vec2_finetuned/*.partial/config.json"),
    Kill(path="wav2vec2_finetuned_features/*.partial/scores.safetensors"),
)


@pytest.mark.slow
def test_killed_once_in_each_stage_and_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    whole, store = tmp_path / "whole", tmp_path / "store"
    assert run(whole, tmp_path / "undisturbed", *SPEECH) == 0
    for number, kill in enumerate(SPEECH_KILLS):
        assert run(store, tmp_path / str(number), *SPEECH, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *SPEECH, "workers=2") == 0
    wanted = stored(whole)
    assert stored(store) == wanted
    assert {name.split("/")[0] for name in wanted} >= {"wav2vec2", "wav2vec2_finetuned", "wav2vec2_finetuned_features"}
