"""Writing of 16-bit PCM WAV files piece by piece.

libsndfile converts samples to bytes, and Python writes the bytes: on a full disk libsndfile reports only a failure,
Python the reason.
"""

import io
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

BYTES_PER_SAMPLE = 2


class WavFile:
    """A mono WAV file that is open for writing."""

    def __init__(self, file: wave.Wave_write, sample_rate: int) -> None:
        self._file = file
        self._sample_rate = sample_rate

    def write(self, samples: npt.NDArray[np.float32]) -> None:
        """Append samples ``(time,)``; those outside [-1, 1] are clipped, as the format demands."""
        encoded = io.BytesIO()
        clipped = np.clip(samples, -1.0, 1.0)
        soundfile.write(encoded, clipped, self._sample_rate, subtype="PCM_16", format="RAW", endian="LITTLE")
        self._file.writeframesraw(encoded.getvalue())


@contextmanager
def wav_file(path: Path, sample_rate: int) -> Iterator[WavFile]:
    """Open a mono WAV file for writing; its header is completed when the block ends."""
    with path.open("wb") as file, wave.open(file) as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES_PER_SAMPLE)
        writer.setframerate(sample_rate)
        writer.writeframesraw(b"")  # writes the header, also if no samples follow
        yield WavFile(writer, sample_rate)
