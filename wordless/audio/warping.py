"""Warping of spectrograms: another speed, and shifted formants, as of another speaker."""

import torch
from torch import Tensor


def warp(
    spectrograms: Tensor, lengths: Tensor, *, speeds: Tensor, formants: Tensor, starts: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Resample spectrograms at other points of time and mel, linearly between frames and between bands.

    ::

        frame t of the result is read at start + (t + 0.5) * speed - 0.5        clamped to the passage's frames
        band  m                  is read at        (m + 0.5) * formant - 0.5    clamped to the lowest and highest band

    A speed or formant of 1 changes no byte.

    Args:
        spectrograms: ``(batch, time, mels)``.
        lengths: ``(batch,)`` int64, frames of each passage, 1 or more.
        speeds: ``(batch,)``, above 1 for faster, which makes the result shorter.
        formants: ``(batch,)``, above 1 for a lower voice.
        starts: ``(batch,)`` int64, first frame of each passage; by default the first of all.

    Returns:
        ``(batch, longest new length, mels)``, zeros beyond the new lengths; and the new lengths, ``max(round(length /
        speed), 1)``.
    """
    starts = torch.zeros_like(lengths) if starts is None else starts
    warped = torch.round(lengths / speeds.double()).long().clamp(min=1)
    steps = torch.arange(int(warped.max()))
    at = (steps + 0.5) * speeds.double()[:, None] - 0.5  # float64, to distinguish the frames of an hour exactly
    lower, share = _between(at, lengths[:, None])
    upper = torch.minimum(lower + 1, lengths[:, None] - 1)
    rows = torch.arange(len(spectrograms))[:, None]
    first, second = (spectrograms[rows, starts[:, None] + index] for index in (lower, upper))
    read = torch.lerp(first, second, share.to(spectrograms.dtype)[..., None])
    if bool((formants != 1).any()):
        read = read @ _band_weights(formants, spectrograms.shape[2]).to(spectrograms.dtype)
    return read.masked_fill((steps >= warped[:, None])[..., None], 0.0), warped


def _band_weights(formants: Tensor, mels: int) -> Tensor:
    """Compute the weight of each band in each band of the result ``(batch, mels, mels)``."""
    at = (torch.arange(mels) + 0.5) * formants.double()[:, None] - 0.5
    lower, share = _between(at, torch.tensor(mels))
    weights = torch.zeros(len(formants), mels, mels, dtype=torch.float64)
    weights.scatter_add_(1, lower[:, None], 1 - share[:, None])
    return weights.scatter_add_(1, (lower + 1).clamp(max=mels - 1)[:, None], share[:, None])


def _between(at: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index below a position, clamped to the valid indices, and the position's distance from the index."""
    clamped = torch.minimum(at.clamp(min=0), (count - 1).double())
    lower = clamped.floor()
    return lower.long(), clamped - lower
