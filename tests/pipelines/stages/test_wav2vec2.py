"""wav2vec 2.0's stages: a short pre-training, a short fine-tuning, and layers as features of every clip."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from lm.bodies.body import Source
from lm.bodies.options import MaskConfig, WaveformBatchConfig
from lm.bodies.wav2vec2 import speech_source
from lm.finetuned import FineTunedModel
from lm.options import ONE_HEARING, POOLINGS, VectorConfig
from lm.probing.vectors import pool
from pipelines.stages.networks import speech
from pipelines.stages.options import FinetuningSettings, PretrainingSettings, Wav2vec2Settings
from pipelines.stages.stored_arrays import stored_clips, waveforms
from pipelines.stages.wav2vec2 import entry_source, random_wav2vec2, wav2vec2
from pipelines.store.session import Session
from pipelines.store.store import Entry
from tests.lm.bodies.sounds import RATE, SMALL, TARGETS
from tests.pipelines.stages.tones import write_clip
from tests.pipelines.tiny import reading_of, silent_session
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from wordless.audio.recordings.hearings import hearings
from wordless.audio.recordings.manifest import Manifest, Split
from wordless.audio.speech_models import load_speech_encoder
from wordless.base.errors import InputError
from wordless.base.progress import Terminal
from wordless.training.options import FitConfig

BATCHES = WaveformBatchConfig(batch_size=4, max_seconds=0.5)
SETTINGS = Wav2vec2Settings(
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
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "validation", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Low and high tones in noise, of 0.15 to 0.55 seconds, each with another phase in each frame."""
    root = tmp_path_factory.mktemp("corpus")
    clips = []
    for label, pitch in (("high", 1217), ("low", 213)):
        for number, split in enumerate(SPLITS):
            rng, time = np.random.default_rng([number, pitch]), np.arange(round(RATE * (0.15 + 0.08 * number))) / RATE
            samples = 0.3 * np.sin(2 * np.pi * (pitch * time + rng.random())) + rng.normal(0, 0.02, len(time))
            clips.append(write_clip(root, f"{label}_{number}.wav", samples.astype(np.float32), label, split, RATE))
    return Manifest(root=root, clips=tuple(clips))


def features_of(
    session: Session,
    manifest: Manifest,
    source: Source,
    vectors: VectorConfig = ONE_HEARING,
    *,
    method: str = "wav2vec2",
    trained: Entry | None = None,
) -> Entry:
    reading = reading_of(session, manifest, vectors, sample_rate=RATE)
    return speech(reading, source, SETTINGS.finetuning).features(reading, method, trained)


def pretrained(session: Session, manifest: Manifest, settings: Wav2vec2Settings = SETTINGS) -> Entry:
    return wav2vec2(session, [(waveforms(session, manifest, RATE), manifest)], settings, sample_rate=RATE)


def finetuned(session: Session, manifest: Manifest, source: Source) -> Entry:
    reading = reading_of(session, manifest, sample_rate=RATE)
    network = speech(reading, source, SETTINGS.finetuning)
    return network.train(reading, waveforms(session, manifest, RATE), ("high", "low"))


def bytes_of(entry: Entry) -> dict[str, bytes]:
    others = ("entry.json", "timings.json", "curve.json")
    return {path.name: path.read_bytes() for path in entry.folder.iterdir() if path.name not in others}


def test_waveforms_of_a_split_are_the_samples_of_its_clips(session: Session, corpus: Manifest) -> None:
    read, lengths = stored_clips(waveforms(session, corpus, RATE), corpus, "validation").read(
        np.array([1]), at_most=10_000
    )
    wanted, _ = soundfile.read(corpus.root / "high_4.wav", dtype="float32")
    np.testing.assert_allclose(read[0, : int(lengths[0])], wanted, atol=1 / 32768)


def test_features_are_the_pools_of_the_layers_over_the_hearings(session: Session, corpus: Manifest) -> None:
    trained = pretrained(session, corpus)
    vectors = VectorConfig(poolings=("mean", "thirds_max"), hearings=2)
    body = entry_source(trained)
    entry = features_of(session, corpus, body, vectors)
    features = load_file(entry.folder / "features.safetensors")
    layers = ("layer_1", "layer_2", "all_layers")
    assert set(features) == {f"wav2vec2/{layer}:{pooling}" for layer in layers for pooling in vectors.poolings}
    encoder = load_speech_encoder(trained.folder, option="weights")
    for row, clip in enumerate(corpus.clips):
        states = []
        for hearing in hearings(2, spread=vectors.hearing_rates):
            samples = torch.from_numpy(hearing.samples(corpus.root, clip, RATE))
            with torch.no_grad():
                found = encoder.states(samples[None], torch.tensor([len(samples)]), layers=(1, 2))
            states.append(found[:, 0].numpy())
        for pooling in vectors.poolings:
            pooled = [np.mean([pool(each[layer], pooling) for each in states], axis=0) for layer in (0, 1)]
            for name, wanted in zip(layers, (*pooled, np.concatenate(pooled)), strict=True):
                np.testing.assert_allclose(features[f"wav2vec2/{name}:{pooling}"][row], wanted, atol=1e-5)


def test_only_the_wanted_layers_are_candidates(session: Session, corpus: Manifest) -> None:
    body, last = entry_source(pretrained(session, corpus)), VectorConfig(layers=("last",))
    entry = features_of(session, corpus, body, last)
    found = set(load_file(entry.folder / "features.safetensors"))
    assert found == {f"wav2vec2/layer_2:{pooling}" for pooling in POOLINGS}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_same_again_with_any_number_of_workers(
    workers: int, session: Session, corpus: Manifest, tmp_path: Path
) -> None:
    other = silent_session(tmp_path, workers=workers)
    made = []
    for each in (session, other):
        trained = pretrained(each, corpus)
        made.append((trained, features_of(each, corpus, entry_source(trained), method="w")))
    for one, again in zip(*made, strict=True):
        assert one.key == again.key
        assert bytes_of(one) == bytes_of(again)


def test_the_untrained_network_is_the_one_that_pre_training_begins_with(session: Session, corpus: Manifest) -> None:
    random = load_file(random_wav2vec2(session, SETTINGS, sample_rate=RATE).folder / "model.safetensors")
    still = replace(SETTINGS.pretraining, fit=replace(SETTINGS.pretraining.fit, lr=1e-30, weight_decay=0.0))
    begun, trained = (
        load_file(pretrained(session, corpus, settings).folder / "model.safetensors")
        for settings in (replace(SETTINGS, pretraining=still), SETTINGS)
    )
    assert begun.keys() == random.keys()
    for name, values in random.items():
        np.testing.assert_allclose(begun[name], values, atol=1e-7, err_msg=name)
    assert not all(np.allclose(trained[name], values) for name, values in random.items())


def test_other_sound_without_labels_is_a_part_of_pre_training(session: Session, corpus: Manifest) -> None:
    more = replace(corpus, clips=tuple(replace(clip, split="train") for clip in corpus.of("test")))
    data = [(waveforms(session, each, RATE), each) for each in (corpus, more)]
    both = wav2vec2(session, data, SETTINGS, sample_rate=RATE)
    assert both.key != pretrained(session, corpus).key
    assert bytes_of(both)["model.safetensors"] != bytes_of(pretrained(session, corpus))["model.safetensors"]


def test_weights_of_a_folder_are_shared_by_all_folds(session: Session, corpus: Manifest, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "hubert-base", sample_rate=RATE)
    other = replace(corpus, clips=tuple(replace(clip, split="test") for clip in corpus.clips))
    body = speech_source(tmp_path)
    entries = [features_of(session, each, body) for each in (corpus, other)]
    assert entries[0].key == entries[1].key
    fewer = replace(corpus, clips=corpus.clips[1:])
    assert features_of(session, fewer, body).key != entries[0].key


def test_fine_tuning_learns_to_tell_tones_apart(session: Session, corpus: Manifest, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, "wav2vec2", sample_rate=RATE)
    tuned = finetuned(session, corpus, speech_source(tmp_path))
    curve = tuned.read_json("curve.json")["curve"]
    assert isinstance(curve, list)
    assert min(point["validation_loss"] for point in curve) < 0.5  # nats; chance is 0.69
    entry = features_of(session, corpus, speech_source(tmp_path), method="tuned", trained=tuned)
    scores = load_file(entry.folder / "scores.safetensors")["scores"]
    right = [("high", "low")[best] == clip.label for best, clip in zip(scores.argmax(1), corpus.clips, strict=True)]
    assert sum(right) >= 10  # of 12
    model, (hearing,) = FineTunedModel.from_pretrained(tuned.folder).network, hearings(1, spread=0)
    samples = torch.from_numpy(hearing.samples(corpus.root, corpus.clips[0], RATE))
    with torch.no_grad():
        outputs, _ = model(samples[None], torch.tensor([len(samples)]))
    np.testing.assert_allclose(scores[0], outputs[0, 0].softmax(0), atol=1e-5)


def test_clips_that_are_too_short_to_hide_a_span_are_counted(
    corpus: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = replace(TARGETS, masking=MaskConfig(share=0.5, length=10))
    loud = replace(silent_session(tmp_path), terminal=Terminal())
    longer = replace(SETTINGS, pretraining=replace(SETTINGS.pretraining, targets=targets))
    pretrained(loud, corpus, longer)
    told = capsys.readouterr().err
    assert re.search(r"wav2vec2 +2 of 6 clips\b.*\b905 samples", told)
    longest = replace(targets, masking=MaskConfig(share=0.5, length=100))
    with pytest.raises(InputError, match=r"masking\.length\b.*\b100\b.*\b0 of 6 clips\b"):
        pretrained(loud, corpus, replace(SETTINGS, pretraining=replace(SETTINGS.pretraining, targets=longest)))
