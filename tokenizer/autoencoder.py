"""A small fully connected autoencoder of patches; k-means clusters its bottleneck."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenizer.options import AutoencoderConfig
from wordless.base.devices import copy_to


def three_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build linear, ReLU, linear, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


class Autoencoder(nn.Module):
    """Autoencoder of normalised log-mel patches: ``(..., patch)`` -> ``(..., bottleneck)`` -> ``(..., patch)``."""

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.encoder = three_layers(patch_size, config.hidden, config.bottleneck)
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, patches: Tensor) -> Tensor:
        """Reconstruct patches ``(batch, patch)``."""
        reconstruction: Tensor = self.decoder(self.encoder(patches))
        return reconstruction


class StateDecoder(nn.Module):
    """Decoder of a speech model's states to normalised log-mel patches: ``(..., bottleneck)`` -> ``(..., patch)``.

    The speech model takes the place of the encoder, and does not learn. The decoder learns the log-mel to expect where
    the model has a state, so that codes have a spectrogram.
    """

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, states: Tensor) -> Tensor:
        """Predict patches ``(batch, patch)``."""
        patches: Tensor = self.decoder(states)
        return patches


@dataclass(frozen=True, kw_only=True)
class PatchBatch:
    """Normalised patches ``(batch, patch)`` to reconstruct."""

    patches: Tensor
    inputs: Tensor | None = None  # what the model sees instead, such as noisier patches or states; None: the patches

    def to(self, device: torch.device) -> "PatchBatch":
        """Return the batch on ``device``."""
        inputs = None if self.inputs is None else copy_to(self.inputs, device)
        return PatchBatch(patches=copy_to(self.patches, device), inputs=inputs)


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Return the squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()
