"""Segments of long recordings, and recordings without silent ends: every stage hears what files cut so would hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.backbones.spectrogram_transformer import AstConfig
from pipelines.backbones.ast_backbone import AstSettings
from pipelines.backbones.networks import filter_banks, spectrograms
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS
from pipelines.stages.codebooks import frame_sample, health
from pipelines.stages.features import bottleneck_features, codes, log_mel_features, training_views
from pipelines.stages.listening import decode_clips, listening
from pipelines.stages.stored_arrays import waveforms
from pipelines.store.store import TIMINGS, CachedArtifact
from tests.pipelines.tiny import (
    AUDIO,
    LISTENING,
    PATCH,
    corpus_of,
    playback_of,
    reading_of,
    silent_session,
    sweep,
    write_clip,
)
from tests.pipelines.tiny_chain import composed
from tokenizer.augmentations import ViewsConfig
from tokenizer.parquet import CodedClip, read_codes
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.recordings.manifest import Clips, read_manifest, write_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.audio.views import Views

ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)


def coded_clips(manifest: Clips, run: Path, place: Path) -> list[CodedClip]:
    """The clips of a manifest in the codes of a run."""
    tokenizer = CachedArtifact(stage="tokenizer", key="a", place=run / "tokenizer", reused=True)
    return list(read_codes(codes(silent_session(place), manifest, tokenizer).folder)[1])


def test_codes_of_segments_stand_where_those_of_the_whole_recording_stand(tmp_path: Path, run_folder: Path) -> None:
    """Code k of a segment from second s on is code s * codes_per_second + k of the whole, but for the first two."""
    tones = [sweep(0.5, AUDIO.sample_rate, low=100 + 30 * (number % 9)) for number in range(25)]
    noise = np.random.default_rng(0).normal(0, 0.01, round(12.5 * AUDIO.sample_rate))
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in", "a.wav", np.concatenate(tones) + noise)
    config = CorpusConfig(root=str(tmp_path / "in"), segment_seconds=2.0, split=ALL_TRAIN)
    (whole,) = coded_clips(corpus_of(replace(config, segment_seconds=None), tmp_path), run_folder, tmp_path)
    segments = coded_clips(corpus_of(config, tmp_path), run_folder, tmp_path / "segments")
    assert [clip.span for clip in segments] == [*((float(s), s + 2.0) for s in range(0, 12, 2)), (12.0, 12.5)]
    per_second = AUDIO.sample_rate // whole.codes.format.samples_per_code
    for clip in segments:
        first = round(clip.span[0]) * per_second if clip.span else 0
        own = 2 if first else 0  # whose windows reach back before the segment
        wanted = whole.codes.values[first + own : first + len(clip.codes.values)]
        assert np.array_equal(clip.codes.values[own:], wanted)
    assert sum(len(clip.codes.values) for clip in segments) == len(whole.codes.values)


RATES = (4_000, 8_000, 11_025)  # the first is the front end's own
RECORDED = "{split}/*"


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


def manifest_of(root: Path, store: Path, trim_db: float | None) -> Clips:
    config = CorpusConfig(root=str(root), inspection=InspectionConfig(trim_db=trim_db), pattern=RECORDED)
    return corpus_of(config, store)


@pytest.fixture(scope="module")
def trimmed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return manifest_of(root, tmp_path_factory.mktemp("store"), 30)


@pytest.fixture(scope="module")
def cut(trimmed: Clips, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """The same recordings, cut by other means."""
    root = tmp_path_factory.mktemp("cut")
    for clip in trimmed.clips:
        (root / clip.path).parent.mkdir(exist_ok=True)
        samples, rate = soundfile.read(trimmed.root / clip.path, dtype="int16")
        soundfile.write(root / clip.path, samples[clip.start : clip.start + clip.num_samples], rate, subtype="PCM_16")
    return manifest_of(root, tmp_path_factory.mktemp("store"), None)


def made_by_all_stages(manifest: Clips, run: Path, place: Path) -> dict[str, dict[str, bytes]]:
    """What each stage that listens makes of a manifest: stage -> file -> content."""
    session = silent_session(place)
    settings = run_settings(composed(place, "tokenizer.sample_patches=200", "tokenizer.codebook_size=8")).tokenizer
    tokenizer = CachedArtifact(stage="tokenizer", key="a", place=run / "tokenizer", reused=True)
    vocoder = CachedArtifact(stage="vocoder", key="b", place=run / "vocoder", reused=True)
    view = ViewsConfig(offsets=True, warps=1, max_speed=0.1, max_formants=0.1, dynamic_ranges=(20, 40), seed=0)
    changed = [each for clip in manifest.of("train") for each in view.of(clip, PATCH.frames)]
    heard = replace(LISTENING, clips=2, evaluated_clips=2, seconds=0.3)
    playback = playback_of(manifest, tokenizer, vocoder, config=heard)
    sample = frame_sample(session, manifest, AUDIO, settings)
    coded = codes(session, manifest, tokenizer)
    reading = reading_of(manifest)
    ast = AstSettings(model=AstConfig(layers=(1,), patches=4))
    artifacts = [
        sample,
        coded,
        training_views(session, Views(root=manifest.root, views=changed), tokenizer),
        health(session, manifest, tokenizer, coded, seed=0),
        log_mel_features(session, reading, tokenizer),
        bottleneck_features(session, reading, tokenizer, "a"),
        spectrograms(session, manifest, AUDIO, sample),
        filter_banks(session, manifest),
        ast.network(reading, METHODS["random_ast"], None).features(session, reading, "random_ast"),
        waveforms(session, manifest, AUDIO.sample_rate),
        listening(session, playback),
        decode_clips(session, playback),
    ]
    return {
        artifact.stage: {
            path.name: path.read_bytes()
            for path in sorted(artifact.folder.iterdir())
            if path.name not in (TIMINGS, "entry.json")
        }
        for artifact in artifacts
        if artifact is not None
    }


def test_every_stage_hears_what_is_left_alone(
    trimmed: Clips, cut: Clips, root: Path, run_folder: Path, tmp_path: Path
) -> None:
    write_manifest(trimmed, tmp_path / "manifest.tsv")
    read = read_manifest(tmp_path / "manifest.tsv", root)
    expected = made_by_all_stages(cut, run_folder, tmp_path / "cut")
    found = made_by_all_stages(read, run_folder, tmp_path / "trimmed")
    assert len(found) == 12
    for stage, files in expected.items():
        assert found[stage] == files, stage
    whole = made_by_all_stages(manifest_of(root, tmp_path, None), run_folder, tmp_path / "whole")
    assert not [stage for stage, files in whole.items() if files == expected[stage]]
