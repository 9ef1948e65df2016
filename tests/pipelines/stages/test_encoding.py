"""Codes of the views of a clip, what the autoencoder hears, and batches of the language model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lm.probing.vectors import VectorConfig, bags_of_codes
from lm.tokens import BatchConfig, CodeSequences, fitting_batches
from pipelines.jobs.run_rules import run_settings
from pipelines.stages import features
from pipelines.stages.codebooks import augmented_sample, frame_sample
from pipelines.stages.features import CodedViews, codes
from pipelines.stages.stage_options import VocoderSettings
from pipelines.stages.stored_arrays import waveforms
from pipelines.stages.voices import CodedIn, vocoder
from pipelines.store.stage import Session
from pipelines.store.store import CURVE, CachedArtifact
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import (
    AUDIO,
    codes_entry,
    parts_of,
    reading_of,
    save_tokenizer,
    session_of,
    sweep,
    tiny_tokenizer,
    write_clip,
)
from tests.pipelines.tiny_chain import composed
from tokenizer.augmentations import SoundChanges
from tokenizer.codes import Codes
from tokenizer.encoder import Encoder, encode
from tokenizer.parquet import shard_path
from vocoder.crops import CropsConfig
from vocoder.vocoder import Vocoder
from wordless.audio.reading import read, read_blocks
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.spectrogram import log_mel_stream, warp
from wordless.audio.views import Change, View
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
from wordless.training import StartableFitConfig

RATE = AUDIO.sample_rate


@pytest.fixture
def encoder(finished_run: FinishedRun) -> Encoder:
    folder, root = finished_run.folder / "tokenizer", finished_run.manifest.root
    return Encoder(folder=folder, root=root, side_streams=False)  # as views are encoded


@pytest.mark.parametrize("at_once", [10_000, 12], ids=["short", "long"])
def test_the_views_of_a_clip_are_those_that_are_encoded_one_by_one(
    encoder: Encoder, finished_run: FinishedRun, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The oracle encodes each piece of each view alone."""
    monkeypatch.setattr("tokenizer.encoder.FRAMES_AT_ONCE", at_once)
    tokenizer = encoder.tokenizer
    warped = (Change(speed=1.1, dynamic_range=30.0), Change(formants=1.2), Change(speed=0.9, dynamic_range=50.0))
    for clip in finished_run.manifest.of("train")[:2]:
        shifted, *found = encode(encoder, [View(clip, each) for each in (Change(offset_frames=1), *warped)])
        later = read(encoder.root / clip.path, encoder.format.sample_rate).samples[tokenizer.config.audio.hop_length :]
        assert np.array_equal(shifted.codes.values, tokenizer.encode(later, encoder.format.sample_rate).spectral.values)
        for change, made in zip(warped, found, strict=True):
            blocks = read_blocks(encoder.root / clip.path, encoder.format.sample_rate, part=clip.part)
            wanted = []
            for piece in log_mel_stream(tokenizer.log_mel, blocks, frames=at_once, dynamic_range=change.dynamic_range):
                speeds, formants = torch.tensor([change.speed]), torch.tensor([change.formants])
                copy = warp(piece[None], torch.tensor([len(piece)]), speeds=speeds, formants=formants)[0][0]
                whole = copy[: len(copy) // tokenizer.patch_frames * tokenizer.patch_frames]
                wanted.append(tokenizer.encode_spectrogram(whole).numpy())
            assert np.array_equal(made.codes.values, np.concatenate(wanted))


def test_a_clip_without_a_patch_has_views_without_codes(encoder: Encoder, tmp_path: Path) -> None:
    tokenizer, rate = encoder.tokenizer, encoder.format.sample_rate
    hop, patch = tokenizer.config.audio.hop_length, tokenizer.config.samples_per_code
    four = 4 * tokenizer.patch_frames
    changes = [Change(speed=0.9), Change(speed=0.5, patch_frames=four), Change(formants=1.1)]
    for num_samples in (hop // 2, patch - hop, patch):
        clip = write_clip(tmp_path, "short.wav", np.full(num_samples, 0.1, np.float32), rate)
        made = encode(replace(encoder, root=tmp_path), [View(clip, change) for change in changes])
        assert [len(each.codes.values) for each in made][1:] == [0, num_samples // patch]


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_blocks_of_any_size_give_the_mean_over_the_augmentations(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, rng, (clips, count, steps) = tiny_tokenizer(0).format, np.random.default_rng(0), (7, 3, 9)
    values = rng.integers(form.codebook_size, size=(clips, count, steps, 1), dtype=np.int32)
    length = steps * form.samples_per_code
    heard = [[Codes(values=each, num_samples=length, format=form) for each in clip] for clip in values]
    coded = CodedViews(  # the last clip is one with noise, of which there are no codes as it is
        codes=codes_entry(tmp_path / "codes", [first for first, *_ in heard[:-1]]),
        others=codes_entry(tmp_path / "heard", [*(codes for _, *others in heard[:-1] for codes in others), *heard[-1]]),
        vectors=VectorConfig(test_time_augmentation=count),
    )
    monkeypatch.setattr(features, "ROWS_AT_ONCE", at_once)

    def bags(clips: Sequence[Codes]) -> dict[str, FloatArray]:
        return {"bag:mean": np.stack([bags_of_codes(codes, ["mean"])["mean"] for codes in clips])}

    wanted = [
        np.mean([bags_of_codes(codes, ["mean"])["mean"] for codes in augmentations], axis=0) for augmentations in heard
    ]
    np.testing.assert_allclose(coded.pooled(session_of(tmp_path), bags)["bag:mean"], wanted, atol=1e-6)


def train_sample(
    stage: Callable[..., CachedArtifact], session: Session, run: FinishedRun, views: SoundChanges, *words: str
) -> Tensor:
    """The patches of training clips ``(patches, frames, mels)`` that a stage draws."""
    settings = run_settings(composed(session.store.root, *words))
    artifact = stage(session, run.manifest, settings.audio, replace(settings.tokenizer, views=views))
    return load_file(artifact.folder / "sample.safetensors")["train"]


@pytest.mark.parametrize(("ranges", "alike"), [((40.0, 40.0), True), ((10.0, 20.0), False)])
def test_what_is_heard_are_the_same_columns_in_another_range(
    finished_run: FinishedRun, own_session: Session, ranges: tuple[float, float], alike: bool
) -> None:
    """In the front end's own range they are the sample itself; in a narrower one nothing is softer than before."""
    views, words = SoundChanges(dynamic_ranges=ranges), ("audio.dynamic_range=40", "tokenizer.sample_patches=50")
    plain, heard = (
        train_sample(stage, own_session, finished_run, views, *words) for stage in (frame_sample, augmented_sample)
    )
    assert heard.shape == plain.shape
    assert len(heard) == 50
    assert torch.equal(heard, plain) == alike
    assert bool((heard >= plain - 1e-5).all())


def test_changed_sound_is_the_input_and_the_recorded_sound_the_target(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    """The same columns, at the same times, with noise; and the same bytes with any number of workers."""
    views, words = SoundChanges(changed=1.0, noise_snr=(20.0, 20.0)), ("tokenizer.sample_patches=2000",)
    one, two = (session_of(tmp_path / str(workers), workers=workers) for workers in (1, 2))
    clean, noisy = (train_sample(stage, one, finished_run, views, *words) for stage in (frame_sample, augmented_sample))
    assert torch.equal(noisy, train_sample(augmented_sample, two, finished_run, views, *words))
    louder = noisy.exp() - clean.exp()
    assert float(louder.mean()) > 0
    loud = clean > clean.quantile(0.95)
    torch.testing.assert_close(noisy[loud], clean[loud], atol=2.0, rtol=0)
    assert float((noisy - clean)[~loud].mean()) > 0.5


SEQUENCES = CodeSequences(views=[[np.zeros((100, 1), np.int32)] for _ in range(5)])


def windows_of(batch_tokens: int, accumulation: int, processes: int) -> int:
    config, limits = BatchConfig(batch_size=48), {"batch_tokens": batch_tokens, "positions_per_step": 1}
    made = fitting_batches(config, SEQUENCES, 100, **limits, least=accumulation, processes=processes)
    return made.batch_size


def test_processes_share_the_windows_of_a_step_or_are_told_what_to_change() -> None:
    wanted = {(100_000, 1, 3): 48, (1000, 1, 1): 8, (1000, 1, 2): 8, (1000, 3, 1): 6, (1000, 3, 2): 6, (1, 1, 4): 4}
    assert {sizes: windows_of(*sizes) for sizes in wanted} == wanted
    with pytest.raises(InputError, match=r"lm\.batch_tokens\b.*\b1000\b.*\b3 processes\b.*\b4800\b"):
        windows_of(1000, 1, 3)


def _recordings(folder: Path) -> Clips:
    sounds = enumerate(sweep(seconds, RATE) for seconds in (0.45, 1, 0.175, 0.65))
    return Clips.from_rows(folder, [write_clip(folder, f"{number}.wav", sound) for number, sound in sounds])


def test_folds_share_the_codes_of_views_whose_bytes_know_no_split(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, seed=0)
    (artifact,), made = parts_of(tmp_path, "tokenizer"), set[tuple[str, bytes]]()
    for split in ("train", "test"):
        fold = _recordings(tmp_path).with_columns(split=split)
        others = (
            reading_of(fold, VectorConfig(test_time_augmentation=2))
            .coded_in(session_of(tmp_path / split), artifact, artifact)
            .others
        )
        assert others is not None
        made.add((others.key, shard_path(others.folder, 0).read_bytes()))
    assert len(made) == 1


def trained(own_session: Session, run_folder: Path, *clips: Clip) -> CachedArtifact:
    """One step, after which all trainings on the same training clips have the same weights."""
    manifest = Clips.from_rows(own_session.folder.parent, clips)
    tokenizer = CachedArtifact(stage="tokenizer", key="tokenizer", place=run_folder / "tokenizer", reused=True)
    settings = VocoderSettings(
        wavenet=replace(Vocoder.from_pretrained(run_folder / "vocoder").model.config, groups=()),
        crops=CropsConfig(batch_size=2, crop_codes=20),  # longer than the clips, so that each crop is a whole clip
        condition_on_groups=False,
        fit=StartableFitConfig(steps=1, lr=0.1, warmup_steps=0, precision="fp32"),
    )
    coded = CodedIn(tokenizer=tokenizer, codes=codes(own_session, manifest, tokenizer))
    return vocoder(own_session, manifest, coded, waveforms(own_session, manifest, RATE), settings)


def test_each_group_weighs_the_same_in_the_validation_loss(
    own_session: Session, run_folder: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).standard_normal(RATE // 5)
    train = write_clip(tmp_path, "train.wav", 0.1 * noise[: RATE // 10], split="train", group="carl")
    long = write_clip(tmp_path, "long.wav", 0.003 * noise, split="validation", group="anna")
    short = write_clip(tmp_path, "short.wav", 0.3 * noise[: RATE // 20], split="validation", group="ben")
    losses = {
        name: trained(own_session, run_folder, train, *held_out).read_json(CURVE)["curve"][0]["validation_loss"]
        for name, held_out in {
            "anna": [long],
            "ben": [short],
            "both": [long, short],
            "one": [long, replace(short, group="anna")],
            "none": [replace(long, group=None), replace(short, group=None)],
        }.items()
    }
    assert losses["both"] == pytest.approx((losses["anna"] + losses["ben"]) / 2, rel=1e-5)
    assert abs(losses["anna"] - losses["ben"]) > 0.1
    assert losses["one"] == losses["none"]  # the mean over samples, to which the long clip contributes more
    assert abs(losses["one"] - losses["anna"]) < abs(losses["one"] - losses["ben"])
