"""Spectrograms for the training of the baselines: normalised log-mel in one array on disk."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from audio.spectrogram import SpectrogramConfig
from foundation.arrays import Array, fill, write_array
from lm.baselines.spectrogram_reader import SpectrogramReader, statistics
from lm.baselines.spectrograms import Spectrograms
from pipelines.stages.stored_arrays import FRAMES, OFFSETS, TRAINED_ON, kept_clips, read_clips, write_clips
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json

CLIPS, STD = "clips.json", "std.npy"  # beside the frames


def spectrograms(session: Session, manifest: Manifest, audio: SpectrogramConfig, sample: Entry) -> Entry:
    """Write normalised log-mel of all training and validation clips, 16 bits, in one array that is read in place."""
    recipe = Recipe(
        stage="spectrograms",
        version=1,
        config=asdict(audio),
        inputs={"sample": sample.key, "manifest": audio_hash(manifest, TRAINED_ON)},
    )
    clips = kept_clips(manifest)
    reader = SpectrogramReader(root=manifest.root, audio=audio, sample=sample.folder)

    def make(folder: Path) -> None:
        lengths = [reader.num_frames(clip) for clip in clips]
        write = partial(_write_spectrogram, reader)
        write_clips(
            session, "spectrograms", folder / FRAMES, clips, lengths, write, dtype=np.float16, width=(audio.n_mels,)
        )
        write_array(folder / STD, statistics(sample.folder)[1].numpy())
        write_json(folder / CLIPS, [[clip.name, clip.split] for clip in clips])

    return session.obtain(recipe, f"spectrograms of {len(clips)} clips", make, files=[FRAMES, OFFSETS, STD, CLIPS])


def _write_spectrogram(reader: SpectrogramReader, frames: Array, clip: Clip) -> None:
    """Write a clip's place ``(time, mels)``."""
    fill(frames, (piece.numpy() for piece in reader.pieces(clip)))


def stored_std(entry: Entry) -> Tensor:
    """Read the divisor ``(mels,)`` of the log-mel in an entry of `spectrograms`."""
    return torch.from_numpy(np.load(entry.folder / STD))


def stored_spectrograms(entry: Entry, split: Split) -> tuple[Spectrograms, list[str]]:
    """Return the clips of a split in an entry of `spectrograms`, read in place, and their names."""
    stored: list[tuple[str, str]] = json.loads((entry.folder / CLIPS).read_text())
    rows = [row for row, (_, own) in enumerate(stored) if own == split]
    return Spectrograms.of(*read_clips(entry.folder / FRAMES)).of_rows(rows), [stored[row][0] for row in rows]
