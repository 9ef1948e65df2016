"""A small fully connected autoencoder of patches; k-means clusters its bottleneck."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wordless.base.devices import copy_to
from wordless.base.ranges import require


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Sizes of the encoder and the decoder, which have three fully connected layers each."""

    hidden: int = 256  # width of both hidden layers
    bottleneck: int = 64  # dimensions of the vectors that k-means clusters

    def __post_init__(self) -> None:
        for name in ("hidden", "bottleneck"):
            width = getattr(self, name)
            require(width >= 1, f"tokenizer.autoencoder.{name}", width, "a layer has at least 1 unit")

    def parameters(self, patch_size: int) -> int:
        """Return the number of weights of an autoencoder for patches of this size."""
        return self._three_layers(patch_size, self.bottleneck) + self.decoder_parameters(patch_size)

    def decoder_parameters(self, patch_size: int) -> int:
        """Return the number of weights of the decoder alone."""
        return self._three_layers(self.bottleneck, patch_size)

    def _three_layers(self, inputs: int, outputs: int) -> int:
        return (inputs + 1) * self.hidden + (self.hidden + 1) * self.hidden + (self.hidden + 1) * outputs


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
