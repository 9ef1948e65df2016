"""Removing the mean of a recording's log-mel, band by band: the channel, and much of the speaker, are a constant there.

"Cepstral mean subtraction" in the log-mel domain (Atal, 1974; Furui, 1981). The mean of the whole clip needs the whole
clip before its first frame; the running mean of all frames so far looks at nothing that comes later.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

MeanRemoval = Literal["none", "clip", "running"]


def without_mean(pieces: Iterable[Tensor], how: MeanRemoval) -> Iterator[Tensor]:
    """The pieces ``(time, mels)`` of one recording, in order, without their mean per mel band.

    "clip" holds the whole spectrogram in memory; the other two hold one piece.
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
            yield from _without_running_mean(pieces)


def _without_running_mean(pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Frame t without the mean of frames 0 to t, itself included."""
    seen, total = 0, torch.zeros(())
    for piece in pieces:
        sums = piece.double().cumsum(0) + total  # (time, mels); fp64, so that the first hour counts as much as the last
        counts = torch.arange(seen + 1, seen + 1 + len(piece), device=piece.device, dtype=torch.float64)
        if len(piece):
            seen, total = seen + len(piece), sums[-1]
        yield piece - (sums / counts[:, None]).float()
