"""Decoded test clips: kept by what decides their sound, and what is measured of them."""

import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipelines.stages.listening import CLIPS, JUDGED, decode_clips, decoded_paths, listening, measure_clips, wav_name
from pipelines.stages.listening import LISTENING as LISTENING_RECORD
from pipelines.store.session import Session
from pipelines.store.store import Entry, write_json
from tests.pipelines.tiny import LISTENING, parts_of, playback_of, session_of, sweep
from tokenizer.tokenizer import Tokenizer
from vocoder.engines import numba_streams
from vocoder.generation import LoudnessRange, RunawayGuard
from vocoder.judging import by_itself
from vocoder.kinds import JUDGED_KINDS
from vocoder.vocoder import Vocoder
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.waveform import Waveform
from wordless.base.progress import Terminal


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    soundfile.write(tmp_path / "a.wav", sweep(0.2, 4000), 4000)
    clip = Clip(path="a.wav", num_samples=800, sample_rate=4000, size=1, sha256="0", split="test")
    return Manifest(root=tmp_path, clips=(clip,))


def test_a_store_keeps_sounds_of_each_strength_and_number_of_passes_of_the_post_filter(
    run_folder: Path, own_session: Session, manifest: Manifest
) -> None:
    parts, strengths = parts_of(run_folder), (0.0, 0.5, 1.0, 1.0)
    for stage in (decode_clips, partial(listening, model=None)):
        made = [
            stage(
                playback_of(
                    own_session,
                    manifest,
                    *parts,
                    config=replace(LISTENING, postfilter=strength, postfilter_passes=passes),
                )
            )
            for strength, passes in zip(strengths, (2, 2, 2, 1), strict=True)
        ]
        assert len({entry.key for entry in made}) == 4
        assert len({(entry.folder / "0_wavenet.wav").read_bytes() for entry in made}) == 4
        assert len({(entry.folder / "0_griffin_lim.wav").read_bytes() for entry in made}) == 1
    said = [entry.read_json(LISTENING_RECORD)["postfilter"] for entry in made]
    assert said == list(strengths)


def test_clips_that_are_decoded_are_counted(
    capsys: pytest.CaptureFixture[str], run_folder: Path, own_session: Session, manifest: Manifest
) -> None:
    """Of a corpus with fewer test clips than are asked for."""
    config, parts = replace(LISTENING, clips=3, judged_clips=3), parts_of(run_folder)
    heard = replace(own_session, terminal=Terminal())
    for stage in (decode_clips, partial(listening, model=None)):
        stage(playback_of(heard, manifest, *parts, config=config))
    told = [line for line in capsys.readouterr().err.splitlines() if "test clips decoded" in line]
    assert len(told) == 2
    assert all("  1 test clips" in line for line in told)


def test_a_sound_follows_from_its_clips_name_and_not_from_the_other_clips(
    run_folder: Path, own_session: Session, manifest: Manifest, tmp_path: Path
) -> None:
    (clip,) = manifest.clips
    soundfile.write(tmp_path / "b.wav", sweep(0.2, 4000), 4000)  # the same recording under another name
    pair = replace(manifest, clips=(clip, replace(clip, path="b.wav")))
    parts, config = parts_of(run_folder), replace(LISTENING, clips=2, judged_clips=2, engine="numba")
    together, apart = (
        decode_clips(playback_of(own_session, each, *parts, config=config))
        for each in (pair, replace(pair, clips=pair.clips[1:]))
    )
    first = {path: number for number, path in enumerate(decoded_paths(together))}
    for kind in JUDGED_KINDS:
        one, other = ((together.folder / wav_name(first[name], kind)).read_bytes() for name in ("a.wav", "b.wav"))
        assert (one == other) == (kind == "original")
        assert (apart.folder / wav_name(0, kind)).read_bytes() == other


def test_another_seed_draws_every_kind_of_sound_anew(
    run_folder: Path, own_session: Session, manifest: Manifest
) -> None:
    parts = parts_of(run_folder)
    one, other = (
        decode_clips(playback_of(own_session, manifest, *parts, config=replace(LISTENING, seed=seed)))
        for seed in (0, 1)
    )
    for kind in JUDGED_KINDS:
        files = [(entry.folder / wav_name(0, kind)).read_bytes() for entry in (one, other)]
        assert (files[0] == files[1]) == (kind == "original")


def test_a_store_knows_where_the_post_filter_changes_nothing(
    run_folder: Path, own_session: Session, manifest: Manifest, tmp_path: Path
) -> None:
    """Nothing is made again for a strength that is not in force."""
    tokenizer = Tokenizer.from_pretrained(run_folder / "tokenizer")
    audio = replace(tokenizer.config.audio, remove_mean="clip")
    config = replace(tokenizer.config, audio=audio)
    relative = Tokenizer(config, tokenizer.mean, tokenizer.std, tokenizer.autoencoder, tokenizer.centroids)
    relative.save_pretrained(tmp_path / "tokenizer")
    vocoder = Vocoder.from_pretrained(run_folder / "vocoder")
    Vocoder(vocoder.model, relative.format.tokenizer).save_pretrained(tmp_path / "vocoder")
    own, asked = (
        decode_clips(
            playback_of(own_session, manifest, *parts_of(tmp_path), audio, replace(LISTENING, postfilter=strength))
        )
        for strength in (0, 1)
    )
    assert (asked.key, asked.reused) == (own.key, True)


def test_a_store_keeps_sounds_of_each_precision(
    run_folder: Path, own_session: Session, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(run_folder)
    numba, torch_loop, auto = (
        playback_of(own_session, manifest, *parts, config=replace(LISTENING, engine=engine))
        for engine in ("numba", "torch", "auto")
    )
    entry, again = decode_clips(numba), decode_clips(torch_loop)
    assert not entry.reused
    assert (again.key, again.reused) == (entry.key, True)
    if not numba_streams.numba_multiplies_bf16():
        pytest.skip("needs a CPU with AVX512_BF16")
    assert decode_clips(auto).key != entry.key
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: False)
    assert decode_clips(auto).key == entry.key


def test_only_a_vocoder_that_knows_its_loudness_says_what_ran_away() -> None:
    loud = Waveform(samples=np.full(8000, 0.5, np.float32), sample_rate=8000)
    guard = RunawayGuard(LoudnessRange(lowest=-60, highest=-30))
    assert by_itself(loud, guard)["runaway_clips"] == 1
    assert by_itself(Waveform(samples=loud.samples / 100, sample_rate=8000), guard)["runaway_clips"] == 0
    assert by_itself(loud, None)["runaway_clips"] is None
    assert by_itself(loud, None)["clipped_clips"] == 0


def figures_of_a_sweep(run_folder: Path, place: Path) -> dict[str, Any]:
    """Of its WaveNet sound, which is the recording itself."""
    parts = parts_of(run_folder)
    sounds = Entry(stage="decoded", key="decoded", folder=place / "decoded", reused=True)
    sounds.folder.mkdir(parents=True)
    write_json(sounds.folder / CLIPS, {"clips": [{"path": "a.wav", "start": 0.0, "seconds": 0.5, "clip_seconds": 0.5}]})
    for kind in JUDGED_KINDS:
        Waveform(samples=sweep(0.5, 4000), sample_rate=4000).write(sounds.folder / wav_name(0, kind))
    session = session_of(place)
    content: Any = measure_clips(session, *parts, sounds, LISTENING).read_json(JUDGED)
    return dict(content["clips"][0]["sounds"]["wavenet"])


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
