"""Log-mel of other hearings, computed once for all methods that read it."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.audio.recordings.manifest import Clip

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
        return [_frames(self.folder / str(number), row) for number in range(2, self.hearings + 1)]


def _frames(folder: Path, row: int) -> Tensor:
    frames, offsets = _arrays(folder)
    return torch.from_numpy(frames[offsets[row] : offsets[row + 1]].astype(np.float32))


@lru_cache(maxsize=128)
def _arrays(folder: Path) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]:
    """Open the array of a hearing, to be read in place; once in each process."""
    return np.load(folder / FRAMES, mmap_mode="r"), np.load(folder / OFFSETS)


@lru_cache(maxsize=2)
def _rows(folder: Path) -> dict[str, int]:
    names: list[str] = json.loads((folder / CLIPS).read_text())
    return {name: row for row, name in enumerate(names)}
