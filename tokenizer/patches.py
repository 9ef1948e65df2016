"""Patches: spectrograms are cut into them and put together from them."""

from torch import Tensor


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
