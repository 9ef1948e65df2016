"""Sound and spectrograms of training and validation clips, each in one array on disk, which training reads in place.

::

    array    [ clip 0 ][ clip 1      ][ clip 2 ]     training clips before validation clips
    offsets  0         a              b         c
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lm.bodies.clips import StoredClips
from lm.bodies.convolutional import SpectrogramReader, statistics
from lm.bodies.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    N_MELS,
    SAMPLE_RATE,
    Statistics,
    frames_of,
    patches_along,
    stored_filter_banks,
)
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from wordless.audio.options import SpectrogramConfig
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.recordings.manifest import Clip, Clips, Split, audio_hash
from wordless.audio.views import View
from wordless.audio.waveform import in_16_bits
from wordless.base.arrays import Array, allocate, fill, write_array

TRAINED_ON: tuple[Split, ...] = ("train", "validation")  # in the order of the array
SAMPLES, FRAMES, OFFSETS, CLIPS = "samples.npy", "frames.npy", "offsets.npy", "clips.json"
STD, STATISTICS = "std.npy", "statistics.json"  # beside frames
R = TypeVar("R")


def kept_clips(manifest: Clips, splits: Sequence[Split] = TRAINED_ON) -> list[Clip]:
    """List the clips of such an array, in its order."""
    return [clip for split in splits for clip in manifest.of(split)]


def kept_rows(manifest: Clips, split: Split) -> range:
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

    ``write`` fills the place ``(length, *width)`` of a clip, in any process; its results are returned. Values that are
    not finite are refused.
    """
    ends = np.cumsum([0, *lengths])
    allocate(file, dtype, (int(ends[-1]), *width))
    jobs = [(clip, int(start), int(end)) for clip, start, end in zip(clips, ends[:-1], ends[1:], strict=True)]
    results = list(session.on_this_machine().each(title, partial(_write_clip, file, write, title), jobs))
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


def waveforms(session: Session, manifest: Clips, sample_rate: int, *, test: bool = False) -> Entry:
    """Write sound at one rate, 16 bits, for the vocoder and for encoders of waveforms; with ``test``, of test clips."""
    splits: tuple[Split, ...] = ("test",) if test else TRAINED_ON
    inputs, options = {"recordings": audio_hash(manifest, splits)}, {"audio": {"sample_rate": sample_rate}}
    recipe = Recipe("test_waveforms" if test else "waveforms", 1, config=options, inputs=inputs)
    clips = kept_clips(manifest, splits)

    def make(folder: Path) -> None:
        lengths = [resampled_length(clip.num_samples, clip.sample_rate, sample_rate) for clip in clips]
        write = partial(_write_waveform, manifest.root, sample_rate)
        write_clips(session, "waveforms", folder / SAMPLES, clips, lengths, write, dtype=np.int16)

    return session.obtain(recipe, f"waveforms of {len(clips)} clips", make, files=[SAMPLES, OFFSETS])


def _write_waveform(root: Path, sample_rate: int, samples: Array, clip: Clip) -> None:
    blocks = read_blocks(root / clip.path, sample_rate, part=clip.part)
    fill(samples, (in_16_bits(block) for block in blocks))


def split_samples(entry: Entry, manifest: Clips, split: Split) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the samples of a split's clips in an entry of `waveforms`, read in place, and their offsets."""
    samples, offsets = read_clips(entry.folder / SAMPLES)
    rows = kept_rows(manifest, split)
    here = offsets[rows.start : rows.stop + 1]
    return samples[here[0] : here[-1]], here - here[0]


def spectrograms(session: Session, manifest: Clips, audio: SpectrogramConfig, sample: Entry) -> Entry:
    """Write normalised log-mel, 16 bits, for SimCLR, gpt_sound and the supervised encoder."""
    inputs = {"sample": sample, "recordings": audio_hash(manifest, TRAINED_ON)}
    recipe = Recipe("spectrograms", 1, config={"audio": audio}, inputs=inputs)
    clips = kept_clips(manifest)
    reader = SpectrogramReader(root=manifest.root, audio=audio, sample=sample.folder)

    def make(folder: Path) -> None:
        lengths = [reader.num_frames(View(clip)) for clip in clips]
        write, width = partial(_write_spectrogram, reader), (audio.n_mels,)
        write_clips(session, "spectrograms", folder / FRAMES, clips, lengths, write, dtype=np.float16, width=width)
        write_array(folder / STD, statistics(sample.folder)[1].numpy())
        write_json(folder / CLIPS, [[clip.name, clip.split] for clip in clips])

    return session.obtain(recipe, f"spectrograms of {len(clips)} clips", make, files=[FRAMES, OFFSETS, STD, CLIPS])


def _write_spectrogram(reader: SpectrogramReader, frames: Array, clip: Clip) -> None:
    fill(frames, (piece.numpy() for piece in reader.pieces(View(clip))))


def stored_std(entry: Entry) -> Tensor:
    """Read the divisor ``(mels,)`` of the log-mel in an entry of `spectrograms`."""
    return torch.from_numpy(np.load(entry.folder / STD))


def stored_spectrograms(entry: Entry, split: Split) -> tuple[StoredClips, list[str]]:
    """Return the clips of a split in an entry of `spectrograms`, read in place, and their names."""
    stored: list[tuple[str, str]] = json.loads((entry.folder / CLIPS).read_text())
    rows = [row for row, (_, own) in enumerate(stored) if own == split]
    return StoredClips.of(*read_clips(entry.folder / FRAMES)).of_rows(rows), [stored[row][0] for row in rows]


def filter_banks(session: Session, manifest: Clips) -> Entry:
    """Write filter banks, 16 bits, for the fine-tuning of AST, and their statistics over the training clips."""
    recipe = Recipe("filter_banks", 1, config={}, inputs={"recordings": audio_hash(manifest, TRAINED_ON)})
    clips = kept_clips(manifest)
    training = len(manifest.of("train"))

    def make(folder: Path) -> None:
        lengths = [frames_of(patches_along(View(clip))) for clip in clips]
        write, file = partial(_write_filter_bank, manifest.root), folder / FRAMES
        sums = write_clips(session, "filter banks", file, clips, lengths, write, dtype=np.float16, width=(N_MELS,))
        total, squares, values = sum(map(np.array, sums[:training]), np.zeros(3))
        mean = total / max(values, 1)
        std = max(squares / max(values, 1) - mean**2, 1e-8) ** 0.5
        given = AUDIOSET_STATISTICS
        write_json(folder / STATISTICS, {"mean": mean * given.std + given.mean, "std": std * given.std})

    return session.obtain(recipe, f"filter banks of {len(clips)} clips", make, files=[FRAMES, OFFSETS, STATISTICS])


def _write_filter_bank(root: Path, frames: Array, clip: Clip) -> tuple[float, float, int]:
    """Write a clip's place ``(time, 128)``; return the sum of its values, of their squares, and their number."""
    sums = np.zeros(2)
    written = 0
    for piece in stored_filter_banks(read_blocks(root / clip.path, SAMPLE_RATE, part=clip.part)):
        frames[written : written + len(piece)] = piece
        sums += (piece.sum(dtype=np.float64), np.square(piece).sum(dtype=np.float64))
        written += len(piece)
    return float(sums[0]), float(sums[1]), written * N_MELS


def stored_clips(entry: Entry, manifest: Clips, split: Split) -> StoredClips:
    """Return the clips of a split in an entry of this module, read in place."""
    file, rows = entry.folder / FRAMES, kept_rows(manifest, split)
    return StoredClips.of(*read_clips(file if file.exists() else entry.folder / SAMPLES)).of_rows(rows)


def measured_statistics(entry: Entry) -> Statistics:
    """Read the statistics of the training clips' filter banks before their normalisation."""
    measured = entry.read_json(STATISTICS)
    return Statistics(mean=float(str(measured["mean"])), std=float(str(measured["std"])))
