"""A small fully connected autoencoder of patches; its bottleneck is what the codebook clusters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Three fully connected layers each way.

    Raises:
        InputError: a width is not positive.
    """

    hidden: int = 256  # width of both hidden layers
    bottleneck: int = 64  # dimensions that the codebook clusters

    def __post_init__(self) -> None:
        for name in ("hidden", "bottleneck"):
            if getattr(self, name) < 1:
                raise InputError(f"tokenizer.autoencoder.{name} is {getattr(self, name)}; a layer has at least 1 unit")

    def parameters(self, patch_size: int) -> int:
        """Numbers that the weights of an autoencoder of such patches are."""
        return sum(
            (before + 1) * self.hidden + (self.hidden + 1) * self.hidden + (self.hidden + 1) * after
            for before, after in ((patch_size, self.bottleneck), (self.bottleneck, patch_size))
        )


def three_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, ReLU, linear, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


class Autoencoder(nn.Module):
    """Patches ``(..., patch)`` of normalised log-mel -> bottlenecks ``(..., bottleneck)`` -> patches."""

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.encoder = three_layers(patch_size, config.hidden, config.bottleneck)
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruction of ``(batch, patch)``."""
        reconstruction: Tensor = self.decoder(self.encoder(patches))
        return reconstruction


@dataclass(frozen=True, kw_only=True)
class PatchBatch:
    """Normalised patches ``(batch, patch)``."""

    patches: Tensor
    inputs: Tensor | None = None  # what they are to be told from; None: from themselves

    def to(self, device: torch.device) -> "PatchBatch":
        """The batch on ``device``."""
        inputs = None if self.inputs is None else self.inputs.to(device)
        return PatchBatch(patches=self.patches.to(device), inputs=inputs)


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()
