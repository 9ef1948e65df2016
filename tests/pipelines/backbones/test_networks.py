"""Networks of the comparison: their inputs on disk, short trainings with and without labels, and layers as features."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from lm.backbones.audio_transformer import AudioTransformerConfig
from lm.backbones.clips import WaveformAugmentationConfig, WaveformBatchConfig
from lm.backbones.convolutional import CONVOLVED_FRAMES
from lm.backbones.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    AstBackbone,
    AstConfig,
    filter_bank,
    spectrogram_frames_of,
)
from lm.backbones.wav2vec2 import MaskConfig, speech_source
from lm.finetuned import FineTunedModel
from lm.finetuning import HeadConfig
from lm.probing.vectors import POOLINGS, VectorConfig, pool
from pipelines.backbones.ast_backbone import AstSettings
from pipelines.backbones.audio_transformer_backbone import AudioTransformerSettings
from pipelines.backbones.features_of_backbones import random_wav2vec2, simclr, wav2vec2
from pipelines.backbones.networks import (
    AugmentedInputs,
    Network,
    changed_spectrograms,
    filter_banks,
    spectrograms,
    stored_clips,
    stored_std,
)
from pipelines.backbones.wav2vec2_backbone import FinetuningSettings, PretrainingSettings, Wav2vec2Settings
from pipelines.jobs.run_rules import run_settings
from pipelines.methods.methods_table import METHODS
from pipelines.stages.codebooks import frame_sample
from pipelines.stages.stored_arrays import TRAINED_ON, stored_names, waveforms
from pipelines.store.stage import Session
from pipelines.store.store import CURVE, CachedArtifact
from pipelines.store.stored_features import FEATURES, SCORES
from tests.lm.backbones.sounds import SMALL, TARGETS
from tests.pipelines.tiny import AUDIO, reading_of, silent_session, write_clip
from tests.pipelines.tiny_chain import composed
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from tokenizer.augmentations import InputAugmentationConfig
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.spectrogram import LogMel, frame_statistics
from wordless.audio.views import View, fixed_augmentations

RATE = AUDIO.sample_rate
LABELS = {"high": 1217, "low": 213}  # Hz
SPLITS: tuple[Split, ...] = (*["train"] * 4, *["validation"] * 2, "test")
FIT = ("precision=fp32", "steps=20", "validate_every=10", "warmup_steps=2", "lr=3e-3")
CONV = run_settings(
    composed(
        Path("store"),
        *("baselines=tiny", "tokenizer=tiny"),
        *(f"baselines.{name}.fit.{word}" for name in ("simclr", "supervised") for word in FIT),
        *(f"baselines.{name}.batches.batch_size=8" for name in ("simclr", "supervised")),
    )
)
AST = AstSettings(model=AstConfig(layers=(2, 12), patches=4))
PATCHES = 16  # of 25 ms in a piece
WAVEFORM = AudioTransformerSettings(
    model=AudioTransformerConfig(
        front_end=64,
        width=16,
        layers=2,
        heads=2,
        ffn_dim=32,
        pool_every=1,
        wavelet_levels=3,
        patches=PATCHES,
        dropout=0,
    ),
    head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=0.0),
    augmentation=WaveformAugmentationConfig(rate=0.1, noise=0.05, time_masks=0),
    batches=WaveformBatchConfig(batch_size=6, max_seconds=0.4),
    fit=replace(CONV.baselines.supervised.fit, steps=25, validate_every=5),
)
BATCHES = WaveformBatchConfig(batch_size=4, max_seconds=0.5)
SPEECH = Wav2vec2Settings(
    model=SMALL,
    pretraining=PretrainingSettings(
        targets=TARGETS, batches=BATCHES, fit=replace(WAVEFORM.fit, steps=4, lr=1e-3, validate_every=2, keep="last")
    ),
    finetuning=FinetuningSettings(
        masking=MaskConfig(share=0.1, length=3),
        label_smoothing=0.0,
        batches=BATCHES,
        fit=replace(WAVEFORM.fit, steps=30),
    ),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Tones in noise, from less than a patch of AST to several pieces of every network; beside them a speech model."""
    root = tmp_path_factory.mktemp("corpus")
    save_checkpoint(root / "speech", "wav2vec2", sample_rate=RATE)

    def clip(label: str, name: str, seconds: float, split: Split) -> Clip:
        time, rng = np.arange(round(RATE * seconds)) / RATE, np.random.default_rng([LABELS[label], len(name)])
        sound = 0.3 * np.sin(2 * np.pi * (LABELS[label] * time + rng.random())) + rng.normal(0, 0.02, len(time))
        return write_clip(root, f"{label}_{name}.wav", sound.astype(np.float32), RATE, label=label, split=split)

    clips = [clip(label, "n" * n, 0.05 + 0.15 * n, split) for label in LABELS for n, split in enumerate(SPLITS)]
    return Clips.from_rows(root, [*clips, clip("low", "long", 2.5 * CONVOLVED_FRAMES / 100, "test")])


@pytest.fixture(scope="module")
def sample(session: Session, corpus: Clips) -> CachedArtifact:
    return frame_sample(session, corpus, AUDIO, CONV.tokenizer)


def network_of(
    of: str, session: Session, corpus: Clips, sample: CachedArtifact, vectors: VectorConfig | None = None
) -> Any:
    """The network, and what reads the recordings for it."""
    reading = reading_of(corpus, vectors or VectorConfig())
    made: Network
    match of:
        case "conv":
            made = CONV.baselines.network(reading, METHODS["supervised"], sample)
        case "ast":
            made = AST.network(reading, METHODS["ast"], None)
        case "audio_transformer":
            made = WAVEFORM.network(reading, METHODS["audio_transformer"], None)
        case _:
            made = SPEECH.network(reading, speech_source(corpus.root / "speech"))
    return made, reading


def data_of(of: str, session: Session, clips: Clips, sample: CachedArtifact) -> CachedArtifact:
    if of == "conv":
        return spectrograms(session, clips, AUDIO, sample)
    return filter_banks(session, clips) if of == "ast" else waveforms(session, clips, RATE)


def heard_of(of: str, session: Session, clips: Clips, sample: CachedArtifact) -> AugmentedInputs:
    return AugmentedInputs(artifact=data_of(of, session, clips, sample))


def inputs_of(of: str, view: View, root: Path, sample: CachedArtifact) -> Tensor:
    """What a network reads of a whole recording."""
    if of == "ast":  # filter banks, padded with silence to whole patches
        samples = view.samples(root, 16_000)
        padded = np.pad(samples, (0, max(-(len(samples) - 1200) % 1600, 2800 - len(samples))))
        return filter_bank(torch.from_numpy(padded))
    samples = view.samples(root, RATE)
    if of == "conv":  # log-mel, the last hop filled up
        mean, std = frame_statistics(sample.folder)
        padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % AUDIO.hop_length)))
        return (LogMel(AUDIO)(padded[None])[0] - mean) / std
    return torch.from_numpy(samples)


def pieces_of(of: str, inputs: Tensor) -> Sequence[Tensor]:
    """The pieces in which a network reads its inputs."""
    if of == "ast":  # each begins with the last frames of the one before
        return [inputs[first : first + spectrogram_frames_of(4)] for first in range(0, len(inputs) - 6, 40)]
    return inputs.split(CONVOLVED_FRAMES if of == "conv" else PATCHES * RATE // 40)


@pytest.mark.parametrize(("of", "atol"), [("conv", 5e-3), ("ast", 2e-3)])
def test_inputs_of_train_and_validation_lie_on_disk(
    of: str, atol: float, session: Session, corpus: Clips, sample: CachedArtifact
) -> None:
    artifact, given, training = data_of(of, session, corpus, sample), AUDIOSET_STATISTICS, list[Tensor]()
    for split in TRAINED_ON:
        stored, clips = stored_clips(artifact, split), corpus.of(split)
        assert stored_names(artifact, split) == [clip.path for clip in clips]
        assert stored.sources[0].dtype == np.float16
        for row, clip in enumerate(clips):
            wanted = inputs_of(of, View(clip), corpus.root, sample)
            training += [wanted] if split == "train" else []
            wanted = (wanted - given.mean) / given.std if of == "ast" else wanted
            np.testing.assert_allclose(stored.clip(row), wanted, atol=atol, rtol=2e-3)
    if of == "ast":
        frames = torch.cat(training)
        measured = {"mean": float(frames.mean()), "std": float(frames.std())}
        assert artifact.read_json("statistics.json") == pytest.approx(measured, rel=1e-4)
    else:
        assert torch.equal(stored_std(artifact), frame_statistics(sample.folder)[1])


def test_copies_are_those_of_the_sound_that_the_tokenizer_hears(
    session: Session, corpus: Clips, sample: CachedArtifact
) -> None:
    views = InputAugmentationConfig(changed=0.5, noise_snr=(0.0, 10.0))
    numbers = range(2)
    copies = [changed_spectrograms(session, corpus, AUDIO, sample, views.of_copies, number) for number in numbers]
    plain = AugmentedInputs(artifact=data_of("conv", session, corpus, sample))
    heard = replace(plain, copies=tuple(copies), changed=0.5)
    assert (plain.copies, heard.of("validation").copies) == ((), None)
    train = heard.of("train")
    assert train.copies is not None
    for number, clip in product(numbers, range(len(corpus.of("train")))):
        view = replace(views.of_copies, changed=1.0).input_of(corpus.of("train")[clip], number)
        assert view.change.noise_snr is not None
        found = replace(train, places=train.copies[number]).clip(clip)
        wanted = inputs_of("conv", view, corpus.root, sample)
        np.testing.assert_allclose(found, wanted, atol=2e-2)
        assert not np.allclose(found, train.clip(clip), atol=0.1)
    ranged = InputAugmentationConfig(
        changed=0.5, dynamic_ranges=(22.0, 50.0)
    )  # whose log-mel lacks the last, begun hop
    artifact = changed_spectrograms(session, corpus, AUDIO, sample, ranged.of_copies, 0)
    for own, clip in zip(range(len(train)), corpus.of("train"), strict=False):
        end = inputs_of("conv", View(clip), corpus.root, sample)[-1:]
        left = len(train.clip(own)) - len(inputs_of("conv", ranged.of_copies.input_of(clip, 0), corpus.root, sample))
        assert left in (0, 1)
        last = replace(train, sources=stored_clips(artifact, "train").sources).clip(own)[-1:]
        assert not left or np.allclose(last, end, atol=2e-2)
    network, reading = network_of("conv", session, corpus, sample)
    keys = {
        network.train(session, reading, each, (*LABELS,)).key for each in (plain, heard, replace(heard, changed=0.9))
    }
    assert len(keys) == 3
    made = [simclr(session, each, [each], CONV.baselines) for each in (plain, heard)]
    first, second = [(artifact.folder / "model.safetensors").read_bytes() for artifact in made]
    assert first != second


NAMES = {
    "conv": ("block_1", "block_2", "all_blocks"),
    "ast": ("layer_2", "layer_12", "class_token"),
    "audio_transformer": ("layer_1", "layer_2", "all_layers"),
}


@pytest.mark.parametrize(
    ("of", "count", "atol"),  # augmented versions are read in 16 bits
    [("conv", 1, 1e-4), ("conv", 3, 1e-2), ("ast", 1, 1e-3), ("audio_transformer", 3, 1e-4)],
)
def test_features_are_the_pools_of_the_layers_over_the_augmentations(
    of: str, count: int, atol: float, session: Session, corpus: Clips, sample: CachedArtifact
) -> None:
    """Of the pieces of a recording, no state sees another piece; a vector for the clip has a mean alone."""
    network, reading = network_of(of, session, corpus, sample, VectorConfig(test_time_augmentation=count))
    features = load_file(network.features(session, reading, of).folder / FEATURES)
    of_clip = {f"{of}/{name}:{each}" for name in NAMES[of] for each in POOLINGS if name != "class_token"}
    assert features.keys() == of_clip | ({f"{of}/class_token:mean"} if of == "ast" else set())
    encoder = network.reader.backbone.create(seed=0).eval()
    for row, clip in enumerate(corpus.clips):
        heard = [inputs_of(of, View(clip, each), corpus.root, sample) for each in fixed_augmentations(count, None)]
        with torch.inference_mode():
            read = [
                [encoder.states(piece[None], torch.tensor([len(piece)])) for piece in pieces_of(of, inputs)]
                for inputs in heard
            ]
        states = [{name: torch.cat([p[name][0][0] for p in each]).numpy() for name in each[0]} for each in read]
        for key, found in features.items():
            name, _, pooling = key.partition("/")[2].partition(":")
            parts = [name] if name in states[0] else [*states[0]]  # all of them, side by side
            wanted = [np.mean([pool(each[part], pooling) for each in states], axis=0) for part in parts]  # type: ignore[arg-type]  # mypy sees a string
            np.testing.assert_allclose(found[row], np.concatenate(wanted), atol=atol)


def test_the_longest_piece_decides_the_number_of_positions(
    session: Session, corpus: Clips, sample: CachedArtifact
) -> None:
    (network, _), data = network_of("ast", session, corpus, sample), heard_of("ast", session, corpus, sample)
    backbones = [network.source(data, longest).backbone for longest in (30, 1_000)]
    assert [backbone.positions for backbone in backbones if isinstance(backbone, AstBackbone)] == [2, AST.model.patches]


@pytest.mark.parametrize(("of", "last"), [("conv", "block_2"), ("audio_transformer", "layer_2"), ("speech", "layer_3")])
def test_networks_learn_to_tell_tones_apart_and_again_to_the_same_bytes(
    of: str, last: str, session: Session, corpus: Clips, sample: CachedArtifact, tmp_path: Path
) -> None:
    made = list[CachedArtifact]()
    for own in (silent_session(tmp_path / "first"), silent_session(tmp_path / "second")):
        network, reading = network_of(of, own, corpus, sample, VectorConfig(layers=("last",), poolings=("max",)))
        made.append(network.train(own, reading, heard_of(of, own, corpus, sample), (*LABELS,)))
        assert not made[-1].reused
    for name in ("model.safetensors", "config.json", CURVE):
        assert (made[0].folder / name).read_bytes() == (made[1].folder / name).read_bytes()
    curve = made[0].read_rows(CURVE, "curve")
    assert min(point["validation_loss"] for point in curve) < 0.5  # nats; chance is 0.69
    folder = network.features(session, reading, of, made[1]).folder
    assert {*load_file(folder / FEATURES)} == {f"{of}/{last}:max"}
    scores = load_file(folder / SCORES)["scores"]
    right = [[*LABELS][best] == clip.label for best, clip in zip(scores.argmax(1), corpus.clips, strict=True)]
    assert sum(right) >= len(right) - 2
    inputs = inputs_of(of, View(corpus.clips[1]), corpus.root, sample)  # of one piece
    with torch.no_grad():
        outputs, _ = FineTunedModel.from_pretrained(made[0].folder).network(inputs[None], torch.tensor([len(inputs)]))
    np.testing.assert_allclose(scores[1], outputs[0, 0].softmax(0), atol=1e-4)
    if of == "speech":  # the convolutions stay as they were pre-trained, and layers do not
        before, after = (load_file(each / "model.safetensors") for each in (corpus.root / of, made[0].folder))
        ends = ("feature_extractor.conv_layers.0.conv.weight", "encoder.layers.0.feed_forward.output_dense.weight")
        kept = [np.array_equal(before[f"wav2vec2.{end}"], after[f"backbone.transformer.{end}"]) for end in ends]
        assert kept == [True, False]


def test_labels_of_test_clips_are_not_used_and_clips_without_label_decide_the_entry(
    session: Session, corpus: Clips, sample: CachedArtifact
) -> None:
    """The same labels in the same order, of other clips."""
    data = heard_of("conv", session, corpus, sample)

    def key(*unlabelled: Clip) -> str:
        hidden = corpus.with_columns(label=[None if clip in unlabelled else clip.label for clip in corpus.clips])
        network, reading = network_of("conv", session, hidden, sample)
        return str(network.train(session, reading, data, (*LABELS,)).key)

    one, other = corpus.of("train")[-2:]
    assert one.label == other.label
    assert key(*corpus.of("test")) == key()
    assert len({key(), key(one), key(other)}) == 3


def test_several_labels_are_predicted_each_by_itself(session: Session, corpus: Clips, sample: CachedArtifact) -> None:
    several = corpus.with_columns(label=[f"{clip.label};sounds" for clip in corpus.clips])
    network, reading = network_of("conv", session, several, sample)
    artifact = network.train(session, reading, heard_of("conv", session, corpus, sample), (*LABELS, "sounds"), ";")
    scores = load_file(network.features(session, reading, "supervised", artifact).folder / SCORES)["scores"]
    assert scores.shape == (len(corpus.clips), 3)
    assert (scores[:, 2] > 0.5).all()


def pretrained(of: str, session: Session, sample: CachedArtifact, *clips: Clips) -> CachedArtifact:
    if of == "conv":
        heard, *others = (heard_of(of, session, each, sample) for each in clips)
        return simclr(session, heard, others, CONV.baselines)
    own, *more = (data_of(of, session, each, sample) for each in clips)
    return wav2vec2(session, [own, *more], SPEECH, sample_rate=RATE)


@pytest.mark.parametrize("of", ["conv", "speech"])
def test_clips_of_which_nothing_is_known_are_a_part_of_pre_training(
    of: str, session: Session, corpus: Clips, sample: CachedArtifact, tmp_path: Path
) -> None:
    """Two folders are one folder with the clips of both, and one seed gives the same bytes again."""
    more = corpus.only("test").with_columns(label=None, split="train")
    halves = [Clips.from_rows(corpus.root, clips) for clips in (more.clips[:1], more.clips[1:])]
    made = [pretrained(of, session, sample, corpus, *each) for each in ([], [more], halves)]
    made.append(pretrained(of, silent_session(tmp_path), sample, corpus))
    assert not made[-1].reused
    assert len({artifact.key for artifact in made}) == 3
    own, whole, parts, again = [(artifact.folder / "model.safetensors").read_bytes() for artifact in made]
    assert own == again != whole == parts


def test_simclr_has_weights_of_its_own_and_no_scores(session: Session, corpus: Clips, sample: CachedArtifact) -> None:
    trained, (random, reading) = (
        pretrained("conv", session, sample, corpus),
        network_of("conv", session, corpus, sample),
    )
    network = CONV.baselines.network(reading, METHODS["simclr"], sample, simclr=trained)
    folders = [each.features(session, reading, "simclr").folder for each in (network, random)]
    learned, begun = (load_file(folder / FEATURES) for folder in folders)
    assert learned.keys() == begun.keys()
    assert not np.allclose(learned["simclr/block_2:mean"], begun["simclr/block_2:mean"])
    assert not (folders[0] / SCORES).exists()


def test_the_untrained_network_is_the_one_that_pre_training_begins_with(session: Session, corpus: Clips) -> None:
    still = replace(SPEECH.pretraining, fit=replace(SPEECH.pretraining.fit, lr=1e-30, weight_decay=0.0))
    data = [waveforms(session, corpus, RATE)]
    made = (
        random_wav2vec2(session, SPEECH, sample_rate=RATE),
        *(wav2vec2(session, data, each, sample_rate=RATE) for each in (replace(SPEECH, pretraining=still), SPEECH)),
    )
    random, begun, trained = (load_file(artifact.folder / "model.safetensors") for artifact in made)
    assert begun.keys() == random.keys()
    for name, values in random.items():
        np.testing.assert_allclose(begun[name], values, atol=1e-7, err_msg=name)
    assert not all(np.allclose(trained[name], values) for name, values in random.items())
