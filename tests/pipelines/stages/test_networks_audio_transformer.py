"""The Audio Transformer's stages: a short training on waveforms, and its layers as features of every clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file
from torch import Tensor

from lm.bodies.audio_transformer import VARIANTS, AudioTransformerBody
from lm.bodies.options import AudioTransformerConfig, HeadConfig, WaveformAugmentationConfig, WaveformBatchConfig
from lm.finetuned import FineTunedModel, TaskLoss
from lm.options import POOLINGS, VectorConfig
from lm.probing.vectors import pool
from pipelines.stages.labels import LabelledInputs
from pipelines.stages.networks import audio_transformer
from pipelines.stages.options import AudioTransformerSettings
from pipelines.stages.stored_arrays import stored_clips, waveforms
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tests.pipelines.stages.tones import RATE, tone_corpus
from tests.pipelines.tiny import reading_of, silent_session
from wordless.audio.recordings.hearings import hearings
from wordless.audio.recordings.manifest import Manifest, Split
from wordless.audio.waveform import FloatArray
from wordless.training.options import FitConfig

PATCH = 200  # samples
MODEL = AudioTransformerConfig(
    front_end=64, width=16, layers=2, heads=2, ffn_dim=32, pool_every=1, wavelet_levels=3, patches=16, dropout=0.0
)
SETTINGS = AudioTransformerSettings(
    model=MODEL,
    head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=0.0),
    augmentation=WaveformAugmentationConfig(rate=0.1, noise=0.05, time_masks=0),
    batches=WaveformBatchConfig(batch_size=6, max_seconds=0.4),
    fit=FitConfig(steps=25, lr=3e-3, warmup_steps=4, validate_every=5, precision="fp32"),
)
SHORT = replace(SETTINGS, fit=replace(SETTINGS.fit, steps=2))
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return tone_corpus(tmp_path_factory.mktemp("corpus"), SPLITS, first=0.05, step=0.2)


def trained(
    session: Session,
    manifest: Manifest,
    settings: AudioTransformerSettings,
) -> Entry:
    reading = reading_of(session, manifest, sample_rate=RATE)
    return audio_transformer(reading, settings).train(reading, waveforms(session, manifest, RATE), ("high", "low"))


def features_of(session: Session, manifest: Manifest, entry: Entry | None, **changes: object) -> Path:
    vectors = VectorConfig(**changes)  # type: ignore[arg-type]  # its own options
    name = "audio_transformer" if entry else "random_audio_transformer"
    reading = reading_of(session, manifest, vectors, sample_rate=RATE)
    return audio_transformer(reading, SETTINGS).features(reading, name, entry).folder


@torch.no_grad()
def layers(encoder: torch.nn.Module, samples: FloatArray) -> list[FloatArray]:
    """States of each layer of a sound that is read in pieces of 16 patches."""
    pieces = [torch.from_numpy(samples[start : start + 16 * PATCH]) for start in range(0, len(samples), 16 * PATCH)]
    read: list[list[tuple[Tensor, Tensor]]] = [
        encoder.blocks(piece[None], torch.tensor([len(piece)])) for piece in pieces
    ]
    return [np.concatenate([states[0].numpy() for states, _ in layer]) for layer in zip(*read, strict=True)]


def test_features_are_the_pools_of_the_layers_over_all_hearings(session: Session, corpus: Manifest) -> None:
    folder = features_of(session, corpus, None, hearings=3)
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


def test_it_learns_to_tell_tones_apart_and_again_the_same(session: Session, corpus: Manifest, tmp_path: Path) -> None:
    entry = trained(session, corpus, SETTINGS)
    curve = entry.read_json("curve.json")["curve"]
    assert isinstance(curve, list)
    assert min(point["validation_loss"] for point in curve) < 0.4  # nats; chance is 0.69
    folder = features_of(session, corpus, entry, layers=("last",), poolings=("max",))
    assert set(load_file(folder / "features.safetensors")) == {"audio_transformer/layer_2:max"}
    scores = load_file(folder / "scores.safetensors")["scores"]
    assert [("high", "low")[best] for best in scores.argmax(1)] == [clip.label for clip in corpus.clips]
    model = FineTunedModel.from_pretrained(entry.folder)
    samples = soundfile.read(corpus.root / "low_1.wav", dtype="float32")[0]  # one piece
    with torch.no_grad():
        outputs, _ = model.network(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        wanted = outputs[0, 0].softmax(0)
    np.testing.assert_allclose(scores[6], wanted, atol=1e-4)
    again = trained(silent_session(tmp_path), corpus, SETTINGS)
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
