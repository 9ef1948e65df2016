"""Recordings -> spectrograms: normalised log-mel of what the baselines are trained on, in one array on disk."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from audio.reading import read_blocks, resampled_length
from audio.recordings.manifest import Clip, Manifest, Split, audio_hash
from audio.spectrogram import LogMel, SpectrogramConfig, log_mel_stream
from lm.baselines.spectrograms import Spectrograms
from pipelines.stages.stored_arrays import (
    FRAMES,
    OFFSETS,
    TRAINED_ON,
    Array,
    fill,
    kept_clips,
    read_clips,
    write_array,
    write_clips,
)
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json

PIECE_FRAMES = 1024  # of a recording that is heard at a time
CLIPS, STD = "clips.json", "std.npy"  # beside the frames


@dataclass(frozen=True, kw_only=True)
class SpectrogramReader:
    """Normalised log-mel of recordings, as any process can make it."""

    root: Path  # of the recordings
    audio: SpectrogramConfig
    sample: Path  # folder of the statistics

    def num_frames(self, clip: Clip) -> int:
        """Frames of a recording: the last hop is filled up with silence, so that there is one at least."""
        samples = resampled_length(clip.num_samples, clip.sample_rate, self.audio.sample_rate)
        return -(-samples // self.audio.hop_length)

    def pieces(self, clip: Clip) -> Iterator[Tensor]:
        """Normalised log-mel ``(time, mels)`` of a recording, `PIECE_FRAMES` frames at a time."""
        log_mel, mean, std = _front_end(self.audio, self.sample)
        samples = resampled_length(clip.num_samples, clip.sample_rate, self.audio.sample_rate)
        silence = np.zeros(-samples % self.audio.hop_length, np.float32)
        blocks = chain(read_blocks(self.root / clip.path, self.audio.sample_rate, part=clip.part), [silence])
        for piece in log_mel_stream(log_mel, blocks, frames=PIECE_FRAMES):
            yield (piece - mean) / std


@lru_cache(maxsize=1)
def _front_end(audio: SpectrogramConfig, sample: Path) -> tuple[LogMel, Tensor, Tensor]:
    """Made once in each process."""
    return LogMel(audio), *statistics(sample)


def statistics(sample: Path) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``(mels,)`` of the training frames' log-mel, from the folder of a sample."""
    tensors = load_file(sample / "sample.safetensors")
    return tensors["mean"], tensors["std"]


def spectrograms(session: Session, manifest: Manifest, audio: SpectrogramConfig, sample: Entry) -> Entry:
    """Normalised log-mel of all training and validation clips, 16 bits, in one array: clips are read in place."""
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
    """Fill the place of a clip ``(time, mels)``."""
    fill(frames, (piece.numpy() for piece in reader.pieces(clip)))


def stored_std(entry: Entry) -> Tensor:
    """What the log-mel in an entry of `spectrograms` was divided by ``(mels,)``."""
    return torch.from_numpy(np.load(entry.folder / STD))


def stored_spectrograms(entry: Entry, split: Split) -> tuple[Spectrograms, list[str]]:
    """The clips of a split in an entry of `spectrograms`, read in place, and their names."""
    stored: list[tuple[str, str]] = json.loads((entry.folder / CLIPS).read_text())
    rows = [row for row, (_, own) in enumerate(stored) if own == split]
    return Spectrograms.of(*read_clips(entry.folder / FRAMES)).of_rows(rows), [stored[row][0] for row in rows]
