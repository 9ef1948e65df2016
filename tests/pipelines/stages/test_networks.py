"""Stages of AST, the Audio Transformer and wav2vec 2.0: inputs on disk, short trainings, and layers as features."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lm.bodies.audio_transformer import AudioTransformer, AudioTransformerBody
from lm.bodies.options import (
    AstConfig,
    AudioTransformerConfig,
    HeadConfig,
    MaskConfig,
    WaveformAugmentationConfig,
    WaveformBatchConfig,
)
from lm.bodies.spectrogram_transformer import AUDIOSET_STATISTICS, AstBody, filter_bank, frames_of
from lm.bodies.wav2vec2 import speech_source
from lm.finetuned import FineTunedModel
from lm.options import POOLINGS, VectorConfig
from lm.probing.vectors import pool
from pipelines.stages.networks import ast, audio_transformer, speech
from pipelines.stages.options import (
    AstSettings,
    AudioTransformerSettings,
    FinetuningSettings,
    PretrainingSettings,
    Wav2vec2Settings,
)
from pipelines.stages.pretraining import random_wav2vec2, wav2vec2
from pipelines.stages.stored_arrays import filter_banks, waveforms
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tests.lm.bodies.sounds import RATE as SPEECH_RATE
from tests.lm.bodies.sounds import SMALL, TARGETS
from tests.pipelines.stages.conftest import RATE, tone_corpus, write_clip
from tests.pipelines.tiny import reading_of, silent_session
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clips, Split
from wordless.audio.views import View, hearings
from wordless.base.array_types import FloatArray
from wordless.training.options import FitConfig

CONFIG = AstConfig(layers=(2, 12), patches=4)
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    # For AST and the Audio Transformer alike: clips of less than a patch of AST, of one piece, and of several pieces.
    return tone_corpus(tmp_path_factory.mktemp("corpus"), SPLITS, first=0.05, step=0.2)


def whole(manifest: Clips, path: str) -> torch.Tensor:
    """Filter banks of a recording, padded with silence to whole patches."""
    samples = read(manifest.root / path, 16_000).samples
    return filter_bank(torch.from_numpy(np.pad(samples, (0, max(-(len(samples) - 1200) % 1600, 2800 - len(samples))))))


def test_filter_banks_lie_on_disk_train_first(session: Session, corpus: Clips) -> None:
    entry = filter_banks(session, corpus)
    offsets, frames = np.load(entry.folder / "offsets.npy"), np.load(entry.folder / "values.npy")
    clips = [*corpus.of("train"), *corpus.of("validation")]
    expected = [whole(corpus, clip.path).numpy() for clip in clips]
    assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    stored = (np.concatenate(expected) - AUDIOSET_STATISTICS.mean) / AUDIOSET_STATISTICS.std
    np.testing.assert_allclose(frames, stored, atol=0.002)
    training = np.concatenate(expected[:6])
    measured = entry.read_json("statistics.json")
    assert measured == pytest.approx({"mean": training.mean(), "std": training.std()}, rel=1e-4)


def test_random_features_are_the_pools_of_the_layers(session: Session, corpus: Clips) -> None:
    reading = reading_of(session, corpus)
    entry = ast(reading, AstSettings(model=CONFIG)).features(reading, "random_ast")
    features = load_file(entry.folder / "features.safetensors")
    assert set(features) == {
        *(f"random_ast/layer_{layer}:{pooling}" for layer in (2, 12) for pooling in POOLINGS),
        "random_ast/class_token:mean",
    }
    encoder = AstBody(ast=CONFIG, clip_vector=True).create(seed=0).eval()
    for row, clip in enumerate(corpus.clips):
        frames = whole(corpus, clip.path)
        pieces = [frames[first : first + frames_of(4)] for first in range(0, len(frames) - 6, 40)]
        with torch.no_grad():
            read = [encoder.states(piece[None], torch.tensor([len(piece)])) for piece in pieces]
        for layer in (2, 12):
            states = torch.cat([each[f"layer_{layer}"][0][0] for each in read]).numpy()
            for pooling in POOLINGS:
                found = features[f"random_ast/layer_{layer}:{pooling}"][row]
                np.testing.assert_allclose(found, pool(states, pooling), atol=1e-3)
        clip_vector = torch.cat([each["class_token"][0][0] for each in read]).mean(0)
        np.testing.assert_allclose(features["random_ast/class_token:mean"][row], clip_vector, atol=1e-3)


def test_the_longest_piece_decides_the_number_of_positions(session: Session, corpus: Clips) -> None:
    network = ast(reading_of(session, corpus), AstSettings(model=CONFIG))
    bodies = [network.source(filter_banks(session, corpus), longest).body for longest in (30, 1_000)]
    assert [body.positions for body in bodies if isinstance(body, AstBody)] == [2, CONFIG.patches]


MODEL = AudioTransformerConfig(
    front_end=64, width=16, layers=2, heads=2, ffn_dim=32, pool_every=1, wavelet_levels=3, patches=16, dropout=0.0
)
WAVEFORM_SETTINGS = AudioTransformerSettings(
    model=MODEL,
    head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=0.0),
    augmentation=WaveformAugmentationConfig(rate=0.1, noise=0.05, time_masks=0),
    batches=WaveformBatchConfig(batch_size=6, max_seconds=0.4),
    fit=FitConfig(steps=25, lr=3e-3, warmup_steps=4, validate_every=5, precision="fp32"),
)


def trained(session: Session, manifest: Clips, settings: AudioTransformerSettings) -> Entry:
    reading = reading_of(session, manifest, sample_rate=RATE)
    return audio_transformer(reading, settings).train(reading, waveforms(session, manifest, RATE), ("high", "low"))


@torch.no_grad()
def layers(encoder: AudioTransformer, samples: FloatArray) -> list[FloatArray]:
    """States of each layer of a sound that is read in pieces of 16 patches of 25 ms."""
    pieces = torch.from_numpy(samples).split(16 * RATE // 40)
    read = [encoder.states(piece[None], torch.tensor([len(piece)])).values() for piece in pieces]
    return [np.concatenate([states[0].numpy() for states, _ in layer]) for layer in zip(*read, strict=True)]


def test_features_are_the_pools_of_the_layers_over_all_hearings(session: Session, corpus: Clips) -> None:
    folders = []
    for count in (1, 3):  # other hearings have another key
        reading = reading_of(session, corpus, VectorConfig(hearings=count), sample_rate=RATE)
        network = audio_transformer(reading, WAVEFORM_SETTINGS)
        folders.append(network.features(reading, "random_audio_transformer", None).folder)
    assert folders[0] != folders[1]
    features = load_file(folders[1] / "features.safetensors")
    names = ("layer_1", "layer_2", "all_layers")
    assert set(features) == {f"random_audio_transformer/{name}:{each}" for name in names for each in POOLINGS}
    encoder = AudioTransformerBody(audio_transformer=MODEL, sample_rate=RATE).create(seed=0).eval()
    for row, clip in enumerate(corpus.clips):
        states = [layers(encoder, View(clip, each).samples(corpus.root, RATE)) for each in hearings(3, None)]
        for pooling in POOLINGS:
            wanted = [np.mean([pool(each[number], pooling) for each in states], axis=0) for number in (0, 1)]
            for name, vector in zip(names, [*wanted, np.concatenate(wanted)], strict=True):
                found = features[f"random_audio_transformer/{name}:{pooling}"][row]
                np.testing.assert_allclose(found, vector, atol=1e-4)


def test_waveforms_of_tones_are_told_apart_and_again_the_same(session: Session, corpus: Clips, tmp_path: Path) -> None:
    entry = trained(session, corpus, WAVEFORM_SETTINGS)
    curve: Any = entry.read_json("curve.json")["curve"]
    assert min(point["validation_loss"] for point in curve) < 0.4  # nats; chance is 0.69
    reading = reading_of(session, corpus, VectorConfig(layers=("last",), poolings=("max",)), sample_rate=RATE)
    made = audio_transformer(reading, WAVEFORM_SETTINGS).features(reading, "audio_transformer", entry)
    assert set(load_file(made.folder / "features.safetensors")) == {"audio_transformer/layer_2:max"}
    scores = load_file(made.folder / "scores.safetensors")["scores"]
    assert [("high", "low")[best] for best in scores.argmax(1)] == [clip.label for clip in corpus.clips]
    np.testing.assert_allclose(scores[6], scores_of(entry, corpus, 6, RATE), atol=1e-4)  # one piece
    again = trained(silent_session(tmp_path), corpus, WAVEFORM_SETTINGS)
    assert not again.reused
    for name in ("model.safetensors", "config.json"):
        assert (again.folder / name).read_bytes() == (entry.folder / name).read_bytes()


@torch.no_grad()
def scores_of(entry: Entry, manifest: Clips, clip: int, rate: int) -> torch.Tensor:
    """The probabilities that the saved model gives a clip."""
    samples = torch.from_numpy(View(manifest.clips[clip]).samples(manifest.root, rate))
    outputs, _ = FineTunedModel.from_pretrained(entry.folder).network(samples[None], torch.tensor([len(samples)]))
    return outputs[0, 0].softmax(0)


BATCHES = WaveformBatchConfig(batch_size=4, max_seconds=0.5)
SPEECH_SETTINGS = Wav2vec2Settings(
    model=SMALL,
    pretraining=PretrainingSettings(
        targets=TARGETS,
        batches=BATCHES,
        fit=FitConfig(steps=4, lr=1e-3, validate_every=2, keep="last", precision="fp32"),
    ),
    finetuning=FinetuningSettings(
        masking=MaskConfig(share=0.1, length=3),
        label_smoothing=0.0,
        batches=BATCHES,
        fit=FitConfig(steps=30, lr=3e-3, warmup_steps=4, validate_every=5, precision="fp32"),
    ),
)
SPEECH_SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "validation", "test")


@pytest.fixture(scope="module")
def tones_in_noise(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Low and high tones in noise, of 0.15 to 0.55 seconds, each with another phase in each frame."""
    root = tmp_path_factory.mktemp("tones_in_noise")
    clips = []
    for label, pitch in (("high", 1217), ("low", 213)):
        for number, split in enumerate(SPEECH_SPLITS):
            rng = np.random.default_rng([number, pitch])
            time = np.arange(round(SPEECH_RATE * (0.15 + 0.08 * number))) / SPEECH_RATE
            sound = 0.3 * np.sin(2 * np.pi * (pitch * time + rng.random())) + rng.normal(0, 0.02, len(time))
            name = f"{label}_{number}.wav"
            clips.append(write_clip(root, name, sound.astype(np.float32), label, split, SPEECH_RATE))
    return Clips.from_rows(root, clips)


def pretrained(session: Session, manifest: Clips, settings: Wav2vec2Settings = SPEECH_SETTINGS) -> Entry:
    return wav2vec2(session, [waveforms(session, manifest, SPEECH_RATE)], settings, sample_rate=SPEECH_RATE)


def test_the_untrained_network_is_the_one_that_pre_training_begins_with(
    session: Session, tones_in_noise: Clips
) -> None:
    random = load_file(random_wav2vec2(session, SPEECH_SETTINGS, sample_rate=SPEECH_RATE).folder / "model.safetensors")
    still = replace(
        SPEECH_SETTINGS.pretraining, fit=replace(SPEECH_SETTINGS.pretraining.fit, lr=1e-30, weight_decay=0.0)
    )
    begun, trained = (
        load_file(pretrained(session, tones_in_noise, settings).folder / "model.safetensors")
        for settings in (replace(SPEECH_SETTINGS, pretraining=still), SPEECH_SETTINGS)
    )
    assert begun.keys() == random.keys()
    for name, values in random.items():
        np.testing.assert_allclose(begun[name], values, atol=1e-7, err_msg=name)
    assert not all(np.allclose(trained[name], values) for name, values in random.items())


def test_other_sound_without_labels_is_a_part_of_pre_training(session: Session, tones_in_noise: Clips) -> None:
    more = Clips.from_rows(tones_in_noise.root, (replace(clip, split="train") for clip in tones_in_noise.of("test")))
    data = [waveforms(session, each, SPEECH_RATE) for each in (tones_in_noise, more)]
    both, own = wav2vec2(session, data, SPEECH_SETTINGS, sample_rate=SPEECH_RATE), pretrained(session, tones_in_noise)
    assert both.key != own.key
    weights = [(entry.folder / "model.safetensors").read_bytes() for entry in (both, own)]
    assert weights[0] != weights[1]


def test_fine_tuning_learns_to_tell_tones_apart(session: Session, tones_in_noise: Clips, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "wav2vec2", sample_rate=SPEECH_RATE)
    reading = reading_of(session, tones_in_noise, sample_rate=SPEECH_RATE)
    network = speech(reading, speech_source(tmp_path), SPEECH_SETTINGS.finetuning)
    tuned = network.train(reading, waveforms(session, tones_in_noise, SPEECH_RATE), ("high", "low"))
    curve: Any = tuned.read_json("curve.json")["curve"]
    assert min(point["validation_loss"] for point in curve) < 0.5  # nats; chance is 0.69
    scores = load_file(network.features(reading, "tuned", tuned).folder / "scores.safetensors")["scores"]
    labels = [clip.label for clip in tones_in_noise.clips]
    right = [("high", "low")[best] == label for best, label in zip(scores.argmax(1), labels, strict=True)]
    assert sum(right) >= 10  # of 12
    np.testing.assert_allclose(scores[0], scores_of(tuned, tones_in_noise, 0, SPEECH_RATE), atol=1e-5)
