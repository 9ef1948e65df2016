"""A small convolutional encoder of log-mel spectrograms; every block can be probed.

Blocks of two 3 x 3 convolutions, as in VGG (Simonyan and Zisserman, arXiv:1409.1556) and in the CNNs of PANNs (Kong et
al., arXiv:1912.10211). Frames beyond a clip's end are set to zero before each convolution and left out of the batch
statistics, so a clip's frames do not depend on the other clips of the batch. Lengths on the host save a GPU from being
asked for them in each block.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Protocol

import torch
from torch import Tensor, nn

from foundation.devices import copy_to
from foundation.errors import InputError
from foundation.ranges import require
from lm.baselines.spectrogram_reader import PIECE_FRAMES

Frames = tuple[Tensor, Tensor]  # (batch, time, dim), and the number of frames of each clip (batch,)


class BlockEncoder(Protocol):
    """An encoder of spectrograms or waveforms, each of whose blocks or layers can be probed."""

    @property
    def hops(self) -> tuple[int, ...]:
        """Input frames, or samples, between two frames of each block."""

    @property
    def dim(self) -> int:
        """Features per frame of the last block."""

    def blocks(self, inputs: Tensor, lengths: Tensor) -> list[Frames]:
        """Compute the frames of each block: ``ceil(length / hop)`` of a clip, followed by zeros."""

    def __call__(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Compute the frames of the last block."""


@dataclass(frozen=True, kw_only=True)
class ConvEncoderConfig:
    """Sizes of a convolutional encoder: one number for each block."""

    channels: tuple[int, ...] = (32, 64, 128, 256)
    time_strides: tuple[int, ...] = (2, 2, 2, 1)  # reduction of the frame rate by each block
    mel_strides: tuple[int, ...] = (2, 2, 2, 2)
    bands: int = 4  # parts of the mel axis that are pooled separately, because formants distinguish vowels

    def __post_init__(self) -> None:
        for name in ("channels", "time_strides", "mel_strides"):
            values = getattr(self, name)
            require(min(values, default=0) >= 1, f"encoder.{name}", values, "give each block a number of 1 or more")
            if len(values) != len(self.channels):
                problem = f"encoder.{name} has {len(values)} numbers and encoder.channels {len(self.channels)}"
                raise InputError(f"{problem}; give each block one of each")
        hop = math.prod(self.time_strides)
        rule = f"their product must divide {PIECE_FRAMES}, the frames that are read at once: choose powers of 2"
        require(PIECE_FRAMES % hop == 0, "encoder.time_strides", self.time_strides, rule)
        require(self.bands >= 1, "encoder.bands", self.bands, "it must be 1 (the mean over all bands) or more")

    @property
    def parameters(self) -> int:
        """Number of weights: two convolutions of 3 x 3 and two norms for each block."""
        before = (1, *self.channels)
        return sum(9 * (a + b) * b + 4 * b for a, b in zip(before, self.channels, strict=False))

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block."""
        return tuple(accumulate(self.time_strides, mul))

    @property
    def dim(self) -> int:
        """Features per frame of the last block: each channel in each band."""
        return self.bands * self.channels[-1]


class ConvEncoder(nn.Module):
    """A convolutional encoder: ``(batch, time, mels)`` -> frames of each block."""

    def __init__(self, config: ConvEncoderConfig) -> None:
        super().__init__()
        self.config = config
        strides = zip(config.time_strides, config.mel_strides, strict=True)
        widths = zip((1, *config.channels), config.channels, strict=False)
        self.stages = nn.ModuleList(
            ConvBlock(before, after, stride, strided=not number)
            for number, ((before, after), stride) in enumerate(zip(widths, strides, strict=True))
        )

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block."""
        return self.config.hops

    @property
    def dim(self) -> int:
        """Features per frame of the last block."""
        return self.config.dim

    def blocks(self, spectrograms: Tensor, lengths: Tensor) -> list[Frames]:
        """Compute the frames ``(batch, time, channels * bands)`` of each block: means over parts of the mel axis.

        A block of hop h has ``ceil(length / h)`` frames of a clip, followed by zeros.
        """
        images = spectrograms.unsqueeze(1)  # (N, T, M) -> (N, 1, T, M)
        images = images * _inside(images, lengths)
        # The strides of channels last: otherwise all images of the first block have another layout than its weights.
        images = images[:, 0, :, :, None].permute(0, 3, 1, 2)
        found = []
        for block in self.stages:
            images, lengths = block(images, lengths)
            bands = nn.functional.adaptive_avg_pool2d(images, (images.shape[2], self.config.bands))
            found.append((bands.permute(0, 2, 1, 3).flatten(2), lengths))  # (N, C, T, B) -> (N, T, C * B)
        return found

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Frames:
        """Compute the frames of the last block."""
        return self.blocks(spectrograms, lengths)[-1]


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and ReLU, twice; before them a stride of the first convolution or a maximum."""

    def __init__(self, before: int, after: int, stride: tuple[int, int], *, strided: bool) -> None:
        super().__init__()
        self.stride = stride
        self.strided = strided
        self.first = nn.Conv2d(before, after, 3, stride=stride if strided else 1, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(self, images: Tensor, lengths: Tensor) -> Frames:
        """Map ``(batch, before, time, mels)`` to ``(batch, after, time / stride, mels / stride)``, both rounded up."""
        lengths = -(-lengths // self.stride[0])
        if not self.strided and self.stride != (1, 1):
            # Zeros beyond the end are never the maximum, because the inputs are not negative.
            images = nn.functional.max_pool2d(images, self.stride, ceil_mode=True)
        images = _normalise(self.first_norm, self.first(images), lengths)
        return _normalise(self.second_norm, self.second(images), lengths), lengths


def create_encoder(config: ConvEncoderConfig, *, seed: int) -> ConvEncoder:
    """Build an encoder whose weights follow from the seed: He et al., arXiv:1502.01852."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ConvEncoder(config)
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                # Channels last: several times as fast on CPUs.
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return encoder


def _normalise(norm: nn.BatchNorm2d, images: Tensor, lengths: Tensor) -> Tensor:
    """Apply batch normalisation and ReLU inside the clips, with statistics of the inside; zeros beyond."""
    if not norm.training or bool((lengths >= images.shape[2]).all()):
        return torch.relu(norm(images)) * _inside(images, lengths)
    inside = torch.arange(images.shape[2], device=lengths.device) < lengths[:, None]
    places = tuple(copy_to(each, images.device) for each in inside.nonzero(as_tuple=True))
    rows = images.permute(0, 2, 3, 1)  # (N, C, T, M) -> (N, T, M, C)
    # One image of all frames inside. Its strides are those of channels last, also that of the batch's single row, which
    # `squeeze` and `unsqueeze` keep and an index does not: otherwise the norm's backward pass takes ten times as long.
    kept = rows[places].unsqueeze(0)  # (1, frames of all clips, M, C)
    kept = torch.relu(norm(kept.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).squeeze(0)
    return torch.zeros_like(rows, dtype=kept.dtype).index_put_(places, kept).permute(0, 3, 1, 2)


def _inside(images: Tensor, lengths: Tensor) -> Tensor:
    """Return which frames of ``(batch, channels, time, mels)`` belong to their clip ``(batch, 1, time, 1)``."""
    ends = copy_to(lengths, images.device)[:, None]
    return (torch.arange(images.shape[2], device=images.device) < ends)[:, None, :, None]
