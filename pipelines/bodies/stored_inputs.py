"""Spectrograms and filter banks of clips for the training of networks: see `pipelines.stages.stored_arrays`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lm.bodies.clips import StoredClips
from lm.bodies.convolutional import log_mel_pieces, num_frames
from lm.bodies.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    N_MELS,
    SAMPLE_RATE,
    Statistics,
    frames_of,
    patches_along,
    stored_filter_banks,
)
from pipelines.stages.stored_arrays import TRAINED_ON, VALUES, read_clips, rows_of, write_clips
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry, write_json
from tokenizer.tokenizer_options import SoundChanges
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.spectrogram import frame_statistics
from wordless.audio.views import View
from wordless.base.array_types import Array
from wordless.base.arrays import fill, write_array

STD, STATISTICS = "std.npy", "statistics.json"  # beside the values


def stored_clips(entry: Entry, split: Split) -> StoredClips:
    """Return the clips of a split in an entry of arrays, read in place."""
    return StoredClips.of(*read_clips(entry.folder / VALUES)).of_rows(rows_of(entry, split))


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
    write_array(run.folder / STD, frame_statistics(sample.folder)[1].numpy())


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
