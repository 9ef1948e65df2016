"""The config of a tokenizer: its sizes, what its folder holds, and its fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from tokenizer.autoencoder import Autoencoder, AutoencoderConfig, StateDecoder
from tokenizer.code_decoder import CodeDecoderNetwork, DecoderConfig
from tokenizer.codes import (
    FINGERPRINT_LENGTH,
    CodesFormat,
    LevelFormat,
    PitchFormat,
)
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base import saved_models
from wordless.base.files import find_object
from wordless.base.messages import InputError
from wordless.base.options import REQUIRED, Options, build, option
from wordless.base.saved_models import CONFIG, TOKENIZER, WEIGHTS

CENTROIDS = "centroids"  # the tensor of the codebook
AUTOENCODER, DECODER = "autoencoder.", "decoder."  # begins of the names of a network's tensors
_LEVELS = 77  # codes of the side stream of level, from -70 to 6 dB full scale


@dataclass(frozen=True, kw_only=True)
class PatchConfig(Options):
    """Size of a patch."""

    frames: int = option(2, "frames per patch; 2 frames give 50 codes per second by default", least=1)
    mels: int | None = option(
        None,
        "mel bands per patch, a divisor of audio.n_mels: 40 of 80 give two streams; null: all bands, one stream",
        least=1,
    )


@dataclass(frozen=True, kw_only=True)
class TokenizerSizes(Options):
    """Sizes of a tokenizer."""

    patch: PatchConfig = option(PatchConfig(), "the part of the spectrogram that becomes one code")
    autoencoder: AutoencoderConfig = option(AutoencoderConfig(), "the network whose bottleneck vectors are clustered")
    # 64 to 1,024 codes are level for probes without noise, and more codes lose more in noise: docs/log.md, "How many
    # codes?" and "Number of codes on six people". Sound gains up to 4,096 (docs/log.md, "What does a bit buy?").
    codebook_size: int = option(256, "number of codes, which are clusters of k-means", least=2)


@dataclass(frozen=True, kw_only=True)
class SpeechLayerConfig(Options):
    """A layer of a speech model."""

    layer: int = option(REQUIRED, "number of the layer, from 1 on", least=1)
    model: str  # such as HuBERT
    files: str  # hash of the model's files


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(TokenizerSizes):
    """Front end and sizes of a tokenizer; its weights and statistics are learned."""

    audio: SpectrogramConfig
    speech_layer: SpeechLayerConfig | None = None  # whose states are quantised; None: the autoencoder's bottlenecks
    pitch: PitchFormat | None = None  # of a further stream; None: there is none
    decoder: DecoderConfig | None = None  # of codes in context; None: each code is decoded alone

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bands > 1 and self.speech_layer is not None:
            rule = "a speech model has one state for all mel bands: choose null"
            raise InputError(option="patch.mels", value=self.patch.mels, rule=rule)

    def create_autoencoder(self) -> Autoencoder | StateDecoder:
        """Create the autoencoder, or the decoder of a speech layer's states, with random weights."""
        create = Autoencoder if self.speech_layer is None else StateDecoder
        return create(self.autoencoder, self.patch.frames * self.height)

    def create_decoder(self) -> CodeDecoderNetwork | None:
        """Create the decoder of codes in context, with random weights; None: each code is decoded alone."""
        return None if self.decoder is None else CodeDecoderNetwork(self.decoder, self.patch.frames * self.audio.n_mels)

    @cached_property
    def height(self) -> int:
        """Mel bands per patch."""
        n_mels, height = self.audio.n_mels, self.patch.mels or self.audio.n_mels
        if n_mels % height:
            rule = f"it must divide {n_mels} mel bands into equal parts"
            raise InputError(option="patch.mels", value=height, rule=rule)
        return height

    @property
    def bands(self) -> int:
        """Frequency bands: patches per time step, each of which becomes a code of a stream."""
        return self.audio.n_mels // self.height

    @property
    def samples_per_code(self) -> int:
        """Samples per time step."""
        return self.patch.frames * self.audio.hop_length

    def codes_format(self, learned: Mapping[str, Tensor]) -> CodesFormat:
        """Return the format of the codes of a tokenizer that has ``learned`` the tensors of `weight_shapes`."""
        # The fingerprint of front end and autoencoder is the same for codebooks of any size, and for any code decoder,
        # which changes no code.
        stored = {name: each for name, each in asdict(self).items() if name not in ("pitch", "decoder")}
        config = stored | {"codebook_size": 0}
        own = {name: each for name, each in learned.items() if name != CENTROIDS and not name.startswith(DECODER)}
        tokenizer = fingerprint(config, own)
        sized = tokenizer if self.pitch is None else [tokenizer, asdict(self.pitch)]
        return CodesFormat(
            codebook_size=self.codebook_size,
            streams=self.bands + sum(each is not None for each in (self.level, self.pitch)),
            samples_per_code=self.samples_per_code,
            sample_rate=self.audio.sample_rate,
            tokenizer=tokenizer,
            codebook=fingerprint(sized, {CENTROIDS: learned[CENTROIDS]}),
            level=self.level,
            pitch=self.pitch,
        )

    @property
    def level(self) -> LevelFormat | None:
        """The stream of level; None: the front end follows none."""
        own = self.audio.levelling
        return None if own is None else LevelFormat(levels=_LEVELS, lowest=own.lowest, reference=own.reference)


@dataclass(frozen=True, kw_only=True)
class SavedTokenizer(TokenizerConfig):
    """The content of ``config.json``."""

    gain: float = 0.0  # dB, of sound of the codes
    alone_gain: float | None = None  # dB, of sound of codes without their decoder; None: there is no decoder
    fingerprints: dict[str, str]  # `tokenizer` and `codebook` of the codes' format, and `decoder`, if there is one

    @property
    def gain_without_decoder(self) -> float:
        """Make-up gain in dB of codes that are decoded alone."""
        return self.gain if self.alone_gain is None else self.alone_gain

    @property
    def config(self) -> TokenizerConfig:
        """The tokenizer's config."""
        return TokenizerConfig(**{field.name: getattr(self, field.name) for field in fields(TokenizerConfig)})


def front_end_fingerprint(folder: Path) -> str:
    """Return the fingerprint of the front end of a tokenizer, and of mean and deviation of its log-mel, from its files.

    Keys of stages are made of it. The whole tokenizer would be loaded in each run that finds its stages made. The front
    end of several rates is that of the finest one.
    """
    with saved_models.whole(folder, TOKENIZER.name, remedy="copy it again from its run, or make it again"):
        saved: Mapping[str, Any] = find_object(folder / CONFIG) or {}
        if saved_models.holds_rates(folder):
            return front_end_fingerprint(saved_models.rate_folder(folder, saved["rates"]))
        audio = build(SpectrogramConfig, saved["audio"], name="audio")
        with safe_open(folder / WEIGHTS, "pt") as learned:
            return fingerprint(asdict(audio), {name: learned.get_tensor(name) for name in ("mean", "std")})


def weight_shapes(config: TokenizerConfig) -> dict[str, Tensor]:
    """Return tensors of the names, shapes and types that a tokenizer learns, which take no memory."""
    with torch.device("meta"):
        autoencoder = config.create_autoencoder()
        centroids = torch.empty(config.codebook_size, config.autoencoder.bottleneck, dtype=torch.float32)
        statistics = torch.empty(config.audio.n_mels, dtype=torch.float32)
        decoder = config.create_decoder()
    weights = {f"{AUTOENCODER}{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    if decoder is not None:
        weights |= {f"{DECODER}{name}": tensor for name, tensor in decoder.state_dict().items()}
    absolute = {} if config.level is None else {"absolute": statistics.expand(2, -1)}
    return {"mean": statistics, "std": statistics, CENTROIDS: centroids, **absolute, **weights}


def fingerprint(config: object, tensors: Mapping[str, Tensor]) -> str:
    """Hash a JSON-serialisable config and named tensors, in order of name."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:FINGERPRINT_LENGTH]
