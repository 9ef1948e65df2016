"""Clips of like length are read together, because padding takes as much time as sound.

Clips of a batch differ in length, even where training puts similar clips in a batch. Of 32 wake words, which last 0.86
seconds on average, the longest lasts 1.4 seconds. As one batch, more than a third of them is padding::

    as one batch           by like lengths
    [ clip ............]   [ clip ]
    [ clip .. .........]   [ clip ..]
    [ clip ... ........]   [ clip ...]
    [ clip ............]   [ clip ............]

Networks to which padding changes nothing give the same values either way, up to rounding.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LIKE = 1.5  # lengths of a group, the longest divided by the shortest
EQUAL = 1.0


def like_lengths(lengths: Tensor, *, ratio: float = LIKE) -> list[Tensor]:
    """Group clips of ``lengths (batch,)``: return the rows of each group, the shortest clips first.

    In a group, no clip is longer than ``ratio`` times the shortest one.
    """
    groups, shortest = list[list[int]](), 0
    known = lengths.tolist()
    for row in sorted(range(len(known)), key=known.__getitem__):
        if not groups or known[row] > ratio * shortest:
            groups.append([])
            shortest = known[row]
        groups[-1].append(row)
    return [torch.tensor(group) for group in groups]


def read_by_length(read: Callable[[Tensor], Tensor], lengths: Tensor, *, ratio: float = LIKE) -> Tensor:
    """Read clips of ``lengths (batch,)`` group by group.

    Args:
        read: maps rows of the batch to their values ``(rows, ..., frames, width)``.
        lengths: of all clips of the batch.
        ratio: of lengths within a group, as for `like_lengths`.

    Returns:
        Values ``(batch, ..., frames, width)`` in the order of the batch; zeros after the frames of a group.
    """
    groups = like_lengths(lengths, ratio=ratio)
    parts = [read(rows) for rows in groups]
    if len(parts) == 1:
        return parts[0][groups[0].argsort()]
    longest = max(part.shape[-2] for part in parts)
    padded = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[-2])) for part in parts]
    return torch.cat(padded)[torch.cat(groups).argsort()]


class ConvolutionsByLength(nn.Module):
    """The convolutions of a model of `transformers`, for clips whose lengths are given by `of`.

    It takes the place of the model's own ``feature_extractor``; the names of the weights stay.
    """

    def __init__(self, convolutions: nn.Module) -> None:
        super().__init__()
        self.conv_layers = convolutions.get_submodule("conv_layers")
        self.lengths: Tensor | None = None

    @contextmanager
    def of(self, lengths: Tensor) -> Iterator[None]:
        """Give the lengths ``(batch,)`` in samples of the clips that are read within this block."""
        self.lengths = lengths
        try:
            yield
        finally:
            self.lengths = None

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples ``(batch, time)`` to ``(batch, channels, frames)``."""
        lengths = torch.full((len(samples),), samples.shape[1]) if self.lengths is None else self.lengths
        ends = lengths.tolist()
        found = read_by_length(lambda rows: self._read(samples[rows, : ends[int(rows[-1])]]), lengths)
        return found.transpose(1, 2)

    def _read(self, samples: Tensor) -> Tensor:
        values = samples[:, None]
        for layer in self.conv_layers.children():
            values = layer(values)
        return values.transpose(1, 2)  # (N, C, T) -> (N, T, C)


def make_activations_contiguous(convolutions: nn.Module) -> None:
    """Make values contiguous before each activation of the ``feature_extractor`` of a model of `transformers`.

    Layer normalisation leaves them transposed. The next convolution would copy them anyway, but the gradient of GELU
    took five times as long where values and gradients lie in memory in different orders.
    """
    for layer in convolutions.get_submodule("conv_layers").children():
        layer.get_submodule("activation").register_forward_pre_hook(_contiguous)


def _contiguous(activation: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].contiguous(),)
