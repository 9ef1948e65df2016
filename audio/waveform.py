"""A mono waveform: samples and their sample rate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.wav import wav_file
from foundation.errors import InputError
from foundation.files import aside
from foundation.ranges import require

# Suffixes of other sound formats. Most players would refuse a WAV file with such a name.
OTHER_SOUNDS = frozenset(
    f".{suffix}"
    for suffix in ("mp3", "flac", "ogg", "oga", "opus", "m4a", "aac", "mp4", "wma", "aiff", "aif", "au", "caf", "raw")
)

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """Mono samples ``(samples,)`` float32, nominally in [-1, 1], at ``sample_rate`` Hz."""

    samples: FloatArray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise InputError(
                f"samples are {self.samples.dtype} of shape {self.samples.shape}; a waveform is mono float32 "
                "(samples,): average the channels and cast"
            )
        require(self.sample_rate > 0, "sample_rate", self.sample_rate, "it must be a positive number of Hz")

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    def write(self, path: Path | str) -> None:
        """Write a 16-bit PCM WAV file atomically; samples outside [-1, 1] are clipped."""
        path = Path(path).expanduser()
        if path.suffix.lower() in OTHER_SOUNDS:
            raise InputError(f"{path} is not the name of a WAV file, which is what is written; name {path.stem}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside(path) as beside, wav_file(beside, self.sample_rate) as file:
            file.write(self.samples)
