"""Codes of a speech model: a layer has a state for each code, in place of the autoencoder's bottleneck::

    samples   |<- stride ->|            |            |            |       stride = samples_per_code
    state 0   [  receptive field  ]                                       code 0: the samples [0, stride)
    state 1                [  receptive field  ]                          code 1: [stride, 2 * stride)
    state 2                             [  receptive field  ]             silence follows the end of a recording

The transformer has read the whole recording before a state, or the whole piece of 30 seconds of a longer one. k-means
over such states makes the codes of GSLM (Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio",
2021, arXiv:2102.01192).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.autoencoder import Autoencoder, StateDecoder
from tokenizer.code_decoder import CodeDecoderNetwork
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import SpeechLayerConfig, TokenizerConfig
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.inspection import require_finite_samples
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, log_mel_stream
from wordless.audio.speech_models import SpeechModel, load_speech_encoder
from wordless.audio.waveform import join_blocks
from wordless.base.arrays import FloatArray
from wordless.base.devices import exact
from wordless.base.files import aside
from wordless.base.messages import InputError, require
from wordless.base.saved_models import hugging_face_files, hugging_face_hash
from wordless.base.threads import one_thread

FOLDER = "speech_model"  # of the model's copy, in the folder of a tokenizer


@dataclass(frozen=True, kw_only=True)
class ChosenLayer:
    """A layer of the speech model in a folder of the user: a `tokenizer.frame_sample.VectorSource`."""

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

    @exact
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

    def read_clips(
        self, root: Path, clips: Sequence[Clip], audio: SpectrogramConfig, *, progress: Callable[[int], None]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Read log-mel and states of clips below ``root``; each clip is in memory as a whole."""
        log_mel = LogMel(audio)
        for done, clip in enumerate(clips, 1):
            samples = np.concatenate([*read_blocks(root / clip.path, audio.sample_rate, part=clip.part)])
            frames = torch.cat([torch.zeros(0, audio.n_mels, dtype=torch.float32), *log_mel_stream(log_mel, [samples])])
            states = self.states(samples)[: len(samples) // self.stride].cpu()
            require_finite_samples(frames.numpy(), clip, "log-mel frames")
            require_finite_samples(states.numpy(), clip, "states of a speech model")
            yield frames, states
            progress(done)

    @property
    def constructor(self) -> "Callable[..., SpeechTokenizer]":
        """What takes the arguments of `Tokenizer`, for codes that are the nearest centroids of this layer's states."""
        return partial(SpeechTokenizer, layer=self)

    def save_copy(self, tokenizer: Path) -> None:
        """Copy the model's files, byte by byte, into a tokenizer's folder; `Tokenizer.from_pretrained` reads them."""
        (tokenizer / FOLDER).mkdir(parents=True, exist_ok=True)
        for path in hugging_face_files(self.folder):
            if path.is_file():
                with aside(tokenizer / FOLDER / path.name) as beside:
                    shutil.copyfile(path, beside)


class SpeechTokenizer(Tokenizer):
    """A tokenizer whose codes are the nearest centroids of a ``layer``'s states, which ``decoder`` decodes.

    It needs memory for the samples of a recording.
    """

    reads_patches: ClassVar[bool] = False

    def __init__(
        self,
        config: TokenizerConfig,
        mean: Tensor,
        std: Tensor,
        autoencoder: Autoencoder | StateDecoder,
        centroids: Tensor,
        *,
        layer: SpeechLayer,
        absolute: Tensor | None = None,
        gain: float = 0.0,
        decoder: CodeDecoderNetwork | None = None,
    ) -> None:
        width, step = config.autoencoder.bottleneck, config.samples_per_code
        if (layer.width, layer.stride) != (width, step):
            raise InputError(
                f"the speech model has a state of {layer.width} dimensions for each {layer.stride} samples, the "
                f"tokenizer codes of {width} dimensions for each {step} samples; both must be equal"
            )
        super().__init__(config, mean, std, autoencoder, centroids, absolute=absolute, gain=gain, decoder=decoder)
        self.layer = layer

    @classmethod
    def with_copy(cls, folder: Path, config: SpeechLayerConfig) -> "Callable[..., SpeechTokenizer]":
        """Return the constructor with the layer of the speech model that a tokenizer's folder holds."""
        return SpeechLayer(config, folder / FOLDER, option="speech model").constructor

    def _encode_spectrum(
        self, blocks: Iterable[FloatArray], at_once: int, *, levels: bool
    ) -> Iterator[tuple[Tensor, int]]:
        samples = join_blocks(blocks)
        left, step = len(samples), self.config.samples_per_code
        for states in self.layer.pieces(samples):
            covered = min(left, len(states) * step)
            yield self.nearest(states[:, None]).to(torch.int32), covered  # (T, D) -> (T, 1, D), one band
            left -= covered

    def _encode_together(self, recordings: Sequence[FloatArray]) -> list[Codes]:
        """Encode recordings one by one: the transformer of a speech model reads each as a whole."""
        return [self.encode_own([samples]) for samples in recordings]

    def vectors(self, samples: FloatArray) -> FloatArray:
        return np.asarray(self.layer.states(samples).cpu().numpy())

    def signals_of(self, samples: FloatArray) -> tuple[Tensor, Tensor]:
        whole = len(samples) // self.config.samples_per_code
        return self.normalised(samples), self.layer.states(samples)[None, :whole, None]  # (T, D) -> (1, T, 1, D)

    def bottlenecks(self, spectrogram: Tensor) -> Tensor:
        raise InputError("a speech model makes these codes from samples, not from spectrograms; give samples")

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the files of a tokenizer, and a copy of the speech model into the folder ``speech_model``."""
        self.layer.save_copy(Path(folder).expanduser())
        super().save_pretrained(folder)

    @property
    def source(self) -> dict[str, object]:
        config = self.layer.config
        return {"source of the codes": f"layer {config.layer} of {config.model}, a copy of which is in `{FOLDER}`"}
