"""Self-supervised models of waveforms in local Hugging Face folders: wav2vec 2.0, HuBERT, WavLM and data2vec-audio.

Baevski et al., "wav2vec 2.0", 2020 (arXiv:2006.11477); Hsu et al., "HuBERT", 2021 (arXiv:2106.07447); Chen et al.,
"WavLM", 2021 (arXiv:2110.13900); Baevski et al., "data2vec", 2022 (arXiv:2202.03555).

A folder is described by its JSON files alone; its weights may lie in several files. A model is an encoder: the states
of its layers over time. These are the frames of its stack of strided convolutions over samples::

    samples   |<- stride ->|            |            |            |
    frame 0   [  receptive field  ]
    frame 1                [  receptive field  ]
    frame 2                             [  receptive field  ]        a frame needs all of its samples

Training on a CPU is faster if the values of convolutions lie in memory frame by frame. The convolutions of speech
models alternate with layer normalisation, which reads all channels of a frame. PyTorch's one-dimensional convolutions
want all frames of a channel together. So all values are copied before and after each normalisation, forwards and
backwards::

    as PyTorch has it     (batch, channels, time)  ──copy──▶  normalised (batch, time, channels)  ──copy──▶  ...
    time first            (batch, time, channels)  ────────▶  normalised (batch, time, channels)  ────────▶  ...

Shapes stay those of PyTorch, ``(batch, channels, time)``; the order in memory alone differs. Forwards and backwards,
the seven convolutions of `lm.backbones.wav2vec2` took 0.6 of the time in fp32 and 0.7 in bf16 (one core of an EPYC).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from logging import ERROR
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from wordless.audio.audio_options import Convolutions
from wordless.audio.padding import EQUAL_RATIO, inside, read_by_length, similar_ratio
from wordless.audio.waveform import MAX_RATE
from wordless.base.arrays import FloatArray
from wordless.base.devices import copy_to
from wordless.base.files import read_json
from wordless.base.messages import InputError, first_line, require, written
from wordless.base.saved_models import CONFIG, PREPROCESSOR, WEIGHTS, hugging_face_files, require_finite, whole

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_NAMES = {"wav2vec2": "wav2vec 2.0", "hubert": "HuBERT", "wavlm": "WavLM", "data2vec-audio": "data2vec"}
_REMEDY = "give a local folder of a Hugging Face wav2vec 2.0, HuBERT, WavLM or data2vec-audio model"
_LEAST_BYTES = 8  # of weights for each layer and square of its width: four matrices of attention, in 16 bits
_MOST = {  # of sizes in config.json; each position is a convolution in data2vec
    "num_hidden_layers": 1000,
    "hidden_size": 100_000,
    "num_conv_pos_embeddings": 1000,
}
# No word of these decides what a network computes.
LEFT_OUT = {"architectures", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id"}
# Nor do private names; and the code of the attention is never named by a file.
NOT_TAKEN = ("_", "attn_implementation")
# An encoder drops no whole layer, has no adapter, and always has an embedding of masked frames.
_CHANGES: dict[str, Any] = {"layerdrop": 0.0, "mask_feature_prob": 0.0, "mask_time_prob": 0.5, "add_adapter": False}


@dataclass(frozen=True, kw_only=True)
class SpeechModel:
    """A self-supervised model of waveforms, by the values of the two JSON files of its folder."""

    config: dict[str, object] = field(hash=False)  # of config.json
    sample_rate: int = 16_000  # Hz, of its training
    normalises: bool = True  # whether it takes samples of mean 0 and variance 1

    def __post_init__(self) -> None:
        kind = str(self.config.get("model_type"))
        require(kind in _NAMES, "model_type", kind, f"choose one of {', '.join(_NAMES)}")
        sizes = {name: (getattr(self._sizes, name, 1), most) for name, most in _MOST.items()}
        for name, (value, most) in {**sizes, "sampling_rate": (self.sample_rate, MAX_RATE)}.items():
            rule = f"it must be a whole number of 1 to {most}"
            require(type(value) is int and 1 <= value <= most, name, written(value), rule)
        for name in ("conv_kernel", "conv_stride"):
            values = getattr(self._sizes, name)
            rule = "it must be a list of whole numbers"
            require(all(type(value) is int for value in values), name, written(values), rule)
        _ = self.convolutions

    @classmethod
    def of_folder(cls, folder: Path, *, option: str) -> SpeechModel:
        """Read the description of a local Hugging Face folder with safetensors; ``option`` names it in messages.

        Without a preprocessor_config.json, the rate is 16 kHz and samples are normalised, as transformers has it.
        """
        given = f"{option}={folder}"
        try:
            values = read_json(folder / CONFIG)
            inputs = read_json(folder / PREPROCESSOR) if (folder / PREPROCESSOR).is_file() else {}
        except InputError as error:
            remedy = f"{_REMEDY}: nothing is downloaded"
            raise InputError(f"{given} is no model: {error.problem}", remedy=remedy) from error
        rate, normalises = cast(Any, inputs.get("sampling_rate", 16_000)), inputs.get("do_normalize", True) is not False
        try:
            found = cls.of_config(_transformers_config(values), sample_rate=rate, normalises=normalises)
        except InputError as error:
            raise InputError(f"{given} describes no model that can be read ({error}); {_REMEDY}") from error
        weights = [file for file in hugging_face_files(folder) if file.suffix == ".safetensors" and file.is_file()]
        if not weights:
            saved = "AutoModel.from_pretrained(FOLDER).save_pretrained(OTHER_FOLDER) of transformers"
            problem = f"{given} holds no {WEIGHTS}, and pickled weights may run code"
            raise InputError(problem, remedy=f"save the model by {saved}, or {_REMEDY}")
        size = sum(file.stat().st_size for file in weights)
        if size < _LEAST_BYTES * found.layers * found.width**2:
            sizes = f"{found.layers} layers of {found.width} dimensions"
            few = f"{weights[0].name} has {size} bytes, which are too few"
            raise InputError(f"{given} describes {sizes}, and {few}", remedy=_REMEDY)
        return found

    @classmethod
    def of_config(cls, config: PretrainedConfig, *, sample_rate: int, normalises: bool = True) -> SpeechModel:
        """Take the values of a config of `transformers`."""
        return cls(config=_deciding(config.to_diff_dict()), sample_rate=sample_rate, normalises=normalises)

    @cached_property
    def _sizes(self) -> PretrainedConfig:
        return _transformers_config(_deciding(self.config))

    @property
    def name(self) -> str:
        """Such as HuBERT."""
        return _NAMES[str(self.config["model_type"])]

    @property
    def layers(self) -> int:
        """Number of layers of the transformer."""
        return int(self._sizes.num_hidden_layers)

    @property
    def width(self) -> int:
        """Dimensions of a state."""
        return int(self._sizes.hidden_size)

    @property
    def convolutions(self) -> Convolutions:
        """The convolutions before the transformer."""
        return Convolutions(kernels=tuple(self._sizes.conv_kernel), strides=tuple(self._sizes.conv_stride))

    def require_rate(self, sample_rate: int, *, given: str) -> None:
        """Refuse a run at another sample rate; ``given`` is the option of the folder, with its value."""
        if sample_rate != self.sample_rate:
            problem = f"{given} was trained at {self.sample_rate} Hz, and audio.sample_rate is {sample_rate}"
            raise InputError(problem, remedy=f"set audio.sample_rate={self.sample_rate}, to which sound is resampled")

    def create(self, *, seed: int) -> PreTrainedModel:
        """Create a network with random weights that follow from the seed."""
        from transformers import AutoModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = _transformers_config(_deciding(self.config))
            return cast("PreTrainedModel", cast(Any, AutoModel).from_config(config, trust_remote_code=False))


def _transformers_config(values: Mapping[str, Any]) -> PretrainedConfig:
    """Make the config of `transformers`, which adds defaults, from the values of a config.json."""
    from transformers import AutoConfig

    try:
        return AutoConfig.for_model(**values)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise InputError(f"transformers refuses {CONFIG}: {first_line(error)}") from error


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Select the values that decide what an encoder computes."""
    values = {name: value for name, value in config.items() if name not in LEFT_OUT and not name.startswith(NOT_TAKEN)}
    return values | _CHANGES


PIECE_FRAMES = 1500  # read at once: 30 seconds; a longer recording is read in equal pieces, which see only themselves
LEAST_VARIANCE = 1e-7  # as transformers normalises
MASK_EMBEDDING = "masked_spec_embed"  # stands for masked frames; models that were never masked have none


class SpeechEncoder:
    """An encoder of waveforms: the states of its layers over time.

    Neither the other clips of a batch nor samples beyond a clip's end change anything. Clips of similar length are read
    together. Where padding would change the states, only clips of equal length are. The encoder owns no weights: its
    transformer may be a part of a model that is trained.
    """

    def __init__(self, transformer: PreTrainedModel, *, normalises: bool) -> None:
        config = transformer.config
        config.mask_time_prob = config.mask_feature_prob = 0.0  # nothing is masked but what `states` is given
        compute_time_first(transformer.get_submodule("feature_extractor"))
        self.transformer = transformer
        self.normalises = normalises
        self.width, self.layers = int(config.hidden_size), int(config.num_hidden_layers)  # of a state; in all
        self.convolutions = Convolutions(kernels=tuple(config.conv_kernel), strides=tuple(config.conv_stride))
        # Group normalisation is over the whole clip; data2vec's positions and batch-normalised ones see what padding
        # became; WavLM's attention takes masks of a deprecated kind.
        self.takes_padding = (
            config.model_type in ("wav2vec2", "hubert")
            and config.feat_extract_norm == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
        )

    def states(
        self, samples: Tensor, lengths: Tensor, *, layers: Sequence[int] | None = None, masked: Tensor | None = None
    ) -> Tensor:
        """Compute the states after some layers, from 1 on; by default after the last one.

        Args:
            samples: ``(batch, time)``.
            lengths: samples of each clip, ``(batch,)``; ``convolutions.frames_of`` gives the numbers of frames.
            layers: numbers of layers; 0 is the input of the transformer.
            masked: frames to hide, ``(batch, frames)`` bool.

        Returns:
            States ``(layers, batch, frames, width)``; zeros after a clip's last frame.
        """
        return self.read(self.prepare(samples, lengths), lengths, layers=layers, masked=masked)

    def prepare(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Prepare samples ``(batch, time)`` as the model expects them, with zeros after a clip's end."""
        if self.normalises:
            return normalise(samples, lengths)
        return samples.masked_fill(~inside(samples, lengths), 0.0)

    def read(
        self, prepared: Tensor, lengths: Tensor, *, layers: Sequence[int] | None = None, masked: Tensor | None = None
    ) -> Tensor:
        """Compute `states` for samples of `prepare`."""
        numbers = [self.layers] if layers is None else list(layers)
        lengths = lengths.cpu().clamp(min=self.convolutions.receptive_field)
        prepared = nn.functional.pad(prepared, (0, max(int(lengths.max()) - prepared.shape[1], 0)))
        device = prepared.device

        def read_group(rows: Tensor, longest: int) -> Tensor:
            """Read clips, the last one without padding: ``(rows, layers, frames, width)``, zeros after a clip's end."""
            there, own = copy_to(rows, device), lengths[rows]
            samples, unpadded = prepared[there, :longest], bool((own == longest).all())
            found = self.transformer(
                samples,
                attention_mask=None if unpadded else inside(samples, own).long(),
                mask_time_indices=None if masked is None else masked[there, : self.convolutions.frames(longest)],
                output_hidden_states=True,
            )
            states = torch.stack([found.hidden_states[number] for number in numbers], dim=1)
            if unpadded:
                return states
            outside = ~inside(states[:, 0], self.convolutions.frames_of(own))
            return states.masked_fill(outside[:, None, :, None], 0.0)

        ratio = similar_ratio(device) if self.takes_padding else EQUAL_RATIO
        return read_by_length(read_group, lengths, ratio=ratio).movedim(1, 0)

    def pieces(self, samples: FloatArray, layers: Sequence[int], *, frames: int) -> Iterator[Tensor]:
        """Give the states ``(layers, frames, width)`` of one recording ``(num_samples,)``, piece by piece."""
        for piece in self.prepared_pieces(samples, frames):
            yield self.read(piece[None], torch.tensor([len(piece)]), layers=layers)[:, 0]

    def prepared_pieces(self, samples: FloatArray, frames: int) -> Iterator[Tensor]:
        """Give the samples of one recording ``(num_samples,)``, normalised over all of it, for `read`, piece by piece.

        Silence follows it where ``frames`` need more samples than it has.
        """
        device = self.transformer.device
        prepared = self.prepare(copy_to(torch.from_numpy(samples)[None], device), torch.tensor([len(samples)]))[0]
        prepared = nn.functional.pad(prepared, (0, max(self.convolutions.samples(frames) - len(samples), 0)))
        for part in np.array_split(np.arange(frames), math.ceil(frames / PIECE_FRAMES)):
            begin, last = int(part[0]) * self.convolutions.stride, int(part[-1]) == frames - 1
            yield prepared[begin:] if last else prepared[begin : begin + self.convolutions.samples(len(part))]


def normalise(samples: Tensor, lengths: Tensor) -> Tensor:
    """Give each clip of samples ``(batch, time)`` mean 0 and variance 1, with zeros after its end."""
    sounding, counts = inside(samples, lengths), copy_to(lengths, samples.device)
    mean = samples.masked_fill(~sounding, 0.0).sum(1) / counts
    centred = (samples - mean[:, None]).masked_fill(~sounding, 0.0)
    return centred / (centred.square().sum(1) / counts + LEAST_VARIANCE).sqrt()[:, None]


def load_speech_encoder(folder: Path, *, option: str, last_layer: int | None = None) -> SpeechEncoder:
    """Load the encoder of a folder that `SpeechModel.of_folder` accepts, in evaluation mode; refuse damaged files.

    ``option`` names the folder in messages. With ``last_layer``, layers far above it are left out, so that its states
    take less time and memory.
    """
    from transformers import AutoModel

    described = SpeechModel.of_folder(folder, option=option)
    # One layer more is kept: some models normalise the states of their last layer, and of no other.
    layers = described.layers if last_layer is None else min(last_layer + 1, described.layers)
    with whole(Path(f"{option}={folder}"), "speech model", remedy=_REMEDY), _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of an embedding of masked frames that the folder lacks
        model, found = AutoModel.from_pretrained(
            folder,
            config=_transformers_config(described.config | {"num_hidden_layers": layers}),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
        lacking = [name for name in found["missing_keys"] if not name.startswith(MASK_EMBEDDING)]
        if lacking:
            raise InputError(f"{WEIGHTS} has no tensor {min(lacking)!r}")
        require_finite(model.state_dict())
    return SpeechEncoder(cast("PreTrainedModel", model.eval()), normalises=described.normalises)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers, which lists weights of heads that are not used."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def compute_time_first(convolutions: nn.Module) -> None:
    """Make training on a CPU compute the ``feature_extractor`` of a model of `transformers` time first.

    Other layers, and values without a gradient or on a GPU, keep their bits; the names of the weights stay.
    """
    for layer in convolutions.get_submodule("conv_layers").children():
        convolution = layer.get_submodule("conv")
        if isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm) and isinstance(convolution, nn.Conv1d):
            layer.set_submodule("conv", TimeFirstConvolution(convolution))
        layer.get_submodule("activation").register_forward_pre_hook(_contiguous)


class TimeFirstConvolution(nn.Conv1d):
    """A convolution with the weights of another one, which has neither padding nor dilation nor groups."""

    def __init__(self, original: nn.Conv1d) -> None:
        sizes = original.in_channels, original.out_channels, original.kernel_size[0], original.stride[0]
        super().__init__(*sizes, bias=original.bias is not None, device="meta")
        self.weight, self.bias = original.weight, original.bias

    def forward(self, values: Tensor) -> Tensor:
        """Map ``(batch, channels, time)`` to ``(batch, channels, frames)``."""
        trained = torch.is_grad_enabled() and self.weight.requires_grad
        if not trained or values.device.type != "cpu":
            return super().forward(values)
        if self.in_channels == 1:
            # PyTorch's convolution cannot see in which order a single channel lies; a matrix product gives frames first
            windows = values[:, 0].unfold(1, self.kernel_size[0], self.stride[0])  # (N, T) -> (N, frames, kernel)
            return nn.functional.linear(windows, self.weight[:, 0], self.bias).transpose(1, 2)
        ordered = values.transpose(1, 2).contiguous().transpose(1, 2)
        stride = (1, self.stride[0])
        image = nn.functional.conv2d(ordered[:, :, None], self.weight[:, :, None], self.bias, stride=stride)
        return image[:, :, 0]  # (N, C, 1, T) -> (N, C, T)


def _contiguous(activation: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Make values contiguous in training on a GPU, where layer normalisation leaves them transposed."""
    (values,) = inputs
    return (values.contiguous() if values.requires_grad and values.is_cuda else values,)
