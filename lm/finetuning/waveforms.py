"""What bodies that read samples share: the front end and the changes of training clips."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lm.baselines.waveform_augmentation import WaveformAugmentationConfig
from wordless.audio.waveform import FloatArray, in_16_bits
from wordless.base.arrays import Array
from wordless.base.ranges import require

SAMPLE_TYPE = np.dtype(np.int16)
UNCHANGED = WaveformAugmentationConfig(crop=1.0, rate=0.0, mix=0.0, noise=0.0, time_masks=0)


@dataclass(frozen=True, kw_only=True)
class WaveformFrontEnd:
    """Conversion of sound to samples in 16 bits."""

    def __call__(self, blocks: Iterable[FloatArray]) -> Array:
        """Join blocks of samples ``(time,)``."""
        return np.concatenate([np.zeros(0, np.int16), *map(in_16_bits, blocks)])


def waveform_key(sample_rate: int) -> str:
    """Name the samples of a recording at a rate."""
    return f"16-bit samples at {sample_rate} Hz"


def require_whole_clips(augmentation: WaveformAugmentationConfig) -> None:
    """Refuse crops: a label may belong to the whole clip."""
    rule = "the label may belong to the whole clip: choose 1"
    require(augmentation.crop == 1, "body.augmentation.crop", augmentation.crop, rule)
