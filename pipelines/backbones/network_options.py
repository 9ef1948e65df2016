"""Options that several backbones have: of their training in a run, and of ``wordless finetune``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast

import numpy as np

from lm.backbones.backbone import BackboneSource
from lm.backbones.clips import AugmentationConfig, ClipBatchConfig, WaveformAugmentationConfig, WaveformBatchConfig
from lm.finetuning import FrozenLayers, HeadConfig
from pipelines.backbones.networks import Network
from pipelines.methods.method import BackboneSettings, Method
from pipelines.stages.features import ClipReading
from pipelines.stages.stage_options import TrainingSettings
from pipelines.store.store import CachedArtifact
from tokenizer.augmentations import InputAugmentationConfig
from wordless.base.arrays import DoubleArray
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from wordless.training import LargeFitConfig

BUILT_IN_SECONDS = 1.81  # of a clip of the built-in corpus, on average
PLAIN_INPUTS = AugmentationConfig()  # random changes of the clips
# of networks that learn labels
LABELLED = AugmentationConfig(crop=0.9, mix=0.2, time_mask=0.1, mel_mask=0.15)


class NetworkSettings(BackboneSettings, ABC):
    """Options of a network of which a method needs no more than it says here: untrained, or trained on labels."""

    inputs: ClassVar[Literal["log_mel", "filter_banks", "waveforms"]]  # that the training reads

    @abstractmethod
    def network(self, reading: ClipReading, method: Method, sample: CachedArtifact | None) -> Network:
        """Describe the network; the statistics of ``sample`` normalise the log-mel of a network that reads it."""

    @property
    def copies(self) -> InputAugmentationConfig:
        """The copies of training clips with changed sound; networks of log-mel alone have some."""
        return InputAugmentationConfig()


@dataclass(frozen=True, kw_only=True)
class ClipTraining(TrainingSettings):
    augmentation: AugmentationConfig = PLAIN_INPUTS
    batches: ClipBatchConfig = option(ClipBatchConfig(), "the batch of one training step")

    def sound_per_step(self, usual: TrainingSettings, seconds: DoubleArray, frame_seconds: float) -> float:
        assert isinstance(usual, ClipTraining), "settings are compared with the defaults of their own class"
        read = np.minimum(seconds, self.batches.max_frames * frame_seconds)  # of each clip
        clips = max(self.batches.batch_size / usual.batches.batch_size, 1.0)
        # Shorter clips than the built-in ones count as these: their steps would be more than the least otherwise.
        return max(clips * float(read.mean()) / BUILT_IN_SECONDS, 1.0) if len(read) else clips


@dataclass(frozen=True, kw_only=True)
class LogMelTraining(ClipTraining):
    views: InputAugmentationConfig = option(
        InputAugmentationConfig(), "sounds of the clips that the network does not hear as recorded"
    )

    @property
    def copies(self) -> InputAugmentationConfig:
        return self.views


@dataclass(frozen=True, kw_only=True)
class HeadTraining(TrainingSettings):
    head: HeadConfig = HeadConfig()  # the classifier behind the network


@dataclass(frozen=True, kw_only=True)
class WaveformTraining(TrainingSettings):
    batches: WaveformBatchConfig = option(WaveformBatchConfig(), "the batch of one training step")


RunPart = Literal["tokenizer", "lm", "wav2vec2", "audio_transformer"]
RANDOM: Final = "none"  # backbone.weights: random weights, or those of the run
RUN: Final = "run"
BATCHES = "the batch of one training step; heads that read whole clips leave out clips of more than max_seconds"


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(Options, ABC):
    """Options that all backbones of ``wordless finetune`` have."""

    name: ClassVar[str]  # of the backbone

    weights: str = option(
        RANDOM,
        "weights to begin with: random ones (none), those that the run trained (run; not of ast), or, but for gpt, "
        "those of a folder: a Hugging Face folder or hf://user/name of an AST, DeiT or ViT model (ast) or of a wav2vec "
        "2.0, HuBERT, WavLM or data2vec-audio model (wav2vec2), or the folder audio_transformer of a run",
    )
    frozen_layers: FrozenLayers = option(
        0,
        "number of layers, from the inputs on, whose weights stay as they are; inputs: only what embeds the inputs, "
        "such as convolutions; all: only the head is trained",
    )
    learning_rates: tuple[float, ...] | None = option(
        None,
        "such as [1e-5, 1e-4]: trains with each of them and keeps what is best on validation; null: backbone.fit.lr",
        above=0,
        filled=True,
        distinct=True,
    )
    batches: WaveformBatchConfig = option(WaveformBatchConfig(max_seconds=10.0), BATCHES)
    fit: LargeFitConfig = option(
        LargeFitConfig(), "training; with pre-trained weights use a smaller fit.lr, of large models 1e-5 to 3e-5"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "choose 0 (none), inputs, a number of layers, or all"
        self.refuse_if(isinstance(self.frozen_layers, int) and self.frozen_layers < 0, "frozen_layers", rule)
        augmentation = getattr(self, "augmentation", None)  # of most backbones
        if augmentation is not None and augmentation.crop != 1:
            rule = "the label may belong to the whole clip: choose 1"
            raise InputError(option="augmentation.crop", value=augmentation.crop, rule=rule)

    @property
    def rates(self) -> tuple[float, ...]:
        return self.learning_rates or (self.fit.lr,)

    @property
    def own(self) -> dict[str, Any]:
        common = {field.name for field in fields(FinetuneSettings)}
        return {name: value for name, value in asdict(self).items() if name not in common}

    @property
    def needs(self) -> tuple[RunPart, ...]:
        """Parts of a run that `open` reads: the model that it trained, if its weights are wanted."""
        return (cast(RunPart, self.name),) if self.weights == RUN else ()

    @abstractmethod
    def open(self, run: Mapping[str, Path]) -> BackboneSource:
        """Describe the backbone with the parts of a run that it `needs`; a folder of weights lies on this machine."""


SIZES = "the network with backbone.weights=none; others have their own sizes"


@dataclass(frozen=True, kw_only=True)
class WaveformFinetuneSettings(FinetuneSettings):
    """Options of backbones that read samples."""

    sample_rate: int = option(16_000, "rate of the samples in Hz with backbone.weights=none", least=1)
    augmentation: WaveformAugmentationConfig = option(
        WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0),
        "random changes of the training clips; crop is always 1: clips are kept whole. rate=0.25 helps with few "
        "recordings, if labels do not depend on speed or pitch",
    )
