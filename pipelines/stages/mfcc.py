"""Frames of a whole clip that need no training: MFCC (the classical features of speech), and chroma.

Chroma is the energy of each of the twelve pitch classes, for music.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.arrays import FloatArray
from wordless.base.compiling import importing

COEFFICIENTS = 20
N_MELS = 40


def mfcc_frames(samples: FloatArray, *, sample_rate: int, window_length: int, hop_length: int) -> FloatArray:
    """Compute coefficients and their deltas ``(time, 40)`` of samples ``(num_samples,)``."""
    with importing("librosa.feature.spectral"):
        from librosa.feature import delta, mfcc

    n_fft = 1 << (window_length - 1).bit_length()
    padded = np.pad(samples, (0, max(n_fft - len(samples), 0)))
    coefficients = mfcc(
        y=padded,
        sr=sample_rate,
        n_mfcc=COEFFICIENTS,
        n_mels=N_MELS,
        n_fft=n_fft,
        win_length=window_length,
        hop_length=hop_length,
    )
    deltas = delta(coefficients, mode="nearest")
    frames: FloatArray = np.concatenate([coefficients, deltas]).T.astype(np.float32)
    return frames


WINDOW_SECONDS = 0.128  # long enough to part neighbouring semitones from about 130 Hz up


def chroma_frames(samples: FloatArray, *, sample_rate: int, hop_length: int) -> FloatArray:
    """Compute chroma ``(time, 12)`` of samples ``(num_samples,)``, for a tuning of A4 to 440 Hz."""
    with importing("librosa.feature.spectral"):
        from librosa.feature import chroma_stft

    n_fft = 1 << (round(WINDOW_SECONDS * sample_rate) - 1).bit_length()
    padded = np.pad(samples, (0, max(n_fft - len(samples), 0)))
    chroma = chroma_stft(y=padded, sr=sample_rate, n_fft=n_fft, hop_length=hop_length, tuning=0.0)
    frames: FloatArray = chroma.T.astype(np.float32)
    return frames


def _mfcc_of(audio: SpectrogramConfig) -> partial[FloatArray]:
    rate, window, hop = audio.sample_rate, audio.window_length, audio.hop_length
    return partial(mfcc_frames, sample_rate=rate, window_length=window, hop_length=hop)


def _chroma_of(audio: SpectrogramConfig) -> partial[FloatArray]:
    return partial(chroma_frames, sample_rate=audio.sample_rate, hop_length=audio.hop_length)


# method -> its function of samples, for the rate, window and hop of a front end
FRAMES: Mapping[str, Callable[[SpectrogramConfig], partial[FloatArray]]] = {"mfcc": _mfcc_of, "chroma": _chroma_of}
