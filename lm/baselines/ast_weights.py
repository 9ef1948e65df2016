"""Weights of an AST, DeiT or ViT in a local Hugging Face folder, adapted to the Audio Spectrogram Transformer.

Gong, Chung and Glass, 2021 (arXiv:2104.01778), section 2.2: the three colour channels of an image transformer's patch
embedding are summed to one. Its position embeddings are cropped to the middle if there are fewer patches than in its
training, and interpolated if there are more. Nothing is downloaded.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lm.baselines.filter_bank import BANDS, N_MELS, PATCH, STRIDE
from wordless.base.configuration import render
from wordless.base.errors import InputError
from wordless.base.json_values import read_json
from wordless.base.saved_models import (
    CONFIG,
    INDEX,
    PREPROCESSOR,
    WEIGHTS,
    hugging_face_hash,
    read_weights,
    require_finite,
    weight_files,
    whole,
)

Size = Literal["tiny", "small", "base"]  # the sizes of DeiT: 192, 384 and 768 wide
HEADS: dict[Size, int] = {"tiny": 3, "small": 6, "base": 12}
LAYERS = 12  # of every size
OPTION = "ast.model.weights"  # names the folder in messages, unless another command reads it

REMEDY = "give a folder with config.json and model.safetensors, as save_pretrained of transformers writes it"
# base, the largest size, has 7 million per layer, and 2 million outside the layers
MOST_NUMBERS_OF_A_LAYER = 20_000_000
POSITIONS, PROJECTION = "embeddings.position_embeddings", "embeddings.patch_embeddings.projection.weight"
CLASS, DISTILLATION = "embeddings.cls_token", "embeddings.distillation_token"
AST = "audio-spectrogram-transformer"  # type of AST's own weights
LEADING_TOKENS = {AST: 2, "deit": 2, "vit": 1}  # model type -> positions before those of the patches
_PREFIX = re.compile(r"^(audio_spectrogram_transformer|deit|vit)\.")  # of models with a head
# not loaded
_HEADS = ("pooler.", "classifier.", "cls_classifier.", "distillation_classifier.", "embeddings.mask_token")


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of a model's training filter banks; inputs are normalised to mean 0 and deviation 0.5 with them."""

    mean: float
    std: float


AUDIOSET_STATISTICS = Statistics(mean=-4.2677393, std=4.5689974)


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainedWeights:
    """The adapted weights of a folder."""

    tensors: Mapping[str, Tensor]  # with the names of transformers' ASTModel
    epsilon: float  # of the layer normalisations
    statistics: Statistics


def is_audio_model(folder: Path) -> bool:
    """Return whether the weights are AST's own, which come with the statistics of their filter banks."""
    return _kind(f"{OPTION}={folder}", _json(folder, CONFIG, OPTION)) == AST


def pretrained_weights(folder: Path, size: Size, *, grid: tuple[int, int], option: str = OPTION) -> PretrainedWeights:
    """Load weights for a transformer of the given size over a grid of ``(frequency, time)`` patches."""
    config = require_weights(folder, size, option=option)
    kind = _kind(f"{option}={folder}", config)
    with whole(Path(f"{option}={folder}"), "AST, DeiT or ViT", remedy=REMEDY):
        numbers = sum(path.stat().st_size for path in weight_files(folder)) // 4  # they are read at once
        if numbers > LAYERS * MOST_NUMBERS_OF_A_LAYER:
            raise InputError(f"{WEIGHTS} has {numbers} numbers; a model of {LAYERS} layers has fewer")
        stored = read_weights(folder, without=_HEADS)
        renamed = {_PREFIX.sub("", name): tensor.float() for name, tensor in stored.items()}  # as without a head
        tensors = {name: tensor for name, tensor in renamed.items() if not name.startswith(_HEADS)}
        require_finite(tensors)
        fitted = _adapt(tensors, tokens=LEADING_TOKENS[kind], stored=_stored_grid(config, kind), grid=grid)
        epsilon = _number(config, "layer_norm_eps", 1e-12)
        return PretrainedWeights(tensors=fitted, epsilon=epsilon, statistics=_statistics(folder, kind, option))


def layer_norm_epsilon(folder: Path, size: Size, *, option: str = OPTION) -> float:
    """Read the epsilon of the layer normalisations of weights for a transformer of the given size."""
    return _number(require_weights(folder, size, option=option), "layer_norm_eps", 1e-12)


def require_weights(folder: Path, size: Size, *, option: str = OPTION) -> dict[str, object]:
    """Read and check the config.json of weights for a transformer of the given size; the weights are not read."""
    config, width, given = _json(folder, CONFIG, option), 64 * HEADS[size], f"{option}={folder}"
    own_size = f"{option.partition('.')[0]}.model.size"
    # The size, and transformers' default, which is that of base: a config omits values that equal their default.
    wanted = {
        "hidden_size": (width, 768),
        "num_attention_heads": (HEADS[size], 12),
        "num_hidden_layers": (LAYERS, 12),
        "intermediate_size": (4 * width, 3072),
        "patch_size": (PATCH, 16),
    }
    if _kind(given, config) == AST:
        wanted |= {"frequency_stride": (STRIDE, 10), "time_stride": (STRIDE, 10), "num_mel_bins": (N_MELS, 128)}
    for name, (value, default) in wanted.items():
        if (found := config.get(name, default)) != value:
            raise InputError(
                f"{given} has {name} {render(found)}, and {own_size}={size} takes {value}; set {own_size} to the size "
                "of the weights (tiny, small and base are 192, 384 and 768 wide), or give other weights"
            )
    try:
        files = weight_files(folder)
    except InputError as error:
        raise InputError(f"{given} holds no whole weights: {error}") from error
    if not files:
        raise InputError(f"{given} holds no whole weights (there is no {WEIGHTS} and no {INDEX}); {REMEDY}")
    return config


def _number(values: Mapping[str, object], name: str, otherwise: float) -> float:
    """Return a finite number of a config, or ``otherwise`` if it is missing."""
    value = values.get(name, otherwise)
    if type(value) not in (int, float) or not abs(number := float(str(value))) < math.inf:
        raise InputError(f"{name} is {render(value)}; it must be a number")
    return number


def _json(folder: Path, name: str, option: str) -> dict[str, object]:
    try:
        return read_json(folder / name)
    except InputError as error:
        raise InputError(
            f"{option}={folder} has no {name} that can be read ({error}); give a local folder of a Hugging Face AST, "
            "DeiT or ViT: nothing is downloaded"
        ) from error


def _kind(given: str, config: Mapping[str, object]) -> str:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in LEADING_TOKENS:
        raise InputError(f"{given} holds a model of type {render(kind)}; give one of {', '.join(LEADING_TOKENS)}")
    return kind


def _stored_grid(config: Mapping[str, object], kind: str) -> tuple[int, int]:
    """Return the patches along frequency (height) and time (width) of the weights' training."""
    if kind == AST:
        return BANDS, (int(_number(config, "max_length", 1024)) - PATCH) // STRIDE + 1
    side = int(_number(config, "image_size", 224)) // PATCH
    return side, side


def _adapt(
    tensors: dict[str, Tensor], *, tokens: int, stored: tuple[int, int], grid: tuple[int, int]
) -> dict[str, Tensor]:
    """Adapt the weights to one channel, two tokens, and positions of the wanted grid."""
    positions = tensors[POSITIONS]  # (1, tokens + F * T, D)
    patches = positions[:, tokens:].reshape(1, *stored, -1).permute(0, 3, 1, 2)  # (1, D, F, T)
    first = positions[:, :tokens].expand(-1, 2 if tokens == 1 else -1, -1)  # a ViT's class token is used for both
    return {
        **tensors,
        DISTILLATION: tensors[CLASS] if tokens == 1 else tensors[DISTILLATION],
        PROJECTION: tensors[PROJECTION].sum(1, keepdim=True),
        POSITIONS: torch.cat([first, resize_positions(patches, grid).flatten(2).transpose(1, 2)], dim=1),
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


def _statistics(folder: Path, kind: str, option: str) -> Statistics:
    """Return the statistics of AST's weights; those of AudioSet for other weights."""
    if kind != AST or not (folder / PREPROCESSOR).is_file():
        return AUDIOSET_STATISTICS
    found = _json(folder, PREPROCESSOR, option)
    std = _number(found, "std", AUDIOSET_STATISTICS.std)
    if std <= 0:
        raise InputError(f"{PREPROCESSOR} has std {std}; it must be above 0")
    return Statistics(mean=_number(found, "mean", AUDIOSET_STATISTICS.mean), std=std)


def weights_hash(folder: str | None) -> str:
    """Compute the hash of the files of a weights folder, wherever it lies; "" where there is none."""
    return "" if folder is None else hugging_face_hash(Path(folder))
