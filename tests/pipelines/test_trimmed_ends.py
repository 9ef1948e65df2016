"""Recordings whose silent ends are cut off: every stage hears what it would hear of files that were cut before."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.bodies.options import AstConfig
from pipelines.settings.run import run_settings
from pipelines.stages.codes import codes, views
from pipelines.stages.features import signal_features
from pipelines.stages.listening import decode_clips, listening
from pipelines.stages.networks import ast
from pipelines.stages.options import AstSettings
from pipelines.stages.stored_arrays import filter_banks, spectrograms, waveforms
from pipelines.stages.tokenizer import frame_sample, health, input_sample
from pipelines.store.store import TIMINGS, Entry
from tests.pipelines.tiny import (
    AUDIO,
    LISTENING,
    PATCH,
    corpus_of,
    playback_of,
    reading_of,
    session_of,
    silent_session,
    sweep,
)
from tests.pipelines.tiny_chain import OWN, called_at_once, composed
from tokenizer.options import HealthConfig, ViewsConfig
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.recordings.manifest import Manifest, read_manifest, write_manifest
from wordless.audio.recordings.splits import SplitConfig

RATES = (4_000, 8_000, 11_025)  # the first is the front end's own
RECORDED = SplitConfig(by="folder", validation=("validation",), test=("test",), shared_groups=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones in noise that is 50 dB softer, for longer before than behind."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for number, rate in enumerate(RATES):
            tone = sweep(0.6 + 0.15 * number, rate, low=150 + 40 * number)
            sound = rng.normal(0, 1e-3, len(tone) + rate)
            sound[7 * rate // 10 : 7 * rate // 10 + len(tone)] += tone
            path = root / split / f"{number}.{'flac' if number else 'wav'}"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, sound, rate, subtype="PCM_16")
    return root


def manifest_of(root: Path, store: Path, trim_db: float | None) -> Manifest:
    config = CorpusConfig(root=str(root), inspection=InspectionConfig(trim_db=trim_db), split=RECORDED)
    return corpus_of(config, store).manifest


@pytest.fixture(scope="module")
def trimmed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return manifest_of(root, tmp_path_factory.mktemp("store"), 30)


@pytest.fixture(scope="module")
def cut(trimmed: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The same recordings, cut by other means."""
    root = tmp_path_factory.mktemp("cut")
    for clip in trimmed.clips:
        (root / clip.path).parent.mkdir(exist_ok=True)
        samples, rate = soundfile.read(trimmed.root / clip.path, dtype="int16")
        soundfile.write(root / clip.path, samples[clip.start : clip.start + clip.num_samples], rate, subtype="PCM_16")
    return manifest_of(root, tmp_path_factory.mktemp("store"), None)


def test_there_is_something_to_cut_off(trimmed: Manifest, cut: Manifest) -> None:
    assert [clip.num_samples for clip in trimmed.clips] == [clip.num_samples for clip in cut.clips]
    assert all(0.6 < clip.start / clip.sample_rate <= 0.7 for clip in trimmed.clips)
    assert trimmed.trimmed_seconds == pytest.approx(9, abs=9 * 0.04)
    assert cut.trimmed_seconds == 0


def made(manifest: Manifest, run: Path, place: Path) -> dict[str, dict[str, bytes]]:
    """What each stage that listens makes of a manifest: stage -> file -> content."""
    session = silent_session(place)
    settings = run_settings(composed(place, "tokenizer.sample_patches=200", "tokenizer.codebook_size=8")).tokenizer
    tokenizer = Entry(stage="tokenizer", key="a", folder=run / "tokenizer", reused=True)
    vocoder = Entry(stage="vocoder", key="b", folder=run / "vocoder", reused=True)
    view = ViewsConfig(offsets=True, warps=1, max_speed=0.1, max_formants=0.1, dynamic_ranges=(20, 40), seed=0)
    heard = replace(LISTENING, clips=2, judged_clips=2, seconds=0.3)
    playback = playback_of(session, manifest, tokenizer, vocoder, config=heard)
    sample = frame_sample(session, manifest, AUDIO, settings)
    coded = codes(session, manifest, tokenizer)
    reading = reading_of(session, manifest)
    entries = [
        sample,
        coded,
        views(session, manifest, tokenizer, view, patch_frames=PATCH.frames),
        health(session, manifest, tokenizer, coded, HealthConfig(max_seconds=0.3), seed=0),
        signal_features(reading, tokenizer, autoencoder="a", methods=("log_mel", "bottleneck")),
        spectrograms(session, manifest, AUDIO, sample),
        filter_banks(session, manifest),
        ast(reading, AstSettings(model=AstConfig(layers=(1,), patches=4))).features(reading, "random_ast"),
        waveforms(session, manifest, AUDIO.sample_rate),
        listening(playback, None),
        decode_clips(playback),
    ]
    return {
        entry.stage: {
            path.name: path.read_bytes()
            for path in sorted(entry.folder.iterdir())
            if path.name not in (TIMINGS, "entry.json")
        }
        for entry in entries
        if entry is not None
    }


def test_every_stage_hears_what_is_left_alone(
    trimmed: Manifest, cut: Manifest, root: Path, run_folder: Path, tmp_path: Path
) -> None:
    write_manifest(trimmed, tmp_path / "manifest.tsv")
    read = read_manifest(tmp_path / "manifest.tsv", root)
    found, expected = made(read, run_folder, tmp_path / "trimmed"), made(cut, run_folder, tmp_path / "cut")
    assert len(found) == 11
    for stage, files in expected.items():
        assert found[stage] == files, stage
    whole = made(manifest_of(root, tmp_path, None), run_folder, tmp_path / "whole")
    assert not [stage for stage, files in whole.items() if files == expected[stage]]


def test_what_is_heard_in_other_ranges_is_cut_off_alike(trimmed: Manifest, cut: Manifest, tmp_path: Path) -> None:
    options = ("audio.dynamic_range=40", "tokenizer.sample_patches=50", "tokenizer.dynamic_ranges=[10,20]")
    settings = run_settings(composed(tmp_path, *options))
    session = session_of(tmp_path)
    entries = [input_sample(session, each, settings.audio, settings.tokenizer) for each in (trimmed, cut)]
    contents = {(entry.folder / "sample.safetensors").read_bytes() for entry in entries if entry}
    assert len(contents) == 1


@pytest.mark.slow
def test_a_run_says_how_much_it_cut_off_and_another_cuts_differently_without_listening(
    root: Path, tmp_path: Path
) -> None:
    words = ("corpus=folder", f"corpus.root={root}", "stages=[tokenizer,report]", f"store.root={tmp_path / 'store'}")
    done = called_at_once(tmp_path / "a", *OWN, *words, "corpus.inspection.trim_db=30")
    assert done.returncode == 0, done.stderr
    said = re.search(r"9 clips, 0\.1 minutes, 0 set aside, ([0-9.]+) s\b", done.stderr)
    assert said is not None, done.stderr
    assert float(said[1]) == pytest.approx(9, abs=9 * 0.04)
    results = json.loads((tmp_path / "a" / "run" / "results.json").read_text())
    assert f"{results['corpus']['trimmed_seconds']:.1f}" == said[1]
    assert f"{said[1]} s of silence" in (tmp_path / "a" / "run" / "report.html").read_text()
    heard = (tmp_path / "store" / "inspected.jsonl").read_bytes()
    whole = called_at_once(tmp_path / "b", *OWN, *words)
    assert whole.returncode == 0, whole.stderr
    assert "cut off" not in whole.stderr + (tmp_path / "b" / "run" / "report.html").read_text()
    assert (tmp_path / "store" / "inspected.jsonl").read_bytes() == heard
    assert len(list((tmp_path / "store" / "codes").glob("*/entry.json"))) == 2
