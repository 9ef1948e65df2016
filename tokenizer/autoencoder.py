"""Patches, small blocks of a spectrogram each of which becomes one code, and their autoencoder.

Patches of full height give one stream. Lower patches give several streams that share autoencoder and codebook::

    mels   |  stream 1  |  stream 1  |         one row of patches for each band,
           |  stream 0  |  stream 0  |         one column for each time step
    frames [ 0        1 ][ 2        3 ]        frames = 2
"""

from dataclasses import dataclass

from torch import Tensor, nn

from tokenizer.options import AutoencoderConfig
from wordless.base.machine import Batch


def to_patches(spectrogram: Tensor, *, frames: int, height: int) -> Tensor:
    """``(batch, time, mels)`` -> ``(batch, time // frames, mels // height, frames * height)``; drops a remainder."""
    batch, time, mels = spectrogram.shape
    steps, streams = time // frames, mels // height
    blocks = spectrogram[:, : steps * frames].reshape(batch, steps, frames, streams, height)
    return blocks.transpose(2, 3).reshape(batch, steps, streams, frames * height)  # (N, S, F, B, H) -> (N, S, B, F * H)


def from_patches(patches: Tensor, *, frames: int, height: int) -> Tensor:
    """Invert `to_patches`: ``(batch, steps, streams, patch)`` -> ``(batch, steps * frames, streams * height)``."""
    batch, steps, streams, _ = patches.shape
    blocks = patches.reshape(batch, steps, streams, frames, height).transpose(2, 3)
    return blocks.reshape(batch, steps * frames, streams * height)


def three_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build linear, ReLU, linear, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


class Autoencoder(nn.Module):
    """Autoencoder of normalised log-mel patches: ``(..., patch)`` -> ``(..., bottleneck)`` -> ``(..., patch)``.

    k-means clusters the bottleneck.
    """

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


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatch(Batch):
    """Normalised patches ``(batch, patch)`` to reconstruct."""

    patches: Tensor
    inputs: Tensor | None = None  # what the model sees instead, such as noisier patches or states; None: the patches


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Return the squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()
