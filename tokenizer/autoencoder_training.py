"""Batches of patches on which an autoencoder is trained, and its loss."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.patches import to_patches
from wordless.base.devices import Batch


def normalised_patches(columns: Tensor, mean: Tensor, std: Tensor, *, height: int) -> Tensor:
    """Cut columns ``(n, frames, mels)`` into patches ``(n * streams, frames * height)`` of normalised log-mel."""
    frames = columns.shape[1]
    return to_patches((columns - mean) / std, frames=frames, height=height).reshape(-1, frames * height)


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatch(Batch):
    """Normalised patches ``(batch, patch)`` to reconstruct."""

    patches: Tensor
    inputs: Tensor | None = None  # what the model sees instead, such as noisier patches or states; None: the patches


def reconstruction_loss(model: nn.Module, batch: PatchBatch) -> tuple[Tensor, int]:
    """Return the squared error summed over all values of the batch, and their number."""
    reconstruction = model(batch.patches if batch.inputs is None else batch.inputs)
    return nn.functional.mse_loss(reconstruction.float(), batch.patches, reduction="sum"), batch.patches.numel()


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBatches:
    """Batches of sampled patches; the batch of a step depends on the seed and the step alone."""

    patches: Tensor  # (n, frames * height)
    batch_size: int
    seed: int
    inputs: Tensor | None = None  # patches of changed sound, row by row, to be used as input

    def batch(self, step: int, part: int, parts: int) -> PatchBatch:
        """Return part ``part`` of ``parts`` of the batch of ``step``."""
        drawn = np.random.default_rng([self.seed, step]).integers(0, len(self.patches), self.batch_size)
        rows = torch.from_numpy(drawn[part::parts])
        return PatchBatch(patches=self.patches[rows], inputs=None if self.inputs is None else self.inputs[rows])
