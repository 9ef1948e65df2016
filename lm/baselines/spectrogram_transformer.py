"""AST, the Audio Spectrogram Transformer: a vision transformer over patches of a filter bank.

Gong, Chung and Glass, "AST: Audio Spectrogram Transformer", 2021 (arXiv:2104.01778). The transformer is that of
`transformers`, imported inside functions because the import takes seconds. This module adds positions for clips of any
length, and weights from local folders, of AST itself or of an image transformer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lm.baselines.ast_weights import AUDIOSET_STATISTICS, HEADS, LAYERS, OPTION, Size, Statistics, pretrained_weights
from lm.baselines.filter_bank import BANDS, N_MELS, PATCH, STRIDE, frames_of
from wordless.audio.padding import inside, join_groups
from wordless.base.devices import copy_to
from wordless.base.errors import InputError
from wordless.base.ranges import require
from wordless.base.saved_models import CONFIG, FINE_TUNED_AST, WEIGHTS, load_weights, reading, write_model

if TYPE_CHECKING:
    from transformers import ASTModel

TOKENS = 2  # class and distillation token, before the patches


@dataclass(frozen=True, kw_only=True)
class AstConfig:
    """Options of the transformer and its initial weights. All sizes have 12 layers, as those of DeiT have."""

    size: Size = "tiny"  # 192, 384 or 768 wide, with 3, 6 or 12 heads
    weights: str | None = None  # local Hugging Face folder of an AST, DeiT or ViT; None: random weights
    layers: tuple[int, ...] = (4, 8, 12)  # layers whose states are probed
    patches: int = 101  # along time, read at once: 10.1 seconds; longer clips are read in pieces
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require(self.size in HEADS, "ast.model.size", self.size, "choose tiny, small or base")
        if not self.layers or not all(1 <= layer <= LAYERS for layer in self.layers):
            raise InputError(f"ast.model.layers is {list(self.layers)}; name at least one of the layers 1 to {LAYERS}")
        require(self.patches >= 1, "ast.model.patches", self.patches, "it must be 1 or more")
        rule = "choose a probability of at least 0 and below 1"
        require(0 <= self.dropout < 1, "ast.model.dropout", self.dropout, rule)

    @property
    def width(self) -> int:
        """Dimensions of a token; each head is 64 wide."""
        return 64 * HEADS[self.size]


@dataclass(frozen=True, kw_only=True, eq=False)
class AstStates:
    """The states of the transformer for a batch."""

    clip: Tensor  # (batch, width): mean of class and distillation token, after the last normalisation
    patches: Tensor  # (batch,) int64: patches along time of each clip
    layers: Mapping[int, Tensor]  # layer -> (batch, patches, width), mean over frequency; zeros after a clip's end


class AstEncoder(nn.Module):
    """An encoder of filter banks: one vector per clip, and the states of its layers over time.

    Clips with the same number of patches are read together, each padded to whole patches with the mean. So neither the
    other clips of a batch nor frames beyond a clip's end change anything.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, transformer: ASTModel, statistics: Statistics) -> None:
        super().__init__()
        self.transformer = transformer
        self.register_buffer("mean", torch.tensor(statistics.mean))
        self.register_buffer("std", torch.tensor(statistics.std))

    @property
    def width(self) -> int:
        """Dimensions of a token."""
        return int(self.transformer.config.hidden_size)

    def forward(self, filter_banks: Tensor, lengths: Tensor) -> Tensor:
        """Map filter banks ``(batch, time, 128)`` of lengths ``(batch,)`` in frames to ``(batch, width)``."""
        return self.states(filter_banks, lengths).clip

    def states(self, filter_banks: Tensor, lengths: Tensor, *, layers: Sequence[int] = ()) -> AstStates:
        """Compute the clip vectors, and the states after some layers (1 to 12)."""
        _require_frames(filter_banks, lengths)
        patches = torch.div(lengths - PATCH + STRIDE - 1, STRIDE, rounding_mode="floor").clamp(min=0) + 1
        normalised = (filter_banks - self.mean) / (2 * self.std)
        normalised = normalised.masked_fill(~inside(filter_banks, lengths)[..., None], 0.0)
        whole_patches = frames_of(int(patches.max())) - normalised.shape[1]
        normalised = nn.functional.pad(normalised, (0, 0, 0, max(whole_patches, 0)))
        counts = sorted({*patches.tolist()})
        groups = [(patches == count).nonzero()[:, 0] for count in counts]
        read = [
            self._read(normalised[copy_to(rows, normalised.device), : frames_of(count)], layers)
            for rows, count in zip(groups, counts, strict=True)
        ]
        order = torch.cat(groups)
        clips = join_groups([clip[:, None] for clip, _ in read], order)[:, 0]
        states = join_groups([kept for _, kept in read], order)  # (batch, layers, patches, width)
        return AstStates(clip=clips, patches=patches, layers=dict(zip(layers, states.unbind(1), strict=True)))

    def _read(self, normalised: Tensor, layers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Compute vectors ``(batch, width)`` and states ``(batch, layers, patches, width)`` of clips.

        The clips ``(batch, time, 128)`` must have the same number of patches.
        """
        embeddings = self.transformer.embeddings
        patches = embeddings.patch_embeddings(normalised)  # (N, F * T, D)
        count = patches.shape[1] // BANDS
        first = torch.cat([embeddings.cls_token, embeddings.distillation_token], dim=1).expand(len(patches), -1, -1)
        tokens = embeddings.dropout(torch.cat([first, patches], dim=1) + self._positions(count))
        kept = {}
        for number, layer in enumerate(self.transformer.encoder.layer, 1):
            tokens = layer(tokens)
            if number in layers:
                patches = tokens[:, TOKENS:].reshape(len(tokens), BANDS, count, -1)  # (N, F * T, D) -> (N, F, T, D)
                kept[number] = patches.mean(1)
        clip = self.transformer.layernorm(tokens)[:, :TOKENS].mean(1)
        nothing = tokens.new_zeros(len(tokens), 0, count, self.width)
        return clip, torch.stack([kept[number] for number in layers], dim=1) if layers else nothing

    def _positions(self, count: int) -> Tensor:
        """Return positions of both tokens and of ``(12, count)`` patches, interpolated from those of the training."""
        stored = self.transformer.embeddings.position_embeddings  # (1, 2 + F * T, D)
        grid = stored[:, TOKENS:].reshape(1, BANDS, -1, self.width)
        if grid.shape[2] == count:
            return stored
        resized = nn.functional.interpolate(grid.permute(0, 3, 1, 2), size=(BANDS, count), mode="bilinear")
        return torch.cat([stored[:, :TOKENS], resized.flatten(2).transpose(1, 2)], dim=1)


def create_ast(config: AstConfig, frames: int, *, seed: int, epsilon: float = 1e-6, option: str = OPTION) -> AstEncoder:
    """Create an encoder for clips of ``frames`` frames; its weights follow from the seed, or come from ``weights``.

    ``epsilon`` is that of the layer normalisations without ``weights``. ``option`` names the weights in messages.
    """
    if config.weights is None:
        return AstEncoder(_transformer(config, frames, seed=seed, epsilon=epsilon), AUDIOSET_STATISTICS)
    count = (max(frames, PATCH) - PATCH) // STRIDE + 1
    found = pretrained_weights(Path(config.weights), config.size, grid=(BANDS, count), option=option)
    transformer = _transformer(config, frames, seed=seed, epsilon=found.epsilon)
    try:
        transformer.load_state_dict(found.tensors)
    except RuntimeError as error:
        problem = f"{option}={config.weights} does not fit ({' '.join(str(error).split()):.200})"
        raise InputError(f"{problem}; give other weights") from error
    return AstEncoder(transformer, found.statistics)


def _transformer(config: AstConfig, frames: int, *, seed: int, epsilon: float = 1e-6) -> ASTModel:
    from transformers import ASTConfig, ASTModel

    sizes = ASTConfig(  # type: ignore[no-untyped-call]  # transformers' own
        hidden_size=config.width,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS[config.size],
        intermediate_size=4 * config.width,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        layer_norm_eps=epsilon,
        patch_size=PATCH,
        frequency_stride=STRIDE,
        time_stride=STRIDE,
        max_length=max(frames, PATCH),
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


class AstClassifier(nn.Module):
    """An encoder and a linear head on its clip vector, as AST is fine-tuned."""

    def __init__(self, encoder: AstEncoder, classes: int, *, multi_label: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.LayerNorm(encoder.width), nn.Linear(encoder.width, classes))
        self.multi_label = multi_label  # whether a clip may have several classes

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Tensor:
        """Map filter banks of `stored_filter_bank` ``(batch, time, 128)`` to logits ``(batch, classes)``."""
        given = AUDIOSET_STATISTICS
        logits: Tensor = self.head(self.encoder(spectrograms * given.std + given.mean, lengths))
        return logits


def stored_filter_bank(filter_bank: Tensor) -> Tensor:
    """Normalise log energies with AudioSet's statistics for any reader, as they are stored and augmented."""
    return (filter_bank - AUDIOSET_STATISTICS.mean) / AUDIOSET_STATISTICS.std


def create_classifier(config: AstConfig, frames: int, classes: int, *, multi_label: bool, seed: int) -> AstClassifier:
    """Create an encoder of `create_ast` with a head whose weights follow from the seed."""
    encoder = create_ast(config, frames, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AstClassifier(encoder, classes, multi_label=multi_label)


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json`` of a fine-tuned AST."""

    ast: AstConfig
    frames: int  # of the longest clip
    epsilon: float
    classes: tuple[str, ...]
    multi_label: bool
    weights_sha256: str

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.classes:
            raise InputError(f"frames is {self.frames} and classes {len(self.classes)}; there must be some of both")


def save_classifier(model: AstClassifier, config: AstConfig, classes: Sequence[str], folder: Path) -> None:
    """Write model.safetensors and, last, config.json: a folder with a config.json is complete."""
    sizes = model.encoder.transformer.config
    saved = {
        "ast": asdict(replace(config, weights=None)),
        "frames": sizes.max_length,
        "epsilon": sizes.layer_norm_eps,
        "classes": list(classes),
        "multi_label": model.multi_label,
    }
    write_model(folder, model, saved)


def load_classifier(folder: Path, *, device: str = "cpu") -> AstClassifier:
    """Load a model that `save_classifier` wrote."""
    with reading(folder, FINE_TUNED_AST, _Saved, remedy="make it again") as saved:
        # The position embedding grows with the longest clip.
        positions = BANDS * max((saved.frames - PATCH) // STRIDE + 1, 1) * saved.ast.width
        if 4 * positions > (folder / WEIGHTS).stat().st_size:
            raise InputError(f"{CONFIG} describes more positions than {WEIGHTS} has numbers")
        transformer = _transformer(saved.ast, saved.frames, seed=0, epsilon=saved.epsilon)
        encoder = AstEncoder(transformer, AUDIOSET_STATISTICS)  # the encoder's own statistics are among the weights
        model = AstClassifier(encoder, len(saved.classes), multi_label=saved.multi_label)
        load_weights(model, folder, saved.weights_sha256)
    return model.eval().to(device)


def _require_frames(filter_banks: Tensor, lengths: Tensor) -> None:
    if filter_banks.ndim != 3 or filter_banks.shape[2] != N_MELS:
        raise InputError(f"filter banks have shape {tuple(filter_banks.shape)}; they must be (batch, time, {N_MELS})")
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 1 or longest > filter_banks.shape[1]:
        problem = f"lengths are {shortest} to {longest} frames of {filter_banks.shape[1]}"
        raise InputError(f"{problem}; each must be at least 1 and end within the batch")
