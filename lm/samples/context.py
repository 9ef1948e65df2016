"""A context vector for each frame of samples, from a convolutional network over a longer past.

Convolutions whose stride is their width turn samples into frames. Dilated convolutions over frames double the past with
each layer. The vector of a frame has read whole frames before it, and no sample of its own, so it is computed once per
frame in training and in generation::

    samples   [   frame 0   ][   frame 1   ][   frame 2   ]     frame_length samples each
    frames          f0 ───────────── f1 ──────────── f2
    vectors   zeros          of f0           of f0, f1          added to the embeddings of the frame's samples
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from lm.samples.options import ContextConfig
from vocoder.wavenet.mu_law import companded_scale


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
