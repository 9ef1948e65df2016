"""Clips end to end in one array: what is written where, by one process or two, and what does not fit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipelines.stages.stored_arrays import kept_clips, kept_rows, read_clips, write_clips
from tests.pipelines.tiny import session_of
from wordless.audio.recordings.manifest import Clip, Manifest, Split
from wordless.base.arrays import Array, fill

SPLITS: tuple[Split, ...] = ("validation", "train", "test", "train", "validation")
LENGTHS = {"train": 3, "validation": 7}


def corpus() -> Manifest:
    clips = (
        Clip(path=f"{number}.wav", num_samples=number, sample_rate=1, size=1, sha256="", split=split)
        for number, split in enumerate(SPLITS)
    )
    return Manifest(root=Path("here"), clips=tuple(clips))


def values(clip: Clip, length: int) -> Array:
    """What a clip holds ``(length, 2)``."""
    return 100 * clip.num_samples + np.arange(2 * length).reshape(length, 2)


def write(extra: int, place: Array, clip: Clip) -> int:
    """Fill a place in pieces of two, with so many frames too many."""
    filled = values(clip, len(place) + extra)
    fill(place, (filled[start : start + 2] for start in range(0, len(filled), 2)))
    return clip.num_samples


def written(folder: Path, *, workers: int = 1, extra: int = 0) -> list[int]:
    session = session_of(folder, workers=workers)
    clips = kept_clips(corpus())
    lengths = [LENGTHS[clip.split] for clip in clips]
    file = folder / "values.npy"
    return write_clips(session, "values", file, clips, lengths, partial(write, extra), dtype=np.int16, width=(2,))


@pytest.mark.parametrize("workers", [1, 2])
def test_clips_lie_end_to_end_train_first(workers: int, tmp_path: Path) -> None:
    assert written(tmp_path, workers=workers) == [1, 3, 0, 4]
    array, offsets = read_clips(tmp_path / "values.npy")
    assert isinstance(array, np.memmap)
    assert (array.dtype, offsets.tolist()) == (np.int16, [0, 3, 6, 13, 20])
    manifest = corpus()
    for split in ("train", "validation"):
        for row, clip in zip(kept_rows(manifest, split), manifest.of(split), strict=True):
            place = array[offsets[row] : offsets[row + 1]]
            np.testing.assert_array_equal(place, values(clip, LENGTHS[split]))


def test_no_clip_is_written_over_the_next(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        written(tmp_path, extra=2)
    assert not (tmp_path / "offsets.npy").exists()


def test_a_full_disk_is_an_error_before_anything_is_written_in_place(small_disk: Path) -> None:
    """A write in place to a file without blocks would kill the process."""
    session = session_of(small_disk)
    clips, file = kept_clips(corpus()), small_disk / "values.npy"
    lengths = [1 << 20] * len(clips)
    with pytest.raises(OSError, match=r"No space left on device: '.*values\.npy'"):
        write_clips(session, "values", file, clips, lengths, lambda place, clip: place.fill(1), dtype=np.int16)
