"""Levels of recordings over time: silent ends and segments, and the loudest excerpt.

**Trimming of silent ends**: the sound lies between the first and the last block above a threshold. As
librosa.effects.trim does (McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015), but in
blocks of 20 ms that do not overlap. The threshold is relative to the loudest block, so the recording level does not
matter::

    block          0    1    2    3    4    5    6    7
    dB below it   70   35   48    9    0   20   44   44
    rises          x    x         x    x                    louder than all blocks before them
    falls                              x    x         x     louder than all blocks after them

For any threshold, the first block above it is a rise and the last one a fall. So these few blocks are enough to trim a
recording at every threshold without decoding it again.

A constant offset is no sound: powers and peaks are taken about the median of the blocks' means. It is the offset of a
recording with one, and next to 0 otherwise, also where a recording holds much digital silence.

**Silent segments**: the peak of each tenth of a second is kept in one byte. Inspection decodes a recording once and
keeps its levels (48 KB for an hour, as text). They show which of its segments are silent, for any length of segments
and any threshold, without decoding the recording again::

    peaks      0.4   0.3   0.0   0.002 0.5         largest sample of each block, about the offset
    levels     15    20    255   107   12          half decibels below full scale, rounded towards the louder side
    segment              |<------->|               its level is that of its loudest block, including the blocks at its
    ends

**Excerpts**: a recording of a word is mostly silence around the word, so its first seconds may hold no sound at all.
The excerpt begins at a multiple of ``step`` samples, which is the length of a code if the excerpt is to be encoded::

    blocks of step samples  |....|....|....|..oO|OOOo|OOoo|....|....|
    windows close to the loudest      [=========]
                                 [=========]
                            [=========]
    excerpt: the middle one      [=========]

The energies of all windows span a range from the softest to the loudest; a window in the highest 1 % of that range is
close to the loudest. A constant noise or offset changes neither the range nor the choice. The middle one of the close
windows leaves room on both sides of the sound, so that a soft beginning or end is not cut off.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wordless.audio.reading import read_beginning, read_blocks
from wordless.audio.waveform import Part, Waveform, equal_blocks, first_samples, join_blocks, skip_samples
from wordless.base.arrays import BoolArray, DoubleArray, FloatArray, IndexArray

MIN_TRIM_DB = 0.1  # depths of blocks are stored in tenths of a decibel
MAX_TRIM_DB = 120.0  # 16 bits span 96
_BLOCK_SECONDS = 0.02

_SILENT = 255  # the level of digital silence, and of everything more than 127 dB below full scale

Levels = npt.NDArray[np.uint8]
# (block, tenths of a decibel below the loudest block) of each rise and fall in order of time, less than `MAX_TRIM_DB`
# below; a recording that is silent or not finite has none, and never are there more than 2400
Edges = tuple[tuple[int, int], ...]


def loud_part(edges: Edges, trim_db: float, num_samples: int, sample_rate: int) -> Part:
    """Return the part from the first to the last block less than ``trim_db`` below the loudest; all without edges."""
    loud = [block for block, depth in edges if depth < round(10 * trim_db)]
    if not loud:
        return Part(start=0, num_samples=num_samples)
    size = block_samples(sample_rate)
    return Part(start=loud[0] * size, num_samples=min((loud[-1] + 1) * size, num_samples) - loud[0] * size)


def block_samples(sample_rate: int) -> int:
    """Return the number of samples of a block."""
    return max(round(_BLOCK_SECONDS * sample_rate), 1)


def level_samples(sample_rate: int) -> int:
    """Return the number of samples in a tenth of a second."""
    return 5 * block_samples(sample_rate)


class Meter:
    """Powers and peaks of mono samples about their constant offset."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._means, self._peaks = [np.empty((2, 0))], [np.empty((2, 0), np.float32)]

    def add(self, samples: FloatArray) -> "Meter":
        """Add the next samples: whole blocks of `level_samples`, or the end."""
        size = block_samples(self.sample_rate)
        lengths = np.minimum(len(samples) - np.arange(0, len(samples), size), size)
        blocks = np.zeros((len(lengths), size))
        blocks.reshape(-1)[: len(samples)] = samples
        with np.errstate(invalid="ignore", over="ignore"):  # samples that are not finite are set aside elsewhere
            self._means.append(np.stack([np.einsum("bn,bn->b", blocks, blocks), blocks.sum(axis=1)]) / lengths)
        starts = np.arange(0, len(samples), level_samples(self.sample_rate))
        self._peaks.append(np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)]))
        return self

    def _measured(self) -> tuple[DoubleArray, FloatArray, float]:
        """Return mean square and mean of each block of 20 ms, lowest and highest sample of 100 ms, and the offset."""
        means = np.concatenate(self._means, axis=1)
        return means, np.concatenate(self._peaks, axis=1), float(np.median(means[1])) if means.size else 0.0

    @property
    def powers(self) -> DoubleArray:
        """Mean square of each block of 20 ms ``(blocks,)``; the last block may be shorter."""
        (squares, means), _, offset = self._measured()
        with np.errstate(invalid="ignore", over="ignore"):
            powers: DoubleArray = np.maximum(squares - 2 * offset * means + offset**2, 0)
        return powers

    @property
    def swings(self) -> DoubleArray:
        """Largest distance of a sample from the offset in each tenth of a second ``(blocks,)``."""
        _, (lowest, highest), offset = self._measured()
        with np.errstate(invalid="ignore"):
            swings: DoubleArray = np.maximum(offset - lowest, highest - offset)
        return swings


def find_edges(powers: DoubleArray) -> Edges:
    """Find the edges of a recording from its blocks' powers ``(blocks,)``."""
    loudest = float(powers.max(initial=0.0))
    if not 0 < loudest < np.inf:
        return ()
    with np.errstate(divide="ignore"):  # for silent blocks
        decibels = 10 * np.log10(loudest / powers)
    depths = np.floor(10 * np.minimum(decibels, MAX_TRIM_DB)).astype(np.int64)
    rises, falls = _louder_than_before(depths), _louder_than_before(depths[::-1])[::-1]
    return tuple((int(block), int(depths[block])) for block in np.flatnonzero(rises | falls))


def _louder_than_before(depths: IndexArray) -> BoolArray:
    return depths < np.minimum.accumulate(np.append(round(10 * MAX_TRIM_DB), depths[:-1]))


def trim_ends(waveform: Waveform, trim_db: float) -> Waveform:
    """Return a recording at its own rate without the ends that ``corpus.inspection.trim_db`` cuts off."""
    edges = find_edges(Meter(waveform.sample_rate).add(waveform.samples).powers)
    part = loud_part(edges, trim_db, len(waveform.samples), waveform.sample_rate)
    return replace(waveform, samples=waveform.samples[part.start : part.start + part.num_samples])


def to_levels(swings: DoubleArray) -> Levels:
    """Convert the swings of a recording to half decibels below full scale ``(blocks,)``; higher ones are full scale."""
    with np.errstate(divide="ignore"):  # for silent blocks
        below = np.floor(-40 * np.log10(np.nan_to_num(swings, posinf=1.0)))
    levels: Levels = np.clip(below, 0, _SILENT).astype(np.uint8)
    return levels


def loudest(levels: Levels, part: Part, sample_rate: int) -> float:
    """Return the peak of a part, as a share of full scale: 0 for silence, otherwise at most half a decibel too loud."""
    size = level_samples(sample_rate)
    level = int(levels[part.start // size : -(-(part.start + part.num_samples) // size)].min(initial=_SILENT))
    return 0.0 if level == _SILENT else float(10 ** (-level / 40))


def as_text(levels: Levels) -> str:
    """Write levels as ASCII text, for JSON."""
    return base64.b64encode(levels.tobytes()).decode()


def of_text(text: str) -> Levels:
    """Parse levels that `as_text` wrote; any other text is a `ValueError`."""
    return np.frombuffer(base64.b64decode(text, validate=True), np.uint8)


_CLOSE = 0.99  # of the way from the softest window's energy to the loudest one's
_BLOCKS_AT_ONCE = 64  # number of blocks whose energies are computed together


@dataclass(frozen=True, kw_only=True, eq=False)
class Excerpt:
    """An excerpt of a recording, and its position."""

    waveform: Waveform
    start: int  # first sample, at the waveform's rate, relative to the beginning of the recording or part
    whole: bool  # the excerpt is the whole recording

    @property
    def start_seconds(self) -> float:
        """Start of the excerpt in seconds after the beginning of the recording or part."""
        return self.start / self.waveform.sample_rate


def read_loudest(path: Path, sample_rate: int, seconds: float, *, step: int, part: Part | None = None) -> Excerpt:
    """Read the loudest ``seconds`` of a recording or part, or all of a shorter one; the same in every call.

    The excerpt begins at a multiple of ``step`` samples. A longer recording is decoded twice, in constant memory but
    for the energy of each ``step``.
    """
    wanted = max(round(seconds * sample_rate), 1)
    beginning = read_beginning(path, sample_rate, (wanted + 1) / sample_rate, part=part)
    if len(beginning.samples) <= wanted:
        return Excerpt(waveform=beginning, start=0, whole=True)
    length, energies = block_energies(read_blocks(path, sample_rate, part=part), step)
    start = step * loudest_window(energies, -(-wanted // step), starts=(length - wanted) // step + 1)
    samples = join_blocks(first_samples(skip_samples(read_blocks(path, sample_rate, part=part), start), wanted))
    return Excerpt(waveform=Waveform(samples=samples, sample_rate=sample_rate), start=start, whole=False)


def block_energies(blocks: Iterable[FloatArray], step: int) -> tuple[int, DoubleArray]:
    """Count a stream's samples, and sum the energy of every ``step`` of them: ``(blocks,)``; the last may be short."""
    length, energies = 0, [np.empty(0)]
    for block in equal_blocks(blocks, step * _BLOCKS_AT_ONCE):
        length += len(block)
        squares = np.square(block, dtype=np.float64)
        energies.append(np.add.reduceat(squares, np.arange(0, len(squares), step)))
    return length, np.concatenate(energies)


def loudest_window(energies: DoubleArray, blocks: int, *, starts: int) -> int:
    """Return the first block of a window that is `_CLOSE` to the loudest of ``starts``: of the middle one of them."""
    sums = np.convolve(energies, np.ones(blocks), "valid")[:starts]
    softest, loudest = sums.min(), sums.max()
    close = np.flatnonzero(sums >= softest + _CLOSE * (loudest - softest))
    return int(close[(len(close) - 1) // 2])


def half_energy(energies: DoubleArray) -> int:
    """Return the block in which half of the energy is reached; for silence the middle block."""
    passed = np.cumsum(energies)
    return int(np.searchsorted(passed, passed[-1] / 2)) if passed[-1] > 0 else (len(energies) - 1) // 2
