"""What a recording's log-mel is told relative to: its own mean, band by band, and its own loudest values.

The channel, and much of the speaker, are a constant in log-mel; how loud somebody was recorded is one, too.

"Cepstral mean subtraction" in the log-mel domain (Atal, 1974; Furui, 1981). The mean of the whole clip needs the whole
clip before its first frame; the running mean of all frames so far looks at nothing that comes later.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

MeanRemoval = Literal["none", "clip", "running"]


LOUD = 0.99  # share of a recording's values that lie below its loud ones


def within_range(pieces: Iterable[Tensor], decibels: float | None) -> Iterator[Tensor]:
    """The log-mel pieces ``(time, mels)`` of one recording with a floor so far below its own loud values.

    What is softer is no longer told apart: a soft recording loses as much of its noise as a loud one. Only the whole
    recording tells what is loud in it, so its spectrogram is held in memory; None leaves the pieces as they are.
    """
    if decibels is None:
        yield from pieces
        return
    held = list(pieces)
    if not held:
        return
    values = torch.cat([piece.flatten() for piece in held])
    if not len(values):
        yield from held
        return
    loud = values.kthvalue(max(round(LOUD * len(values)), 1)).values
    floor = loud - decibels * math.log(10) / 10
    yield from (torch.logaddexp(piece, floor) for piece in held)


def without_mean(pieces: Iterable[Tensor], how: MeanRemoval) -> Iterator[Tensor]:
    """The pieces ``(time, mels)`` of one recording, in order, without their mean per mel band.

    "clip" holds the whole spectrogram in memory; the other two hold one piece. The mean is of all frames that are
    given, those of silence that fills up a last hop or patch among them.
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
