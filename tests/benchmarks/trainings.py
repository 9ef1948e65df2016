"""Every kind of training with the default network and random data, so that its steps can be counted without a run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from lm.backbones.audio_transformer import AudioTransformerBackbone
from lm.backbones.backbone import Backbone
from lm.backbones.clips import (
    CPU,
    AugmentationConfig,
    ClipBatchConfig,
    ClipViews,
    FrameArray,
    LabelledBatches,
    StoredClips,
    augment,
    augment_waveforms,
)
from lm.backbones.convolutional import ConvBackbone, create_simclr, pair_loss, view_pairs
from lm.backbones.denoising import CodedClips, CodePrediction, DenoisingBatches, DenoisingShape, create_denoising
from lm.backbones.spectrogram_transformer import N_MELS, STRIDE, AstBackbone
from lm.backbones.wav2vec2 import MaskedBatches, create_masked_prediction, masked_loss
from lm.finetuned import create_network, task_loss
from lm.finetuning import ClassificationOptions, HeadConfig
from lm.gpt import create_gpt
from lm.heads import ClassificationTask
from lm.samples.sample_model import SampleCrops, create_sample_model
from lm.samples.sample_model import loss as sample_loss
from lm.tokens import CodeSequences, TrainingBatches, Vocabulary
from lm.tokens import loss as code_loss
from pipelines.backbones.ast_backbone import AstSettings
from pipelines.backbones.audio_transformer_backbone import AudioTransformerSettings
from pipelines.backbones.cnn_backbone import BaselineSettings
from pipelines.backbones.denoising_backbone import DenoisingSettings
from pipelines.backbones.wav2vec2_backbone import Wav2vec2Settings
from pipelines.plugins.next_sample import ModelName, NextSampleSettings
from pipelines.stages.stage_options import LanguageModelSettings, TokenizerSettings, VocoderSettings
from tests.benchmarks.default_tokenizer import CODEBOOK_SIZE, random_tokenizer
from tests.vocoder.sounds import vocoder_clips
from tokenizer.autoencoder import Autoencoder
from tokenizer.autoencoder_training import PatchBatches, reconstruction_loss
from vocoder.crops import Crops, SampleClips
from vocoder.crops import loss as level_loss
from vocoder.wavenet import create_wavenet
from wordless.audio.audio_options import SpectrogramConfig
from wordless.training import FitConfig
from wordless.training.fit import Batches, LossFunction

CLIPS = 200
CLASSES = 10
RATE = 16_000  # Hz
CODES_PER_CLIP = 50  # one second
MELS = SpectrogramConfig().n_mels


@dataclass(frozen=True)
class TrainingExample:
    """One training, as a stage gives it to `wordless.training.fit.fit`."""

    model: nn.Module
    batches: Batches[Any]  # each training has batches of its own kind, which its loss reads
    loss: LossFunction[Any]
    config: FitConfig


def _autoencoder(size: int, device: torch.device) -> TrainingExample:
    settings = TokenizerSettings()
    values = settings.patch.frames * MELS
    patches = torch.randn(2000, values, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    batches = PatchBatches(patches=patches, batch_size=size, seed=0)
    return TrainingExample(Autoencoder(settings.autoencoder, values), batches, reconstruction_loss, settings.fit)


def _gpt(size: int, device: torch.device) -> TrainingExample:
    settings, vocabulary = LanguageModelSettings(), Vocabulary(per_stream=CODEBOOK_SIZE, streams=1)
    gpt, codes = create_gpt(settings.gpt, vocabulary, seed=0), _codes()
    sequences = CodeSequences(views=[[codes[clip * CODES_PER_CLIP :][:CODES_PER_CLIP]] for clip in range(CLIPS)])
    sizes = replace(settings.batches, batch_size=size)
    batches = TrainingBatches(sequences, vocabulary, sizes, capacity=gpt.capacity)
    return TrainingExample(gpt, batches, code_loss, settings.fit)


def _simclr(size: int, device: torch.device) -> TrainingExample:
    settings = BaselineSettings()
    own = settings.simclr
    views = _views(_spectrograms(), own.batches, size, own.augmentation, device)
    objective = partial(pair_loss, temperature=own.contrast.temperature)
    return TrainingExample(create_simclr(settings.encoder, own.contrast, seed=0), view_pairs(views), objective, own.fit)


def _supervised(size: int, device: torch.device) -> TrainingExample:
    settings = BaselineSettings()
    own = settings.supervised
    backbone = ConvBackbone(encoder=settings.encoder, audio=SpectrogramConfig())
    views = _views(_spectrograms(), own.batches, size, own.augmentation, device)
    return _labelled(backbone, own.head, views, own.fit)


def _ast(size: int, device: torch.device) -> TrainingExample:
    settings, clips = AstSettings(), _spectrograms(N_MELS)
    backbone = AstBackbone(ast=settings.model, clip_vector=True, positions=int(clips.lengths.max()) // STRIDE)
    views = _views(clips, settings.batches, size, settings.augmentation, device)
    return _labelled(backbone, HeadConfig(pooling="mean", dropout=0.0), views, settings.fit, normalised=True)


def _audio_transformer(size: int, device: torch.device) -> TrainingExample:
    settings = AudioTransformerSettings()
    backbone = AudioTransformerBackbone(audio_transformer=settings.model, sample_rate=RATE)
    sizes = replace(settings.batches.at_rate(RATE), batch_size=size)
    views = ClipViews(_waveforms(), sizes, partial(augment_waveforms, config=settings.augmentation), device=CPU)
    return _labelled(backbone, settings.head, views, settings.fit)


def _denoising(size: int, device: torch.device) -> TrainingExample:
    settings, frames = DenoisingSettings(), TokenizerSettings().patch.frames
    shape = DenoisingShape(frames=settings.longest, mels=MELS, patch_frames=frames, codebook_size=CODEBOOK_SIZE)
    spectrograms = _spectrograms()
    counts = -(-spectrograms.lengths // frames)
    codes = np.random.default_rng(0).integers(0, CODEBOOK_SIZE, (int(counts.sum()), 1)).astype(np.int32)
    coded = StoredClips.of(codes, np.cumsum([0, *counts]))
    clips = CodedClips(spectrograms=spectrograms, codes=coded, patch_frames=frames)
    sizes = replace(settings.batches, batch_size=size)
    batches = DenoisingBatches(clips, sizes, settings.augmentation, std=torch.ones(MELS), device=device)
    model = CodePrediction(create_denoising(settings.model, shape, seed=0))
    return TrainingExample(model, batches, code_loss, settings.fit)


def _wav2vec2(size: int, device: torch.device) -> TrainingExample:
    settings = Wav2vec2Settings()
    own, sizes = settings.pretraining, settings.model
    weight, batch = own.targets.diversity_weight, replace(own.batches.at_rate(RATE), batch_size=size)
    batches = MaskedBatches(_waveforms(), batch, sizes.convolutions, own.targets, steps=own.fit.steps)
    model = create_masked_prediction(sizes, diversity_weight=weight, seed=0)
    return TrainingExample(model, batches, partial(masked_loss, diversity_weight=weight), own.fit)


def _wavenet(size: int, device: torch.device) -> TrainingExample:
    settings, tokenizer, codes = VocoderSettings(), random_tokenizer(), _codes()
    samples = settings.wavenet.samples_per_code * len(codes)
    clips = vocoder_clips(_noise(samples), codes, tokenizer, [samples], group=-1)
    crops = replace(settings.crops, batch_size=size)
    batches = Crops(clips, settings.wavenet, crops)
    return TrainingExample(create_wavenet(settings.wavenet, seed=0), batches, level_loss, settings.fit)


def _next_sample(name: ModelName, size: int, device: torch.device) -> TrainingExample:
    settings = NextSampleSettings()
    config, samples = settings.config(name), _noise(CLIPS * RATE // 10)
    crops = replace(settings.crops, batch_size=size)
    clips = SampleClips(samples=samples, offsets=np.arange(0, len(samples) + 1, RATE // 10))
    batches = SampleCrops(clips, crops, history=config.history)
    return TrainingExample(create_sample_model(config, seed=0), batches, sample_loss, settings.fit)


# for so many clips, crops or patches in a batch, and the device of the training
MakeTraining = Callable[[int, torch.device], TrainingExample]
TRAININGS: dict[str, MakeTraining] = {
    **{"autoencoder": _autoencoder, "gpt": _gpt, "simclr": _simclr, "supervised": _supervised, "denoising": _denoising},
    **{"ast": _ast, "audio_transformer": _audio_transformer, "wav2vec2": _wav2vec2, "vocoder": _wavenet},
    "next_sample_wavenet": partial(_next_sample, "wavenet"),
    "next_sample_transformer": partial(_next_sample, "transformer"),
    "next_sample_transformer_context": partial(_next_sample, "transformer_context"),
}
# of the host for the device: transformers looks into masks, whether one is full, and how many frames one selects
WAITS = {name: 6 if name == "wav2vec2" else 0 for name in TRAININGS}


def _codes() -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.random.default_rng(0).integers(0, CODEBOOK_SIZE, (CLIPS * CODES_PER_CLIP, 1)).astype(np.int32)


def _noise(samples: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.random.default_rng(0).integers(-3000, 3000, samples).astype(np.int16)


def _spectrograms(mels: int = MELS) -> StoredClips:
    """Return clips of 0.4 to 1.5 seconds."""
    random = np.random.default_rng(0)
    return StoredClips.together(
        [random.standard_normal((int(frames), mels), np.float32) for frames in random.integers(40, 150, CLIPS)]
    )


def _waveforms() -> StoredClips:
    """Return clips of 0.5 to 1 second."""
    random = np.random.default_rng(0)
    clips: list[FrameArray] = [_noise(int(samples)) for samples in random.integers(RATE // 2, RATE, CLIPS)]
    return StoredClips.together(clips)


def _views(
    clips: StoredClips, config: ClipBatchConfig, size: int, changes: AugmentationConfig, device: torch.device
) -> ClipViews:
    make_view = partial(augment, config=changes, std=torch.ones(clips.sources[0].shape[1]))
    return ClipViews(clips, replace(config, batch_size=size), make_view, device=device)


def _labelled(
    backbone: Backbone, head: HeadConfig, views: ClipViews, config: FitConfig, *, normalised: bool = False
) -> TrainingExample:
    options, classes = ClassificationOptions(**asdict(head)), tuple(map(str, range(CLASSES)))
    task = ClassificationTask(options=options, classes=classes, normalised=normalised)
    labels = [task.classes[clip % CLASSES] for clip in range(len(views.clips))]
    batches = LabelledBatches(views=views, targets=task.targets(labels))
    return TrainingExample(
        create_network(backbone, backbone.create(seed=0), task, seed=0), batches, partial(task_loss, task=task), config
    )
