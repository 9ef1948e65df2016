"""The frames of a stack of strided convolutions over samples.

::

    samples   |<- stride ->|            |            |            |
    frame 0   [  receptive field  ]
    frame 1                [  receptive field  ]
    frame 2                             [  receptive field  ]        a frame needs all of its samples
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wordless.base.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Convolutions:
    """Kernel sizes and strides of convolutions without padding, the first one first."""

    kernels: Sequence[int]
    strides: Sequence[int]

    def __post_init__(self) -> None:
        kernels, strides = list(self.kernels), list(self.strides)
        if not kernels or len(kernels) != len(strides) or min(*kernels, *strides) < 1:
            problem = f"kernels are {kernels} and strides {strides}"
            raise InputError(f"{problem}; give as many of both, at least one, each 1 or more")

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        stride = 1
        for own in self.strides:
            stride *= own
        return stride

    @property
    def receptive_field(self) -> int:
        """Samples that a frame depends on."""
        field = step = 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            field += (kernel - 1) * step
            step *= stride
        return field

    def frames(self, num_samples: int) -> int:
        """Count the frames of a sound; one that is shorter than the receptive field is filled up with silence."""
        return max(num_samples - self.receptive_field, 0) // self.stride + 1

    def frames_of(self, lengths: Tensor) -> Tensor:
        """Count the frames of several sounds of ``lengths (batch,)`` samples."""
        beyond = (lengths - self.receptive_field).clamp(min=0)
        return torch.div(beyond, self.stride, rounding_mode="floor") + 1

    def samples(self, frames: int) -> int:
        """Count the samples that a number of frames depend on."""
        return (frames - 1) * self.stride + self.receptive_field
