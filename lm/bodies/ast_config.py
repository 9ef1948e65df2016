"""Sizes of AST, without PyTorch."""

from dataclasses import dataclass
from typing import Literal

from wordless.base.options import Options, option

Size = Literal["tiny", "small", "base"]  # the sizes of DeiT: 192, 384 and 768 wide
HEADS: dict[Size, int] = {"tiny": 3, "small": 6, "base": 12}
LAYERS = 12  # of every size


@dataclass(frozen=True, kw_only=True)
class AstConfig(Options):
    """Options of the transformer and its initial weights. All sizes have 12 layers, as those of DeiT have."""

    size: Size = option("tiny", "the sizes of AST and DeiT: 192, 384 or 768 channels, 12 layers each")
    weights: str | None = option(
        None, "Hugging Face folder or hf://user/name of an AST, DeiT or ViT model; null: random weights"
    )
    layers: tuple[int, ...] = (4, 8, 12)  # layers whose states are probed
    patches: int = option(
        101, "patches along time per input: 101 are 10.1 seconds; a longer clip is read in pieces", least=1
    )

    @property
    def width(self) -> int:
        """Dimensions of a token; each head is 64 wide."""
        return 64 * HEADS[self.size]
