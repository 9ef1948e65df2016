"""Normalisation of one recording's log-mel: removal of its mean per mel band, and a floor relative to its loud values.

In log-mel the channel, and much of the speaker, are a constant; so is the recording level.

"Cepstral mean subtraction" in the log-mel domain (Atal, 1974; Furui, 1981). The mean of the whole clip needs the whole
clip before its first frame. The running mean of all frames so far needs no later frame.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

MeanRemoval = Literal["none", "clip", "running"]
LOUD = 0.99  # share of a recording's values below its loud values


def limit_range(pieces: Iterable[Tensor], decibels: float | None) -> Iterator[Tensor]:
    """Raise the log-mel pieces ``(time, mels)`` of a recording to a floor ``decibels`` below its loud values.

    The floor hides the noise of a soft recording as it hides that of a loud one. Loud values are known only at the end,
    so the recording's spectrogram is held in memory. None leaves the pieces unchanged.
    """
    if decibels is None:
        yield from pieces
        return
    held = list(pieces)
    if not any(piece.numel() for piece in held):
        yield from held
        return
    values = torch.cat([piece.flatten() for piece in held])
    loud = values.kthvalue(max(round(LOUD * len(values)), 1)).values
    floor = loud - decibels * math.log(10) / 10
    yield from (torch.logaddexp(piece, floor) for piece in held)


def subtract_mean(pieces: Iterable[Tensor], how: MeanRemoval) -> Iterator[Tensor]:
    """Subtract the mean per mel band from the pieces ``(time, mels)`` of one recording, given in order.

    "clip" holds the whole spectrogram in memory, the other two hold one piece. The mean is over all given frames,
    including the silence that pads a last hop or patch.
    """
    match how:
        case "none":
            yield from pieces
        case "clip":
            held = list(pieces)
            if held:
                mean = torch.cat(held).mean(0)
                yield from (piece - mean for piece in held)
        case "running":
            yield from _subtract_running_mean(pieces)


def _subtract_running_mean(pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Subtract from frame t the mean of frames 0 to t."""
    seen, total = 0, torch.zeros(())
    for piece in pieces:
        sums = piece.double().cumsum(0) + total  # (time, mels); fp64, so that rounding does not favour the last hour
        counts = torch.arange(seen + 1, seen + 1 + len(piece), device=piece.device, dtype=torch.float64)
        if len(piece):
            seen, total = seen + len(piece), sums[-1]
        yield piece - (sums / counts[:, None]).float()
