"""A context vector for each frame of samples, from a convolutional network over a longer past.

Convolutions whose stride is their width turn samples into frames. Dilated convolutions over frames double the past with
each layer. The vector of a frame has read whole frames before it, and no sample of its own, so it is computed once per
frame in training and in generation::

    samples   [   frame 0   ][   frame 1   ][   frame 2   ]     frame_length samples each
    frames          f0 ───────────── f1 ──────────── f2
    vectors   zeros          of f0           of f0, f1          added to the embeddings of the frame's samples
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from vocoder.wavenet.mu_law import companded_scale
from wordless.base.errors import InputError
from wordless.base.ranges import require, require_positive

MOST_PAST = 1 << 20  # samples


@dataclass(frozen=True, kw_only=True)
class ContextConfig:
    """Sizes of the network that reads the longer past."""

    strides: tuple[int, ...] = (4, 4, 4)  # of the convolutions that turn samples into frames
    channels: int = 24
    layers: int = 7  # dilated convolutions over frames, with dilations 1, 2, 4, ...

    def __post_init__(self) -> None:
        require_positive(self, "context", "channels", "layers")
        rule = "name at least one stride, each 2 or more"
        require(min(self.strides, default=0) >= 2, "context.strides", list(self.strides), rule)
        if self.layers > 20 or self.past > MOST_PAST:
            raise InputError(
                f"context.layers is {self.layers} over frames of {self.frame_length} samples: the context "
                f"would reach back more than {MOST_PAST} samples; choose fewer layers"
            )

    @property
    def frame_length(self) -> int:
        """Samples of a frame."""
        return prod(self.strides)

    @property
    def past(self) -> int:
        """Samples before a frame that its vector depends on; whole frames."""
        return self.frame_length << self.layers

    def parameters(self, model_dim: int) -> int:
        """Return the number of weights of a network whose vectors have ``model_dim`` values."""
        channels, widths = self.channels, (1, *(self.channels for _ in self.strides[1:]))
        framing = sum((width * stride + 1) * channels for width, stride in zip(widths, self.strides, strict=True))
        return framing + self.layers * (2 * channels + 1) * channels + (channels + 1) * model_dim

    def multiply_adds(self, model_dim: int) -> float:
        """Return the multiply-adds per sample of a network that computes each frame once."""
        total, samples, width = 0.0, 1, 1
        for stride in self.strides:
            samples *= stride
            total += width * stride * self.channels / samples
            width = self.channels
        return total + (2 * self.layers * self.channels**2 + self.channels * model_dim) / samples


class Framing(nn.Conv1d):
    """A convolution whose stride is its width: ``(batch, width, time)`` -> ``(batch, channels, frames)``.

    It is a matrix product: PyTorch's own convolution in bfloat16 gives wrong results for some sizes on CPUs with AMX
    (`wordless.training.precision`), such as 24 channels and a stride of 4.
    """

    def forward(self, sound: Tensor) -> Tensor:
        batch, width, time = sound.shape
        (stride,) = self.stride
        whole = sound[..., : time // stride * stride]
        frames = whole.reshape(batch, width, time // stride, stride).transpose(1, 2)  # -> (N, F, W, S)
        return linear(frames.flatten(2), self.weight.flatten(1), self.bias).transpose(1, 2)


class ContextNetwork(nn.Module):
    """Vectors ``(batch, frames, model_dim)`` of levels ``(batch, frames * frame_length)``; a frame sees none later."""

    def __init__(self, config: ContextConfig, *, model_dim: int) -> None:
        super().__init__()
        self.config = config
        widths = (1, *(config.channels for _ in config.strides[1:]))
        self.framing = nn.ModuleList(
            Framing(width, config.channels, stride, stride)
            for width, stride in zip(widths, config.strides, strict=True)
        )
        self.dilated = nn.ModuleList(
            nn.Conv1d(config.channels, config.channels, 2, dilation=1 << layer) for layer in range(config.layers)
        )
        self.output = nn.Linear(config.channels, model_dim)

    def forward(self, levels: Tensor) -> Tensor:
        """Compute the vectors that are known after each frame: those of the frames that follow."""
        frames = companded_scale(levels).unsqueeze(1)  # (N, 1, T)
        for convolution in self.framing:
            frames = torch.relu(convolution(frames))
        for layer, convolution in enumerate(self.dilated):
            frames = frames + torch.relu(convolution(pad(frames, (1 << layer, 0))))
        vectors: Tensor = self.output(frames.transpose(1, 2))  # (N, C, F) -> (N, F, M)
        return vectors
