"""Measures of decoded sound: its own faults, and its distance from its original.

A decoded sound has as many samples as its original and begins at the same time. Frames are compared in place, without
time warping, which would hide a drift.
"""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr
import torch
from torch import Tensor
from torchaudio.functional import create_dct

from tokenizer.codes import Codes, require_same_codebook
from vocoder.generation import RunawayGuard
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.arrays import DoubleArray, FloatArray
from wordless.base.compiling import compiling, importing
from wordless.base.messages import InputError

DECIBELS_PER_NAT = 10 / math.log(10)  # of power
FULL_SCALE = 1 - 2**-15  # the largest 16-bit sample: at or above it a sound is clipped
SILENCE_DBFS = -60.0
FRAME_SECONDS = 0.025
_QUIETEST_DBFS = -120.0  # level of digital silence
CEPSTRA = 13  # coefficients that the distortion compares; the 0th, the loudness, is left out
NARROW_BAND, WIDE_BAND = 8_000, 16_000  # Hz, the two rates of PESQ
HOW_TO_GET_PESQ = "pip install 'wordless[pesq]', which needs a C compiler"
LOWEST_PITCH, HIGHEST_PITCH = 60.0, 500.0  # Hz: speaking voices, those of children included
LEAST_RATE = 1_000  # Hz; sounds of lower rates, such as those of whales, have no pitch of a voice
PITCH_FRAME_SECONDS, HOP_SECONDS = 0.064, 0.01
CENTS_PER_OCTAVE = 1200.0
LEAST_VOICED = 5  # frames of a median pitch
HOW_TO_GET_PITCH = "librosa and numba cannot be imported here: pip install librosa numba, on a Python that both support"

LOWEST_PERIODIC, HIGHEST_PERIODIC = 60.0, 400.0  # Hz
_WINDOW_SECONDS = 0.025
LOUD_POWER = 1e-4  # least power of a frame, relative to the loudest one: -40 dB
FRAMES_TOGETHER = 512  # frames that are correlated in one call
DROPOUT, SOUNDING = 10 ** (-12 / 10), 1e-3  # powers: 12 dB below the original; 30 dB below its loudest frame
SILENT_POWER = 1e-12  # least power of a window that can correlate: -120 dBFS
CLIPPED = 1e-3  # share of its samples at full scale from which on a clip counts as clipped

Figures = dict[str, float | None]  # None: there is too little to measure


def sound_levels(waveform: Waveform) -> dict[str, float]:
    """Measure a sound; one without samples is silent.

    Returns:
        ``peak``, the largest magnitude, where 1 is full scale; ``rms`` in dB of full scale, -120 for digital silence;
        ``dc``, the mean of the samples; ``clipping``, the ratio of samples at full scale; ``silence``, the ratio of the
        25 ms frames with a root mean square below -60 dB.
    """
    samples = waveform.samples.astype(np.float64)
    if not len(samples):
        return {"peak": 0.0, "rms": _QUIETEST_DBFS, "dc": 0.0, "clipping": 0.0, "silence": 1.0}
    frame = max(round(waveform.sample_rate * FRAME_SECONDS), 1)
    quiet = [_dbfs(samples[start : start + frame]) < SILENCE_DBFS for start in range(0, len(samples), frame)]
    return {
        "peak": float(np.abs(samples).max()),
        "rms": _dbfs(samples),
        "dc": float(samples.mean()),
        "clipping": float((np.abs(samples) >= FULL_SCALE).mean()),
        "silence": float(np.mean(quiet)),
    }


def _dbfs(samples: np.ndarray) -> float:
    power = float(np.mean(samples**2))
    return max(10 * math.log10(power), _QUIETEST_DBFS) if power > 0 else _QUIETEST_DBFS


def log_mel_distance(a: Waveform, b: Waveform, config: SpectrogramConfig) -> float:
    """Average the root mean square difference over mels in dB over the whole frames of the shorter sound."""
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
    length = min(len(a.samples), len(b.samples))
    with torch.inference_mode():
        frames = LogMel(config.absolute)(
            torch.from_numpy(np.stack([a.samples[:length], b.samples[:length]]))
        )  # (2, T, M)
    difference: Tensor = frames[0] - frames[1]
    return difference


def code_agreement(a: Codes, b: Codes) -> float:
    """Compute the ratio of equal codes of the spectrum, position by position, over the length of the shorter."""
    require_same_codebook(a.format, b.format, owner="the first recording")
    steps = min(len(a.values), len(b.values))
    spectral = a.format.spectral_streams
    return float((a.values[:steps, :spectral] == b.values[:steps, :spectral]).mean())


def stoi(original: Waveform, sound: Waveform) -> float | None:
    """Measure short-time objective intelligibility, about 0 to 1 (Taal et al. 2011); None with too little sound.

    Speech that is not silent must have 30 frames, about 0.4 s. Both are compared over the length of the shorter.
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
    return find_spec("pesq") is not None


def pesq(original: Waveform, sound: Waveform) -> float | None:
    """Measure perceptual speech quality, 1 to 4.6 (ITU-T P.862, PESQ): narrow-band below 16 kHz, else wide-band.

    None of sounds that are shorter than a quarter of a second, or silent: they have no figure, instead of a bad one.
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
    length = min(len(original.samples), len(sound.samples))
    return original.samples[:length], sound.samples[:length]


def has_pitch() -> bool:
    """Return whether pitch can be measured here: librosa needs numba, which not every platform and Python has."""
    return all(find_spec(name) is not None for name in ("librosa", "numba"))  # their imports take seconds


def pitch(waveform: Waveform) -> DoubleArray:
    """Measure the fundamental frequency in Hz of each frame ``(frames,)``; nan where there is none.

    pYIN (Mauch and Dixon 2014) as in librosa. Frames are 10 ms apart and 64 ms long; pitch has steps of a tenth of a
    semitone, 10 cents.

    Raises:
        InputError: librosa or numba cannot be imported.
    """
    try:
        with importing("librosa.core.pitch"):
            import librosa.core.pitch  # noqa: F401  # and numba with it, at once: librosa itself waits until it is used
    except (ImportError, OSError) as error:
        problem = f"pitch cannot be measured ({error}); leave it out of listening.metrics: {HOW_TO_GET_PITCH}"
        raise InputError(problem) from error
    if not np.any(waveform.samples):
        return np.full(1 + round(waveform.seconds / HOP_SECONDS), np.nan)
    rate = waveform.sample_rate
    found, _, _ = _pyin()(
        waveform.samples.astype(np.float64),
        sr=rate,
        fmin=LOWEST_PITCH,
        fmax=min(HIGHEST_PITCH, rate / 4),
        frame_length=2 * round(rate * PITCH_FRAME_SECONDS / 2),
        hop_length=round(rate * HOP_SECONDS),
    )
    frequencies: DoubleArray = found
    return frequencies


@cache
def _pyin() -> Any:  # librosa has no types
    """Return pYIN, after a first call that compiles what its import does not."""
    with compiling():
        from librosa import pyin

        pyin(np.ones(1024), sr=8000, fmin=LOWEST_PITCH, fmax=HIGHEST_PITCH, frame_length=512)
    return pyin


def pitch_error(original: DoubleArray, other: DoubleArray) -> float | None:
    """Compute the root mean square difference in cents over frames where both have a pitch; None if there are none.

    The two results of `pitch` are compared over the length of the shorter.
    """
    frames = min(len(original), len(other))
    octaves = np.log2(other[:frames] / original[:frames])
    both = octaves[np.isfinite(octaves)]
    return float(CENTS_PER_OCTAVE * np.sqrt(np.mean(both**2))) if len(both) else None


def median_pitch(waveform: Waveform) -> float | None:
    """Compute the median of `pitch`, in semitones above 1 Hz; None if fewer than `LEAST_VOICED` frames have one."""
    found = pitch(waveform)
    voiced = found[np.isfinite(found)]
    return float(12 * np.log2(np.median(voiced))) if len(voiced) >= LEAST_VOICED else None


def pitch_distances(pitch: float | None, prompts: Sequence[float | None], own: int | None) -> Figures:
    """Compare the median pitch of a continuation with those of its own prompt and of all others, in semitones.

    The mean distance from the others is what prompts in random order would give. Nothing is returned where
    `median_pitch` found none, or there is no other prompt.
    """
    others = [other for number, other in enumerate(prompts) if number != own and other is not None]
    if pitch is None or own is None or not others or (prompt := prompts[own]) is None:
        return {}
    near, far = abs(pitch - prompt), float(np.mean([abs(pitch - other) for other in others]))
    return {"pitch_from_prompt": near, "pitch_from_others": far, "pitch_kept": far - near}


def voicing_error(original: DoubleArray, other: DoubleArray) -> float:
    """Compute the share of the frames where only one of the sounds has a pitch."""
    frames = min(len(original), len(other))
    return float((np.isnan(original[:frames]) != np.isnan(other[:frames])).mean()) if frames else 0.0


def dropouts(original: Waveform, sound: Waveform) -> float | None:
    """Compute the share of the original's loud frames of 10 ms in which the sound is more than 12 dB below it.

    Loud is at most 30 dB below the original's loudest frame. Both are compared over the length of the shorter.

    Returns:
        0 to 1; None if the original is silent or shorter than a frame.
    """
    step = max(round(original.sample_rate * HOP_SECONDS), 1)
    pair = [samples.astype(np.float64) for samples in _pair(original, sound)]
    powers, own = (np.square(each[: len(each) // step * step]).reshape(-1, step).mean(axis=1) for each in pair)
    loud = (powers >= SOUNDING * powers.max(initial=0.0)) & (powers > SILENT_POWER)
    return float((own[loud] < DROPOUT * powers[loud]).mean()) if loud.any() else None


def periodicity(sound: Waveform, original: Waveform) -> float | None:
    """Average the highest normalised autocorrelation between 60 and 400 Hz over the frames where the original is loud.

    ::

        frame          [ window       ]
        one lag later       [ window       ]        1/400 to 1/60 s, the periods of voices
        value          highest normalised correlation of the two windows, 0 to 1

    A vowel has values near 1, and noise of the same spectrum about a third. So the measure finds a hoarse voice, even
    if its words are recognised and its pitch is right. Pauses have no voice.

    Loud is at most 40 dB below the original's loudest frame. Silent frames of the sound count as 0. Both are compared
    over the length of the shorter.

    Returns:
        0 to 1; None if the original is silent or shorter than a frame, or its rate is below 1600 Hz.
    """
    rate = original.sample_rate
    window = round(rate * _WINDOW_SECONDS)
    lags = range(round(rate / HIGHEST_PERIODIC), round(rate / LOWEST_PERIODIC) + 1)
    length = min(len(sound.samples), len(original.samples))
    if lags[0] < 4 or length < window + lags[-1]:
        return None
    size = window + lags[-1]
    powers = np.concatenate([np.square(block).mean(axis=1) for block in _centred_frames(original, length, size)])
    loud = (powers >= LOUD_POWER * powers.max()) & (powers > SILENT_POWER)
    if not loud.any():
        return None
    highest = np.concatenate([_correlations(block, window, lags) for block in _centred_frames(sound, length, size)])
    return float(highest[loud].mean())


def _centred_frames(waveform: Waveform, length: int, size: int) -> Iterator[DoubleArray]:
    """Cut the first ``length`` samples into blocks of frames ``(frames, size)``, and take each frame's mean off."""
    samples = waveform.samples[:length].astype(np.float64)
    step = max(round(waveform.sample_rate * HOP_SECONDS), 1)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
    for start in range(0, len(frames), FRAMES_TOGETHER):
        block = frames[start : start + FRAMES_TOGETHER]
        yield block - block.mean(axis=1, keepdims=True)


def _correlations(frames: DoubleArray, window: int, lags: range) -> DoubleArray:
    """Return the highest correlation of the first window of ``(frames, samples)`` with the windows ``lags`` later."""
    points = 1 << (frames.shape[1] + window).bit_length()
    first = np.fft.rfft(frames[:, :window], points).conj()
    products = np.fft.irfft(np.fft.rfft(frames, points) * first, points)[:, lags.start : lags.stop]
    energies = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    energies = (energies[:, window:] - energies[:, :-window]).clip(0.0)  # of the window at each lag
    scales = np.sqrt(energies[:, :1] * energies[:, lags.start : lags.stop])
    silent = scales < SILENT_POWER * window
    highest: DoubleArray = np.where(silent, 0.0, products / np.where(silent, 1.0, scales)).max(axis=1)
    return highest.clip(0.0, 1.0)


def by_itself(sound: Waveform, guard: RunawayGuard | None) -> Figures:
    """Measure the faults of a sound; ``runaway_clips`` is None without a guard that knows what is too loud."""
    levels, samples = sound_levels(sound), torch.from_numpy(sound.samples)
    # Silence has its own figure.
    loud = None if guard is None else float(guard.fault(samples, sound.sample_rate, meant=0.0) == "loud")
    return {
        **levels,
        "silent_clips": float(levels["silence"] == 1),
        "clipped_clips": float(levels["clipping"] > CLIPPED),
        "runaway_clips": loud,
    }


def beside(
    original: Waveform,
    sound: Waveform,
    contour: DoubleArray | None,
    audio: SpectrogramConfig,
    metrics: Collection[str],
) -> Figures:
    """Compare the original with a sound that was decoded from its codes.

    ``contour`` is the original's `pitch`; None: it is not measured. ``metrics`` may name stoi and pesq.
    """
    long_enough = len(original.samples) >= audio.hop_length
    own = None if contour is None else pitch(sound)
    return {
        "dropouts": dropouts(original, sound),
        "log_mel_distance": log_mel_distance(original, sound, audio) if long_enough else None,
        "mel_cepstral_distortion": mel_cepstral_distortion(original, sound, audio) if long_enough else None,
        **{name: metric(original, sound) for name, metric in (("stoi", stoi), ("pesq", pesq)) if name in metrics},
        "pitch_error": None if contour is None or own is None else pitch_error(contour, own),
        "voicing_error": None if contour is None or own is None else voicing_error(contour, own),
    }
