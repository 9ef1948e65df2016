"""The Audio Transformer: a transformer over patches of a waveform, with a learned front end.

Verma and Berger, "Audio Transformers: Transformer Architectures for Large Scale Audio Understanding. Adieu
Convolutions", 2021 (arXiv:2105.00335)::

    samples    [ 25 ms ][ 25 ms ][ 25 ms ][ 25 ms ]    the end is padded with silence to a whole patch
    front end  one wide layer (2,048), then 64 dimensions; a place is added
    layers     [   0   ][   1   ][   2   ][   3   ]    plain: each layer has a state for each patch
               [       0        ][       1        ]    pooling: the rate is halved after some layers
                                                       wavelet: half of the dimensions have lower rates

The layers are PyTorch's `nn.TransformerEncoderLayer`, whose attention is `scaled_dot_product_attention`. An encoder
needs no more: fairseq2's layers would add caches, rotary positions and causal masks, and tie the saved weights to it.
The three variants have the same parameters.

The rates between layers, by average pooling and by a Haar decomposition of some dimensions::

    steps         [0][1][2][3][4][5][6]      a clip of seven steps
    pooled        [ 0 ][ 1 ][ 2 ][ 3]        half the rate; the last window has a single step

    decomposed    [0][1][2][3][4][5][6]      half of the dimensions keep their rate
                  [  0 ][  2 ][  4 ][6]      some hold the mean of each window of 2 steps
                  [    0     ][    4  ]      some that of 4, 8, ... steps
                  [         0         ]      and the last ones have one value for the whole clip

A window mean that is held is a Haar wavelet transform without the details of the finer levels (Haar, 1910). Windows are
counted from the start of a clip, and steps beyond its end take no part in a mean. Neither function has parameters.

As a backbone it has a state for each patch, or for several with average pooling. Its weights are those of a run
with the method ``audio_transformer``, which learned them with the labels of its corpus. Each window is brought to mean
0 and the same level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn

from lm.backbones.backbone import WEIGHTS_OPTION, Backbone, BackboneNetwork, BackboneReading, load_part
from lm.probing.vectors import Frames
from wordless.audio.padding import inside
from wordless.base.devices import copy_to
from wordless.base.options import TransformerSizes, option

Variant = Literal["plain", "pooling", "wavelet"]
MOST_LEVELS = 16  # windows of up to 32,768 patches, to which shorter clips are padded


@dataclass(frozen=True, kw_only=True)
class AudioTransformerConfig(TransformerSizes):
    """Sizes of the network, and what happens between its layers."""

    variant: Variant = option(
        "wavelet", "what happens between layers; pooling halves the rate, wavelet lowers that of half of the dimensions"
    )
    patch_ms: float = 25.0  # length of a patch of samples in milliseconds
    front_end: int = option(2048, "filters: width of the first layer of the front end", least=1)
    width: int = option(64, "dimensions of a state", least=1)
    layers: int = 6
    heads: int = 8
    ffn_dim: int = 256
    pool_every: int = 2  # layers between two halvings of the rate; only with variant=pooling
    wavelet_levels: int = option(
        6,
        "rates of the other half of the dimensions, such as 6 for windows of 2, 4, 8, 16 and 32 patches and of the "
        "whole clip",
        least=1,
        most=MOST_LEVELS,
    )
    patches: int = 400  # patches per input: 400 are 10 seconds; a longer clip is read in pieces
    dropout: float = 0.1  # of the network

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.width % (2 * self.heads), "width", f"choose a multiple of {2 * self.heads}, twice `heads`")
        most = self.width // 2
        self.refuse_if(self.wavelet_levels > most, "wavelet_levels", f"choose at most {most}, half of width")
        rule = f"choose a multiple of {self.reduction}, as the last layer has a state for {self.reduction} patches"
        self.refuse_if(self.patches % self.reduction, "patches", rule)

    def patch(self, sample_rate: int) -> int:
        """Count the samples of a patch."""
        return max(round(sample_rate * self.patch_ms / 1000), 1)

    @property
    def reductions(self) -> tuple[int, ...]:
        """Patches for each state of each layer."""
        halves = self.variant == "pooling"
        return tuple(2 ** (layer // self.pool_every) if halves else 1 for layer in range(self.layers))

    @property
    def reduction(self) -> int:
        """Patches for each state of the last layer."""
        return self.reductions[-1]


def pool_pairs(states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Average pairs of steps: ``(batch, time, dim)`` -> ``(batch, time / 2, dim)`` and the lengths, rounded up."""
    return _window_means(states, lengths, 2), -(-lengths // 2)


def decompose(states: Tensor, lengths: Tensor, *, levels: int) -> Tensor:
    """Replace the second half of the dimensions by means of 2 steps, 4, ... and the whole clip, in ``levels`` parts."""
    time, kept, lengths = states.shape[1], states.shape[2] // 2, copy_to(lengths, states.device)
    parts = states[:, :, kept:].tensor_split(levels, dim=2)
    windows = [*(2**level for level in range(1, levels)), max(time, 1)]
    held = [
        _window_means(part, lengths, window).repeat_interleave(window, dim=1)[:, :time]
        for part, window in zip(parts, windows, strict=True)
    ]
    return torch.cat([states[:, :, :kept], *held], dim=2) * inside(states, lengths)[:, :, None]


def _window_means(states: Tensor, lengths: Tensor, window: int) -> Tensor:
    """Average the steps of each window that belong to the clip: ``(batch, ceil(time / window), dim)``."""
    batch, time, dim = states.shape
    counted = inside(states, lengths)[:, :, None].to(states.dtype)
    both = torch.cat([states * counted, counted], dim=2)
    padded = torch.nn.functional.pad(both, (0, 0, 0, -time % window))
    sums = padded.reshape(batch, -1, window, dim + 1).sum(2)  # (N, T, D + 1) -> (N, T / window, D + 1)
    return sums[:, :, :dim] / sums[:, :, dim:].clamp(min=1)


VARIANTS: tuple[Variant, ...] = get_args(Variant)
FIRST_FILTERS = 0.3  # share of PyTorch's initial weights: noise of full size would hide what filters learn
QUIETEST = 1e-4  # root mean square, of full scale: a softer clip is amplified as one of this level


class AudioTransformer(BackboneNetwork):
    """An encoder of waveforms ``(batch, samples)``, each brought to one level; other clips change no states."""

    def __init__(self, config: AudioTransformerConfig, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = sample_rate
        self.patch = config.patch(sample_rate)  # samples
        self.hops = tuple(self.patch * reduction for reduction in config.reductions)
        self.front_end = nn.Sequential(
            nn.Linear(self.patch, config.front_end), nn.ReLU(), nn.Linear(config.front_end, config.width)
        )
        self.scale = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.width, config.heads, config.ffn_dim, config.dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    @property
    def stack(self) -> Sequence[nn.Module]:
        """The front end, then each layer."""
        return [nn.ModuleList([self.front_end, self.scale, self.dropout]), *self.layers]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        *_, last = self.states(inputs, lengths).values()
        return last

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Compute the states of each layer; one of hop h has ``ceil(length / h)`` states of a clip, then zeros."""
        states, steps = self._embed(inputs, lengths)
        found = dict[str, Frames]()
        for number, layer in enumerate(self.layers):
            if number and self.config.variant == "wavelet":
                states = decompose(states, steps, levels=self.config.wavelet_levels)
            elif number and self.config.variant == "pooling" and number % self.config.pool_every == 0:
                states, steps = pool_pairs(states, steps)
            own, whole = inside(states, steps), bool((steps >= states.shape[1]).all())
            states = layer(states, src_key_padding_mask=None if whole else ~own)
            last = number == len(self.layers) - 1
            found[f"layer_{number + 1}"] = (self.norm(states) if last else states) * own[:, :, None], steps
        return found

    @torch.no_grad()
    def layer_states(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Compute the states of each layer ``(layers, batch, states, width)``, averaged to the rate of the last one."""
        found = [*self.states(inputs, lengths).values()]
        last, layers = found[-1][0].shape[1], list[Tensor]()
        for states, steps in found:
            while states.shape[1] > last:
                states, steps = pool_pairs(states, steps)
            layers.append(states)
        return torch.stack(layers)

    def _embed(self, samples: Tensor, lengths: Tensor) -> Frames:
        """Read patches ``(batch, samples)`` -> ``(batch, patches, width)``."""
        normalised = _normalise(samples, lengths)
        padded = nn.functional.pad(normalised, (0, -normalised.shape[1] % self.patch))
        patches = padded.reshape(len(padded), -1, self.patch)  # (N, S) -> (N, T, P)
        embeddings = self.scale(self.front_end(patches))
        places = copy_to(sinusoids(patches.shape[1], self.config.width).to(embeddings.dtype), embeddings.device)
        return self.dropout(embeddings + places), -(-lengths // self.patch)


def _normalise(samples: Tensor, lengths: Tensor) -> Tensor:
    """Give each clip of ``(batch, samples)`` mean 0 and root mean square 1; zeros beyond its end."""
    own, counts = inside(samples, lengths), copy_to(lengths, samples.device)
    mean = (samples * own).sum(1) / counts
    centred = (samples - mean[:, None]) * own
    level = (centred.square().sum(1) / counts).sqrt().clamp(min=QUIETEST)
    return centred / level[:, None]


def sinusoids(steps: int, width: int) -> Tensor:
    """Compute places ``(steps, width)`` as in Vaswani et al., "Attention is all you need", 2017 (arXiv:1706.03762)."""
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


@dataclass(frozen=True, kw_only=True)
class AudioTransformerBackbone(Backbone):
    """The sizes of an Audio Transformer, and the rate of its samples."""

    audio_transformer: AudioTransformerConfig
    sample_rate: int  # Hz

    name: ClassVar[str] = "audio_transformer"
    title: ClassVar[str] = "Audio Transformer"

    @property
    def reading(self) -> BackboneReading:
        """The last patches of a recording are filled up with silence."""
        own, patch = self.audio_transformer, self.audio_transformer.patch(self.sample_rate)
        return BackboneReading(
            sample_rate=self.sample_rate,
            dim=own.width,
            samples_per_state=patch * own.reduction,
            window=own.patches // own.reduction,
            inputs_per_state=patch * own.reduction,
            least_samples=patch,
            key=f"16-bit samples at {self.sample_rate} Hz",
        )

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> AudioTransformer:
        """Create the network with the weights of a model that was trained on labels, or with random ones."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = AudioTransformer(self.audio_transformer, self.sample_rate)
            with torch.no_grad():
                cast(nn.Linear, encoder.front_end[0]).weight.mul_(FIRST_FILTERS)
        if weights is not None:
            load_part(encoder, weights, "backbone.")
        return encoder
