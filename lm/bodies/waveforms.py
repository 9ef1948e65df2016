"""Samples as inputs of bodies, and augmented views of them: another speaker, another place, another time.

A clip is played at another rate, as a tape that runs slower or faster (Ko et al., "Audio augmentation for speech
recognition", 2015), by the same resampler that reads recordings. Crops begin at any sample, so the same sound lies
differently in its patches each time. Mixtures, noise and masks are those of `lm.bodies.augmentation`, for samples.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from lm.bodies.augmentation import draw_passages, draw_spread
from lm.bodies.clips import MakeView
from lm.bodies.options import WaveformAugmentationConfig
from wordless.audio.padding import inside
from wordless.audio.reading import resample_blocks

RATE = 10_000  # of the resampler's input; only its ratio to the output's rate counts


def augmenting_waveforms(config: WaveformAugmentationConfig) -> MakeView:
    """Return a function that makes a view of each clip of a batch by `augment_waveforms`."""

    def make_view(samples: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return augment_waveforms(samples, lengths, config, generator)

    return make_view


def augment_waveforms(
    samples: Tensor, lengths: Tensor, config: WaveformAugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Make a view of each clip ``(batch, samples)``, zeros beyond its length, and the views' lengths ``(batch,)``.

    All random choices come from ``generator``.
    """
    views, lengths = _crop_and_replay(samples, lengths, config, generator)
    views = _mix(views, lengths, config, generator)
    levels = _levels(views, lengths) * config.noise * torch.rand(len(views), generator=generator)
    views = views + levels[:, None] * torch.randn(views.shape, generator=generator)
    silent = torch.arange(views.shape[1]) >= lengths[:, None]
    for _ in range(config.time_masks):
        silent |= draw_passages(lengths, views.shape[1], config.time_mask, generator)
    return views.masked_fill(silent, 0.0), lengths


def _crop_and_replay(
    samples: Tensor, lengths: Tensor, config: WaveformAugmentationConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    size = len(samples)
    shares = 1 - (1 - config.crop) * torch.rand(size, generator=generator)
    kept = (lengths * shares).round().long().clamp(min=1)
    starts = (torch.rand(size, generator=generator, dtype=torch.float64) * (lengths - kept + 1)).long()
    rates = (draw_spread(size, generator) * math.log1p(config.rate)).exp()
    views = list[Tensor]()
    for row, start, count, rate in zip(samples, starts.tolist(), kept.tolist(), rates.tolist(), strict=True):
        # A rate above 1 makes the sound longer and lower, as in a `Hearing`.
        blocks = resample_blocks([row[start : start + count].numpy()], RATE, round(RATE * rate))
        views.append(torch.from_numpy(np.concatenate([*blocks])))
    return nn.utils.rnn.pad_sequence(views, batch_first=True), torch.tensor([len(view) for view in views])


def _mix(views: Tensor, lengths: Tensor, config: WaveformAugmentationConfig, generator: torch.Generator) -> Tensor:
    """Add to some clips a softer clip of the batch, from its beginning on."""
    size, levels = len(views), _levels(views, lengths)
    others = (torch.arange(size) + torch.randint(1, max(size, 2), (1,), generator=generator)) % size
    softer = config.mix_db * (1 + torch.rand(size, generator=generator))
    chosen = torch.rand(size, generator=generator) < config.mix
    gains = levels / levels[others].clamp(min=1e-8) * 10 ** (-softer / 20) * chosen
    return views + gains[:, None] * views[others] * inside(views, lengths)


def _levels(views: Tensor, lengths: Tensor) -> Tensor:
    """Compute the root mean square of each clip ``(batch,)``."""
    return (views.square().sum(1) / lengths).sqrt()
