"""Trimming of silent ends: the sound lies between the first and the last block above a threshold.

As librosa.effects.trim does (McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015), but in
blocks of 20 ms that do not overlap. The threshold is relative to the loudest block, so the recording level does not
matter::

    block          0    1    2    3    4    5    6    7
    dB below it   70   35   48    9    0   20   44   44
    rises          x    x         x    x                    louder than all blocks before them
    falls                              x    x         x     louder than all blocks after them

For any threshold, the first block above it is a rise and the last one a fall. So these few blocks are enough to trim a
recording at every threshold without decoding it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.ranges import require

MIN_TRIM_DB = 0.1  # depths of blocks are stored in tenths of a decibel
MAX_TRIM_DB = 120.0  # 16 bits span 96
_BLOCK_SECONDS = 0.02

Powers = npt.NDArray[np.float64]
Steps = tuple[tuple[int, int], ...]  # (block, tenths of a decibel below the loudest block)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Samples ``start`` to ``start + num_samples`` of a recording, at its own rate."""

    start: int
    num_samples: int
    channel: int | None = None  # from 0; None: the mean of all channels

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("num_samples", self.num_samples)):
            require(value >= 0, name, value, "a part of a recording needs 0 samples or more")

    def span(self, sample_rate: int) -> tuple[float, float]:
        """Return begin and end in seconds."""
        return self.start / sample_rate, (self.start + self.num_samples) / sample_rate

    def overlaps(self, other: "Part") -> bool:
        """Return whether both parts hold a common sample."""
        return self.start < other.start + other.num_samples and other.start < self.start + self.num_samples


@dataclass(frozen=True, kw_only=True)
class Edges:
    """The rises and falls of a recording in order of time, less than `MAX_TRIM_DB` below its loudest block.

    A recording that is silent or not finite has none. There are never more than 1200 of either.
    """

    rises: Steps
    falls: Steps

    @classmethod
    def of(cls, rises: Iterable[Iterable[int]], falls: Iterable[Iterable[int]]) -> "Edges":
        """Build edges from lists of pairs, as JSON gives them. Other lists raise `ValueError`."""
        pairs = [tuple((block, depth) for block, depth in steps) for steps in (rises, falls)]
        return cls(rises=pairs[0], falls=pairs[1])

    def part(self, trim_db: float, num_samples: int, sample_rate: int) -> Part:
        """Return the part from the first to the last block less than ``trim_db`` below the loudest (in tenths of dB).

        Without edges the part is all ``num_samples``.
        """
        threshold = round(10 * trim_db)
        loud = [block for block, depth in (*self.rises, *self.falls) if depth < threshold]
        if not loud:
            return Part(start=0, num_samples=num_samples)
        size = block_samples(sample_rate)
        start = min(loud) * size
        return Part(start=start, num_samples=min((max(loud) + 1) * size, num_samples) - start)


NO_EDGES = Edges(rises=(), falls=())


def block_samples(sample_rate: int) -> int:
    """Return the number of samples of a block."""
    return max(round(_BLOCK_SECONDS * sample_rate), 1)


def block_powers(samples: FloatArray, sample_rate: int) -> Powers:
    """Compute the mean square ``(blocks,)`` of each block of mono samples; the last one may be shorter."""
    size = block_samples(sample_rate)
    starts = np.arange(0, len(samples), size)
    lengths = np.minimum(len(samples) - starts, size)
    with np.errstate(invalid="ignore"):  # samples that are not finite are set aside elsewhere
        powers: Powers = np.add.reduceat(np.square(samples, dtype=np.float64), starts) / lengths
    return powers


def find_edges(powers: Powers) -> Edges:
    """Find the edges of a recording from its blocks' powers ``(blocks,)``."""
    loudest = float(powers.max(initial=0.0))
    if not 0 < loudest < np.inf:
        return NO_EDGES
    with np.errstate(divide="ignore"):  # for silent blocks
        decibels = 10 * np.log10(loudest / powers)
    depths = np.floor(10 * np.minimum(decibels, MAX_TRIM_DB)).astype(np.int64)
    last = len(depths) - 1
    falls = tuple((last - block, depth) for block, depth in _steps(depths[::-1]))
    return Edges(rises=_steps(depths), falls=falls[::-1])


def trim_ends(waveform: Waveform, trim_db: float) -> Waveform:
    """Return a recording at its own rate without the ends that ``corpus.inspection.trim_db`` cuts off."""
    edges = find_edges(block_powers(waveform.samples, waveform.sample_rate))
    part = edges.part(trim_db, len(waveform.samples), waveform.sample_rate)
    return replace(waveform, samples=waveform.samples[part.start : part.start + part.num_samples])


def _steps(depths: npt.NDArray[np.int64]) -> Steps:
    """Find the blocks that are louder than all before them, and less than `MAX_TRIM_DB` below the loudest."""
    quietest = round(10 * MAX_TRIM_DB)
    before = np.minimum.accumulate(np.append(quietest, depths[:-1]))
    return tuple((int(block), int(depths[block])) for block in np.flatnonzero(depths < before))
