"""A layer of a speech model as the source of codes: a state for each code, in place of the autoencoder's bottleneck.

::

    samples   |<- stride ->|            |            |            |       stride = samples_per_code
    state 0   [  receptive field  ]                                       code 0: the samples [0, stride)
    state 1                [  receptive field  ]                          code 1: [stride, 2 * stride)
    state 2                             [  receptive field  ]             silence follows the end of a recording

The transformer has read the whole recording before a state, or the whole piece of 30 seconds of a longer one. k-means
over such states makes the codes of GSLM (Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio",
2021, arXiv:2102.01192).
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from wordless.audio.speech_models.description import describe_speech_model
from wordless.audio.speech_models.encoder import load_speech_encoder
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError, require
from wordless.base.files import aside
from wordless.base.machine import one_thread
from wordless.base.options import REQUIRED, Options, option
from wordless.base.saved_models import hugging_face_files, hugging_face_hash

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
    layer: int = option(REQUIRED, "number of the layer, from 1 on", least=1)
    width: int  # dimensions of a state
    option: str  # names the folder in messages

    @cached_property
    def config(self) -> SpeechLayerConfig:
        """The layer and the content of the model's files, wherever they lie."""
        model = describe_speech_model(self.folder, option=self.option).name
        return SpeechLayerConfig(layer=self.layer, model=model, files=hugging_face_hash(self.folder))

    def open(self, device: str = "cpu") -> "SpeechLayer":
        """Load the model."""
        return SpeechLayer(self.config, self.folder, option=self.option).to(device)


class SpeechLayer(nn.Module):
    """The states of a layer over time. Layers above it are not computed.

    Args:
        config: names the layer, and the hash of the folder's files.
        folder: of the model, in the layout of Hugging Face.
        option: names the folder in messages.

    Raises:
        InputError: the folder holds other files than those of the config, files that cannot be read, or a model
            without the layer.
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

    def require(self, *, samples_per_code: int, width: int) -> None:
        """Refuse codes that do not have one state each, or centroids of another width than a state's."""
        if (self.stride, self.width) != (samples_per_code, width):
            raise InputError(
                f"the speech model has a state of {self.width} dimensions for each {self.stride} samples, the "
                f"tokenizer codes of {width} dimensions for each {samples_per_code} samples; both must be equal"
            )

    def states(self, samples: FloatArray) -> Tensor:
        """Compute the states of a whole recording ``(num_samples,)``: one for each code, ``(time, width)``."""
        nothing = torch.zeros(0, self.width, device=self.transformer.device)
        return torch.cat([nothing, *self.pieces(samples)])

    def pieces(self, samples: FloatArray) -> Iterator[Tensor]:
        """Give the states of a recording ``(num_samples,)`` piece by piece, ``(time, width)``.

        One thread computes them, because more threads round sums in another way, and codes could differ.
        """
        steps = -(-len(samples) // self.stride)
        found = self.encoder.pieces(samples, [self.config.layer], frames=steps) if steps else iter(())
        while (piece := _next(found)) is not None:
            yield piece[0]

    def save_copy(self, tokenizer: Path) -> None:
        """Copy the model's files, byte by byte, into the folder of a tokenizer; `open_copy` reads them."""
        (tokenizer / FOLDER).mkdir(parents=True, exist_ok=True)
        for path in hugging_face_files(self.folder):
            if path.is_file():
                with aside(tokenizer / FOLDER / path.name) as beside:
                    shutil.copyfile(path, beside)


def open_copy(config: SpeechLayerConfig, tokenizer: Path) -> SpeechLayer:
    """Load the layer of the copy in the folder of a tokenizer."""
    return SpeechLayer(config, tokenizer / FOLDER, option="speech model")


@one_thread()
@torch.inference_mode()
def _next(pieces: Iterator[Tensor]) -> Tensor | None:
    return next(pieces, None)
