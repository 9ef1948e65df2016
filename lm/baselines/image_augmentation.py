"""Augmentations of images, applied to spectrograms ``(batch, time, mels)`` with zeros beyond each clip's length.

Flips and Gaussian blur as in SimCLR (Chen et al., arXiv:2002.05709), which Verma and Smith (arXiv:2010.11459) apply to
spectrograms. A flip in time reverses a sound; a flip of the bands exchanges high and low.
"""

import math

import torch
from torch import Tensor, nn

from wordless.audio.padding import inside

REACH = 3.0  # standard deviations after which a Gaussian is cut
SMALLEST = 1e-3  # standard deviation; a smaller one would divide by zero, and blurs nothing


def draw_share(size: int, share: float, generator: torch.Generator) -> Tensor:
    """Choose each of ``size`` clips with probability ``share`` ``(size,)``."""
    return torch.rand(size, generator=generator) < share


def flip_time(views: Tensor, lengths: Tensor, chosen: Tensor) -> Tensor:
    """Reverse the chosen clips in time, each within its own length."""
    places = torch.arange(views.shape[1]).expand(len(views), -1)  # (batch, time)
    reverse = chosen[:, None] & (places < lengths[:, None])
    sources = torch.where(reverse, lengths[:, None] - 1 - places, places)
    return views.gather(1, sources[:, :, None].expand_as(views))


def flip_bands(views: Tensor, chosen: Tensor) -> Tensor:
    """Reverse the bands of the chosen clips."""
    return torch.where(chosen[:, None, None], views.flip(2), views)


def blur(views: Tensor, lengths: Tensor, deviations: Tensor, *, largest: float) -> Tensor:
    """Blur each clip in time and across bands by a Gaussian with its own standard deviation ``(batch,)``.

    The Gaussian is cut at three times the ``largest`` standard deviation, and where the clip ends. Its weights inside
    the clip sum to 1, so silence beyond the end does not leak in.
    """
    radius = math.ceil(REACH * largest)
    steps = torch.arange(-radius, radius + 1)
    kernels = (-0.5 * (steps / deviations.clamp(min=SMALLEST)[:, None]) ** 2).exp()  # (batch, 2 * radius + 1)
    own = inside(views, lengths).to(views.dtype)[:, :, None].expand_as(views)
    return _smooth(views * own, kernels) / _smooth(own, kernels).clamp(min=1e-12) * own


def _smooth(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each image ``(batch, time, mels)`` with its own kernel ``(batch, width)``, along both axes."""
    size, radius = len(images), kernels.shape[1] // 2
    stacked = images[None]  # (N, T, M) -> (1, N, T, M): one channel for each clip
    along_time = nn.functional.conv2d(stacked, kernels[:, None, :, None], padding=(radius, 0), groups=size)
    return nn.functional.conv2d(along_time, kernels[:, None, None, :], padding=(0, radius), groups=size)[0]
