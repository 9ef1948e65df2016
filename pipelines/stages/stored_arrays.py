"""Training and validation clips in one array on disk, which workers write in parallel and training reads in place.

::

    array    [ clip 0 ][ clip 1      ][ clip 2 ]     training clips before validation clips
    offsets  0         a              b         c
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from audio.recordings.inspection import require_finite
from audio.recordings.manifest import Clip, Manifest, Split
from foundation.arrays import Array, allocate, write_array
from pipelines.store.session import Session

TRAINED_ON: tuple[Split, ...] = ("train", "validation")  # in the order of the array
FRAMES, OFFSETS = "frames.npy", "offsets.npy"
R = TypeVar("R")


def kept_clips(manifest: Manifest) -> list[Clip]:
    """List the clips of such an array, in its order."""
    return [clip for split in TRAINED_ON for clip in manifest.of(split)]


def kept_rows(manifest: Manifest, split: Split) -> range:
    """Return the rows of `kept_clips` that belong to a split."""
    first = 0 if split == "train" else len(manifest.of("train"))
    return range(first, first + len(manifest.of(split)))


def write_clips(
    session: Session,
    title: str,
    file: Path,
    clips: Sequence[Clip],
    lengths: Sequence[int],
    write: Callable[[Array, Clip], R],
    *,
    dtype: npt.DTypeLike,
    width: tuple[int, ...] = (),
) -> list[R]:
    """Write the array ``(sum of lengths, *width)`` to ``file``, and, once it is complete, the offsets beside it.

    ``write`` fills the place ``(length, *width)`` of a clip, in any process; its results are returned.

    Raises:
        InputError: a value of a clip is not finite.
    """
    ends = np.cumsum([0, *lengths])
    allocate(file, dtype, (int(ends[-1]), *width))
    jobs = [(clip, int(start), int(end)) for clip, start, end in zip(clips, ends[:-1], ends[1:], strict=True)]
    results = list(session.each(title, partial(_write_clip, file, write, title), jobs))
    np.lib.format.open_memmap(file, mode="r+").flush()  # once: thousands of clips would each wait for the disk
    write_array(file.with_name(OFFSETS), ends)
    return results


def _write_clip(file: Path, write: Callable[[Array, Clip], R], title: str, job: tuple[Clip, int, int]) -> R:
    clip, start, end = job
    array = np.lib.format.open_memmap(file, mode="r+")
    result = write(array[start:end], clip)
    require_finite(array[start:end], clip, title)
    return result


def read_clips(file: Path) -> tuple[Array, npt.NDArray[np.int64]]:
    """Open the array, to be read in place, and read the offsets ``(clips + 1,)``."""
    return np.load(file, mmap_mode="r"), np.load(file.with_name(OFFSETS))
