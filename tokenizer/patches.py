"""Patches: small blocks of a spectrogram, each of which becomes one code.

Patches of full height give one stream. Lower patches give several streams that share autoencoder and codebook::

    mels   |  stream 1  |  stream 1  |         one row of patches for each band,
           |  stream 0  |  stream 0  |         one column for each time step
    frames [ 0        1 ][ 2        3 ]        frames = 2
"""

from dataclasses import dataclass

from torch import Tensor

from wordless.base.ranges import require


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Size of a patch."""

    frames: int = 2  # spectrogram frames per patch
    mels: int | None = None  # mel bands per patch; None is the full height: one stream

    def __post_init__(self) -> None:
        require(self.frames >= 1, "tokenizer.patch.frames", self.frames, "a patch has at least 1 frame")
        rule = "a patch has at least 1 mel band, or null for all of them"
        require(self.mels is None or self.mels >= 1, "tokenizer.patch.mels", self.mels, rule)

    def height(self, n_mels: int) -> int:
        """Return the mel bands per patch, for a spectrogram of ``n_mels``."""
        height = n_mels if self.mels is None else self.mels
        rule = f"it must divide audio.n_mels={n_mels} into equal bands"
        require(n_mels % height == 0, "tokenizer.patch.mels", height, rule)
        return height


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
