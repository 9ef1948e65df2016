"""The WaveNet of the vocoder without codes: it predicts each sample from the samples before it alone."""

import torch
from torch import Tensor, nn

from lm.samples.options import SampleWaveNetConfig
from vocoder.wavenet.network import WaveNet


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
