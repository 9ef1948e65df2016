"""Decoded test clips, kept by what decides their sound."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch

from audio.manifest import Clip, Manifest
from pipelines.decoded_stage import decoded
from pipelines.gangs import Alone
from pipelines.progress import Terminal
from pipelines.session import Session
from pipelines.store import Entry, Store
from tests.pipelines.tiny import LISTENING, sweep
from vocoder import numba_streams


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
        decoded(session, manifest, *parts, replace(LISTENING, engine=engine)) for engine in ("numba", "torch")
    )
    assert not numba.reused
    assert (torch_loop.key, torch_loop.reused) == (numba.key, True)
    if not numba_streams.multiplies_bf16():
        pytest.skip("needs a CPU with AVX512_BF16")
    assert decoded(session, manifest, *parts, replace(LISTENING, engine="auto")).key != numba.key
    monkeypatch.setattr(numba_streams, "multiplies_bf16", lambda: False)
    assert decoded(session, manifest, *parts, replace(LISTENING, engine="auto")).key == numba.key
