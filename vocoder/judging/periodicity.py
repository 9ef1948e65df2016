"""Periodicity of a sound: how much of a voice there is in it.

::

    frame          [ window       ]
    one lag later       [ window       ]        1/400 to 1/60 s, the periods of voices
    value          highest normalised correlation of the two windows, 0 to 1

A vowel has values near 1, and noise of the same spectrum about a third. So the measure finds a hoarse voice, even if
its words are recognised and its pitch is right. Only frames count where the original is loud: pauses have no voice.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

LOWEST, HIGHEST = 60.0, 400.0  # Hz
WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.01
LOUD = 1e-4  # least power of a frame, relative to the loudest one: -40 dB
TOGETHER = 512  # frames that are correlated in one call
SILENT = 1e-12  # least power of a window that can correlate: -120 dBFS

Array = npt.NDArray[np.float64]


def periodicity(sound: Waveform, original: Waveform) -> float | None:
    """Average the highest normalised autocorrelation between 60 and 400 Hz over the frames where the original is loud.

    Loud is at most 40 dB below the original's loudest frame. Silent frames of the sound count as 0. Both are compared
    over the length of the shorter.

    Returns:
        0 to 1; None if the original is silent or shorter than a frame, or its rate is below 1600 Hz.
    """
    rate = original.sample_rate
    if sound.sample_rate != rate:
        raise InputError(f"the sounds are of {rate} and {sound.sample_rate} Hz; resample one of them to the other's")
    window, lags = round(rate * WINDOW_SECONDS), range(round(rate / HIGHEST), round(rate / LOWEST) + 1)
    length = min(len(sound.samples), len(original.samples))
    if lags[0] < 4 or length < window + lags[-1]:
        return None
    size = window + lags[-1]
    powers = np.concatenate([np.square(block).mean(axis=1) for block in _frames(original, length, size)])
    loud = (powers >= LOUD * powers.max()) & (powers > SILENT)
    if not loud.any():
        return None
    highest = np.concatenate([_correlations(block, window, lags) for block in _frames(sound, length, size)])
    return float(highest[loud].mean())


def _frames(waveform: Waveform, length: int, size: int) -> Iterator[Array]:
    """Cut the first ``length`` samples into blocks of frames ``(frames, size)``, and take each frame's mean off."""
    samples = waveform.samples[:length].astype(np.float64)
    step = max(round(waveform.sample_rate * HOP_SECONDS), 1)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
    for start in range(0, len(frames), TOGETHER):
        block = frames[start : start + TOGETHER]
        yield block - block.mean(axis=1, keepdims=True)


def _correlations(frames: Array, window: int, lags: range) -> Array:
    """Return the highest correlation of the first window of ``(frames, samples)`` with the windows ``lags`` later."""
    points = 1 << (frames.shape[1] + window).bit_length()
    first = np.fft.rfft(frames[:, :window], points).conj()
    products = np.fft.irfft(np.fft.rfft(frames, points) * first, points)[:, lags.start : lags.stop]
    energies = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    energies = (energies[:, window:] - energies[:, :-window]).clip(0.0)  # of the window at each lag
    scales = np.sqrt(energies[:, :1] * energies[:, lags.start : lags.stop])
    silent = scales < SILENT * window
    highest: Array = np.where(silent, 0.0, products / np.where(silent, 1.0, scales)).max(axis=1)
    return highest.clip(0.0, 1.0)
