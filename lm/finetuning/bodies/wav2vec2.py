"""wav2vec 2.0 and its kin (HuBERT, WavLM, data2vec-audio) as bodies: a state for each frame of the convolutions.

The network and its pre-trained weights are those of a local Hugging Face folder, or of a run that pre-trained
wav2vec 2.0. Without weights, the options give the sizes of a wav2vec 2.0. Each window of samples is normalised. In
training, spans of frames are masked, as in the paper's fine-tuning. See `wordless.audio.speech_models`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lm.baselines.masking import NO_MASKS, MaskConfig, training_masks
from lm.baselines.wav2vec2 import Wav2vec2Config, transformers_config
from lm.baselines.waveform_augmentation import WaveformAugmentationConfig, augmenting_waveforms
from lm.finetuning.body import RANDOM, RUN, BodyNetwork, FrontEnd, RunPart, Source
from lm.finetuning.reading import Reading
from lm.finetuning.waveforms import SAMPLE_TYPE, UNCHANGED, WaveformFrontEnd, require_whole_clips, waveform_key
from wordless.audio.speech_models.encoder import MASK_EMBEDDING, PIECE_FRAMES, Architecture, SpeechEncoder
from wordless.base.ranges import require
from wordless.base.saved_models import hugging_face_hash, learned_labels

OPTION = "body.weights"


class SpeechNetwork(BodyNetwork):
    """A speech model that gives the states of its last layer."""

    def __init__(self, encoder: SpeechEncoder, masking: MaskConfig) -> None:
        super().__init__()
        self.transformer: nn.Module = encoder.transformer
        self.encoder = encoder
        self.masking = masking
        getattr(self.transformer, MASK_EMBEDDING).requires_grad_(False)  # a batch may have no masked frame

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map samples ``(batch, time)`` to states ``(batch, frames, width)``."""
        frames = self.encoder.convolutions.frames_of(lengths)
        masked = training_masks(frames, self.masking) if self.training else None
        return self.encoder.states(inputs, lengths, masked=masked)[0]

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, frames, width)``."""
        return self.encoder.states(inputs, lengths, layers=range(1, self.encoder.layers + 1))

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The convolutions, then each layer; the first layer with all parts between the convolutions and itself."""
        model, transformer = self.transformer, self.transformer.get_submodule("encoder")
        first, *others = transformer.get_submodule("layers").children()
        before = [model.get_submodule("feature_projection"), transformer.get_submodule("pos_conv_embed")]
        before.append(transformer.get_submodule("dropout"))
        if not getattr(model.config, "do_stable_layer_norm", False):  # there, the norm comes after the last layer
            before.append(transformer.get_submodule("layer_norm"))
        return [model.get_submodule("feature_extractor"), nn.ModuleList([*before, first]), *others]


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Body:
    """The architecture of a speech model."""

    architecture: Architecture
    masking: MaskConfig = NO_MASKS

    name: ClassVar[str] = "wav2vec2"
    training_versions: ClassVar[tuple[int, int]] = (4, 4)  # 4 computes convolutions time first on a CPU
    parts: ClassVar[tuple[str, ...]] = ()

    @property
    def reading(self) -> Reading:
        """A frame needs all samples of its receptive field."""
        convolutions = self.architecture.described.convolutions
        return Reading(
            sample_rate=self.architecture.sample_rate,
            samples_per_state=convolutions.stride,
            window=PIECE_FRAMES,
            inputs_per_state=convolutions.stride,
            shared_inputs=convolutions.receptive_field - convolutions.stride,
            rounded_up=False,
        )

    @property
    def dim(self) -> int:
        """Width of a state."""
        return self.architecture.described.width

    @cached_property
    def parameters(self) -> int:
        """Number of weights."""
        return self.architecture.parameters

    @property
    def input_type(self) -> np.dtype[np.generic]:
        """Type of a stored sample."""
        return SAMPLE_TYPE

    @property
    def input_width(self) -> tuple[int, ...]:
        """An input is a single sample."""
        return ()

    @property
    def least_samples(self) -> int:
        """Samples of the receptive field."""
        return self.architecture.described.convolutions.receptive_field

    @property
    def front_end_key(self) -> str:
        """Name of the samples."""
        return waveform_key(self.architecture.sample_rate)

    def num_inputs(self, num_samples: int) -> int:
        """Count the samples of a recording."""
        return num_samples

    def create(self, *, seed: int, weights: Path | None = None) -> SpeechNetwork:
        """Create the network with the weights of a local Hugging Face folder, or with random ones."""
        own = self.architecture
        transformer = own.create(seed=seed) if weights is None else own.load_network(weights, option=OPTION)
        return SpeechNetwork(SpeechEncoder(transformer, normalises=own.normalises), self.masking)

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Create the reading of samples, which needs no folder."""
        return WaveformFrontEnd()


@dataclass(frozen=True, kw_only=True)
class Wav2vec2Options:
    """Options of the body ``wav2vec2``."""

    model: Wav2vec2Config = field(default_factory=Wav2vec2Config)  # with random weights
    sample_rate: int = 16_000  # Hz, with random weights
    masking: MaskConfig = NO_MASKS
    augmentation: WaveformAugmentationConfig = UNCHANGED  # of training clips

    def __post_init__(self) -> None:
        require(self.sample_rate > 0, "body.sample_rate", self.sample_rate, "it must be a positive number of Hz")
        require_whole_clips(self.augmentation)

    def needs(self, weights: str) -> tuple[RunPart, ...]:
        """Name the model that the run pre-trained, if its weights are wanted."""
        return ("wav2vec2",) if weights == RUN else ()

    def open(self, run: Mapping[str, Path], *, weights: str) -> Source:
        """Describe the model of a run, of a local Hugging Face folder, or of the options."""
        folder = None if weights == RANDOM else run.get("wav2vec2", Path(weights).expanduser())
        return Source(
            body=Wav2vec2Body(architecture=self._architecture(folder), masking=self.masking),
            folder=Path(),
            weights=folder,
            fingerprint="" if folder is None else hugging_face_hash(folder)[:16],
            change=augmenting_waveforms(self.augmentation),
            learned_labels=folder is not None and learned_labels(folder),
        )

    def _architecture(self, folder: Path | None) -> Architecture:
        if folder is None:
            return Architecture.of_config(transformers_config(self.model), sample_rate=self.sample_rate)
        return Architecture.of_folder(folder, option=OPTION)
