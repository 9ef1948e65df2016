"""Networks small enough to look at, whose outputs are far from uniform, so that every input shows."""

from dataclasses import replace

import torch
from torch import Tensor

from lm.samples.sample_model import SampleConfig, SampleModel, create_sample_model
from lm.samples.sample_network_options import ContextConfig, SampleWaveNetConfig, TransformerConfig

RATE = 1000
CONTEXT = ContextConfig(strides=(2, 2), channels=4, layers=2)  # frames of 4 samples, a past of 16
TRANSFORMER = TransformerConfig(sample_rate=RATE, context_ms=15.0, model_dim=8, layers=3, heads=2, ffn_dim=12)
CONTEXTUAL = replace(TRANSFORMER, context=CONTEXT)
WAVENET = SampleWaveNetConfig(
    sample_rate=RATE, residual_channels=4, gate_channels=8, skip_channels=8, layers=4, cycles=2
)
CONFIGS = {"wavenet": WAVENET, "transformer": TRANSFORMER, "contextual": CONTEXTUAL}


def lively(config: SampleConfig) -> SampleModel:
    model = create_sample_model(config, seed=0).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(4.0 if isinstance(config, TransformerConfig) else 1.5)
    if isinstance(config, SampleWaveNetConfig):
        torch.nn.init.normal_(model.network.output.weight, generator=torch.Generator().manual_seed(0))
    return model


def random_levels(clips: int, time: int) -> Tensor:
    """Levels ``(clips, time)``."""
    return torch.randint(256, (clips, time), generator=torch.Generator().manual_seed(1))
