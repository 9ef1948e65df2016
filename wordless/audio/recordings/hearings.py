"""Hearings: fixed versions of a recording, over which a comparison averages features (test-time augmentation).

A slightly different voice gets other codes. The average over several versions of a recording depends less on the
voice. The first hearing is the recording itself, and the second begins a few milliseconds later. All others also read
it at another rate, as a tape that runs slower or faster: pitch, formants and tempo change together (Ko et al., "Audio
augmentation for speech recognition", 2015). These two changes are made to samples, so every method can have them. A
log-mel front end that limits the range of levels (``audio.dynamic_range``) has a wider or narrower range in each
hearing, too.

`HeardFrames` are the log-mel of other hearings, computed once for all methods that read it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.manifest import Clip
from wordless.audio.waveform import FloatArray, join_blocks, skip_samples

LATEST = 0.02  # seconds: begins of hearings are spread from 0 to here
RANGES = (0.75, 1.25)  # of the front end's own dynamic range: 30 to 50 dB for one of 40


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """One way to listen to a recording."""

    rate: float = 1.0  # samples per sample of the recording; a rate above 1 makes the sound slower and lower
    skipped: float = 0.0  # seconds left out at the beginning
    dynamic_range: float = 1.0  # ratio to the front end's own

    def decibels(self, own: float | None) -> float | None:
        """Return the dynamic range in dB for a front end of ``own`` dB; None: the front end has no limit."""
        return None if own is None else own * self.dynamic_range

    def num_samples(self, clip: Clip, sample_rate: int) -> int:
        """Count the samples of a clip at the front end's ``sample_rate``: at least one is left."""
        return self._read(clip, sample_rate) - self._skipped(clip, sample_rate)

    def blocks(self, root: Path, clip: Clip, sample_rate: int) -> Iterator[FloatArray]:
        """Read a clip below ``root`` as `wordless.audio.reading.read_blocks` does, in this hearing."""
        blocks = read_blocks(root / clip.path, self._read_rate(sample_rate), part=clip.part)
        skipped = self._skipped(clip, sample_rate)
        return skip_samples(blocks, skipped) if skipped else blocks

    def samples(self, root: Path, clip: Clip, sample_rate: int) -> FloatArray:
        """Read a whole clip below ``root`` in this hearing ``(num_samples,)``, for methods that read waveforms."""
        return join_blocks(self.blocks(root, clip, sample_rate))

    def _read_rate(self, sample_rate: int) -> int:
        return round(sample_rate * self.rate)

    def _read(self, clip: Clip, sample_rate: int) -> int:
        return resampled_length(clip.num_samples, clip.sample_rate, self._read_rate(sample_rate))

    def _skipped(self, clip: Clip, sample_rate: int) -> int:
        return min(round(self.skipped * sample_rate), self._read(clip, sample_rate) - 1)


AS_RECORDED = Hearing()


SPREAD = 0.25  # hearings are up to this ratio slower or faster, with formants and pitch


def hearings(count: int, *, spread: float = SPREAD) -> tuple[Hearing, ...]:
    """List the first ``count`` hearings; the first is the recording as it is.

    Rates lie between ``1 / (1 + spread)`` and ``1 + spread``, evenly on a log scale. All three amounts follow a Halton
    sequence (Halton, 1960), which covers them evenly with 4, 8 or 16 hearings. They are rounded, because they are part
    of keys, and processors differ in the last digit.
    """
    if count == 1:
        return (AS_RECORDED,)
    from scipy.stats.qmc import Halton  # slow to import

    points = Halton(3, scramble=False).random(count)[1:]  # the first point is a corner
    low, high = RANGES
    others = (
        Hearing(
            rate=round(float(np.exp((2 * rate - 1) * np.log1p(spread))), 6),
            skipped=round(float(skipped * LATEST), 6),
            dynamic_range=round(float(low + (high - low) * share), 6),
        )
        for rate, skipped, share in points
    )
    return (AS_RECORDED, *others)


FRAMES, OFFSETS, CLIPS = "frames.npy", "offsets.npy", "clips.json"


@dataclass(frozen=True, kw_only=True)
class HeardFrames:
    """Stored log-mel of every hearing but the first, in a folder for each: ``2``, ``3``, ..."""

    folder: Path
    hearings: int  # of each clip, the first one included
    key: str  # of the store entry, in the recipes of what is made from the frames

    def of(self, clip: Clip) -> list[Tensor]:
        """Return the log-mel ``(time, mels)`` of a clip in each stored hearing, read from 16 bits.

        The hearing's dynamic range is applied; no mean is removed.
        """
        row = _rows(self.folder)[clip.name]
        stored = (_arrays(self.folder / str(number)) for number in range(2, self.hearings + 1))
        return [torch.from_numpy(frames[begins[row] : begins[row + 1]].astype(np.float32)) for frames, begins in stored]


@lru_cache(maxsize=128)
def _arrays(folder: Path) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]:
    """Open the array of a hearing, to be read in place; once in each process."""
    return np.load(folder / FRAMES, mmap_mode="r"), np.load(folder / OFFSETS)


@lru_cache(maxsize=2)
def _rows(folder: Path) -> dict[str, int]:
    names: list[str] = json.loads((folder / CLIPS).read_text())
    return {name: row for row, name in enumerate(names)}
