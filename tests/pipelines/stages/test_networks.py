"""Stages of AST and of the Audio Transformer: their inputs on disk, short trainings, and layers as features."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file
from torch import Tensor

from lm.bodies.audio_transformer import VARIANTS, AudioTransformerBody
from lm.bodies.options import (
    AstConfig,
    AudioTransformerConfig,
    AugmentationConfig,
    ClipBatchConfig,
    HeadConfig,
    WaveformAugmentationConfig,
    WaveformBatchConfig,
)
from lm.bodies.spectrogram_transformer import AstBody, filter_bank, frames_of, stored_filter_bank
from lm.finetuned import FineTunedModel, TaskLoss
from lm.options import POOLINGS, VectorConfig
from lm.probing.vectors import pool
from pipelines.stages.labels import LabelledInputs
from pipelines.stages.networks import ast, audio_transformer
from pipelines.stages.options import AstSettings, AudioTransformerSettings
from pipelines.stages.stored_arrays import filter_banks, stored_clips, waveforms
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tests.pipelines.stages.tones import RATE, tone_corpus
from tests.pipelines.tiny import reading_of, silent_session
from wordless.audio.reading import read
from wordless.audio.recordings.hearings import hearings
from wordless.audio.recordings.manifest import Manifest, Split
from wordless.audio.waveform import FloatArray
from wordless.training.options import FitConfig

CONFIG = AstConfig(layers=(2, 12), patches=4)
SETTINGS = AstSettings(
    model=CONFIG,
    augmentation=AugmentationConfig(crop=0.9, speed=0.1, formant=0.1, mix=0.0, noise=0.05, time_masks=0, mel_masks=0),
    batches=ClipBatchConfig(batch_size=6, max_frames=60),
    label_smoothing=0.0,
    fit=FitConfig(steps=20, lr=5e-5, warmup_steps=4, validate_every=4, precision="fp32"),
)
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return tone_corpus(tmp_path_factory.mktemp("corpus"), SPLITS, first=0.05, step=0.2)


def fine_tuned(session: Session, manifest: Manifest) -> Entry:
    """AST, fine-tuned on filter banks of the manifest."""
    reading = reading_of(session, manifest)
    return ast(reading, SETTINGS).train(reading, filter_banks(session, manifest), ("high", "low"))


def features_of(session: Session, manifest: Manifest, trained: Entry | None = None) -> Entry:
    reading = reading_of(session, manifest)
    return ast(reading, SETTINGS).features(reading, "ast" if trained else "random_ast", trained)


def whole(manifest: Manifest, path: str) -> torch.Tensor:
    """Filter banks of a recording, padded with silence to whole patches."""
    samples = read(manifest.root / path, 16_000).samples
    return filter_bank(torch.from_numpy(np.pad(samples, (0, max(-(len(samples) - 1200) % 1600, 2800 - len(samples))))))


def test_filter_banks_lie_on_disk_train_first(session: Session, corpus: Manifest) -> None:
    entry = filter_banks(session, corpus)
    offsets, frames = np.load(entry.folder / "offsets.npy"), np.load(entry.folder / "frames.npy")
    clips = [*corpus.of("train"), *corpus.of("validation")]
    expected = [whole(corpus, clip.path).numpy() for clip in clips]
    assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
    stored = stored_filter_bank(torch.from_numpy(np.concatenate(expected)))
    np.testing.assert_allclose(frames, stored, atol=0.002)
    training = np.concatenate(expected[:6])
    measured = entry.read_json("statistics.json")
    assert measured == pytest.approx({"mean": training.mean(), "std": training.std()}, rel=1e-4)


def test_random_features_are_the_pools_of_the_layers(session: Session, corpus: Manifest) -> None:
    entry = features_of(session, corpus)
    features = load_file(entry.folder / "features.safetensors")
    assert set(features) == {
        *(f"random_ast/layer_{layer}:{pooling}" for layer in (2, 12) for pooling in POOLINGS),
        "random_ast/class_token:mean",
    }
    encoder = AstBody(ast=CONFIG).create(seed=0).eval()
    for row, clip in enumerate(corpus.clips):
        frames = whole(corpus, clip.path)
        pieces = [frames[first : first + frames_of(4)] for first in range(0, len(frames) - 6, 40)]
        with torch.no_grad():
            read = [encoder.states(piece[None], torch.tensor([len(piece)]), layers=(2, 12)) for piece in pieces]
        for layer in (2, 12):
            states = torch.cat([one.layers[layer][0] for one in read]).numpy()
            for pooling in POOLINGS:
                found = features[f"random_ast/layer_{layer}:{pooling}"][row]
                np.testing.assert_allclose(found, pool(states, pooling), atol=1e-3)
        counts = torch.cat([one.patches for one in read])
        clip_vector = (torch.cat([one.clip for one in read]) * counts[:, None]).sum(0) / counts.sum()
        np.testing.assert_allclose(features["random_ast/class_token:mean"][row], clip_vector, atol=1e-3)


def test_folds_share_features_of_which_nothing_is_fitted(session: Session, corpus: Manifest) -> None:
    other = replace(corpus, clips=tuple(replace(clip, split="test") for clip in corpus.clips))
    entry = features_of(session, corpus)
    assert features_of(session, other).key == entry.key
    fewer = replace(corpus, clips=corpus.clips[1:])
    assert features_of(session, fewer).key != entry.key


def test_positions_are_learned_for_no_more_patches_than_a_piece_has(session: Session, corpus: Manifest) -> None:
    network = ast(reading_of(session, corpus), SETTINGS)
    bodies = [network.source(filter_banks(session, corpus), longest).body for longest in (30, 1_000)]
    assert [body.positions for body in bodies if isinstance(body, AstBody)] == [2, CONFIG.patches]


@pytest.mark.slow
def test_it_learns_to_tell_tones_apart_and_again_the_same(session: Session, corpus: Manifest, tmp_path: Path) -> None:
    trained = fine_tuned(session, corpus)
    curve = trained.read_json("curve.json")["curve"]
    assert isinstance(curve, list)
    assert min(point["validation_loss"] for point in curve) < 0.4  # nats; chance is 0.69
    entry = features_of(session, corpus, trained)
    scores = load_file(entry.folder / "scores.safetensors")["scores"]
    assert [("high", "low")[best] for best in scores.argmax(1)] == [clip.label for clip in corpus.clips]
    assert all(name.startswith("ast/") for name in load_file(entry.folder / "features.safetensors"))
    model = FineTunedModel.from_pretrained(trained.folder).network
    with torch.no_grad():
        frames = whole(corpus, "low_1.wav")  # one piece
        outputs, _ = model(stored_filter_bank(frames)[None], torch.tensor([len(frames)]))
        expected = outputs[0, 0].softmax(0)
    np.testing.assert_allclose(scores[6], expected, atol=1e-3)
    again = fine_tuned(silent_session(tmp_path), corpus)
    assert (again.folder / "model.safetensors").read_bytes() == (trained.folder / "model.safetensors").read_bytes()


PATCH = 200  # samples
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
SHORT = replace(WAVEFORM_SETTINGS, fit=replace(WAVEFORM_SETTINGS.fit, steps=2))


def trained(
    session: Session,
    manifest: Manifest,
    settings: AudioTransformerSettings,
) -> Entry:
    reading = reading_of(session, manifest, sample_rate=RATE)
    return audio_transformer(reading, settings).train(reading, waveforms(session, manifest, RATE), ("high", "low"))


def waveform_features_of(session: Session, manifest: Manifest, entry: Entry | None, **changes: object) -> Path:
    vectors = VectorConfig(**changes)  # type: ignore[arg-type]  # its own options
    name = "audio_transformer" if entry else "random_audio_transformer"
    reading = reading_of(session, manifest, vectors, sample_rate=RATE)
    return audio_transformer(reading, WAVEFORM_SETTINGS).features(reading, name, entry).folder


@torch.no_grad()
def layers(encoder: torch.nn.Module, samples: FloatArray) -> list[FloatArray]:
    """States of each layer of a sound that is read in pieces of 16 patches."""
    pieces = [torch.from_numpy(samples[start : start + 16 * PATCH]) for start in range(0, len(samples), 16 * PATCH)]
    read: list[list[tuple[Tensor, Tensor]]] = [
        encoder.blocks(piece[None], torch.tensor([len(piece)])) for piece in pieces
    ]
    return [np.concatenate([states[0].numpy() for states, _ in layer]) for layer in zip(*read, strict=True)]


def test_features_are_the_pools_of_the_layers_over_all_hearings(session: Session, corpus: Manifest) -> None:
    folder = waveform_features_of(session, corpus, None, hearings=3)
    features = load_file(folder / "features.safetensors")
    names = ("layer_1", "layer_2", "all_layers")
    assert set(features) == {f"random_audio_transformer/{name}:{each}" for name in names for each in POOLINGS}
    assert not (folder / "scores.safetensors").exists()
    encoder = AudioTransformerBody(audio_transformer=MODEL, sample_rate=RATE).create(seed=0).eval()
    for row, clip in enumerate(corpus.clips):
        heard = [np.concatenate([*hearing.blocks(corpus.root, clip, RATE)]) for hearing in hearings(3, spread=0.25)]
        states = [layers(encoder, samples) for samples in heard]
        for pooling in POOLINGS:
            wanted = [np.mean([pool(each[number], pooling) for each in states], axis=0) for number in (0, 1)]
            for name, vector in zip(names, [*wanted, np.concatenate(wanted)], strict=True):
                found = features[f"random_audio_transformer/{name}:{pooling}"][row]
                np.testing.assert_allclose(found, vector, atol=1e-4)


def test_waveforms_of_tones_are_told_apart_and_again_the_same(
    session: Session, corpus: Manifest, tmp_path: Path
) -> None:
    entry = trained(session, corpus, WAVEFORM_SETTINGS)
    curve = entry.read_json("curve.json")["curve"]
    assert isinstance(curve, list)
    assert min(point["validation_loss"] for point in curve) < 0.4  # nats; chance is 0.69
    folder = waveform_features_of(session, corpus, entry, layers=("last",), poolings=("max",))
    assert set(load_file(folder / "features.safetensors")) == {"audio_transformer/layer_2:max"}
    scores = load_file(folder / "scores.safetensors")["scores"]
    assert [("high", "low")[best] for best in scores.argmax(1)] == [clip.label for clip in corpus.clips]
    model = FineTunedModel.from_pretrained(entry.folder)
    samples = soundfile.read(corpus.root / "low_1.wav", dtype="float32")[0]  # one piece
    with torch.no_grad():
        outputs, _ = model.network(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        wanted = outputs[0, 0].softmax(0)
    np.testing.assert_allclose(scores[6], wanted, atol=1e-4)
    again = trained(silent_session(tmp_path), corpus, WAVEFORM_SETTINGS)
    assert not again.reused
    for name in ("model.safetensors", "config.json"):
        assert (again.folder / name).read_bytes() == (entry.folder / name).read_bytes()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_trained_and_read(variant: str, session: Session, corpus: Manifest) -> None:
    settings = replace(SHORT, model=replace(MODEL, variant=variant))  # type: ignore[arg-type]  # one of them
    entry = trained(session, corpus, settings)
    reading = reading_of(session, corpus, sample_rate=RATE)
    features = audio_transformer(reading, settings).features(reading, "audio_transformer", entry)
    assert load_file(features.folder / "features.safetensors")["audio_transformer/layer_2:thirds"].shape == (10, 48)


def test_shares_of_a_batch_have_the_gradient_of_the_whole(session: Session, corpus: Manifest) -> None:
    """What two processes sum is what one process computes."""
    network = audio_transformer(reading_of(session, corpus, sample_rate=RATE), SHORT)
    data, task, train = waveforms(session, corpus, RATE), network.task(("high", "low")), corpus.of("train")
    clips = LabelledInputs(
        clips=stored_clips(data, corpus, "train"),
        names=[clip.name for clip in train],
        labels=[clip.label or "" for clip in train],
    )
    batches, _ = network.training.batches_of(session, network.source(data, 1), task, clips, clips)
    model = FineTunedModel.from_pretrained(trained(session, corpus, SHORT).folder).network

    def gradient(parts: int) -> Tensor:
        model.zero_grad()
        for part in range(parts):
            TaskLoss(task=task)(model, batches.batch(1, part, parts))[0].backward()
        weight = next(model.parameters()).grad
        assert weight is not None
        return weight.clone()

    torch.testing.assert_close(gradient(2), gradient(1), rtol=1e-4, atol=1e-6)
