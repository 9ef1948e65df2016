"""The sound of test clips: what is played, kept by what decides it, measured, and judged by models that predict MOS."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.stages.listening import (
    CLIPS,
    EVALUATED,
    decode_clips,
    decoded_paths,
    generate_samples,
    listening,
    measure_clips,
    new_part,
    wav_name,
)
from pipelines.stages.listening import LISTENING as LISTENING_RECORD
from pipelines.store.stage import Session
from pipelines.store.store import CachedArtifact, write_json
from tests.pipelines.tiny import AUDIO, LISTENING, PATCH, parts_of, playback_of, session_of, sweep, write_clip
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import BY_KEY, FROM_RECORDED, ORIGINAL, WAVENET
from vocoder.measures import sound_levels
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Prompt
from vocoder.vocoder_options import Sampling
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clips
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray

RATE = 4000
STEP = PATCH.frames * AUDIO.hop_length
QUIET = 1 / 32_768
CONFIG = replace(LISTENING, clips=3, evaluated_clips=3, seconds=0.4)


def word(begins: float) -> FloatArray:
    """A second of silence with a fifth of a second of sound in it."""
    samples = np.full(RATE, QUIET, np.float32)
    first = round(begins * RATE)
    samples[first : first + RATE // 5] = sweep(0.2, RATE)
    return samples


def test_the_loudest_stretch_is_played_judged_and_gone_on_from(
    run_folder: Path, own_session: Session, tmp_path: Path
) -> None:
    """Of a word in the middle, of one at the end, and of a clip no longer than what is listened to."""
    sounds = {"end.wav": word(0.8), "middle.wav": word(0.5), "short.wav": sweep(0.35, RATE)}
    manifest = Clips.from_rows(tmp_path, [write_clip(tmp_path, *each, split="test") for each in sounds.items()])
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
    made = generate_samples(session_of(tmp_path), tmp_path, tokenizer, wavenet, run_folder / "lm", prompts, config)
    rows: Any = made["generated"]
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


@pytest.fixture
def manifest(tmp_path: Path) -> Clips:
    return Clips.from_rows(tmp_path, [write_clip(tmp_path, "a.wav", sweep(0.2, 4000), split="test")])


def test_a_store_keeps_sounds_of_each_strength_and_number_of_passes_of_the_post_filter(
    run_folder: Path, own_session: Session, manifest: Clips
) -> None:
    parts, filters = parts_of(run_folder), ((0.0, 2), (0.5, 2), (1.0, 2), (1.0, 1))
    configs = [replace(LISTENING, postfilter=strength, postfilter_passes=passes) for strength, passes in filters]
    for stage in (decode_clips, listening):
        made = [stage(own_session, playback_of(manifest, *parts, config=each)) for each in configs]
        assert len({artifact.key for artifact in made}) == 4
        assert len({(artifact.folder / "0_wavenet.wav").read_bytes() for artifact in made}) == 4
        assert len({(artifact.folder / "0_griffin_lim.wav").read_bytes() for artifact in made}) == 1


def test_a_sound_follows_from_its_clips_name_and_not_from_the_other_clips(
    run_folder: Path, own_session: Session, manifest: Clips, tmp_path: Path
) -> None:
    same = write_clip(tmp_path, "b.wav", sweep(0.2, 4000), split="test")  # the same recording under another name
    pair = Clips.from_rows(manifest.root, (*manifest.clips, same))
    parts, config = parts_of(run_folder), replace(LISTENING, clips=2, evaluated_clips=2, engine="numba")
    together, apart = (
        decode_clips(own_session, playback_of(each, *parts, config=config))
        for each in (pair, Clips.from_rows(pair.root, pair.clips[1:]))
    )
    first = {path: number for number, path in enumerate(decoded_paths(together))}
    for kind in (ORIGINAL, *BY_KEY):
        one, other = ((together.folder / wav_name(first[name], kind)).read_bytes() for name in ("a.wav", "b.wav"))
        assert (one == other) == (kind == "original")
        assert (apart.folder / wav_name(0, kind)).read_bytes() == other


def test_recorded_log_mel_is_of_clips_from_all_of_the_corpus(
    run_folder: Path, own_session: Session, tmp_path: Path
) -> None:
    """Clips are in the order of their paths: the first half would be the first labels."""
    sounds = [(f"{number}.wav", sweep(0.2, 4000, low=150 + 20 * number)) for number in range(8)]
    manifest = Clips.from_rows(tmp_path, [write_clip(tmp_path, *each, split="test") for each in sounds])
    config = replace(LISTENING, clips=8, evaluated_clips=8, engine="numba")
    made = decode_clips(own_session, playback_of(manifest, *parts_of(run_folder), config=config))
    for kind in FROM_RECORDED.values():
        chosen = [number for number in range(8) if (made.folder / wav_name(number, kind.key)).exists()]
        assert len(chosen) == 4
        assert {number // 4 for number in chosen} == {0, 1}
        for number in chosen:  # of its own recording, not of another one's log-mel
            recorded, original = (read(made.folder / wav_name(number, each), RATE) for each in (kind.key, ORIGINAL))
            assert len(recorded.samples) == len(original.samples)


def test_the_recorded_log_mel_of_each_clip_that_is_played_is_made_sound(
    run_folder: Path, own_session: Session, tmp_path: Path
) -> None:
    sounds = [(f"{number}.wav", sweep(0.2, 4000, low=150 + 20 * number)) for number in range(3)]
    manifest = Clips.from_rows(tmp_path, [write_clip(tmp_path, *each, split="test") for each in sounds])
    playback = playback_of(manifest, *parts_of(run_folder), config=replace(LISTENING, clips=3, evaluated_clips=3))
    made, judged = listening(own_session, playback), decode_clips(own_session, playback)
    assert {path.name for path in made.folder.glob("*_recorded.wav")} == {
        wav_name(number, kind.key) for number in range(3) for kind in FROM_RECORDED.values()
    }
    harmonics = FROM_RECORDED["harmonics"].key
    both = [number for number in range(3) if (judged.folder / wav_name(number, harmonics)).is_file()]
    assert both
    for number in both:  # the judges' sound, of a recording that is not rounded to 16 bits
        own, theirs = (read(each.folder / wav_name(number, harmonics), RATE).samples for each in (made, judged))
        assert own == pytest.approx(theirs, abs=0.02)


def decoded(folder: Path, sounds: list[Waveform]) -> CachedArtifact:
    """Recordings whose decoded sounds are those of the next clip, but for WaveNet's, which are the recordings."""
    folder.mkdir()
    for number, sound in enumerate(sounds):
        for kind in (ORIGINAL, *BY_KEY):
            same = kind in (ORIGINAL, "wavenet")
            (sound if same else sounds[(number + 1) % len(sounds)]).write(folder / wav_name(number, kind))
    write_json(folder / CLIPS, {"clips": [{"path": f"{number}.wav"} for number in range(len(sounds))]})
    return CachedArtifact(stage="decoded", key="decoded", place=folder, reused=True)


def figures_of_a_sweep(run_folder: Path, place: Path) -> dict[str, Any]:
    """Of its WaveNet sound, which is the recording itself."""
    playback = playback_of(Clips.from_rows(place, ()), *parts_of(run_folder))
    sounds = decoded(place, [Waveform(samples=sweep(0.5, RATE), sample_rate=RATE)])
    figures: dict[str, Any] = measure_clips(session_of(place), playback, sounds).read_rows(EVALUATED, "clips")[0][
        "sounds"
    ]
    return dict(figures["wavenet"])


def test_without_librosa_all_but_pitch_is_measured(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures_of_a_sweep(run_folder, tmp_path / "with")["voicing_error"] == 0
    assert "without pitch" not in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "librosa", None)
    found = figures_of_a_sweep(run_folder, tmp_path / "without")
    assert (found["pitch_error"], found["voicing_error"]) == (None, None)
    assert found["log_mel_distance"] == 0
    assert found["periodicity"] > 0.9  # needs no library
    assert re.search(r"without pitch\b.*\blibrosa and numba\b", capsys.readouterr().err)
