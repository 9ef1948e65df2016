"""Sound of clips, in one array on disk, which training reads in place.

::

    array    [ clip 0 ][ clip 1      ][ clip 2 ]     training clips before validation clips
    offsets  0         a              b         c
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, write_json
from vocoder.crops import SampleClips
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.inspection import require_finite_samples
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.waveform import in_16_bits
from wordless.base.arrays import Array, IndexArray, allocate, fill, write_array
from wordless.base.pools import LOCAL
from wordless.base.threads import cores

TRAINED_ON: tuple[Split, ...] = ("train", "validation")  # validation chooses the kept weights
VALUES, OFFSETS, _CLIPS = "values.npy", "offsets.npy", "clips.json"
R = TypeVar("R")


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
    """Write the array ``(sum of lengths, *width)`` to ``file``; beside it the offsets, and names and splits of clips.

    ``write`` fills the place ``(length, *width)`` of a clip with finite values, in any process; results are returned.
    """
    ends = np.cumsum([0, *lengths])
    allocate(file, dtype, (int(ends[-1]), *width))
    jobs = [(clip, int(start), int(end)) for clip, start, end in zip(clips, ends[:-1], ends[1:], strict=True)]
    local = replace(session, engine=LOCAL, workers=session.workers or cores())  # that write into parts of one file
    results = list(local.each(title, partial(_write_clip, file, write, title), jobs))
    np.lib.format.open_memmap(file, mode="r+").flush()  # once: thousands of clips would each wait for the disk
    write_array(file.with_name(OFFSETS), ends)
    write_json(file.with_name(_CLIPS), [[clip.name, clip.split] for clip in clips])
    return results


def _write_clip(file: Path, write: Callable[[Array, Clip], R], title: str, job: tuple[Clip, int, int]) -> R:
    clip, start, end = job
    array = np.lib.format.open_memmap(file, mode="r+")
    result = write(array[start:end], clip)
    require_finite_samples(array[start:end], clip, title)
    return result


def read_clips(file: Path) -> tuple[Array, IndexArray]:
    """Open the array, to be read in place, and read the offsets ``(clips + 1,)``."""
    return np.load(file, mmap_mode="r"), np.load(file.with_name(OFFSETS))


def rows_of(artifact: CachedArtifact, split: Split) -> list[int]:
    """List the places of the clips of a split among the clips of an artifact."""
    return [row for row, (_, own) in enumerate(_clips_of(artifact)) if own == split]


def stored_names(artifact: CachedArtifact, split: Split) -> list[str]:
    return [name for name, own in _clips_of(artifact) if own == split]


def _clips_of(artifact: CachedArtifact) -> list[tuple[str, Split]]:
    clips: list[tuple[str, Split]] = json.loads((artifact.folder / _CLIPS).read_text())
    return clips


_TITLE = "waveforms of {clips} clips"


@stage("waveforms", title=_TITLE, splits=TRAINED_ON)
def waveforms(run: StageRun, clips: Clips, sample_rate: int) -> None:
    """Store the samples of the clips that are trained on, ``sample_rate`` in Hz."""
    _write_waveforms(run, clips, sample_rate)


@stage("test_waveforms", title=_TITLE, splits=("test",))
def test_waveforms(run: StageRun, clips: Clips, sample_rate: int) -> None:
    """Store the samples of the test clips, ``sample_rate`` in Hz."""
    _write_waveforms(run, clips, sample_rate)


def _write_waveforms(run: StageRun, clips: Clips, sample_rate: int) -> None:
    lengths = [resampled_length(clip.num_samples, clip.sample_rate, sample_rate) for clip in clips.clips]
    write = partial(_write_waveform, clips.root, sample_rate)
    write_clips(run, "waveforms", run.folder / VALUES, clips.clips, lengths, write, dtype=np.int16)


def _write_waveform(root: Path, sample_rate: int, samples: Array, clip: Clip) -> None:
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    fill(samples, (in_16_bits(block) for block in blocks))


def split_samples(artifact: CachedArtifact, split: Split) -> SampleClips:
    """Return the samples of a split's clips in an artifact of `waveforms`, read in place."""
    samples, offsets = read_clips(artifact.folder / VALUES)
    rows = rows_of(artifact, split)
    here = offsets[rows[0] : rows[-1] + 2] if rows else offsets[:1]
    return SampleClips(samples=samples[here[0] : here[-1]], offsets=here - here[0])
