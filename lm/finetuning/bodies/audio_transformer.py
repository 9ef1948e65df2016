"""The Audio Transformer of waveforms as a body: a state for each patch, or for several with average pooling.

Its pre-trained weights are those of a run with the method ``audio_transformer``, which learned them with the labels of
its corpus. Each window is brought to mean 0 and the same level. See `lm.baselines.audio_transformer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lm.baselines.audio_transformer import (
    AudioTransformer,
    AudioTransformerConfig,
    create_audio_transformer,
    load_encoder,
    read_description,
)
from lm.baselines.multirate import pool_pairs
from lm.baselines.waveform_augmentation import WaveformAugmentationConfig, augmenting_waveforms
from lm.finetuning.body import RANDOM, RUN, BodyNetwork, FrontEnd, RunPart, Source
from lm.finetuning.reading import Reading
from lm.finetuning.waveforms import SAMPLE_TYPE, UNCHANGED, WaveformFrontEnd, require_whole_clips, waveform_key
from wordless.base.files import file_hash
from wordless.base.ranges import require
from wordless.base.saved_models import WEIGHTS


class AudioTransformerNetwork(BodyNetwork):
    """An Audio Transformer that gives the normalised states of its last layer."""

    def __init__(self, encoder: AudioTransformer) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map samples ``(batch, time)`` to states ``(batch, states, width)``."""
        states, _ = self.encoder.forward(inputs, lengths)
        return states

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, states, width)``, averaged to the rate of the last one."""
        found = self.encoder.blocks(inputs, lengths)
        last = found[-1][0].shape[1]
        return torch.stack([_at_rate(states, steps, last) for states, steps in found])

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The front end, then each layer."""
        encoder = self.encoder
        return [nn.ModuleList([encoder.front_end, encoder.scale, encoder.dropout]), *encoder.layers]


def _at_rate(states: Tensor, steps: Tensor, wanted: int) -> Tensor:
    """Average pairs of states until there are as many as ``wanted``."""
    while states.shape[1] > wanted:
        states, steps = pool_pairs(states, steps)
    return states


@dataclass(frozen=True, kw_only=True)
class AudioTransformerBody:
    """The sizes of an Audio Transformer, and the rate of its samples."""

    audio_transformer: AudioTransformerConfig
    sample_rate: int  # Hz

    name: ClassVar[str] = "audio_transformer"
    training_versions: ClassVar[tuple[int, int]] = (1, 2)
    parts: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require(self.sample_rate > 0, "sample_rate", self.sample_rate, "it must be a positive number of Hz")

    @property
    def reading(self) -> Reading:
        """The last patches of a recording are filled up with silence."""
        own = self.audio_transformer
        samples = own.patch(self.sample_rate) * own.reduction
        return Reading(
            sample_rate=self.sample_rate,
            samples_per_state=samples,
            window=own.patches // own.reduction,
            inputs_per_state=samples,
        )

    @property
    def dim(self) -> int:
        """Width of a state."""
        return self.audio_transformer.width

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.audio_transformer.parameters(self.sample_rate)

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
        """Samples of a patch."""
        return self.audio_transformer.patch(self.sample_rate)

    @property
    def front_end_key(self) -> str:
        """Name of the samples."""
        return waveform_key(self.sample_rate)

    def num_inputs(self, num_samples: int) -> int:
        """Count the samples of a recording."""
        return num_samples

    def create(self, *, seed: int, weights: Path | None = None) -> AudioTransformerNetwork:
        """Create the network with the weights of a trained model's folder, or with random ones."""
        if weights is not None:
            return AudioTransformerNetwork(load_encoder(weights))
        return AudioTransformerNetwork(create_audio_transformer(self.audio_transformer, self.sample_rate, seed=seed))

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Create the reading of samples, which needs no folder."""
        return WaveformFrontEnd()


@dataclass(frozen=True, kw_only=True)
class AudioTransformerOptions:
    """Options of the body ``audio_transformer``."""

    model: AudioTransformerConfig = field(default_factory=AudioTransformerConfig)  # with random weights
    sample_rate: int = 16_000  # Hz, with random weights
    augmentation: WaveformAugmentationConfig = UNCHANGED  # of training clips

    def __post_init__(self) -> None:
        require(self.sample_rate > 0, "body.sample_rate", self.sample_rate, "it must be a positive number of Hz")
        require_whole_clips(self.augmentation)

    def needs(self, weights: str) -> tuple[RunPart, ...]:
        """Name the model that the run trained, if its weights are wanted."""
        return ("audio_transformer",) if weights == RUN else ()

    def open(self, run: Mapping[str, Path], *, weights: str) -> Source:
        """Describe the model of a run, of its folder, or of the options."""
        folder = None if weights == RANDOM else run.get("audio_transformer", Path(weights).expanduser())
        return Source(
            body=self._body(folder),
            folder=Path(),
            weights=folder,
            fingerprint="" if folder is None else file_hash(folder / WEIGHTS)[:16],
            change=augmenting_waveforms(self.augmentation),
            learned_labels=folder is not None,
        )

    def _body(self, folder: Path | None) -> AudioTransformerBody:
        if folder is None:
            return AudioTransformerBody(audio_transformer=self.model, sample_rate=self.sample_rate)
        saved = read_description(folder)
        return AudioTransformerBody(audio_transformer=saved.audio_transformer, sample_rate=saved.sample_rate)
