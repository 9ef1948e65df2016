"""Decoded test clips, kept by what decides their sound."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from audio.manifest import Clip, Manifest
from pipelines.decoded_stage import decoded
from pipelines.gangs import Alone
from pipelines.listening_stage import ListeningConfig
from pipelines.progress import Terminal
from pipelines.session import Session
from pipelines.store import Entry, Store
from tests.pipelines.tiny import sweep
from vocoder import numba_streams

CONFIG = ListeningConfig(
    clips=1,
    judged_clips=1,
    seconds=0.1,
    continuation_seconds=0.1,
    temperatures=(1.0,),
    continuations=1,
    unconditional=0,
    top_k=0,
    vocoder_temperature=1.0,
    seed=0,
)


def test_a_store_keeps_sounds_of_each_precision(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(0.2, 4000), 4000)
    clip = Clip(path="a.wav", num_samples=800, sample_rate=4000, size=1, sha256="0", split="test")
    manifest = Manifest(root=tmp_path, clips=(clip,))
    parts = [Entry(stage=part, key=part, folder=run_folder / part, reused=True) for part in ("tokenizer", "vocoder")]
    session = Session(
        store=Store(tmp_path / "store"),
        gang=Alone(torch.device("cpu")),
        terminal=Terminal(),
        folder=tmp_path,
        workers=0,
    )
    numba, torch_loop = (
        decoded(session, manifest, *parts, replace(CONFIG, engine=engine)) for engine in ("numba", "torch")
    )
    assert not numba.reused
    assert (torch_loop.key, torch_loop.reused) == (numba.key, True)
    if not numba_streams.multiplies_bf16():
        pytest.skip("needs a CPU with AVX512_BF16")
    assert decoded(session, manifest, *parts, replace(CONFIG, engine="auto")).key != numba.key
    monkeypatch.setattr(numba_streams, "multiplies_bf16", lambda: False)
    assert decoded(session, manifest, *parts, replace(CONFIG, engine="auto")).key == numba.key
