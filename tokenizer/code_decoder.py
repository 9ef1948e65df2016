"""The code decoder: a network that reads the codes around a code, and their pitch, to say what log-mel they stand for.

The decoder of the autoencoder knows a code alone, so a code has the same log-mel wherever it stands: the mean of all
patches that it was given. Its neighbours say which of these patches it was::

    codes      |   c0   |   c1   |   c2   |   c3   |   c4   |   c5   |   c6   |
    alone      |   p0   |   p1   |   p2   |   p3   |   p4   |   p5   |   p6   |     log-mel of each centroid, pitch
                        [           reach          |          reach           ]     convolutions without padding
    in context |                            |  p3 + what the others say  |

Of 0.65 DistillMOS that codes of 400 bits per second lose, such a network wins back a third: docs/log.md, "Codes in
context".

A sound is decoded in blocks of `tokenizer.codes.BLOCK` codes from its begin, each of which is one call of the same
shape. So whole sounds, streams and parts of a sound have the same bytes: other shapes would be rounded in another way::

    block 0     [ outside | block 0      | reach ]
    block 1          [ reach    | block 1      | reach ]
    block 2               [ reach    | block 2  outside .. ]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from tokenizer.codes import BLOCK
from wordless.base.arrays import IndexArray
from wordless.base.devices import Batch
from wordless.base.options import Options, option

# Inputs of a code beside its log-mel: whether it is of the sound, whether there is a voice, and its height.
SIDE_INPUTS = 3
MOST_REACH = 1 << 12  # codes


@dataclass(frozen=True, kw_only=True)
class DecoderConfig(Options):
    """Sizes of a code decoder."""

    channels: int = option(256, "width of the layers", least=1)
    dilations: tuple[int, ...] = option((1, 2, 4), "dilation of each layer after the first", least=1, most=MOST_REACH)

    @property
    def reach(self) -> int:
        """Codes before a code that its log-mel depends on, and as many after it."""
        return 1 + sum(self.dilations)


def dilations_within(codes: int) -> tuple[int, ...]:
    """Return dilations that double, of as many layers as look at most so many ``codes`` ahead, with the first layer."""
    found, reach = list[int](), 1
    while reach + (1 << len(found)) <= codes:
        reach += 1 << len(found)
        found.append(1 << len(found))
    return tuple(found)


class CodeDecoderNetwork(nn.Module):
    """Residual convolutions over codes, each of three codes (`DecoderConfig.dilations` apart), without padding."""

    def __init__(self, config: DecoderConfig, patch_size: int) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.first = nn.Conv1d(patch_size + SIDE_INPUTS, width, 3).float()
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=each).float() for each in config.dilations)
        self.last = nn.Conv1d(width, patch_size, 1).float()
        nn.init.zeros_(self.last.weight)  # training begins with the patches of codes alone
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """``(batch, reach + time + reach, patch + SIDE_INPUTS)`` as of `inputs` -> patches ``(batch, time, patch)``."""
        reach, patch = self.config.reach, self.last.out_channels
        hidden: Tensor = self.first(codes.transpose(1, 2))  # (N, T, C) -> (N, C, T)
        for layer, dilation in zip(self.layers, self.config.dilations, strict=True):
            hidden = hidden[..., dilation:-dilation] + layer(relu(hidden))
        change: Tensor = self.last(relu(hidden))
        return codes[:, reach : codes.shape[1] - reach, :patch] + change.transpose(1, 2)

    def decode(self, codes: Tensor, *, before: int = 0, after: int = 0) -> Tensor:
        """Decode inputs of a sound ``(time, patch + SIDE_INPUTS)``, as of `inputs`, block by block.

        The first ``before`` and the last ``after`` codes are context alone. Their blocks are counted from the first
        code that is decoded. Return patches ``(time - before - after, patch)``.
        """
        reach, count = self.config.reach, len(codes) - before - after
        missing = (reach - before, reach - after + -count % BLOCK)  # negative: context that no code reads
        window, none = pad(codes, (0, 0, *missing)), codes.new_zeros(0, self.last.out_channels)
        blocks = (window[None, start : start + BLOCK + 2 * reach] for start in range(0, count, BLOCK))
        return torch.cat([none, *(self(block)[0] for block in blocks)])[:count]


def inputs(alone: Tensor, octaves: Tensor | None) -> Tensor:
    """Put together what the network reads: ``(..., time, patch + SIDE_INPUTS)``; zeros stand for codes outside a sound.

    Args:
        alone: normalised patches of the codes, each decoded alone ``(..., time, patch)``.
        octaves: binary logarithm of the pitch of each code in Hz, nan without a voice ``(..., time)``; None: unknown,
            which is as no voice.
    """
    side = alone.new_zeros(*alone.shape[:-1], SIDE_INPUTS)
    side[..., 0] = 1.0
    if octaves is not None:
        voiced = ~octaves.isnan()
        side[..., 1] = voiced.to(side)
        side[..., 2] = torch.where(voiced, octaves - 7.0, 0.0).to(side)  # 7: 128 Hz, within the pitch of voices
    return torch.cat([alone, side], dim=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class DecoderBatch(Batch):
    """Crops of sounds, of equal length."""

    codes: Tensor  # (batch, reach + time + reach, patch + SIDE_INPUTS), as of `inputs`
    patches: Tensor  # (batch, time, patch), normalised log-mel as recorded
    known: Tensor  # (batch, time, 1), 1 where the crop has a code, and 0 behind the end of its sound
    counted: int  # values of the patches that the loss counts; known on the host, which saves a query to the GPU


@dataclass(frozen=True, kw_only=True, eq=False)
class DecoderCrops:
    """Batches of random crops; a crop depends on seed, step and its place in the batch alone.

    Sounds lie one after the other, and sound ``i`` has the codes ``[offsets[i], offsets[i + 1])``. The chance of a
    sound is proportional to its length.
    """

    codes: Tensor  # (codes, patch + SIDE_INPUTS), as of `inputs`
    patches: Tensor  # (codes, patch), normalised log-mel as recorded
    offsets: IndexArray  # (sounds + 1,)
    reach: int
    crop_codes: int
    batch_size: int
    seed: int
    pitch_dropout: float = 0.0  # share of the crops whose pitch is unknown

    def batch(self, step: int, part: int = 0, parts: int = 1) -> DecoderBatch:
        """Return part ``part`` of ``parts`` of the batch of ``step``."""
        return _stacked([self._drawn(step, example) for example in range(part, self.batch_size, parts)])

    def _drawn(self, step: int, example: int) -> DecoderBatch:
        rng = np.random.default_rng([self.seed, step, example])
        sound = int(np.searchsorted(self.offsets, rng.integers(self.offsets[-1]), side="right")) - 1
        first, last = (int(each) for each in self.offsets[sound : sound + 2])
        start = first + int(rng.integers(max(last - first - self.crop_codes, 0) + 1))
        stop = start + self.crop_codes
        begin, end = max(start - self.reach, first), min(stop + self.reach, last)
        around = (0, 0, begin - start + self.reach, stop + self.reach - end)
        codes, missing = pad(self.codes[begin:end], around), max(stop - last, 0)
        if rng.random() < self.pitch_dropout:
            codes[:, -SIDE_INPUTS + 1 :] = 0.0
        known = pad(torch.ones(self.crop_codes - missing, 1, dtype=torch.float32), (0, 0, 0, missing))
        patches = pad(self.patches[start : min(stop, last)], (0, 0, 0, missing))
        counted = (self.crop_codes - missing) * patches.shape[1]
        return DecoderBatch(codes=codes, patches=patches, known=known, counted=counted)


def _stacked(crops: Sequence[DecoderBatch]) -> DecoderBatch:
    return DecoderBatch(
        codes=torch.stack([crop.codes for crop in crops]),
        patches=torch.stack([crop.patches for crop in crops]),
        known=torch.stack([crop.known for crop in crops]),
        counted=sum(crop.counted for crop in crops),
    )


def loss(model: nn.Module, batch: DecoderBatch) -> tuple[Tensor, int]:
    """Sum the absolute error over the values of known codes, and count them."""
    errors = (model(batch.codes).float() - batch.patches).abs() * batch.known
    return errors.sum(), batch.counted
