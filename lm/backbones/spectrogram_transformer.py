"""AST, the Audio Spectrogram Transformer: a vision transformer over patches of a filter bank, and as a backbone.

Gong, Chung and Glass, "AST: Audio Spectrogram Transformer", 2021 (arXiv:2104.01778). The transformer is that of
`transformers`, imported inside functions because the import takes seconds. This module adds positions for clips of any
length, and weights from local folders, of AST itself or of an image transformer.

Its filter banks have 128 mel bands, and windows of 25 ms every 10 ms at 16 kHz. Patches are 16 frames long and begin
every 10. The sound is padded with silence to whole patches, so that no end is lost and even the shortest clip has one::

    samples   |<- 1600 ->|<- 1600 ->|<- 1200 ->|
    patch 0   [-------- 2800 -------]          |
    patch 1              [-------- 2800 -------]

Pre-trained weights are those of an AST, DeiT or ViT in a local Hugging Face folder (section 2.2 of the paper): the
three colour channels of an image transformer's patch embedding are summed to one. Its position embeddings are cropped
to the middle if there are fewer patches than in its training, and interpolated if there are more. Nothing is
downloaded.

As a backbone it has ten states per second: a state is the mean over the patches of all frequencies, after the last
normalisation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from lm.backbones.backbone import (
    WEIGHTS_OPTION,
    Backbone,
    BackboneNetwork,
    BackboneReading,
    BackboneSource,
    FrontEnd,
    Pieces,
)
from lm.backbones.clips import (
    AugmentationConfig,
    augment,
)
from lm.probing.vectors import Frames, VectorConfig
from wordless.audio.padding import EQUAL_RATIO, inside, read_by_length
from wordless.audio.views import View
from wordless.base.arrays import Array, FloatArray
from wordless.base.devices import copy_to
from wordless.base.files import read_json
from wordless.base.messages import InputError, require, written
from wordless.base.options import Options, build, option
from wordless.base.saved_models import (
    CONFIG,
    PREPROCESSOR,
    WEIGHTS,
    hugging_face_hash,
    learned_labels,
    require_finite,
    whole,
)

AstSize = Literal["tiny", "small", "base"]  # the sizes of DeiT: 192, 384 and 768 wide
AST_HEADS: dict[AstSize, int] = {"tiny": 3, "small": 6, "base": 12}
AST_LAYERS = 12  # of every size


@dataclass(frozen=True, kw_only=True)
class AstConfig(Options):
    """Options of the transformer and its initial weights. All sizes have 12 layers, as those of DeiT have."""

    size: AstSize = option("tiny", "the sizes of AST and DeiT: 192, 384 or 768 channels, 12 layers each")
    weights: str | None = option(
        None, "Hugging Face folder or hf://user/name of an AST, DeiT or ViT model; null: random weights"
    )
    layers: tuple[int, ...] = (4, 8, 12)  # layers whose states are probed
    patches: int = option(
        101, "patches along time per input: 101 are 10.1 seconds; a longer clip is read in pieces", least=1
    )

    @property
    def width(self) -> int:
        """Dimensions of a token; each head is 64 wide."""
        return 64 * AST_HEADS[self.size]


if TYPE_CHECKING:
    from transformers import ASTModel


SAMPLE_RATE = 16_000  # Hz
N_MELS = 128
PATCH = 16  # frames and mel bands of a patch
STRIDE = 10  # frames and mel bands between the starts of patches
_BANDS = (N_MELS - PATCH) // STRIDE + 1  # patches along frequency
_HOP, _WINDOW = 160, 400  # samples
_STEP = STRIDE * _HOP  # samples between the starts of patches
_OVERLAP = (PATCH - 1) * _HOP + _WINDOW - _STEP  # samples that two neighbouring patches share


def patches_of(num_samples: int) -> int:
    """Return the patches along time that cover ``num_samples`` samples at 16 kHz, the last one padded."""
    return max(-(-(num_samples - _OVERLAP) // _STEP), 1)


def spectrogram_frames_of(patches: int) -> int:
    """Return the number of frames of ``patches`` patches along time."""
    return STRIDE * (patches - 1) + PATCH


def filter_bank(samples: Tensor) -> Tensor:
    """Compute log filter bank energies ``(frames, 128)`` of all whole windows of sound at 16 kHz ``(samples,)``."""
    energies: Tensor = kaldi.fbank(
        samples[None],
        sample_frequency=SAMPLE_RATE,
        htk_compat=True,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=N_MELS,
        dither=0.0,
        frame_shift=10,
    )
    return energies


def filter_bank_stream(blocks: Iterable[FloatArray], *, patches: int) -> Iterator[Tensor]:
    """Give filter banks of a sound at 16 kHz, ``patches`` at a time: patch ``p`` begins at frame ``10 * p``."""
    waiting = np.empty(0, np.float32)
    seen = 0
    for block in blocks:
        seen += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= patches * _STEP + _OVERLAP:
            yield filter_bank(torch.from_numpy(waiting[: patches * _STEP + _OVERLAP]))
            waiting = waiting[patches * _STEP :]
    padded = np.pad(waiting, (0, patches_of(seen) * _STEP + _OVERLAP - seen))
    if len(padded) > _OVERLAP:
        yield filter_bank(torch.from_numpy(padded))


@dataclass(frozen=True, kw_only=True)
class SpectrogramStatistics:
    """Statistics of a model's training filter banks; inputs are normalised to mean 0 and deviation 0.5 with them."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        require(self.std > 0, "std", self.std, "it must be above 0")


AUDIOSET_STATISTICS = SpectrogramStatistics(mean=-4.2677393, std=4.5689974)
_PATCHES_AT_ONCE = 100  # that are read of a recording at once and written to disk


def patches_along(view: View) -> int:
    """Return the number of patches along time that cover a view of a clip."""
    return patches_of(view.num_samples(SAMPLE_RATE))


def stored_filter_banks(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Give the filter bank ``(time, 128)`` of samples at 16 kHz in pieces, normalised as it is stored."""
    overlap = 0  # each piece except the first begins with the last frames of the previous piece
    for piece in filter_bank_stream(blocks, patches=_PATCHES_AT_ONCE):
        yield ((piece - AUDIOSET_STATISTICS.mean) / AUDIOSET_STATISTICS.std).numpy()[overlap:]
        overlap = PATCH - STRIDE


AST_OPTION = "ast.model.weights"  # names the folder in messages, unless another command reads it

_REMEDY = "give a folder with config.json and model.safetensors, as save_pretrained of transformers writes it"
_POSITIONS, _PROJECTION = "embeddings.position_embeddings", "embeddings.patch_embeddings.projection.weight"
CLASS, DISTILLATION = "embeddings.cls_token", "embeddings.distillation_token"
AST = "audio-spectrogram-transformer"  # type of AST's own weights
LEADING_TOKENS = {AST: 2, "deit": 2, "vit": 1}  # model type -> positions before those of the patches
_PREFIX = re.compile(r"^(audio_spectrogram_transformer|deit|vit)\.")  # of models with a head
# not loaded
_HEADS = ("pooler.", "classifier.", "cls_classifier.", "distillation_classifier.", "embeddings.mask_token")


def is_audio_model(folder: Path) -> bool:
    """Return whether the weights are AST's own, which come with the statistics of their filter banks."""
    return read_json(folder / CONFIG).get("model_type") == AST


def pretrained_weights(
    folder: Path, size: AstSize, *, grid: tuple[int, int], option: str = AST_OPTION
) -> tuple[dict[str, Tensor], SpectrogramStatistics]:
    """Load weights, with ASTModel's names, for a grid ``(frequency, time)``, and the statistics of their inputs."""
    kind = str(require_weights(folder, size, option=option)["model_type"])
    with whole(Path(f"{option}={folder}"), "AST, DeiT or ViT", remedy=_REMEDY):
        stored = read_weights(folder, without=_HEADS)
        renamed = {_PREFIX.sub("", name): tensor.float() for name, tensor in stored.items()}  # as without a head
        tensors = {name: tensor for name, tensor in renamed.items() if not name.startswith(_HEADS)}
        require_finite(tensors)
        statistics = AUDIOSET_STATISTICS
        if kind == AST and (folder / PREPROCESSOR).is_file():
            own = read_json(folder / PREPROCESSOR)
            known = {name: own.get(name, default) for name, default in asdict(statistics).items()}
            statistics = build(SpectrogramStatistics, known, name="")
        return _adapt(tensors, kind, grid), statistics


def require_weights(folder: Path, size: AstSize, *, option: str = AST_OPTION) -> dict[str, object]:
    """Read and check the config.json of weights for a transformer of the given size; the weights are not read."""
    width, given, own_size = 64 * AST_HEADS[size], f"{option}={folder}", f"{option.partition('.')[0]}.model.size"
    try:
        config = read_json(folder / CONFIG)
    except InputError as error:
        raise InputError(
            f"{given} has no {CONFIG} that can be read ({error}); give a local folder of a Hugging Face AST, DeiT or "
            "ViT: nothing is downloaded"
        ) from error
    if (kind := config.get("model_type")) not in [*LEADING_TOKENS]:
        raise InputError(f"{given} holds a model of type {written(kind)}; give one of {', '.join(LEADING_TOKENS)}")
    # The size, and transformers' default, which is that of base: a config omits values that equal their default.
    wanted = {
        "hidden_size": (width, 768),
        "num_attention_heads": (AST_HEADS[size], 12),
        "num_hidden_layers": (AST_LAYERS, 12),
        "intermediate_size": (4 * width, 3072),
        "patch_size": (PATCH, 16),
    }
    if kind == AST:
        wanted |= {"frequency_stride": (STRIDE, 10), "time_stride": (STRIDE, 10), "num_mel_bins": (N_MELS, 128)}
    for name, (value, default) in wanted.items():
        if (found := config.get(name, default)) != value:
            raise InputError(
                f"{given} has {name} {written(found)}, and {own_size}={size} takes {value}; set {own_size} to the size "
                "of the weights (tiny, small and base are 192, 384 and 768 wide), or give other weights"
            )
    return config


def _adapt(tensors: dict[str, Tensor], kind: str, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Adapt the weights to one channel, two tokens, and positions of the wanted grid."""
    positions, tokens = tensors[_POSITIONS], LEADING_TOKENS[kind]  # (1, tokens + F * T, D)
    rows = _BANDS if kind == AST else math.isqrt(positions.shape[1] - tokens)  # images are square
    patches = positions[:, tokens:].reshape(1, rows, -1, positions.shape[2]).permute(0, 3, 1, 2)  # (1, D, F, T)
    first = positions[:, :tokens].expand(-1, 2 if tokens == 1 else -1, -1)  # a ViT's class token is used for both
    return {
        **tensors,
        DISTILLATION: tensors[CLASS] if tokens == 1 else tensors[DISTILLATION],
        _PROJECTION: tensors[_PROJECTION].sum(1, keepdim=True),
        _POSITIONS: torch.cat([first, resize_positions(patches, grid).flatten(2).transpose(1, 2)], dim=1),
    }


def resize_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Adapt positions ``(1, width, frequency, time)`` to a grid by cropping to the middle or bilinear interpolation."""
    for axis, wanted in ((3, grid[1]), (2, grid[0])):
        have = positions.shape[axis]
        if wanted <= have:
            positions = positions.narrow(axis, have // 2 - wanted // 2, wanted)
        else:
            size = (wanted, positions.shape[3]) if axis == 2 else (positions.shape[2], wanted)
            positions = nn.functional.interpolate(positions, size=size, mode="bilinear")
    return positions


_ALL_LAYERS = tuple(range(1, AST_LAYERS + 1))
TOKEN = "class_token"  # name of the clip vector among the layers
DEFAULT_EPSILON = 1e-6  # of layer normalisations with random weights
_TOKENS = 2  # class and distillation token, before the patches


class AstEncoder(BackboneNetwork):
    """An encoder of filter banks: states over time, or one for a clip, its clip vector, as AST is fine-tuned."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        transformer: ASTModel,
        statistics: SpectrogramStatistics,
        *,
        layers: Sequence[int] = (),
        clip_vector: bool = False,
    ) -> None:
        """Create the encoder; with a clip vector, some ``layers`` are probed beside it, otherwise all."""
        super().__init__()
        self.transformer = transformer
        self.probed = tuple(layers) if clip_vector else _ALL_LAYERS
        self.clip_vector = clip_vector
        self.register_buffer("mean", torch.tensor(statistics.mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(statistics.std, dtype=torch.float32))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Map stored filter banks ``(batch, time, 128)`` to states ``(batch, patches, width)``, or one for a clip."""
        wanted = () if self.clip_vector else (AST_LAYERS,)
        found, patches = self._read(self.prepare(inputs, lengths), lengths, wanted)
        if self.clip_vector:
            return found[:, 0, :1], torch.ones_like(lengths)
        return self.transformer.layernorm(found[:, 0]), patches

    def prepare(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Undo the normalisation with which filter banks are stored."""
        return inputs * AUDIOSET_STATISTICS.std + AUDIOSET_STATISTICS.mean

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Compute the states of each layer for the filter banks of `filter_bank_stream`; the clip vector follows."""
        found, patches = self._read(inputs, lengths, self.probed)
        names = [*(f"layer_{number}" for number in self.probed), *([TOKEN] if self.clip_vector else [])]
        return {name: (each, patches) for name, each in zip(names, found.unbind(1), strict=False)}

    @property
    def stack(self) -> Sequence[nn.Module]:
        return [self.transformer.embeddings, *self.transformer.encoder.layer]

    def _read(self, filter_banks: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Compute states after layers, then the clip vector ``(batch, layers + 1, patches, width)``; and patches."""
        patches = torch.div(lengths - PATCH + STRIDE - 1, STRIDE, rounding_mode="floor").clamp(min=0) + 1
        normalised = (filter_banks - self.mean) / (2 * self.std)
        normalised = normalised.masked_fill(~inside(filter_banks, lengths)[..., None], 0.0)
        whole_patches = spectrogram_frames_of(int(patches.max())) - normalised.shape[1]
        normalised = nn.functional.pad(normalised, (0, 0, 0, max(whole_patches, 0)))

        def read(rows: Tensor, count: int) -> Tensor:
            """Read clips with one number of patches."""
            embeddings, own = self.transformer.embeddings, normalised[copy_to(rows, normalised.device)]
            embedded = embeddings.patch_embeddings(own[:, : spectrogram_frames_of(count)])  # (N, F * T, D)
            first = torch.cat([embeddings.cls_token, embeddings.distillation_token], dim=1).expand(len(rows), -1, -1)
            tokens = embeddings.dropout(torch.cat([first, embedded], dim=1) + self._positions(count))
            kept = dict[int, Tensor]()
            for number, layer in enumerate(self.transformer.encoder.layer, 1):
                tokens = layer(tokens)
                if number in layers:  # (N, F * T, D) -> (N, F, T, D) -> (N, T, D)
                    kept[number] = tokens[:, _TOKENS:].unflatten(1, (_BANDS, count)).mean(1)
            clip = self.transformer.layernorm(tokens)[:, :_TOKENS].mean(1, keepdim=True).expand(-1, count, -1)
            return torch.stack([*(kept[number] for number in layers), clip], dim=1)

        return read_by_length(read, patches, ratio=EQUAL_RATIO), patches

    def _positions(self, count: int) -> Tensor:
        """Return positions of both tokens and of ``(12, count)`` patches, interpolated from those of the training."""
        stored = self.transformer.embeddings.position_embeddings  # (1, 2 + F * T, D)
        grid = stored[:, _TOKENS:].reshape(1, _BANDS, -1, stored.shape[2])
        if grid.shape[2] == count:
            return stored
        resized = nn.functional.interpolate(grid.permute(0, 3, 1, 2), size=(_BANDS, count), mode="bilinear")
        return torch.cat([stored[:, :_TOKENS], resized.flatten(2).transpose(1, 2)], dim=1)


def _transformer(config: AstConfig, patches: int, *, seed: int, epsilon: float) -> ASTModel:
    from transformers import ASTConfig, ASTModel

    sizes = ASTConfig(  # type: ignore[no-untyped-call]  # transformers' own
        hidden_size=config.width,
        num_hidden_layers=AST_LAYERS,
        num_attention_heads=AST_HEADS[config.size],
        intermediate_size=4 * config.width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=epsilon,
        patch_size=PATCH,
        frequency_stride=STRIDE,
        time_stride=STRIDE,
        max_length=spectrogram_frames_of(patches),
        num_mel_bins=N_MELS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ASTModel(sizes)
        embeddings = model.embeddings
        for embedding in (embeddings.position_embeddings, embeddings.cls_token, embeddings.distillation_token):
            # transformers initialises them with zeros, which distinguish no places
            nn.init.trunc_normal_(embedding, std=0.02)
    return model


def _filter_banks(blocks: Iterable[FloatArray]) -> Array:
    """Convert blocks of samples to stored filter banks ``(time, 128)``."""
    return np.concatenate([np.zeros((0, N_MELS), np.float32), *stored_filter_banks(blocks)]).astype(np.float16)


@dataclass(frozen=True, kw_only=True)
class AstBackbone(Backbone):
    """The sizes of an AST."""

    ast: AstConfig  # without weights
    epsilon: float = DEFAULT_EPSILON  # of the layer normalisations
    clip_vector: bool = False  # whether there is one state for each piece of `ast.patches`, and not one for each patch
    positions: int | None = None  # patches along time that positions are learned for; None: `ast.patches`
    # of the training filter banks; None: those of the weights, or of AudioSet
    statistics: SpectrogramStatistics | None = None

    name: ClassVar[str] = "ast"
    title: ClassVar[str] = "Audio Spectrogram Transformer"

    def __post_init__(self) -> None:
        known = isinstance(self.epsilon, float) and self.epsilon > 0
        require(known, "epsilon", self.epsilon, "it must be a number above 0")

    @classmethod
    def of(cls, config: AstConfig, *, option: str, **others: Any) -> AstBackbone:
        """Describe the model of a config, whose weights may be a local Hugging Face folder."""
        found = {} if config.weights is None else require_weights(Path(config.weights), config.size, option=option)
        epsilon = found.get("layer_norm_eps", DEFAULT_EPSILON if config.weights is None else 1e-12)
        return cls(ast=replace(config, weights=None), epsilon=cast(float, epsilon), **others)

    @property
    def reading(self) -> BackboneReading:
        """Patches of 16 frames begin every 10 frames; the last one is padded with silence."""
        patches = self.ast.patches if self.clip_vector else 1
        return BackboneReading(
            sample_rate=SAMPLE_RATE,
            dim=self.ast.width,
            samples_per_state=patches * _STEP,
            window=self.ast.patches // patches,
            inputs_per_state=patches * STRIDE,
            shared_inputs=PATCH - STRIDE,
            least_samples=_WINDOW,  # the rest of a patch is silence
            input_type="float16",
            input_width=(N_MELS,),
            key="filter bank",
        )

    def num_inputs(self, num_samples: int) -> int:
        """Count the frames of a recording, padded to whole patches."""
        return spectrogram_frames_of(patches_of(num_samples))

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> AstEncoder:
        patches, statistics = self.positions or self.ast.patches, AUDIOSET_STATISTICS
        transformer = _transformer(self.ast, patches, seed=seed, epsilon=self.epsilon)
        if weights is not None:
            tensors, statistics = pretrained_weights(weights, self.ast.size, grid=(_BANDS, patches), option=option)
            with whole(Path(f"{option}={weights}"), "AST, DeiT or ViT", remedy="give other weights"):
                transformer.load_state_dict(tensors)
        return AstEncoder(
            transformer, self.statistics or statistics, layers=self.ast.layers, clip_vector=self.clip_vector
        )

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        return _filter_banks

    def pieces(self, view: View, root: Path, network: BackboneNetwork, statistics: Path) -> Pieces:
        own, blocks = cast(AstEncoder, network), view.blocks(root, SAMPLE_RATE)
        banks = filter_bank_stream(blocks, patches=self.ast.patches)
        return Pieces(steps=[patches_along(view)] * (len(own.probed) + own.clip_vector), pieces=banks)

    def candidates(self, pooled: Mapping[str, FloatArray], vectors: VectorConfig) -> dict[str, FloatArray]:
        """Select each probed layer, and the clip vector: the mean over the patches of all pieces."""
        keys = [f"layer_{number}:{pooling}" for number in self.ast.layers for pooling in vectors.poolings]
        return {key: pooled[key] for key in [*keys, f"{TOKEN}:mean"]}


def ast_source(backbone: AstBackbone, folder: Path | None, augmentation: AugmentationConfig) -> BackboneSource:
    return BackboneSource(
        backbone=backbone,
        weights=folder,
        fingerprint="" if folder is None else hugging_face_hash(folder)[:16],
        change=partial(
            augment, config=augmentation, std=torch.full((N_MELS,), AUDIOSET_STATISTICS.std, dtype=torch.float32)
        ),
        changes_on_device=True,
        learned_labels=folder is not None and is_audio_model(folder) and learned_labels(folder),
    )


def read_weights(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Read the weights of a Hugging Face folder, without those whose names begin with ``without``."""
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        names = [name for name in file.keys() if not name.startswith(without)]  # noqa: SIM118  it is no mapping
        return {name: file.get_tensor(name) for name in names}
