"""The sources of codes: an autoencoder of patches, a layer of a speech model, and the pitch.

A layer of a speech model has a state for each code, in place of the autoencoder's bottleneck::

    samples   |<- stride ->|            |            |            |       stride = samples_per_code
    state 0   [  receptive field  ]                                       code 0: the samples [0, stride)
    state 1                [  receptive field  ]                          code 1: [stride, 2 * stride)
    state 2                             [  receptive field  ]             silence follows the end of a recording

The transformer has read the whole recording before a state, or the whole piece of 30 seconds of a longer one. k-means
over such states makes the codes of GSLM (Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio",
2021, arXiv:2102.01192).

A further stream has a code for the pitch of each patch, from the recording's samples::

    hops     [  h0  ][  h1  ][  h2  ][  h3  ]     of the front end; the pitch of each, or no voice
    codes    [      c0      ][      c1      ]     no voice if fewer than half of the hops have one, else their mean

Speech resynthesis from units with a stream of log-F0 is that of Polyak et al. 2021 (arXiv:2104.00355), language models
of both that of Kharitonov et al. 2022 (arXiv:2109.03264).
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.codes import Codes, PitchFormat
from tokenizer.options import AutoencoderConfig
from wordless.audio.options import SpectrogramConfig
from wordless.audio.pitch import PitchTracker
from wordless.audio.speech_models import SpeechModel, load_speech_encoder
from wordless.base.array_types import DoubleArray, FloatArray, IntArray
from wordless.base.errors import InputError, require
from wordless.base.files import aside
from wordless.base.machine import Batch, one_thread
from wordless.base.options import REQUIRED, Options, option
from wordless.base.saved_models import hugging_face_files, hugging_face_hash


def three_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    ).float()  # whatever PyTorch's default type is


class Autoencoder(nn.Module):
    """Autoencoder of normalised log-mel patches: ``(..., patch)`` -> ``(..., bottleneck)`` -> ``(..., patch)``."""

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.encoder = three_layers(patch_size, config.hidden, config.bottleneck)
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruct patches ``(batch, patch)``."""
        reconstruction: Tensor = self.decoder(self.encoder(patches))
        return reconstruction


class StateDecoder(nn.Module):
    """Decoder of a speech model's states to the log-mel to expect: ``(..., bottleneck)`` -> ``(..., patch)``."""

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, states: Tensor) -> Tensor:
        """Predict patches ``(batch, patch)``."""
        patches: Tensor = self.decoder(states)
        return patches


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatch(Batch):
    """Normalised patches ``(batch, patch)`` to reconstruct."""

    patches: Tensor
    inputs: Tensor | None = None  # what the model sees instead, such as noisier patches or states; None: the patches


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Return the squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()


FOLDER = "speech_model"  # of the model's copy, in the folder of a tokenizer


@dataclass(frozen=True, kw_only=True)
class SpeechLayerConfig(Options):
    """A layer of a speech model."""

    layer: int = option(REQUIRED, "number of the layer, from 1 on", least=1)
    model: str  # such as HuBERT
    files: str  # hash of the model's files


@dataclass(frozen=True, kw_only=True)
class ChosenLayer:
    """A layer of the speech model in a folder of the user."""

    folder: Path
    layer: int
    width: int  # dimensions of a state
    option: str  # names the folder in messages

    @cached_property
    def config(self) -> SpeechLayerConfig:
        """The layer and the content of the model's files, wherever they lie."""
        model = SpeechModel.of_folder(self.folder, option=self.option).name
        return SpeechLayerConfig(layer=self.layer, model=model, files=hugging_face_hash(self.folder))

    @property
    def key(self) -> SpeechLayerConfig:
        """The layer and the model's files, which decide the states."""
        return self.config

    def open(self, device: str = "cpu") -> "SpeechLayer":
        """Load the model."""
        return SpeechLayer(self.config, self.folder, option=self.option).to(device)


class SpeechLayer(nn.Module):
    """The states of a layer over time. Layers above it are not computed.

    ``option`` names the ``folder`` of the model, in the layout of Hugging Face, which must hold the config's files.
    """

    def __init__(self, config: SpeechLayerConfig, folder: Path, *, option: str) -> None:
        super().__init__()
        if config.files != hugging_face_hash(folder):
            problem = f"{option}={folder} holds another speech model than the one that the codes were made with"
            raise InputError(f"{problem}; copy the whole folder again from the run that made it")
        self.config = config
        self.folder = folder
        self.encoder = load_speech_encoder(folder, option=option, last_layer=config.layer)
        layers = self.encoder.layers
        require(config.layer <= layers, "speech_layer.layer", config.layer, f"{option}={folder} has {layers} layers")
        self.transformer = self.encoder.transformer  # here a module, so that `to` moves it
        self.width = self.encoder.width

    @property
    def stride(self) -> int:
        """Samples from one state to the next."""
        return self.encoder.convolutions.stride

    def states(self, samples: FloatArray) -> Tensor:
        """Compute the states of a whole recording ``(num_samples,)``: one for each code, ``(time, width)``."""
        return torch.cat(
            [torch.zeros(0, self.width, device=self.transformer.device, dtype=torch.float32), *self.pieces(samples)]
        )

    def pieces(self, samples: FloatArray) -> Iterator[Tensor]:
        """Give the states of a recording in pieces, by one thread: more round differently, and codes could change."""
        steps = -(-len(samples) // self.stride)
        found = self.encoder.pieces(samples, [self.config.layer], frames=steps) if steps else iter(())
        while True:
            with one_thread(), torch.inference_mode():
                piece = next(found, None)
            if piece is None:
                return
            yield piece[0]

    def save_copy(self, tokenizer: Path) -> None:
        """Copy the model's files, byte by byte, into a tokenizer's folder; `Tokenizer.from_pretrained` reads them."""
        (tokenizer / FOLDER).mkdir(parents=True, exist_ok=True)
        for path in hugging_face_files(self.folder):
            if path.is_file():
                with aside(tokenizer / FOLDER / path.name) as beside:
                    shutil.copyfile(path, beside)


def pitch_of_patches(octaves: DoubleArray, frames: int) -> DoubleArray:
    """Average the pitch of hops ``(patches * frames,)`` over each patch; nan: no voice in more than half of it."""
    hops = octaves.reshape(-1, frames)
    voiced = ~np.isnan(hops)
    counts = voiced.sum(axis=1)
    means = np.where(voiced, hops, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(2 * counts >= frames, np.where(counts, means, np.nan), np.nan)


def flattened(codes: Codes) -> Codes:
    """Give all voiced codes one pitch, the median of them."""
    pitch = _pitch(codes)
    voiced = pitch > 0
    return _with_pitch(codes, np.full(voiced.sum(), np.median(pitch[voiced]))) if voiced.any() else codes


def transplanted(codes: Codes, melody: Codes) -> Codes:
    """Give voiced codes the pitch of another recording, interpolated and stretched to their length."""
    pitch, given = _pitch(codes), _pitch(melody)
    known = np.flatnonzero(given > 0)
    if not len(known):
        return codes
    places = (np.flatnonzero(pitch > 0) + 0.5) * len(given) / len(pitch) - 0.5
    return _with_pitch(codes, np.interp(places, known, given[known]))


def _with_pitch(codes: Codes, pitches: DoubleArray) -> Codes:
    """Replace the codes of pitch of all voiced time steps ``(voiced,)``; codes are equal steps, so they are rounded."""
    own = codes.format.pitch
    assert own is not None, "the codes have a pitch"
    changed = codes.beside(own).copy()
    changed[changed > 0] = np.rint(pitches)
    return codes.with_beside(codes.format, {own: changed})


def _pitch(codes: Codes) -> IntArray:
    return np.zeros(len(codes), np.int32) if codes.format.pitch is None else codes.beside(codes.format.pitch)


def pitch_codes(
    blocks: Iterable[FloatArray], format: PitchFormat, audio: SpectrogramConfig, patch_frames: int
) -> Iterator[IntArray]:
    """Give the codes of the pitch of blocks ``(samples,)`` of any sizes, as soon as they are known."""
    tracker, octaves = PitchTracker(audio.sample_rate, audio.hop_length), np.zeros(0)
    for block in blocks:
        octaves = np.append(octaves, tracker.add(block))
        known = len(octaves) // patch_frames * patch_frames
        yield format.quantise(pitch_of_patches(octaves[:known], patch_frames))
        octaves = octaves[known:]
    octaves = np.append(octaves, tracker.finish())
    silence = np.full(-len(octaves) % patch_frames, np.nan)
    yield format.quantise(pitch_of_patches(np.append(octaves, silence), patch_frames))
