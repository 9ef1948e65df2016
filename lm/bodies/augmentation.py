"""Augmented views of normalised log-mel spectrograms and of samples: another speaker, another place, another time.

Crops, mixtures and masks as in contrastive learning of audio (Saeed et al., arXiv:2010.10915; Niizumi et al., BYOL-A,
arXiv:2103.06695) and in SpecAugment (Park et al., arXiv:1904.08779). Gain and mixtures are exact where the sound is
well above the front end's floor. Flips and Gaussian blur are those of images in SimCLR (Chen et al., arXiv:2002.05709),
which Verma and Smith (arXiv:2010.11459) apply to spectrograms: a flip in time reverses a sound, and a flip of the bands
exchanges high and low. Spectrograms are ``(batch, time, mels)`` with zeros beyond each clip's length.

Samples are played at another rate, as a tape that runs slower or faster (Ko et al., "Audio augmentation for speech
recognition", 2015), by the same resampler that reads recordings. Crops begin at any sample, so the same sound lies
differently in its patches each time.

Views are made on the device of the spectrograms. Lengths, and random numbers of a clip, stay on the host. Noise is
drawn on the device, so a GPU's noise is not that of a CPU.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from lm.bodies.clips import CPU
from lm.bodies.options import AugmentationConfig, WaveformAugmentationConfig
from wordless.audio.padding import inside
from wordless.audio.reading import resample_blocks
from wordless.audio.spectrogram import warp
from wordless.base.machine import copy_to
from wordless.base.seeds import MAX_SEED

REACH = 3.0  # standard deviations after which a Gaussian is cut
SMALLEST = 1e-3  # standard deviation; a smaller one would divide by zero, and blurs nothing


def draw_share(size: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(size, generator=generator) < share


def flip_time(views: Tensor, lengths: Tensor, chosen: Tensor) -> Tensor:
    """Reverse the chosen clips in time, each within its own length."""
    lengths, chosen = copy_to(lengths, views.device), copy_to(chosen, views.device)
    places = torch.arange(views.shape[1], device=views.device).expand(len(views), -1)  # (batch, time)
    reverse = chosen[:, None] & (places < lengths[:, None])
    sources = torch.where(reverse, lengths[:, None] - 1 - places, places)
    return views.gather(1, sources[:, :, None].expand_as(views))


def flip_bands(views: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(copy_to(chosen, views.device)[:, None, None], views.flip(2), views)


def blur(views: Tensor, lengths: Tensor, deviations: Tensor, *, largest: float) -> Tensor:
    """Blur each clip in time and across bands by a Gaussian with its own standard deviation ``(batch,)``.

    The Gaussian is cut at three times the ``largest`` standard deviation, and where the clip ends. Its weights inside
    the clip sum to 1, so silence beyond the end does not leak in.
    """
    radius = math.ceil(REACH * largest)
    steps = torch.arange(-radius, radius + 1, device=views.device)
    widths = copy_to(deviations, views.device).clamp(min=SMALLEST)
    kernels = (-0.5 * (steps / widths[:, None]) ** 2).exp()  # (batch, 2 * radius + 1)
    own = inside(views, lengths).to(views.dtype)[:, :, None].expand_as(views)
    return _smooth(views * own, kernels) / _smooth(own, kernels).clamp(min=1e-12) * own


def _smooth(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each image ``(batch, time, mels)`` with its own kernel ``(batch, width)``, along both axes."""
    size, radius = len(images), kernels.shape[1] // 2
    stacked = images[None]  # (N, T, M) -> (1, N, T, M): one channel for each clip
    along_time = nn.functional.conv2d(stacked, kernels[:, None, :, None], padding=(radius, 0), groups=size)
    return nn.functional.conv2d(along_time, kernels[:, None, None, :], padding=(0, radius), groups=size)[0]


NATS_PER_DB = math.log(10) / 10  # of power


def augment(
    spectrograms: Tensor, lengths: Tensor, generator: torch.Generator, *, config: AugmentationConfig, std: Tensor
) -> tuple[Tensor, Tensor]:
    """Make a view of each clip ``(batch, time, mels)``, zeros beyond its length, and the views' lengths ``(batch,)``.

    All random choices come from ``generator``; ``std (mels,)`` is the divisor of the normalised log-mel.
    """
    device, std = spectrograms.device, copy_to(std, spectrograms.device)
    kept, starts = draw_crops(lengths, config.crop, generator)
    speeds, formants = (draw_ratios(len(lengths), most, generator) for most in (config.speed, config.formant))
    views, lengths = warp(spectrograms, kept, speeds=speeds, formants=formants, starts=starts)
    if config.time_flip:
        views = flip_time(views, lengths, draw_share(len(views), config.time_flip, generator))
    if config.mel_flip:
        views = flip_bands(views, draw_share(len(views), config.mel_flip, generator))
    views = _mix(views, lengths, config, generator, std)
    size, time, mels = views.shape
    gains = copy_to(draw_spread(size, generator), device)
    views = views + gains[:, None, None] * (config.gain_db * NATS_PER_DB / std)
    if config.noise:
        levels = copy_to(config.noise * torch.rand(size, 1, 1, generator=generator), device)
        views = views + levels * _draw_noise(views, generator)
    if config.blur:
        views = blur(views, lengths, config.blur * torch.rand(size, generator=generator), largest=config.blur)
    all_bands = torch.full((size,), mels)
    times = ~inside(views, lengths)  # (batch, time), that are set to 0 in all bands
    bands = torch.zeros(size, mels, dtype=torch.bool, device=device)  # that are set to 0 at all times
    for _ in range(config.time_masks):
        times |= draw_passages(lengths, time, config.time_mask, generator, device=device)
    for _ in range(config.mel_masks):
        bands |= draw_passages(all_bands, mels, config.mel_mask, generator, device=device)
    blotted = times[:, :, None] | bands[:, None, :]
    for _ in range(config.blocks):
        passage = draw_passages(lengths, time, config.block, generator, device=device)
        blotted |= (
            passage[:, :, None] & draw_passages(all_bands, mels, config.block, generator, device=device)[:, None, :]
        )
    return views.masked_fill(blotted, 0.0), lengths


def _draw_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw normal noise of the shape of a tensor: from ``generator`` on a CPU, else on the device from a seed of it."""
    if like.device.type == "cpu":
        return torch.randn(like.shape, generator=generator)
    seed = int(torch.randint(MAX_SEED, (1,), generator=generator))
    own = torch.Generator(like.device).manual_seed(seed) if like.is_cuda else None
    return torch.randn(like.shape, generator=own, device=like.device)


def draw_spread(size: int, generator: torch.Generator) -> Tensor:
    """Draw uniformly from [-1, 1) ``(size,)``."""
    return 2 * torch.rand(size, generator=generator) - 1


def draw_ratios(size: int, largest: float, generator: torch.Generator) -> Tensor:
    """Draw factors of up to 1 + ``largest``, or by the same factor smaller ``(size,)``."""
    return (draw_spread(size, generator) * math.log1p(largest)).exp()


def draw_crops(
    lengths: Tensor, least: float, generator: torch.Generator, *, at_most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the length of a part of each clip, at least a share of it, and its first frame or sample ``(batch,)``."""
    shares = 1 - (1 - least) * torch.rand(len(lengths), generator=generator)
    kept = (lengths * shares).round().long().clamp(min=1, max=at_most)
    places = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    return kept, (places * (lengths - kept + 1)).long()


def _mix(views: Tensor, lengths: Tensor, config: AugmentationConfig, generator: torch.Generator, std: Tensor) -> Tensor:
    """Mix some clips with a softer clip of the batch: powers add, so logarithms log-add-exp."""
    size = len(views)
    others = (torch.arange(size) + torch.randint(1, max(size, 2), (1,), generator=generator)) % size
    softer = config.mix_db * (1 + torch.rand(size, generator=generator)) * NATS_PER_DB
    chosen = torch.rand(size, generator=generator) < config.mix
    if not bool(chosen.any()) or size == 1:
        return views
    # A normalised band is (log power - mean) / std. Both clips have the same mean, which cancels out.
    behind = views[copy_to(others, views.device)] * std - copy_to(softer, views.device)[:, None, None]
    sounding = inside(views, lengths[others]) & copy_to(chosen, views.device)[:, None]
    return torch.where(sounding[:, :, None], torch.logaddexp(views * std, behind) / std, views)


def draw_passages(
    lengths: Tensor, steps: int, share: float, generator: torch.Generator, *, device: torch.device = CPU
) -> Tensor:
    """Choose in each row a passage of at most ``share`` of its length, anywhere in it ``(batch, steps)``.

    The result is on ``device``.
    """
    size = len(lengths)
    widths = (torch.rand(size, generator=generator) * share * lengths).round()
    starts = (torch.rand(size, generator=generator) * (lengths - widths + 1)).floor()
    places, ends = torch.arange(steps, device=device), copy_to(starts + widths, device)
    return (places >= copy_to(starts, device)[:, None]) & (places < ends[:, None])


RATE = 10_000  # of the resampler's input; only its ratio to the output's rate counts


def augment_waveforms(
    samples: Tensor, lengths: Tensor, generator: torch.Generator, *, config: WaveformAugmentationConfig
) -> tuple[Tensor, Tensor]:
    """Make a view of each clip ``(batch, samples)``, zeros beyond its length, and the views' lengths ``(batch,)``.

    All random choices come from ``generator``.
    """
    kept, starts = draw_crops(lengths, config.crop, generator)
    rates = draw_ratios(len(samples), config.rate, generator)
    played = list[Tensor]()
    for row, start, count, rate in zip(samples, starts.tolist(), kept.tolist(), rates.tolist(), strict=True):
        # A rate above 1 makes the sound longer and lower, as in a `Hearing`.
        blocks = resample_blocks([row[start : start + count].numpy()], RATE, round(RATE * rate))
        played.append(torch.from_numpy(np.concatenate([*blocks])))
    views, lengths = nn.utils.rnn.pad_sequence(played, batch_first=True), torch.tensor([len(each) for each in played])
    views = _mix_samples(views, lengths, config, generator)
    levels = _levels(views, lengths) * config.noise * torch.rand(len(views), generator=generator)
    views = views + levels[:, None] * torch.randn(views.shape, generator=generator)
    silent = torch.arange(views.shape[1]) >= lengths[:, None]
    for _ in range(config.time_masks):
        silent |= draw_passages(lengths, views.shape[1], config.time_mask, generator)
    return views.masked_fill(silent, 0.0), lengths


def _mix_samples(
    views: Tensor, lengths: Tensor, config: WaveformAugmentationConfig, generator: torch.Generator
) -> Tensor:
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
