"""The speed of a public WaveNet of the same shape: `wavenet_vocoder` 0.1.1 of PyPI (r9y9), where it is installed."""

from functools import partial

import torch

from pipelines.benchmarks.timing import timed
from vocoder.options import WaveNetConfig

STEPS = 400


@torch.no_grad()
def measure_peer(config: WaveNetConfig, repeats: int) -> dict[str, float]:
    """Measure the samples per second of its ``incremental_forward`` on one clip, with and without conditions."""
    from wavenet_vocoder.wavenet import WaveNet

    speeds = {}
    for name, channels in (("wavenet_vocoder", config.n_mels), ("wavenet_vocoder plain", -1)):
        model = WaveNet(
            out_channels=config.levels,
            layers=config.layers,
            stacks=config.cycles,
            residual_channels=config.residual_channels,
            gate_channels=config.gate_channels,
            skip_out_channels=config.skip_channels,
            kernel_size=config.kernel_size,
            cin_channels=channels,
        )
        model.make_generation_fast_()
        conditions = None if channels < 0 else torch.randn(1, channels, STEPS)
        work = partial(model.eval().incremental_forward, c=conditions, T=STEPS)
        speeds[name] = STEPS / timed(work, repeats).seconds
    return speeds
