"""What bodies that read samples share: their inputs, the front end and the changes of training clips."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from audio.waveform import FloatArray, in_16_bits
from foundation.arrays import Array
from foundation.ranges import require
from lm.baselines.waveform_augmentation import WaveformAugmentationConfig
from lm.finetuning.reading import Reading

UNCHANGED = WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0)


@dataclass(frozen=True, kw_only=True)
class WaveformFrontEnd:
    """Conversion of sound to samples in 16 bits."""

    def __call__(self, blocks: Iterable[FloatArray]) -> Array:
        """Join blocks of samples ``(time,)``."""
        return np.concatenate([np.zeros(0, np.int16), *map(in_16_bits, blocks)])


class SampleBody(ABC):
    """A body whose inputs are the samples of a recording, in 16 bits."""

    parts: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def reading(self) -> Reading:
        """How many samples a state reads."""

    @property
    def input_type(self) -> np.dtype[np.generic]:
        """Type of a stored sample."""
        return np.dtype(np.int16)

    @property
    def input_width(self) -> tuple[int, ...]:
        """An input is a single sample."""
        return ()

    @property
    def front_end_key(self) -> str:
        """Name of the samples."""
        return f"16-bit samples at {self.reading.sample_rate} Hz"

    def num_inputs(self, num_samples: int) -> int:
        """Count the samples of a recording."""
        return num_samples

    def front_end(self, folder: Path, *, device: str) -> WaveformFrontEnd:
        """Create the reading of samples, which needs no folder."""
        return WaveformFrontEnd()


def require_whole_clips(augmentation: WaveformAugmentationConfig) -> None:
    """Refuse crops: a label may belong to the whole clip."""
    rule = "the label may belong to the whole clip: choose 1"
    require(augmentation.crop == 1, "body.augmentation.crop", augmentation.crop, rule)
