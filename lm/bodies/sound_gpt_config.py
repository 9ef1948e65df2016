"""Sizes of the causal transformer that reads log-mel, without PyTorch."""

from dataclasses import dataclass

from wordless.base.options import CausalSizes, option


@dataclass(frozen=True, kw_only=True)
class SoundGPTConfig(CausalSizes):
    """Sizes of the causal transformer that reads log-mel and predicts codes."""

    model_dim: int = 128
    layers: int = 4
    heads: int = 4
    ffn_dim: int = 336
    channels: tuple[int, ...] = option(
        (16, 32),
        "channels of each causal convolution over time and mel bands in front of the transformer",
        least=1,
        filled=True,
    )
    dropout: float = 0.1  # also on the inputs
