"""Sound and spectrograms of clips, each in one array on disk, which training reads in place.

::

    array    [ clip 0 ][ clip 1      ][ clip 2 ]     training clips before validation clips
    offsets  0         a              b         c
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lm.bodies.clips import StoredClips
from lm.bodies.convolutional import log_mel_pieces, num_frames, statistics
from lm.bodies.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    N_MELS,
    SAMPLE_RATE,
    Statistics,
    frames_of,
    patches_along,
    stored_filter_banks,
)
from pipelines.store.session import Run, Session
from pipelines.store.stage import stage
from pipelines.store.store import Entry, write_json
from tokenizer.tokenizer_options import SoundChanges
from vocoder.crops import SampleClips
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.views import View
from wordless.audio.waveform import in_16_bits
from wordless.base.array_types import Array, IndexArray
from wordless.base.arrays import allocate, fill, write_array
from wordless.base.machine import cores
from wordless.base.pools import LOCAL

TRAINED_ON: tuple[Split, ...] = ("train", "validation")
VALUES, OFFSETS, CLIPS = "values.npy", "offsets.npy", "clips.json"
STD, STATISTICS = "std.npy", "statistics.json"  # beside the values
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
    write_json(file.with_name(CLIPS), [[clip.name, clip.split] for clip in clips])
    return results


def _write_clip(file: Path, write: Callable[[Array, Clip], R], title: str, job: tuple[Clip, int, int]) -> R:
    clip, start, end = job
    array = np.lib.format.open_memmap(file, mode="r+")
    result = write(array[start:end], clip)
    require_finite(array[start:end], clip, title)
    return result


def read_clips(file: Path) -> tuple[Array, IndexArray]:
    """Open the array, to be read in place, and read the offsets ``(clips + 1,)``."""
    return np.load(file, mmap_mode="r"), np.load(file.with_name(OFFSETS))


def stored_clips(entry: Entry, split: Split) -> StoredClips:
    """Return the clips of a split in an entry of this module, read in place."""
    rows = [row for row, (_, own) in enumerate(_clips_of(entry)) if own == split]
    return StoredClips.of(*read_clips(entry.folder / VALUES)).of_rows(rows)


@dataclass(frozen=True, kw_only=True)
class HeardClips:
    """The stored inputs of clips, and those of copies of the training clips with changed sound."""

    entry: Entry
    copies: tuple[Entry, ...] = ()
    changed: float = 0.0  # share of draws of training clips in which a copy is heard

    @property
    def key(self) -> object:
        """The entry, which keys knew before there were copies."""
        return [self.entry, self.copies, self.changed] if self.copies else self.entry

    def of(self, split: Split) -> StoredClips:
        copies = [stored_clips(each, split) for each in self.copies] if split == "train" else []
        return stored_clips(self.entry, split).with_copies(copies, self.changed)


def stored_names(entry: Entry, split: Split) -> list[str]:
    return [name for name, own in _clips_of(entry) if own == split]


def _clips_of(entry: Entry) -> list[tuple[str, Split]]:
    clips: list[tuple[str, Split]] = json.loads((entry.folder / CLIPS).read_text())
    return clips


def _waveforms(run: Run, clips: Clips, sample_rate: int) -> None:
    lengths = [resampled_length(clip.num_samples, clip.sample_rate, sample_rate) for clip in clips.clips]
    write = partial(_write_waveform, clips.root, sample_rate)
    write_clips(run, "waveforms", run.folder / VALUES, clips.clips, lengths, write, dtype=np.int16)


TITLE = "waveforms of {clips} clips"
waveforms = stage("waveforms", version=2, title=TITLE, splits=TRAINED_ON)(_waveforms)
test_waveforms = stage("test_waveforms", version=2, title=TITLE, splits=("test",))(_waveforms)


def _write_waveform(root: Path, sample_rate: int, samples: Array, clip: Clip) -> None:
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    fill(samples, (in_16_bits(block) for block in blocks))


def split_samples(entry: Entry, split: Split) -> SampleClips:
    """Return the samples of a split's clips in an entry of `waveforms`, read in place."""
    samples, offsets = read_clips(entry.folder / VALUES)
    rows = [row for row, (_, own) in enumerate(_clips_of(entry)) if own == split]
    here = offsets[rows[0] : rows[-1] + 2] if rows else offsets[:1]
    return SampleClips(samples=samples[here[0] : here[-1]], offsets=here - here[0])


@stage("spectrograms", version=2, title="spectrograms of {clips} clips", splits=TRAINED_ON)
def spectrograms(run: Run, clips: Clips, audio: SpectrogramConfig, sample: Entry) -> None:
    """Write normalised log-mel, 16 bits, for SimCLR, gpt_sound and the supervised encoder."""
    _write_spectrograms(run, clips, audio, sample, View)


@stage("changed_spectrograms", version=1, title="spectrograms of {clips} clips of changed sound", splits=("train",))
def changed_spectrograms(
    run: Run, clips: Clips, audio: SpectrogramConfig, sample: Entry, views: SoundChanges, number: int
) -> None:
    """Write the same of a copy of each clip with changed sound; ``number`` is that of the copy, and its seed."""
    _write_spectrograms(run, clips, audio, sample, partial(views.input_of, seed=number))


def _write_spectrograms(
    run: Run, clips: Clips, audio: SpectrogramConfig, sample: Entry, view_of: Callable[[Clip], View]
) -> None:
    lengths, file = [num_frames(View(clip), audio) for clip in clips.clips], run.folder / VALUES
    write, width = partial(_write_spectrogram, clips.root, audio, sample.folder, view_of), (audio.n_mels,)
    write_clips(run, "spectrograms", file, clips.clips, lengths, write, dtype=np.float16, width=width)
    write_array(run.folder / STD, statistics(sample.folder)[1].numpy())


def _write_spectrogram(
    root: Path, audio: SpectrogramConfig, sample: Path, view_of: Callable[[Clip], View], frames: Array, clip: Clip
) -> None:
    pieces = [piece.numpy() for piece in log_mel_pieces(view_of(clip), root, audio, sample)]
    fill(frames, pieces)
    if left := len(frames) - sum(map(len, pieces)):  # a view of another dynamic range lacks a begun hop
        frames[-left:] = np.concatenate([piece.numpy() for piece in log_mel_pieces(View(clip), root, audio, sample)])[
            -left:
        ]


def stored_std(entry: Entry) -> Tensor:
    """Read the divisor ``(mels,)`` of the log-mel in an entry of `spectrograms`."""
    return torch.from_numpy(np.load(entry.folder / STD))


@stage("filter_banks", version=2, title="filter banks of {clips} clips", splits=TRAINED_ON)
def filter_banks(run: Run, clips: Clips) -> None:
    """Write filter banks, 16 bits, for the fine-tuning of AST, and their statistics over the training clips."""
    lengths, file = [frames_of(patches_along(View(clip))) for clip in clips.clips], run.folder / VALUES
    write = partial(_write_filter_bank, clips.root)
    sums = write_clips(run, "filter banks", file, clips.clips, lengths, write, dtype=np.float16, width=(N_MELS,))
    training = len(clips.of("train"))
    total, squares, values = sum(map(np.array, sums[:training]), np.zeros(3))
    mean = total / max(values, 1)
    std = max(squares / max(values, 1) - mean**2, 1e-8) ** 0.5
    given = AUDIOSET_STATISTICS
    write_json(run.folder / STATISTICS, {"mean": mean * given.std + given.mean, "std": std * given.std})


def _write_filter_bank(root: Path, frames: Array, clip: Clip) -> tuple[float, float, int]:
    """Write a clip's place ``(time, 128)``; return the sum of its values, of their squares, and their number."""
    sums, written = np.zeros(2), 0
    for piece in stored_filter_banks(read_blocks(root / clip.path, SAMPLE_RATE, part=clip.part)):
        frames[written : written + len(piece)] = piece
        sums += (piece.sum(dtype=np.float64), np.square(piece).sum(dtype=np.float64))
        written += len(piece)
    return float(sums[0]), float(sums[1]), written * N_MELS


def measured_statistics(entry: Entry) -> Statistics:
    """Read the statistics of the training clips' filter banks before their normalisation."""
    return Statistics(**entry.read_json(STATISTICS))
