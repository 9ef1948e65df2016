"""What a language model says, as sound, on a tiny run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from pipelines.stages.listening import language_sounds
from pipelines.stages.recognition import new_part
from pipelines.store.session import Session
from pipelines.store.store import Store
from tests.pipelines.tiny import LISTENING, sweep
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt
from vocoder.judging.metrics import sound_levels
from vocoder.kinds.wavenet import WAVENET
from vocoder.sampling import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.waveform import Waveform
from wordless.base.progress import Terminal
from wordless.training.gangs import Alone

RATE = 4000


@pytest.fixture
def said(run_folder: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """A continuation of a loud clip, and a sound from nothing; their files lie in ``tmp_path``."""
    session = Session(
        store=Store(tmp_path), gang=Alone(torch.device("cpu")), terminal=Terminal(), folder=tmp_path, workers=1
    )
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    loud = Waveform(samples=np.sign(sweep(0.4, RATE)).astype(np.float32), sample_rate=RATE)
    prompts = [("loud.wav", Prompt(waveform=loud, codes=tokenizer.encode(loud)), None)]
    config = replace(LISTENING, continuation_seconds=0.2, unconditional=1)
    wavenet = create_synthesis(WAVENET, tokenizer, Sampling(temperature=0), folder=run_folder / "vocoder")
    rows = language_sounds(session, tmp_path, tokenizer, wavenet, run_folder / "lm", prompts, config)["said"]
    assert isinstance(rows, list)
    return rows


def test_figures_are_of_what_is_new(said: list[dict[str, Any]], tmp_path: Path) -> None:
    continuation, unconditional = said
    samples = soundfile.read(tmp_path / continuation["file"], dtype="float32")[0]
    assert np.abs(samples[: round(0.4 * RATE)]).mean() > 0.9  # the prompt
    new = sound_levels(Waveform(samples=samples[round(0.4 * RATE) :], sample_rate=RATE))
    assert continuation["figures"]["prompt_seconds"] == pytest.approx(0.4)
    assert continuation["figures"]["rms"] == pytest.approx(new.rms, abs=0.5)  # it is quiet, and 16 bits round it
    assert continuation["figures"]["peak"] == pytest.approx(new.peak, abs=1e-3)
    assert "prompt_seconds" not in unconditional["figures"]


def test_what_is_recognised_is_what_is_new(said: list[dict[str, Any]], tmp_path: Path) -> None:
    continuation, unconditional = (new_part(tmp_path, row) for row in said)
    assert (continuation.start, continuation.start + continuation.num_samples) == (
        round(0.4 * RATE),
        soundfile.info(tmp_path / said[0]["file"]).frames,
    )
    assert unconditional.start == 0
    assert unconditional.num_samples == soundfile.info(tmp_path / said[1]["file"]).frames
