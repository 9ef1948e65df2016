"""Sizes of the convolutional encoder and of SimCLR's head, without PyTorch."""

from dataclasses import dataclass

from lm.lm_options import Means
from wordless.base.options import Options, option


@dataclass(frozen=True, kw_only=True)
class ConvEncoderConfig(Options):
    """Sizes of a convolutional encoder."""

    channels: tuple[int, ...] = option((32, 64, 128, 256), "channels of each block", least=1, filled=True)
    bands: int = 4  # number of parts of the mel axis that are pooled separately

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block: the first three halve the rate. All halve the bands."""
        return tuple(2 ** min(number, 3) for number in range(1, 1 + len(self.channels)))

    @property
    def dim(self) -> int:
        """Features per frame of the last block: each channel in each band."""
        return self.bands * self.channels[-1]


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(Options):
    """Options of the contrastive loss of SimCLR."""

    pooling: Means = "thirds"  # pooling over time before the projection head
    hidden: int = 256  # width of the projection head's hidden layer
    dim: int = 128  # width of the vectors that NT-Xent compares
    temperature: float = 0.1  # temperature of NT-Xent
