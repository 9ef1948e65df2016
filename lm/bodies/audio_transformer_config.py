"""Sizes of the Audio Transformer, without PyTorch."""

from dataclasses import dataclass
from typing import Literal

from wordless.base.options import TransformerSizes, option

Variant = Literal["plain", "pooling", "wavelet"]
MOST_LEVELS = 16  # windows of up to 32,768 patches, to which shorter clips are padded


@dataclass(frozen=True, kw_only=True)
class AudioTransformerConfig(TransformerSizes):
    """Sizes of the network, and what happens between its layers."""

    variant: Variant = option(
        "wavelet", "what happens between layers; pooling halves the rate, wavelet lowers that of half of the dimensions"
    )
    patch_ms: float = 25.0  # length of a patch of samples in milliseconds
    front_end: int = option(2048, "filters: width of the first layer of the front end", least=1)
    width: int = option(64, "dimensions of a state", least=1)
    layers: int = 6
    heads: int = 8
    ffn_dim: int = 256
    pool_every: int = 2  # layers between two halvings of the rate; only with variant=pooling
    wavelet_levels: int = option(
        6,
        "rates of the other half of the dimensions, such as 6 for windows of 2, 4, 8, 16 and 32 patches and of the "
        "whole clip",
        least=1,
        most=MOST_LEVELS,
    )
    patches: int = 400  # patches per input: 400 are 10 seconds; a longer clip is read in pieces
    dropout: float = 0.1  # of the network

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.width % (2 * self.heads), "width", f"choose a multiple of {2 * self.heads}, twice `heads`")
        most = self.width // 2
        self.refuse_if(self.wavelet_levels > most, "wavelet_levels", f"choose at most {most}, half of width")
        rule = f"choose a multiple of {self.reduction}, as the last layer has a state for {self.reduction} patches"
        self.refuse_if(self.patches % self.reduction, "patches", rule)

    def patch(self, sample_rate: int) -> int:
        """Count the samples of a patch."""
        return max(round(sample_rate * self.patch_ms / 1000), 1)

    @property
    def reductions(self) -> tuple[int, ...]:
        """Patches for each state of each layer."""
        halves = self.variant == "pooling"
        return tuple(2 ** (layer // self.pool_every) if halves else 1 for layer in range(self.layers))

    @property
    def reduction(self) -> int:
        """Patches for each state of the last layer."""
        return self.reductions[-1]
