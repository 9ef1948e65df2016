"""Filter banks of recordings for fine-tuning AST, in one array on disk, and their statistics."""

from functools import partial
from pathlib import Path

import numpy as np

from audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from foundation.arrays import Array
from lm.baselines.ast_features import patches_along, stored_filter_banks
from lm.baselines.ast_weights import AUDIOSET_STATISTICS, Statistics
from lm.baselines.filter_bank import N_MELS, frames_of
from lm.baselines.spectrograms import Spectrograms
from pipelines.stages.stored_arrays import FRAMES, OFFSETS, TRAINED_ON, kept_clips, kept_rows, read_clips, write_clips
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json

STATISTICS = "statistics.json"  # beside the frames


def filter_banks(session: Session, manifest: Manifest) -> Entry:
    """Write filter banks of all training and validation clips, 16 bits, in one array, and statistics of training."""
    recipe = Recipe(stage="filter_banks", version=1, config={}, inputs={"manifest": audio_hash(manifest, TRAINED_ON)})
    clips = kept_clips(manifest)
    training = len(manifest.of("train"))

    def make(folder: Path) -> None:
        lengths = [frames_of(patches_along(clip)) for clip in clips]
        write = partial(_write_filter_bank, manifest.root)
        sums = write_clips(
            session, "filter banks", folder / FRAMES, clips, lengths, write, dtype=np.float16, width=(N_MELS,)
        )
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
    for piece in stored_filter_banks(root, clip):
        frames[written : written + len(piece)] = piece
        sums += (piece.sum(dtype=np.float64), np.square(piece).sum(dtype=np.float64))
        written += len(piece)
    return float(sums[0]), float(sums[1]), written * N_MELS


def split_filter_banks(entry: Entry, manifest: Manifest, split: Split) -> tuple[Spectrograms, list[str]]:
    """Return the clips of a split in an entry of `filter_banks`, read in place, and their names."""
    rows = kept_rows(manifest, split)
    return Spectrograms.of(*read_clips(entry.folder / FRAMES)).of_rows(rows), [clip.name for clip in manifest.of(split)]


def measured_statistics(entry: Entry) -> Statistics:
    """Read the statistics of the training clips' filter banks before their normalisation."""
    measured = entry.read_json(STATISTICS)
    return Statistics(mean=float(str(measured["mean"])), std=float(str(measured["std"])))
