"""A mono waveform: samples and their rate."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from audio.errors import InputError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """Mono samples ``(samples,)`` float32, nominally in [-1, 1], at ``sample_rate`` Hz.

    Raises:
        InputError: the samples are not one-dimensional float32, or the rate is not positive.
    """

    samples: FloatArray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise InputError(
                f"samples are {self.samples.dtype} of shape {self.samples.shape}; a waveform is mono float32 "
                "(samples,): average the channels and cast"
            )
        if self.sample_rate <= 0:
            raise InputError(f"sample_rate is {self.sample_rate}; it must be a positive number of Hz")

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    def write(self, path: Path | str) -> None:
        """Write a 16-bit PCM WAV file; samples outside [-1, 1] are clipped, as the format demands."""
        path = Path(path).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(self.samples, -1.0, 1.0), self.sample_rate, subtype="PCM_16", format="WAV")
