"""The WaveNet of the vocoder without codes: it predicts each sample from the samples before it alone."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from vocoder.wavenet.mu_law import LEVELS
from vocoder.wavenet.network import WaveNet, WaveNetConfig
from wordless.base.errors import InputError

FRAME = 64  # samples for which the engines are called together


@dataclass(frozen=True, kw_only=True)
class SampleWaveNetConfig:
    """Sizes of a WaveNet over samples."""

    sample_rate: int
    residual_channels: int = 32
    gate_channels: int = 64  # half for the tanh, half for the sigmoid
    skip_channels: int = 128
    layers: int = 20
    cycles: int = 2  # repetitions of the dilations 1, 2, 4, ...
    kernel_size: int = 2  # taps of each dilated convolution

    def __post_init__(self) -> None:
        try:
            _ = self.network
        except InputError as error:
            raise InputError(str(error).replace("vocoder.wavenet", "wavenet")) from error

    @property
    def network(self) -> WaveNetConfig:
        """The config of the vocoder's network, without a condition."""
        return WaveNetConfig(**asdict(self), levels=LEVELS, hop_length=FRAME, condition="none")

    @property
    def receptive_field(self) -> int:
        """Number of previous samples that a prediction depends on."""
        return self.network.receptive_field

    @property
    def history(self) -> int:
        """Number of levels before the first target's own input that the model reads."""
        return self.receptive_field - 1

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.network.parameters

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds per generated sample: each weight of a matrix once; biases and embeddings are looked up."""
        residual, gates, skip = self.residual_channels, self.gate_channels, self.skip_channels
        layers = self.layers * self.kernel_size * residual * gates + (self.layers - 1) * gates // 2 * residual
        return float(layers + self.layers * gates // 2 * skip + skip * (skip + LEVELS))


class SampleWaveNet(nn.Module):
    """Distribution of each sample's level given the levels before it."""

    def __init__(self, config: SampleWaveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.network = WaveNet(config.network)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Compute the logits of the last samples ``(batch, last, levels)``.

        Args:
            previous: levels of the sample before each one, ``(batch, history + last)`` int64.
            last: number of samples at the end whose logits are wanted.
        """
        reads = previous[:, -(last + self.config.history) :]
        one_frame = torch.zeros(len(reads), 1, 0, device=reads.device)
        logits: Tensor = self.network(reads, one_frame, last=last)
        return logits.transpose(1, 2)


def create_sample_wavenet(config: SampleWaveNetConfig, *, seed: int) -> SampleWaveNet:
    """Create an untrained network whose weights depend on the config and the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleWaveNet(config)
