"""Which part of a clip is listened to, judged and gone on from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.stages.judging import new_part
from pipelines.stages.listening import CLIPS, decode_clips, decoded_paths, language_sounds, listening
from pipelines.stages.listening import LISTENING as LISTENING_RECORD
from pipelines.store.session import Session
from tests.pipelines.tiny import AUDIO, LISTENING, PATCH, parts_of, playback_of, session_of, sweep
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt
from vocoder.kinds import WAVENET
from vocoder.measures import sound_levels
from vocoder.options import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.waveform import Waveform
from wordless.base.array_types import FloatArray

RATE = 4000
STEP = PATCH.frames * AUDIO.hop_length
QUIET = 1 / 32_768
CONFIG = replace(LISTENING, clips=3, judged_clips=3, seconds=0.4)


def word(begins: float) -> FloatArray:
    """A second of silence with a fifth of a second of sound in it."""
    samples = np.full(RATE, QUIET, np.float32)
    first = round(begins * RATE)
    samples[first : first + RATE // 5] = sweep(0.2, RATE)
    return samples


@pytest.fixture
def manifest(tmp_path: Path) -> Clips:
    """A word in the middle, one at the end, and a clip no longer than what is listened to."""
    sounds = {"end.wav": word(0.8), "middle.wav": word(0.5), "short.wav": sweep(0.35, RATE)}
    for name, samples in sounds.items():
        soundfile.write(tmp_path / name, samples, RATE)
    clips = [
        Clip(path=name, num_samples=len(samples), sample_rate=RATE, size=1, sha256=name, split="test")
        for name, samples in sounds.items()
    ]
    return Clips.from_rows(tmp_path, clips)


def test_the_loudest_stretch_is_played_judged_and_gone_on_from(
    run_folder: Path, own_session: Session, manifest: Clips
) -> None:
    parts = parts_of(run_folder, "tokenizer", "vocoder", "lm")
    playback = playback_of(manifest, *parts[:2], config=CONFIG)
    played, judged = listening(own_session, playback, parts[2]), decode_clips(own_session, playback)
    rows = played.read_json(LISTENING_RECORD)["clips"]
    places = judged.read_json(CLIPS)["clips"]
    assert isinstance(rows, list)
    assert isinstance(places, list)
    assert [{name: row[name] for name in ("path", "start", "seconds", "clip_seconds")} for row in rows] == places
    assert decoded_paths(judged) == ["end.wav", "middle.wav", "short.wav"]
    for number, row in enumerate(rows):
        whole, start = read(manifest.root / row["path"], RATE).samples, round(row["start"] * RATE)
        for folder in (played.folder, judged.folder):
            original = read(folder / f"{number}_original.wav", RATE).samples
            assert original == pytest.approx(whole[start : start + round(0.4 * RATE)], abs=2 * QUIET)
        assert start % STEP == 0
        assert (row["seconds"], row["clip_seconds"]) == (len(original) / RATE, len(whole) / RATE)
        # The prompt is three quarters of the excerpt, which is shorter than a second, and sound has begun in it.
        prompt = read(played.folder / f"{number}_prompt.wav", RATE).samples
        assert len(prompt) == len(original) // STEP * 3 // 4 * STEP
        assert np.sum(prompt**2) > 0.4 * np.sum(original**2)
    end, middle, short = (row["start"] for row in rows)
    assert end == pytest.approx(0.6, abs=STEP / RATE)
    assert middle == pytest.approx(0.4, abs=STEP / RATE)
    assert short == 0


def test_what_is_measured_and_recognised_is_what_is_new(run_folder: Path, tmp_path: Path) -> None:
    """Of a continuation of a loud clip, and of a sound from nothing."""
    tokenizer, prompt = Tokenizer.from_pretrained(run_folder / "tokenizer"), round(0.4 * RATE)
    loud = Waveform(samples=np.sign(sweep(0.4, RATE)).astype(np.float32), sample_rate=RATE)
    prompts = [("loud.wav", Prompt(waveform=loud, codes=tokenizer.encode(loud)), None)]
    config = replace(LISTENING, continuation_seconds=0.2, unconditional=1)
    wavenet = create_synthesis(WAVENET, tokenizer, Sampling(temperature=0), folder=run_folder / "vocoder")
    made = language_sounds(session_of(tmp_path), tmp_path, tokenizer, wavenet, run_folder / "lm", prompts, config)
    rows: Any = made["said"]
    continued, unconditional = (soundfile.read(tmp_path / row["file"], dtype="float32")[0] for row in rows)
    assert np.abs(continued[:prompt]).mean() > 0.9
    new = sound_levels(Waveform(samples=continued[prompt:], sample_rate=RATE))
    assert rows[0]["figures"]["prompt_seconds"] == pytest.approx(0.4)
    assert rows[0]["figures"]["rms"] == pytest.approx(new["rms"], abs=0.5)  # it is quiet, and 16 bits round it
    assert rows[0]["figures"]["peak"] == pytest.approx(new["peak"], abs=1e-3)
    assert "prompt_seconds" not in rows[1]["figures"]
    parts = [new_part(tmp_path, row) for row in rows]
    ends = [(part.start, part.start + part.num_samples) for part in parts]
    assert ends == [(prompt, len(continued)), (0, len(unconditional))]
