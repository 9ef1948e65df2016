"""Mel-frequency cepstral coefficients with their deltas: the classical features of speech."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Row, describe_frame_method
from wordless.base.compiling import importing

if TYPE_CHECKING:
    from lm.probing.vectors import FloatArray

COEFFICIENTS = 20
N_MELS = 40


def mfcc_frames(samples: FloatArray, *, sample_rate: int, window_length: int, hop_length: int) -> FloatArray:
    """Compute coefficients and their deltas ``(time, 40)`` of samples ``(num_samples,)``."""
    import numpy as np

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


MFCC = describe_frame_method(
    Row(
        name="mfcc",
        kind="signal",
        title="MFCC",
        line=Line(marker="p", filled=False, dashes="-."),
        places=("learning curves",),
    ),
    lambda audio: partial(
        mfcc_frames, sample_rate=audio.sample_rate, window_length=audio.window_length, hop_length=audio.hop_length
    ),
    dims=2 * COEFFICIENTS,
)
