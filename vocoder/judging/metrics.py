"""Comparison of two sounds frame by frame, and levels of one sound.

A decoded sound has as many samples as its original and begins at the same time. Frames are compared in place, without
time warping, which would hide a drift.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import create_dct

from tokenizer.codes import Codes, require_same_codebook
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

DECIBELS_PER_NAT = 10 / math.log(10)  # of power
FULL_SCALE = 1 - 2**-15  # the largest 16-bit sample: at or above it a sound is clipped
SILENCE_DBFS = -60.0
FRAME_SECONDS = 0.025
QUIETEST_DBFS = -120.0  # level of digital silence
CEPSTRA = 13  # coefficients that the distortion compares; the 0th, the loudness, is left out


@dataclass(frozen=True, kw_only=True)
class SoundLevels:
    """Levels of one sound."""

    peak: float  # largest magnitude, 1 is full scale
    rms: float  # dB relative to full scale; -120 for digital silence
    dc: float  # mean of the samples
    clipping: float  # ratio of the samples at full scale
    silence: float  # ratio of the 25 ms frames with a root mean square below -60 dB


def sound_levels(waveform: Waveform) -> SoundLevels:
    """Measure peak, RMS, DC, clipping and silence; a sound without samples is silent."""
    samples = waveform.samples.astype(np.float64)
    if not len(samples):
        return SoundLevels(peak=0.0, rms=QUIETEST_DBFS, dc=0.0, clipping=0.0, silence=1.0)
    frame = max(round(waveform.sample_rate * FRAME_SECONDS), 1)
    quiet = [_dbfs(samples[start : start + frame]) < SILENCE_DBFS for start in range(0, len(samples), frame)]
    return SoundLevels(
        peak=float(np.abs(samples).max()),
        rms=_dbfs(samples),
        dc=float(samples.mean()),
        clipping=float((np.abs(samples) >= FULL_SCALE).mean()),
        silence=float(np.mean(quiet)),
    )


def _dbfs(samples: np.ndarray) -> float:
    power = float(np.mean(samples**2)) if len(samples) else 0.0
    return max(10 * math.log10(power), QUIETEST_DBFS) if power > 0 else QUIETEST_DBFS


def log_mel_distance(a: Waveform, b: Waveform, config: SpectrogramConfig) -> float:
    """Average over frames the root mean square over mels of the difference of the log-mel spectrograms, in dB.

    Both are compared over the length of the shorter, in whole frames.
    """
    difference = _log_mel_difference(a, b, config) * DECIBELS_PER_NAT
    return float(difference.square().mean(dim=1).sqrt().mean())


def mel_cepstral_distortion(a: Waveform, b: Waveform, config: SpectrogramConfig, *, cepstra: int = CEPSTRA) -> float:
    """Measure the distance of the spectral envelopes in dB, mean over frames, independent of gain (Kubichek 1993).

    ::

        10 / ln 10 * sqrt(2 * sum over d = 1 ... D of (c_d - c'_d)^2)
        c_d = 2 / M * sum over mels m of ln|amplitude_m| * cos(pi d (m + 1/2) / M)

    The sum over all M - 1 coefficients would be the standard deviation over mels of the difference in dB. D is
    ``cepstra``, at most M - 1. Both sounds are compared over the length of the shorter, in whole frames.
    """
    difference = _log_mel_difference(a, b, config)  # of log power, twice that of log amplitude
    kept = min(cepstra + 1, config.n_mels)
    cosines = create_dct(kept, config.n_mels, norm="ortho")[:, 1:]  # (M, D), times sqrt(M / 2) of the formula's
    squares = (difference @ cosines).square().sum(dim=1) / config.n_mels
    return float(DECIBELS_PER_NAT * squares.sqrt().mean())


def _log_mel_difference(a: Waveform, b: Waveform, config: SpectrogramConfig) -> Tensor:
    """Compute the difference of natural-log mel powers ``(frames, mels)`` over the whole frames of the shorter."""
    for waveform in (a, b):
        if waveform.sample_rate != config.sample_rate:
            raise InputError(
                f"sample_rate is {waveform.sample_rate}; the spectrogram is of {config.sample_rate} Hz: resample first"
            )
    length = min(len(a.samples), len(b.samples))
    if length < config.hop_length:
        raise InputError(
            f"there are {length} samples to compare; a frame takes {config.hop_length}: give longer sounds"
        )
    with torch.inference_mode():
        frames = LogMel(config)(torch.from_numpy(np.stack([a.samples[:length], b.samples[:length]])))  # (2, T, M)
    difference: Tensor = frames[0] - frames[1]
    return difference


def code_agreement(a: Codes, b: Codes) -> float:
    """Compute the ratio of equal codes, position by position, over the length of the shorter."""
    require_same_codebook(a.format, b.format, owner="the first recording")
    steps = min(len(a.values), len(b.values))
    if not steps:
        raise InputError("there are no codes to compare; give recordings of one code or more")
    return float((a.values[:steps] == b.values[:steps]).mean())
