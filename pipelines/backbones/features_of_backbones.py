"""What networks do in a run: what they read of the clips, their training, and their layers as features.

Networks of `network_options.NetworkSettings` are untrained, or learn labels. SimCLR, wav2vec 2.0 and denoising unit
prediction learn from sound without labels.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from lm.backbones import convolutional
from lm.backbones import wav2vec2 as speech
from lm.backbones.clips import ClipViews, StoredClips, augment
from lm.backbones.denoising import (
    TOKENIZER_FOLDER,
    CodedClips,
    CodePrediction,
    CodeStem,
    DenoisingBackbone,
    DenoisingBatches,
    DenoisingNetwork,
    DenoisingShape,
    create_denoising,
    fit_window_codebook,
)
from lm.backbones.denoising import validation_batches as coded_batches
from lm.layer_reader import LayerReader, head_scores
from lm.probing.task import ProbeTask
from lm.probing.vectors import VectorConfig
from lm.tokens import loss
from pipelines.backbones.cnn_backbone import BaselineSettings
from pipelines.backbones.denoising_backbone import DenoisingSettings
from pipelines.backbones.network_options import NetworkSettings
from pipelines.backbones.networks import (
    AugmentedInputs,
    Network,
    changed_spectrograms,
    examples_of,
    filter_banks,
    frame_seconds,
    layer_reader,
    network_features,
    spectrograms,
    stored_clips,
    stored_std,
)
from pipelines.backbones.wav2vec2_backbone import WAV2VEC2_OPTION, Wav2vec2Settings
from pipelines.chain.trial import Trial, unlabelled_prefix
from pipelines.methods.method import Method
from pipelines.stages.features import ClipReading
from pipelines.stages.listening import Evaluator
from pipelines.stages.stored_arrays import TRAINED_ON, waveforms
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, other_options
from pipelines.store.stored_features import stacked_rows
from tokenizer.augmentations import InputAugmentationConfig
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clips
from wordless.audio.spectrogram import SAMPLE, frame_statistics
from wordless.audio.views import View
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError, counted
from wordless.base.saved_models import write_model


def features_of_network(trial: Trial, method: Method) -> CachedArtifact:
    """Pool the layers of the network that a backbone describes for a method, untrained or trained on labels."""
    own, network = _described(trial, trial.reading, method)
    if not method.learns_labels:
        return network.features(trial.session, trial.reading, method.name)
    return learned_features(trial, method, network, _inputs_of(trial, own))


def _described(trial: Trial, reading: ClipReading, method: Method) -> tuple[NetworkSettings, Network]:
    own = trial.settings.backbone(method)
    assert isinstance(own, NetworkSettings)
    return own, own.network(reading, method, trial.statistics if own.inputs == "log_mel" else None)


def _inputs_of(trial: Trial, own: NetworkSettings) -> AugmentedInputs:
    """Store what a network reads of the clips that it is trained on."""
    match own.inputs:
        case "log_mel":
            return augmented_inputs(trial, own.copies)
        case "filter_banks":
            return AugmentedInputs(artifact=filter_banks(trial.session, trial.manifest))
        case "waveforms":
            return AugmentedInputs(artifact=waveforms(trial.session, trial.manifest, trial.audio.sample_rate))


def learned_features(trial: Trial, method: Method, network: Network, inputs: AugmentedInputs) -> CachedArtifact:
    """Train a network on the labels of clips, and read its layers."""
    trial.add(inputs.artifact)
    separator, reading = trial.settings.probe.label_separator, trial.reading
    trained = network.train(trial.session, reading, inputs, trial.task.classes, separator, title=method.title)
    return network.features(trial.session, reading, method.name, trial.add(trained, method.name))


def _spectrograms(trial: Trial, clips: Clips, prefix: str = "") -> CachedArtifact:
    name = f"{prefix}spectrograms"
    if name not in trial.artifacts:
        trial.add(spectrograms(trial.session, clips, trial.audio, trial.statistics), name)
    return trial.artifacts[name]


def augmented_inputs(trial: Trial, views: InputAugmentationConfig) -> AugmentedInputs:
    """Return the spectrograms of the corpus with those of changed copies, if there are any."""
    return _with_copies(trial, trial.manifest, _spectrograms(trial, trial.manifest), views)


def augmented_unlabelled(trial: Trial, views: InputAugmentationConfig) -> tuple[AugmentedInputs, ...]:
    """Return the same of each source of clips without labels."""
    return tuple(
        _with_copies(trial, clips, _spectrograms(trial, clips, unlabelled_prefix(number)), views)
        for number, clips in enumerate(trial.unlabelled, 1)
    )


def _with_copies(
    trial: Trial, clips: Clips, artifact: CachedArtifact, views: InputAugmentationConfig
) -> AugmentedInputs:
    numbers, changes = range(views.copies if views.changed else 0), views.of_copies
    make = partial(changed_spectrograms, trial.session, clips, trial.audio, trial.statistics, changes)
    made = map(make, numbers)  # those of other options or clips are others
    copies = tuple(trial.add(each, f"changed_spectrograms_{each.key}") for each in made)
    return AugmentedInputs(artifact=artifact, copies=copies, changed=views.changed)


def network_evaluator(trial: Trial, method: Method, task: ProbeTask) -> Evaluator:
    """Return a network with its own head as the evaluator of labels, of clips as they are."""
    own, network = _described(trial, trial.plain, method)
    inputs = _inputs_of(trial, own)
    classifier = network.train(trial.session, trial.plain, inputs, task.classes)
    trial.add_for_evaluator(inputs.artifact, inputs.artifact.stage)
    trial.add_for_evaluator(classifier, classifier.stage)
    describe = partial(_layers_of, network.reader_of(classifier, ()))
    scores = partial(head_scores, classifier.place, backbone=type(network.reader.backbone))
    name, read = trial.settings.listening.evaluator, (classifier, trial.statistics)
    return Evaluator(name=name, inputs=read, describe=describe, scores=scores)


def _layers_of(reader: LayerReader, view: View) -> dict[str, FloatArray]:
    [features] = reader([view])
    return features


@stage(
    "simclr",
    title="SimCLR, {settings.simclr.fit.summary}",
    keys={"settings": lambda settings: [settings.encoder, other_options(settings.simclr, "views")]},
    together=True,
)
def simclr(
    run: StageRun, spectrograms: AugmentedInputs, unlabelled: Sequence[AugmentedInputs], settings: BaselineSettings
) -> None:
    """Train SimCLR on the training clips and on each source of clips without labels."""
    own, train, held_out = settings.simclr, *(spectrograms.of(split) for split in TRAINED_ON)
    for source in unlabelled:
        train = train.followed_by(source.of("train"))
    make_view = partial(augment, config=own.augmentation, std=stored_std(spectrograms.artifact))
    temperature = own.contrast.temperature
    views = ClipViews(train, own.batches, make_view, device=run.gang.device)
    pairs, objective = (
        convolutional.validation_pairs(held_out, own.batches, make_view),
        partial(convolutional.pair_loss, temperature=temperature),
    )
    model = convolutional.create_simclr(settings.encoder, own.contrast, seed=own.fit.seed)
    examples = examples_of(train, own.batches, frame_seconds(spectrograms.artifact))
    run.fit("baselines.simclr.fit", model, convolutional.view_pairs(views), pairs, objective, own.fit, examples)
    if run.gang.rank == 0:
        write_model(run.folder, model, {"encoder": asdict(settings.encoder), "contrast": asdict(own.contrast)})


def simclr_layers(trial: Trial, method: Method) -> CachedArtifact:
    own = trial.settings.baselines
    views = own.simclr.views
    clips, extra = augmented_inputs(trial, views), augmented_unlabelled(trial, views)
    trained = trial.add(simclr(trial.session.named(method.title), clips, extra, own))
    network = own.network(trial.reading, method, trial.statistics, simclr=trained)
    return network.features(trial.session, trial.reading, method.name)


@stage(
    "wav2vec2",
    title="wav2vec 2.0, {settings.pretraining.fit.summary}",
    keys={"settings": lambda settings: [settings.model, settings.pretraining]},
    together=True,
)
def wav2vec2(run: StageRun, data: Sequence[CachedArtifact], settings: Wav2vec2Settings, *, sample_rate: int) -> None:
    """Pre-train wav2vec 2.0 on waveforms of the corpus and of other sources, of clips in which a span can be hidden."""
    own, sizes = settings.pretraining, settings.model
    waves, *extra = data
    train, held_out = (stored_clips(waves, split) for split in TRAINED_ON)
    for more in extra:
        train = train.followed_by(stored_clips(more, "train"))
    train, held_out = (_maskable(run, clips, settings) for clips in (train, held_out))
    batch_config = own.batches.at_rate(sample_rate)
    batches = speech.MaskedBatches(train, batch_config, sizes.convolutions, own.targets, steps=own.fit.steps)
    validation = speech.validation_batches(held_out, batch_config, sizes.convolutions, own.targets)
    weight = own.targets.diversity_weight
    model = speech.create_masked_prediction(sizes, diversity_weight=weight, seed=own.fit.seed)
    objective = partial(speech.masked_loss, diversity_weight=weight)
    examples = examples_of(train, batch_config, 1 / sample_rate)
    run.fit("wav2vec2.pretraining.fit", model, batches, validation, objective, own.fit, examples)
    if run.gang.rank == 0:
        speech.save_pretrained(model, run.folder, sample_rate=sample_rate)


@stage(
    "random_wav2vec2",
    title="wav2vec 2.0 with random weights",
    keys={"settings": lambda settings: [settings.model, settings.pretraining.fit.seed]},
)
def random_wav2vec2(run: StageRun, settings: Wav2vec2Settings, *, sample_rate: int) -> None:
    """Write the model before its pre-training: the same random weights."""
    model = speech.create_masked_prediction(settings.model, diversity_weight=0.0, seed=settings.pretraining.fit.seed)
    speech.save_pretrained(model, run.folder, sample_rate=sample_rate)


def _maskable(run: StageRun, clips: StoredClips, settings: Wav2vec2Settings) -> StoredClips:
    """Select the clips that pre-training can use, and say how many it cannot."""
    targets, convolutions = settings.pretraining.targets, settings.model.convolutions
    least = convolutions.samples(targets.masking.length + 1)  # a span, and a frame beside it
    used = clips.of_rows(np.flatnonzero(clips.lengths >= least))
    few = f"{len(clips) - len(used)} of {counted(len(clips), 'clip')}"
    problem = f"{few} have fewer than the {least} samples in which wav2vec2 masks {targets.masking.length} frames"
    if len(used) < 2:
        raise InputError(f"{problem}; add recordings, or leave wav2vec2 out of compare.methods")
    if len(used) < len(clips):
        run.terminal.say(f"wav2vec2  {problem}: they are left out of the pre-training")
    return used


def speech_features(trial: Trial, method: Method) -> CachedArtifact:
    """Pool the layers of the speech model of the user's folder, or of one that is pre-trained or has random weights."""
    own, session, rate = trial.settings.wav2vec2, trial.session, trial.audio.sample_rate
    if method.kind == "untrained":
        made = trial.add(random_wav2vec2(session, own, sample_rate=rate))
        source = speech.speech_source(made.folder, key=made.key, option=WAV2VEC2_OPTION)
    elif own.weights is not None:
        found = own.described
        session.terminal.say(
            f"wav2vec2  {WAV2VEC2_OPTION}: {found.name}, {found.layers} layers of {found.width} dimensions"
        )
        source = speech.speech_source(own.folder, option=WAV2VEC2_OPTION)
    else:
        sounds, *extra = (waveforms(session, each, rate) for each in (trial.manifest, *trial.unlabelled))
        made = wav2vec2(session.named(own.methods[0].title), [sounds, *extra], own, sample_rate=rate)
        trial.add(sounds)
        trial.add(made)
        trial.add_unlabelled((each,) for each in extra)
        source = speech.speech_source(made.folder, key=made.key, option=WAV2VEC2_OPTION)
    network = own.network(trial.reading, source)
    if not method.learns_labels:
        return network.features(session, trial.reading, method.name)
    inputs = AugmentedInputs(artifact=waveforms(session, trial.manifest, rate))
    return learned_features(trial, method, network, inputs)


@stage(
    "denoising",
    title="denoising, the code of {settings.window_seconds:g} s around each patch, {settings.fit.summary}",
    keys={"settings": lambda settings: other_options(settings, "views")},
    together=True,
)
def denoising(
    run: StageRun,
    corpus: AugmentedInputs,
    unlabelled: Sequence[AugmentedInputs],
    settings: DenoisingSettings,
    *,
    tokenizer: CachedArtifact | None = None,
    sample: CachedArtifact,
    patch_frames: int,
    patches: int,
    codebook_size: int,
) -> None:
    """Train on spectrograms of the training clips and of clips without labels to predict codes of windows.

    The network reads the codes that a ``tokenizer`` makes of log-mel, or without one the log-mel, normalised by the
    statistics of ``sample``. A window has ``patches`` patches of ``patch_frames`` frames.
    """
    train, held_out = map(corpus.of, TRAINED_ON)
    shape = DenoisingShape(
        frames=settings.longest, mels=train.width, patch_frames=patch_frames, codebook_size=codebook_size
    )
    model, coder = _created(settings, shape, tokenizer, sample)
    for source in unlabelled:
        train = train.followed_by(source.of("train"))
    codebook = fit_window_codebook(
        train, patches=patches, patch_frames=patch_frames, size=codebook_size, seed=settings.fit.seed
    )
    coded, others = (CodedClips.of_windows(clips, codebook) for clips in (train, held_out))
    std, own = frame_statistics(sample.folder)[1], settings.batches
    batches = DenoisingBatches(coded, own, settings.augmentation, std=std, device=run.gang.device)
    fixed = coded_batches(others, batch_size=own.batch_size, at_most=own.max_frames)
    examples = examples_of(train, own, frame_seconds(corpus.artifact))
    run.fit("denoising.fit", CodePrediction(model), batches, fixed, loss, settings.fit, examples)
    if run.gang.rank == 0:
        _write_denoising(run.folder, model, coder, sample)


@stage(
    "random_denoising",
    title="denoising with random weights",
    keys={"settings": lambda settings: [settings.model, settings.longest, settings.fit.seed]},
)
def random_denoising(
    run: StageRun,
    settings: DenoisingSettings,
    *,
    tokenizer: CachedArtifact,
    sample: CachedArtifact,
    patch_frames: int,
    codebook_size: int,
    mels: int,
) -> None:
    """Write the network before its training: the same random weights."""
    shape = DenoisingShape(frames=settings.longest, mels=mels, patch_frames=patch_frames, codebook_size=codebook_size)
    _write_denoising(run.folder, *_created(settings, shape, tokenizer, sample), sample)


def _created(
    settings: DenoisingSettings, shape: DenoisingShape, tokenizer: CachedArtifact | None, sample: CachedArtifact
) -> tuple[DenoisingNetwork, Tokenizer | None]:
    """Create the network with random weights, and load the tokenizer whose codes it reads; None: it reads log-mel."""
    coder = None if tokenizer is None else Tokenizer.from_pretrained(tokenizer.folder)
    codes = None if coder is None else CodeStem(coder, *frame_statistics(sample.folder))
    return create_denoising(settings.model, shape, seed=settings.fit.seed, codes=codes), coder


def _write_denoising(folder: Path, model: DenoisingNetwork, coder: Tokenizer | None, sample: CachedArtifact) -> None:
    mean, std = frame_statistics(sample.folder)
    save_file({"mean": mean, "std": std}, folder / SAMPLE)
    write_model(folder, model, {"denoising": asdict(model.config), "shape": asdict(model.shape)})
    if coder is not None:
        coder.save_pretrained(folder / TOKENIZER_FOLDER)


def denoising_layers(trial: Trial, method: Method) -> CachedArtifact:
    """Pool the layers of the network over codes, trained or with random weights."""
    settings, own = trial.settings, trial.settings.denoising
    patch_frames = settings.tokenizer.patch.frames
    read: dict[str, Any] = {
        "tokenizer": trial.artifacts["tokenizer"],
        "sample": trial.statistics,
        "patch_frames": patch_frames,
        "codebook_size": settings.tokenizer.codebook_size,
    }
    if method.training:
        patches = own.window_patches(patch_frames * trial.audio.hop_length / trial.audio.sample_rate)
        clips, extra = augmented_inputs(trial, own.views), augmented_unlabelled(trial, own.views)
        made = denoising(trial.session.named(method.title), clips, extra, own, patches=patches, **read)
    else:
        made = random_denoising(trial.session, own, mels=trial.audio.n_mels, **read)
    return denoising_features(trial.session, trial.reading, method.name, trial.add(made, method.name))


def denoising_features(session: Session, reading: ClipReading, method: str, trained: CachedArtifact) -> CachedArtifact:
    """Pool the inner activations of the layers of a network of `denoising`."""
    backbone = DenoisingBackbone(folder=trained.place, audio=reading.audio)
    reader = layer_reader(reading, backbone, sample=trained)
    return network_features(session, reading, method, reader, [reading.audio, trained])


def denoising_vectors(
    folder: Path, views: Sequence[View], audio: SpectrogramConfig, vectors: VectorConfig, *, device: str
) -> dict[str, FloatArray]:
    """Compute the vectors ``(views, dim)`` of each layer of a saved network of `denoising`, for new sound."""
    backbone = DenoisingBackbone(folder=folder, audio=audio)
    reader = LayerReader(backbone=backbone, statistics=folder, device=device, poolings=vectors.poolings)
    rows = stacked_rows(row for group in backbone.groups(views) for row in reader(group))
    return backbone.candidates(rows, vectors)
