"""The loudest stretch of a recording: what is worth listening to where a recording is longer than wanted.

A recording of a word is mostly silence around the word, so its first seconds may hold no sound at all. The excerpt
begins at a multiple of ``step`` samples, which is the length of a code where codes are made of it::

    blocks of step samples  |....|....|....|..oO|OOOo|OOoo|....|....|
    windows close to the loudest      [=========]
                                 [=========]
                            [=========]
    excerpt: the middle one      [=========]

The energies of all windows span a range from the softest to the loudest; a window in the highest 1 % of that range is
close to the loudest. A constant noise or offset changes neither the range nor the choice. The middle one of the close
windows leaves the sound room on both sides, so that a soft beginning or end is not cut off.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.blocks import equal_blocks, first_samples, skip_samples
from audio.reading import read_beginning, read_blocks
from audio.trimming import Part
from audio.waveform import FloatArray, Waveform

CLOSE = 0.99  # of the way from the softest window's energy to the loudest one's
_BLOCKS_AT_ONCE = 64  # whose energies are summed together

Energies = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Excerpt:
    """A stretch of a recording, and where it begins."""

    waveform: Waveform
    start: int  # its first sample, at the waveform's rate, counted from the beginning of the recording or part
    whole: bool  # the recording is no longer than was wanted, and this is all of it

    @property
    def start_seconds(self) -> float:
        """Where it begins, in seconds from the beginning of the recording or part."""
        return self.start / self.waveform.sample_rate


def read_loudest(path: Path, sample_rate: int, seconds: float, *, step: int, part: Part | None = None) -> Excerpt:
    """The loudest ``seconds`` of a recording or part, or all of one that is not longer; the same in every call.

    The excerpt begins at a multiple of ``step`` samples. A longer recording is decoded twice, in constant memory but
    for the energy of each block of ``step`` samples.

    Raises:
        InputError: the file cannot be read.
    """
    wanted = max(round(seconds * sample_rate), 1)
    beginning = read_beginning(path, sample_rate, (wanted + 1) / sample_rate, part=part)
    if len(beginning.samples) <= wanted:
        return Excerpt(waveform=beginning, start=0, whole=True)
    length, energies = block_energies(read_blocks(path, sample_rate, part=part), step)
    start = step * loudest_window(energies, -(-wanted // step), starts=(length - wanted) // step + 1)
    blocks = first_samples(skip_samples(read_blocks(path, sample_rate, part=part), start), wanted)
    samples = np.concatenate([np.empty(0, np.float32), *blocks])
    return Excerpt(waveform=Waveform(samples=samples, sample_rate=sample_rate), start=start, whole=False)


def block_energies(blocks: Iterable[FloatArray], step: int) -> tuple[int, Energies]:
    """Number of samples of a stream, and the energy of each ``step`` of them: ``(blocks,)``, the last may be short."""
    length, energies = 0, [np.empty(0)]
    for block in equal_blocks(blocks, step * _BLOCKS_AT_ONCE):
        length += len(block)
        squares = np.square(block, dtype=np.float64)
        energies.append(np.add.reduceat(squares, np.arange(0, len(squares), step)))
    return length, np.concatenate(energies)


def loudest_window(energies: Energies, blocks: int, *, starts: int) -> int:
    """The first block of the loudest window of so many blocks, among the first ``starts`` windows.

    Of all windows that are `CLOSE` to the loudest it is the middle one, in their order.
    """
    sums = np.convolve(energies, np.ones(blocks), "valid")[:starts]
    softest, loudest = sums.min(), sums.max()
    close = np.flatnonzero(sums >= softest + CLOSE * (loudest - softest))
    return int(close[(len(close) - 1) // 2])


def half_energy(energies: Energies) -> int:
    """The block in which half of the energy has passed; the middle block of silence."""
    passed = np.cumsum(energies)
    return int(np.searchsorted(passed, passed[-1] / 2)) if passed[-1] > 0 else (len(energies) - 1) // 2
