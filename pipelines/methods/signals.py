"""Methods without codes: log-mel, the tokenizer's bottlenecks, MFCC (the classical features of speech), and chroma.

Chroma is the energy of each of the twelve pitch classes, for music.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipelines.methods.method import Line, Method, Row, describe_frame_method
from wordless.base.files import importing

if TYPE_CHECKING:
    from lm.probing.vectors import FloatArray
    from pipelines.methods.study import Study
    from pipelines.store.store import Entry


def _log_mel(study: Study) -> Entry:
    from pipelines.stages.features import log_mel_features

    return log_mel_features(study, study.entries["tokenizer"])


def _bottlenecks(study: Study) -> Entry:
    from pipelines.stages.features import bottleneck_features

    return bottleneck_features(study, study.entries["tokenizer"], study.autoencoder.key)


LOG_MEL = Method(
    name="log_mel",
    kind="signal",
    title="log-mel",
    explanation="frames of the log-mel spectrogram",
    line=Line(marker="X", filled=False, dashes=":"),
    places=("learning curves",),
    features=_log_mel,
)
BOTTLENECK = Method(
    name="bottleneck",
    kind="signal",
    title="bottleneck",
    explanation="bottlenecks of the tokenizer's autoencoder",
    line=Line(marker="v", dashes=":"),
    features=_bottlenecks,
)


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
        explanation="20 mel-frequency cepstral coefficients with their deltas",
        line=Line(marker="p", filled=False, dashes="-."),
        places=("learning curves",),
    ),
    lambda audio: partial(
        mfcc_frames, sample_rate=audio.sample_rate, window_length=audio.window_length, hop_length=audio.hop_length
    ),
)


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
        explanation="the energy of the twelve pitch classes",
        line=Line(marker="h", filled=False, dashes="--"),
        places=("learning curves",),
    ),
    lambda audio: partial(chroma_frames, sample_rate=audio.sample_rate, hop_length=audio.hop_length),
)
