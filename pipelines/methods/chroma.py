"""Chroma: the energy of each of the twelve pitch classes, for music."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Row, describe_frame_method
from wordless.base.compiling import importing

if TYPE_CHECKING:
    from lm.probing.vectors import FloatArray

WINDOW_SECONDS = 0.128  # long enough to part neighbouring semitones from about 130 Hz up


def chroma_frames(samples: FloatArray, *, sample_rate: int, hop_length: int) -> FloatArray:
    """Compute chroma ``(time, 12)`` of samples ``(num_samples,)``, for a tuning of A4 to 440 Hz."""
    import numpy as np

    with importing("librosa.feature.spectral"):
        from librosa.feature import chroma_stft

    n_fft = 1 << (round(WINDOW_SECONDS * sample_rate) - 1).bit_length()
    padded = np.pad(samples, (0, max(n_fft - len(samples), 0)))
    chroma = chroma_stft(y=padded, sr=sample_rate, n_fft=n_fft, hop_length=hop_length, tuning=0.0)
    frames: FloatArray = chroma.T.astype(np.float32)
    return frames


CHROMA = describe_frame_method(
    Row(
        name="chroma",
        kind="signal",
        title="chroma",
        line=Line(marker="h", filled=False, dashes="--"),
        places=("learning curves",),
    ),
    lambda audio: partial(chroma_frames, sample_rate=audio.sample_rate, hop_length=audio.hop_length),
    dims=12,
)
