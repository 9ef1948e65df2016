"""A small convolutional encoder of log-mel spectrograms; every block can be probed.

Blocks of two 3 x 3 convolutions, as in VGG (Simonyan and Zisserman, arXiv:1409.1556) and in the CNNs of PANNs (Kong et
al., arXiv:1912.10211). Frames beyond a clip's end are set to zero before each convolution and left out of the batch
statistics, so a clip's frames do not depend on the other clips of the batch. Lengths on the host save a GPU from being
asked for them in each block.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Protocol

import torch
from torch import Tensor, nn

from lm.baselines.spectrogram_reader import PIECE_FRAMES
from wordless.audio.padding import inside, join_groups
from wordless.base.devices import copy_to
from wordless.base.errors import InputError
from wordless.base.ranges import require

Frames = tuple[Tensor, Tensor]  # (batch, time, dim), and the number of frames of each clip (batch,)
CLIPS_AT_ONCE = 24  # in one convolution on a CPU; a larger number pads short clips with more silence


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
        order = _shortest_first(lengths)
        return [self._frames(images, order) for images in self._images(spectrograms, lengths, order)]

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Frames:
        """Compute the frames of the last block."""
        order = _shortest_first(lengths)
        [last] = deque(self._images(spectrograms, lengths, order), maxlen=1)
        return self._frames(last, order)

    def _images(self, spectrograms: Tensor, lengths: Tensor, order: Tensor) -> Iterator[list[Frames]]:
        """Give the images ``(clips, channels, time, mels)`` of each block, and their lengths, in groups of clips."""
        size = len(order) if spectrograms.is_cuda else CLIPS_AT_ONCE  # a GPU is faster with one large convolution
        images = list[Frames]()
        for rows in torch.split(order, size):
            own = lengths[rows]
            group = spectrograms[copy_to(rows, spectrograms.device), : int(own.max())].unsqueeze(1)
            group = group * _inside(group, own)  # (N, 1, T, M)
            # The strides of channels last: otherwise the first block's images have another layout than its weights.
            images.append((group[:, 0, :, :, None].permute(0, 3, 1, 2), own))
        for block in self.stages:
            images = block(images)
            yield images

    def _frames(self, images: Sequence[Frames], order: Tensor) -> Frames:
        """Pool groups of images over parts of the mel axis, and bring their clips into the order of the batch."""
        pooled = [nn.functional.adaptive_avg_pool2d(each, (each.shape[2], self.config.bands)) for each, _ in images]
        frames = [each.permute(0, 2, 1, 3).flatten(2) for each in pooled]  # (N, C, T, B) -> (N, T, C * B)
        return join_groups(frames, order), torch.cat([lengths for _, lengths in images])[order.argsort()]


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

    def forward(self, images: Sequence[Frames]) -> list[Frames]:
        """Map groups ``(clips, before, time, mels)`` to ``(clips, after, time / stride, mels / stride)``.

        Quotients are rounded up.
        """
        lengths = [-(-own // self.stride[0]) for _, own in images]
        entered = [each for each, _ in images]
        if not self.strided and self.stride != (1, 1):
            # Zeros beyond the end are never the maximum, because the inputs are not negative.
            entered = [nn.functional.max_pool2d(each, self.stride, ceil_mode=True) for each in entered]
        entered = _normalise(self.first_norm, [self.first(each) for each in entered], lengths)
        entered = _normalise(self.second_norm, [self.second(each) for each in entered], lengths)
        return [*zip(entered, lengths, strict=True)]


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


def _shortest_first(lengths: Tensor) -> Tensor:
    """Return the clips' places in the order of their lengths, so that clips of similar length are computed together."""
    return lengths.argsort(stable=True)


def _normalise(norm: nn.BatchNorm2d, images: Sequence[Tensor], lengths: Sequence[Tensor]) -> list[Tensor]:
    """Apply batch normalisation and ReLU inside the clips, with statistics over all groups; zeros beyond."""
    full = len(images) == 1 and bool((lengths[0] >= images[0].shape[2]).all())
    if not norm.training or full:
        return [torch.relu(norm(each)) * _inside(each, own) for each, own in zip(images, lengths, strict=True)]
    rows = [each.permute(0, 2, 3, 1) for each in images]  # (N, C, T, M) -> (N, T, M, C)
    places = [_places(each, own) for each, own in zip(rows, lengths, strict=True)]
    # One image of all frames inside. Its strides are those of channels last, also that of the batch's single row, which
    # `squeeze` and `unsqueeze` keep and an index does not: otherwise the norm's backward pass takes ten times as long.
    kept = torch.cat([each[place] for each, place in zip(rows, places, strict=True)]).unsqueeze(0)
    kept = torch.relu(norm(kept.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).squeeze(0)  # (frames of all clips, M, C)
    parts = torch.split(kept, [len(clips) for clips, _ in places])
    return [
        torch.zeros_like(each, dtype=part.dtype).index_put_(place, part).permute(0, 3, 1, 2)
        for each, place, part in zip(rows, places, parts, strict=True)
    ]


def _places(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clip and the time of each frame of ``(clips, time, ...)`` that belongs to its clip."""
    own = torch.arange(rows.shape[1], device=lengths.device) < lengths[:, None]  # on the host: a GPU's `nonzero` waits
    clips, times = own.nonzero(as_tuple=True)
    return copy_to(clips, rows.device), copy_to(times, rows.device)


def _inside(images: Tensor, lengths: Tensor) -> Tensor:
    """Return which frames of ``(batch, channels, time, mels)`` belong to their clip ``(batch, 1, time, 1)``."""
    return inside(images[:, 0], lengths)[:, None, :, None]
