"""Sounds to listen to: the loudest excerpt of a long recording, and equal loudness of several sounds.

A recording of a word is mostly silence around the word, so its first seconds may hold no sound at all. The excerpt
begins at a multiple of ``step`` samples, which is the length of a code if the excerpt is to be encoded::

    blocks of step samples  |....|....|....|..oO|OOOo|OOoo|....|....|
    windows close to the loudest      [=========]
                                 [=========]
                            [=========]
    excerpt: the middle one      [=========]

The energies of all windows span a range from the softest to the loudest; a window in the highest 1 % of that range is
close to the loudest. A constant noise or offset changes neither the range nor the choice. The middle one of the close
windows leaves room on both sides of the sound, so that a soft beginning or end is not cut off.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wordless.audio.reading import read_beginning, read_blocks
from wordless.audio.waveform import FloatArray, Part, Waveform, equal_blocks, first_samples, join_blocks, skip_samples

CLOSE = 0.99  # of the way from the softest window's energy to the loudest one's
_BLOCKS_AT_ONCE = 64  # number of blocks whose energies are computed together

Energies = npt.NDArray[np.float64]


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

    The excerpt begins at a multiple of ``step`` samples. A longer recording is decoded twice, in constant memory except
    for the energy of each block of ``step`` samples.
    """
    wanted = max(round(seconds * sample_rate), 1)
    beginning = read_beginning(path, sample_rate, (wanted + 1) / sample_rate, part=part)
    if len(beginning.samples) <= wanted:
        return Excerpt(waveform=beginning, start=0, whole=True)
    length, energies = block_energies(read_blocks(path, sample_rate, part=part), step)
    start = step * loudest_window(energies, -(-wanted // step), starts=(length - wanted) // step + 1)
    blocks = first_samples(skip_samples(read_blocks(path, sample_rate, part=part), start), wanted)
    samples = join_blocks(blocks)
    return Excerpt(waveform=Waveform(samples=samples, sample_rate=sample_rate), start=start, whole=False)


def block_energies(blocks: Iterable[FloatArray], step: int) -> tuple[int, Energies]:
    """Count a stream's samples, and sum the energy of every ``step`` of them: ``(blocks,)``; the last may be short."""
    length, energies = 0, [np.empty(0)]
    for block in equal_blocks(blocks, step * _BLOCKS_AT_ONCE):
        length += len(block)
        squares = np.square(block, dtype=np.float64)
        energies.append(np.add.reduceat(squares, np.arange(0, len(squares), step)))
    return length, np.concatenate(energies)


def loudest_window(energies: Energies, blocks: int, *, starts: int) -> int:
    """Return the first block of the loudest window of ``blocks`` blocks, among the first ``starts`` windows.

    Of all windows that are `CLOSE` to the loudest, the middle one is chosen.
    """
    sums = np.convolve(energies, np.ones(blocks), "valid")[:starts]
    softest, loudest = sums.min(), sums.max()
    close = np.flatnonzero(sums >= softest + CLOSE * (loudest - softest))
    return int(close[(len(close) - 1) // 2])


def half_energy(energies: Energies) -> int:
    """Return the block in which half of the energy is reached; for silence the middle block."""
    passed = np.cumsum(energies)
    return int(np.searchsorted(passed, passed[-1] / 2)) if passed[-1] > 0 else (len(energies) - 1) // 2


BLOCK_SECONDS = 0.02
ACTIVE_DB = 40.0  # blocks this far below the loudest block are pauses, which do not count
PEAK = 0.95  # of full scale, after the change


def active_level(sound: Waveform) -> float:
    """Compute the root mean square of a sound without its pauses; 0 for silence.

    A pause is a block of 20 ms that is 40 dB or more below the loudest block. The gate keeps silence around a word from
    changing the word's level, as in ITU-R BS.1770, but without its frequency weighting.
    """
    step = max(round(BLOCK_SECONDS * sound.sample_rate), 1)
    length, energies = block_energies([sound.samples], step)
    if not energies.size or energies.max() <= 0:
        return 0.0
    sizes = np.full(len(energies), step)
    sizes[-1] = length - step * (len(energies) - 1)
    powers = energies / sizes
    active = powers > powers.max() * 10 ** (-ACTIVE_DB / 10)
    return float(np.sqrt(energies[active].sum() / sizes[active].sum()))


def equally_loud(sounds: Sequence[Waveform]) -> list[Waveform]:
    """Scale sounds to one `active_level`: the highest that leaves every peak below full scale. Silence stays silent."""
    levels = [active_level(sound) for sound in sounds]
    peaks = [float(np.abs(sound.samples).max(initial=0)) for sound in sounds]
    wanted = min((PEAK * level / peak for level, peak in zip(levels, peaks, strict=True) if level), default=0.0)
    return [
        Waveform(samples=sound.samples * np.float32(wanted / level), sample_rate=sound.sample_rate) if level else sound
        for sound, level in zip(sounds, levels, strict=True)
    ]
