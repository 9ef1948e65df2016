"""The networks of a tokenizer: the autoencoder of patches, and the decoder of a speech model's states."""

from dataclasses import dataclass

from torch import Tensor, nn

from wordless.base.options import Options, option


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(Options):
    """Sizes of the encoder and the decoder, which have three fully connected layers each."""

    hidden: int = option(256, "width of both hidden layers", least=1)
    bottleneck: int = option(64, "width of the bottleneck", least=1)


def three_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    ).float()  # whatever PyTorch's default type is


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
    """Decoder of states of another network to the log-mel to expect: ``(..., bottleneck)`` -> ``(..., patch)``."""

    def __init__(self, config: AutoencoderConfig, patch_size: int) -> None:
        super().__init__()
        self.decoder = three_layers(config.bottleneck, config.hidden, patch_size)

    def forward(self, states: Tensor) -> Tensor:
        """Predict patches ``(batch, patch)``."""
        patches: Tensor = self.decoder(states)
        return patches
