"""The sizes of a tokenizer, and their form in a saved tokenizer, in its fingerprints and in its model card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenizer.codes import FINGERPRINT_LENGTH, CodesFormat, LevelFormat, PitchFormat
from tokenizer.sources import Autoencoder, StateDecoder
from tokenizer.tokenizer_options import TokenizerSizes
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.errors import within
from wordless.base.options import REQUIRED, Options, option
from wordless.base.saved_models import model_card

CENTROIDS = "centroids"  # the tensor of the codebook
LEVELS = 77  # codes of the stream of level, from -70 to 6 dB full scale


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

    def __post_init__(self) -> None:
        super().__post_init__()
        with within("patch"):
            bands = self.bands
        rule = "a speech model has one state for all mel bands: choose null"
        self.refuse_if(self.speech_layer is not None and bands > 1, "patch.mels", rule)

    def create_autoencoder(self) -> Autoencoder | StateDecoder:
        """Create the autoencoder, or the decoder of a speech layer's states, with random weights."""
        create = Autoencoder if self.speech_layer is None else StateDecoder
        return create(self.autoencoder, self.patch.frames * self.height)

    @cached_property
    def height(self) -> int:
        """Mel bands per patch."""
        return self.patch.height(self.audio.n_mels)

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
        # The fingerprint of front end and autoencoder is the same for codebooks of any size.
        config = stored_config(replace(self, pitch=None)) | {"codebook_size": 0}
        tokenizer = fingerprint(config, {name: tensor for name, tensor in learned.items() if name != CENTROIDS})
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
        return None if own is None else LevelFormat(levels=LEVELS, lowest=own.lowest, reference=own.reference)


@dataclass(frozen=True, kw_only=True)
class SavedTokenizer(TokenizerConfig):
    """The content of ``config.json``; older folders lack what has a default."""

    GONE: ClassVar[Mapping[str, object]] = {"levels": 1}  # residual codebooks

    gain: float = 0.0  # dB, of sound of the codes
    fingerprints: dict[str, str]  # `tokenizer` and `codebook` of the codes' format

    @property
    def config(self) -> TokenizerConfig:
        """The tokenizer's config."""
        return TokenizerConfig(**{field.name: getattr(self, field.name) for field in fields(TokenizerConfig)})


def weight_shapes(config: TokenizerConfig) -> dict[str, Tensor]:
    """Return tensors of the names, shapes and types that a tokenizer learns, which take no memory."""
    with torch.device("meta"):
        autoencoder = config.create_autoencoder()
        centroids = torch.empty(config.codebook_size, config.autoencoder.bottleneck, dtype=torch.float32)
        statistics = torch.empty(config.audio.n_mels, dtype=torch.float32)
    weights = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    absolute = {} if config.level is None else {"absolute": statistics.expand(2, -1)}
    return {"mean": statistics, "std": statistics, CENTROIDS: centroids, **absolute, **weights}


def stored_config(config: TokenizerConfig) -> dict[str, Any]:
    """Return the config for files and fingerprints, without later options at the value that means "as before"."""
    values = asdict(config)
    for name in ("speech_layer", "pitch"):
        if values[name] is None:
            del values[name]
    for name, before in (("remove_mean", "none"), ("dynamic_range", None), ("channel", "mean"), ("levelling", None)):
        if values["audio"].get(name) == before:
            del values["audio"][name]
    return values


def fingerprint(config: object, tensors: Mapping[str, Tensor]) -> str:
    """Hash a JSON-serialisable config and named tensors, in order of name."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


_USE = """
import wordless

tokenizer = wordless.Tokenizer.from_pretrained("this/folder")
codes = tokenizer.encode(samples, sample_rate)  # mono or stereo, float or int16
"""


def tokenizer_card(codes_format: CodesFormat, facts: Mapping[str, object]) -> str:
    """Write Markdown about a tokenizer: its codes at each rate, coarse to fine, and further ``facts``."""
    rates, about = dict[str, object](), f"A recording becomes {codes_format.bits_per_second:.0f} bits per second."
    for number, each in enumerate(codes_format.formats, 1):
        of = f"{each.spectral_streams} stream(s) of {each.codebook_size} codes"
        of += "".join(f" and one of {own.levels} for the {own.name}, which is not counted" for own in each.beside)
        of += f", {each.bits_per_second:.0f} bits per second"
        steps = f"{each.codes_per_second:g} time steps per second"
        rates[f"`rate_{number}`" if codes_format.rates else "codes"] = f"{steps}, {of}; codebook `{each.codebook}`"
    note = "Each folder of a rate holds a tokenizer, which also works alone." if codes_format.rates else ""
    title, tags = "Tokenizer of sound", "tokenizer, discrete-units"
    return model_card(title, about, {**rates, **facts}, _USE, tags=tags, note=note)
