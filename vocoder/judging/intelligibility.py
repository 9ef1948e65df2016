"""Intelligibility of a sound relative to its original: STOI, and PESQ if it is installed.

Both need some speech: STOI 30 frames that are not silent, about 0.4 s, and PESQ a quarter of a second. Sounds that are
too short or silent have no figure, instead of a bad one.
"""

import warnings
from importlib.util import find_spec

import numpy as np
import soxr

from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.errors import InputError

NARROW_BAND, WIDE_BAND = 8_000, 16_000  # Hz, the two rates of PESQ
HOW_TO_GET_PESQ = "pip install 'wordless[pesq]', which needs a C compiler"


def stoi(original: Waveform, sound: Waveform) -> float | None:
    """Measure short-time objective intelligibility, about 0 to 1 (Taal et al. 2011); None with too little sound.

    Both are compared over the length of the shorter.
    """
    from pystoi import stoi as measure  # scipy's signal processing takes a moment

    pair = _pair(original, sound)
    if not np.any(pair[0]):
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
        try:
            value = float(measure(*pair, original.sample_rate))
        except (RuntimeWarning, ValueError):  # numpy's, of a sound shorter than one frame
            return None
    return value if np.isfinite(value) else None


def has_pesq() -> bool:
    """Return whether PESQ can be measured here."""
    return find_spec("pesq") is not None


def pesq(original: Waveform, sound: Waveform) -> float | None:
    """Measure perceptual speech quality, 1 to 4.6 (ITU-T P.862, PESQ): narrow-band below 16 kHz, else wide-band.

    None of sounds that are too short or silent.
    """
    if not has_pesq():
        raise InputError(f"PESQ is not installed; leave it out, or get it: {HOW_TO_GET_PESQ}")
    from pesq import PesqError
    from pesq import pesq as measure

    rate, band = (WIDE_BAND, "wb") if original.sample_rate >= WIDE_BAND else (NARROW_BAND, "nb")
    pair = [soxr.resample(samples, original.sample_rate, rate) for samples in _pair(original, sound)]
    if not all(np.any(samples) for samples in pair):
        return None
    try:
        return float(measure(rate, *pair, band))
    except PesqError:
        return None


def _pair(original: Waveform, sound: Waveform) -> tuple[FloatArray, FloatArray]:
    """Return the samples of both, over the length of the shorter."""
    if original.sample_rate != sound.sample_rate:
        raise InputError(
            f"the sounds are of {original.sample_rate} and {sound.sample_rate} Hz; resample one of them to the other's"
        )
    length = min(len(original.samples), len(sound.samples))
    return original.samples[:length], sound.samples[:length]
