"""Reading of recordings as normalised log-mel, piece by piece, in any process."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, SpectrogramConfig, log_mel_stream, subtract_mean

PIECE_FRAMES = 1024  # frames of a recording that are read at a time


@dataclass(frozen=True, kw_only=True)
class SpectrogramReader:
    """Everything a process needs to compute normalised log-mel of recordings."""

    root: Path  # of the recordings
    audio: SpectrogramConfig
    sample: Path  # folder of the statistics

    def num_frames(self, clip: Clip) -> int:
        """Count the frames of a recording: the last hop is padded with silence, so there is at least one."""
        return -(-self._num_samples(clip) // self.audio.hop_length)

    def pieces(self, clip: Clip) -> Iterator[Tensor]:
        """Give normalised log-mel ``(time, mels)`` of a recording, `PIECE_FRAMES` frames at a time."""
        log_mel, mean, std = _front_end(self.audio, self.sample)
        silence = np.zeros(-self._num_samples(clip) % self.audio.hop_length, np.float32)
        blocks = chain(read_blocks(self.root / clip.path, self.audio.sample_rate, part=clip.part), [silence])
        for piece in log_mel_stream(log_mel, blocks, frames=PIECE_FRAMES):
            yield (piece - mean) / std

    def normalised(self, frames: Tensor) -> Tensor:
        """Normalise a recording's log-mel ``(time, mels)`` of this front end, from which no mean was removed."""
        _, mean, std = _front_end(self.audio, self.sample)
        return (torch.cat([*subtract_mean([frames], self.audio.remove_mean)]) - mean) / std

    def _num_samples(self, clip: Clip) -> int:
        return resampled_length(clip.num_samples, clip.sample_rate, self.audio.sample_rate)


@lru_cache(maxsize=1)
def _front_end(audio: SpectrogramConfig, sample: Path) -> tuple[LogMel, Tensor, Tensor]:
    """Return the front end, the mean and the standard deviation; computed once in each process."""
    return LogMel(audio), *statistics(sample)


def statistics(sample: Path) -> tuple[Tensor, Tensor]:
    """Load mean and standard deviation ``(mels,)`` of the training frames' log-mel from the folder of a sample."""
    tensors = load_file(sample / "sample.safetensors")
    return tensors["mean"], tensors["std"]
