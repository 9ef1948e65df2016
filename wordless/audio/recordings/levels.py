"""Loudness of a recording over time: the peak of each tenth of a second, in one byte.

Inspection decodes a recording once and keeps its levels (48 KB for an hour, as text). They show which of its segments
are silent, for any length of segments and any threshold, without decoding the recording again::

    peaks      0.4   0.3   0.0   0.002 0.5         largest absolute sample of each block
    levels     15    20    255   107   12          half decibels below full scale, rounded towards the louder side
    segment              |<------->|               its level is that of its loudest block, including the blocks at its
    ends
"""

import base64
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from wordless.audio.trimming import Part, block_samples
from wordless.audio.waveform import FloatArray

_BLOCKS = 5  # of 20 ms
SILENT = 255  # the level of digital silence, and of everything more than 127 dB below full scale

Levels = npt.NDArray[np.uint8]


def level_samples(sample_rate: int) -> int:
    """Return the number of samples in a tenth of a second."""
    return _BLOCKS * block_samples(sample_rate)


def block_peaks(samples: FloatArray, sample_rate: int) -> FloatArray:
    """Compute the largest absolute sample ``(blocks,)`` of each block of mono samples; the last may be shorter."""
    starts = np.arange(0, len(samples), level_samples(sample_rate))
    peaks: FloatArray = np.maximum.reduceat(np.abs(samples), starts) if len(samples) else np.empty(0, np.float32)
    return peaks


def join_levels(pieces: Iterable[FloatArray]) -> Levels:
    """Convert a recording's peaks, pieces of ``(blocks,)``, to half decibels below full scale ``(blocks,)``.

    Higher peaks count as full scale.
    """
    peaks = np.concatenate([np.empty(0), *pieces])
    with np.errstate(divide="ignore"):  # for silent blocks
        below = np.floor(-40 * np.log10(np.nan_to_num(peaks, posinf=1.0)))
    levels: Levels = np.clip(below, 0, SILENT).astype(np.uint8)
    return levels


def loudest(levels: Levels, part: Part, sample_rate: int) -> float:
    """Return the peak of a part, as a share of full scale: 0 for silence, otherwise at most half a decibel too loud."""
    size = level_samples(sample_rate)
    level = int(levels[part.start // size : -(-(part.start + part.num_samples) // size)].min(initial=SILENT))
    return 0.0 if level == SILENT else float(10 ** (-level / 40))


def as_text(levels: Levels) -> str:
    """Write levels as ASCII text, for JSON."""
    return base64.b64encode(levels.tobytes()).decode()


def of_text(text: str) -> Levels:
    """Parse levels that `as_text` wrote; any other text is a `ValueError`."""
    return np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
