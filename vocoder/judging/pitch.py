"""Pitch with pYIN (Mauch and Dixon 2014) as in librosa, and the difference of the pitch of two sounds.

Frames are 10 ms apart and 64 ms long; pitch has steps of a tenth of a semitone, 10 cents. librosa needs numba, which
has no build for every platform and Python. If either cannot be imported, pitch is not measured.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from wordless.audio.waveform import Waveform
from wordless.base.compiling import compiling, importing
from wordless.base.errors import InputError

LOWEST, HIGHEST = 60.0, 500.0  # Hz: speaking voices, those of children included
LEAST_RATE = 1_000  # Hz; sounds of lower rates, such as those of whales, have no pitch of a voice
FRAME_SECONDS, HOP_SECONDS = 0.064, 0.01
CENTS_PER_OCTAVE = 1200.0
HOW_TO_GET_PITCH = "librosa and numba cannot be imported here: pip install librosa numba, on a Python that both support"

PitchArray = npt.NDArray[np.float64]


def has_pitch() -> bool:
    """Return whether pitch can be measured here."""
    try:
        with importing("librosa.core.pitch"):
            import librosa.core.pitch  # noqa: F401  # and numba with it, at once: librosa itself waits until it is used
    except (ImportError, OSError):
        return False
    return True


def pitch(waveform: Waveform) -> PitchArray:
    """Measure the fundamental frequency in Hz of each frame ``(frames,)``; nan where there is none.

    Raises:
        InputError: librosa or numba cannot be imported, or the sample rate is below `LEAST_RATE`.
    """
    if waveform.sample_rate < LEAST_RATE:
        raise InputError(f"pitch is that of voices, from {LEAST_RATE} Hz on; the sound has {waveform.sample_rate} Hz")
    if not has_pitch():
        raise InputError(f"pitch cannot be measured; leave it out: {HOW_TO_GET_PITCH}")
    if not np.any(waveform.samples):
        return np.full(1 + round(waveform.seconds / HOP_SECONDS), np.nan)
    rate = waveform.sample_rate
    found, _, _ = _pyin()(
        waveform.samples.astype(np.float64),
        sr=rate,
        fmin=LOWEST,
        fmax=min(HIGHEST, rate / 4),
        frame_length=2 * round(rate * FRAME_SECONDS / 2),
        hop_length=round(rate * HOP_SECONDS),
    )
    frequencies: PitchArray = found
    return frequencies


@cache
def _pyin() -> Any:  # librosa has no types
    """Return pYIN, after a first call that compiles what its import does not."""
    with compiling():
        from librosa import pyin

        pyin(np.ones(1024), sr=8000, fmin=LOWEST, fmax=HIGHEST, frame_length=512)
    return pyin


def pitch_error(original: PitchArray, other: PitchArray) -> float | None:
    """Compute the root mean square difference in cents, over frames where both have a pitch; None if there are none.

    ``original`` and ``other`` are of `pitch`, compared over the length of the shorter.
    """
    frames = min(len(original), len(other))
    octaves = np.log2(other[:frames] / original[:frames])
    both = octaves[np.isfinite(octaves)]
    return float(CENTS_PER_OCTAVE * np.sqrt(np.mean(both**2))) if len(both) else None


def voicing_error(original: PitchArray, other: PitchArray) -> float:
    """Compute the share of the frames where only one of the sounds has a pitch."""
    frames = min(len(original), len(other))
    return float((np.isnan(original[:frames]) != np.isnan(other[:frames])).mean()) if frames else 0.0
