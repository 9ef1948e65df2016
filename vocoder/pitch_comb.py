"""Pitch comb: sampled sound gets the periodicity of a voice.

A small network draws the harmonics of a vowel much too noisily: its sound is hoarse, or whispered. Where the codes say
that there is a voice, each sample is therefore mixed with the output one period earlier, as by a long-term post-filter
(Chen and Gersho 1995, "Adaptive postfiltering for quality enhancement of coded speech")::

    y[n] = (1 - g) x[n] + g y[n - T]        g = STRONGEST * voicing; T: the period in samples

The period is found in the sound itself: a path of lags with a high autocorrelation that changes slowly and stays near
the pitch that the codes suggest. A voice of the network's own keeps its pitch; noise gets the pitch of the codes.
Voicing and pitch are predicted linearly from a frame's log-mel and its running mean over the past, which tells high
voices from low ones. A prompt is not changed, and its pitch is continued.

A sample depends only on what came before it: there is no delay. Valleys between harmonics lose power, so a post-filter
of the envelope follows.

`vocoder.judging.periodicity` judges this sound. It shares no code with the comb, although both search the same pitches
by a normalised correlation: a judge that changed together with the comb would not notice the comb's faults.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.audio.options import SpectrogramConfig

LOWEST, HIGHEST = 60.0, 400.0  # Hz
WINDOW_SECONDS = 0.04  # of the autocorrelation
STRONGEST = 0.93  # g of a frame that is surely voiced
UNVOICED, VOICED = 0.3, 0.5  # predicted voicing below which there is no comb, and above which it is strongest
OCTAVE_JUMP = 6.0  # correlation that a change of the period by an octave costs
OCTAVE_OFF = 1.0  # correlation that an octave between period and codes costs
LONGER = 0.05  # correlation that each octave of a longer period costs: twice the period correlates as well
MEMORY = 0.98  # decay of the running mean, per frame
PERIODIC = 0.6  # least correlation of a voiced frame of a recording
LOUD = 1e-4  # least power of a voiced frame, relative to the recording's loudest: -40 dB
SILENT = 1e-10  # least power of a window that can correlate
PENALTY = 300.0  # of the linear predictions' weights, on standardised inputs
LEAST_FRAMES = 1_000  # voiced frames that a prediction needs
# Frames before a sound's own that matter: older ones weigh 4e-5 in the running mean, and the best paths have met.
REMEMBERED = 500
LEAST_LAG = 8  # samples of the shortest period; lower rates resolve no pitch

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class VoiceHead:
    """Linear predictions from a frame's log-mel and its running mean ``(2 * mels,)``; a constant comes first."""

    voicing: tuple[float, ...]  # about 1 in voiced frames, 0 in others
    octaves: tuple[float, ...]  # binary logarithm of the pitch in Hz


def resolves_pitch(sample_rate: int) -> bool:
    """Return whether periods of voices have samples enough at a rate."""
    return round(sample_rate / HIGHEST) >= LEAST_LAG


class PitchComb:
    """The comb of one sound that arrives in pieces of any size, which do not change the result.

    Args:
        config: the front end of the codes.
        head: predicts voicing and pitch from them.
        prompt: samples at the beginning that are a recording, which is not filtered.
    """

    def __init__(self, config: SpectrogramConfig, head: VoiceHead, *, prompt: int = 0) -> None:
        self.hop = config.hop_length
        self.tracker = _Tracker(config)
        self.weights = np.array([head.voicing, head.octaves]).T  # (1 + 2 * mels, 2)
        self.mean = _RunningMean()
        self.targets: list[Array] = []  # voicing and octaves of future frames
        self.untouched = -(-prompt // self.hop)  # frames still to leave unfiltered
        self.waiting = np.zeros(0)  # samples that are no whole frame yet
        self.past = np.zeros(self.tracker.longest + 2)  # samples that were returned
        self.lag, self.strength = float(self.tracker.longest), 0.0  # of the last sample

    def expect(self, log_mel: Tensor) -> None:
        """Add frames ``(frames, mels)``, natural-log mel power as of `LogMel`."""
        for frame in log_mel.double().cpu().numpy():  # one by one: products of other shapes round differently
            inputs = np.concatenate([[1.0], frame, self.mean.add(frame)])
            self.targets.append(inputs @ self.weights)

    def hear(self, samples: Tensor, log_mel: Tensor) -> None:
        """Go on from a recording that comes before the sound: whole frames ``(samples,)``, and ``(frames, mels)``."""
        self.untouched += len(log_mel)
        self.expect(log_mel)
        self.filter(samples)

    def filter(self, samples: Tensor) -> Tensor:
        """Filter the next samples ``(samples,)``; return those of all frames that are whole."""
        waiting = np.concatenate([self.waiting, samples.double().numpy()])
        whole = len(waiting) // self.hop
        frames, self.waiting = waiting[: whole * self.hop].reshape(whole, self.hop), waiting[whole * self.hop :]
        made = [self._frame(frame, *target) for frame, target in zip(frames, self.targets, strict=False)]
        self.targets = self.targets[whole:]
        return torch.from_numpy(np.concatenate([np.zeros(0), *made])).float()

    def finish(self) -> Tensor:
        """Return the samples after the last whole frame."""
        return torch.from_numpy(self.waiting).float()

    def _frame(self, samples: Array, voicing: float, octaves: float) -> Array:
        """Filter ``(hop_length,)``."""
        gate = min(max((voicing - UNVOICED) / (VOICED - UNVOICED), 0.0), 1.0)
        lag, _ = self.tracker.follow(samples, weight=gate, octaves=octaves)
        strength = 0.0 if self.untouched else STRONGEST * gate
        self.untouched = max(self.untouched - 1, 0)
        along = np.arange(1, self.hop + 1) / self.hop
        lags, strengths = self.lag + (lag - self.lag) * along, self.strength + (strength - self.strength) * along
        self.lag, self.strength = lag, strength
        before = len(self.past)
        sound = np.concatenate([self.past, samples])
        step = self.tracker.shortest - 1  # samples at a time, whose earlier periods are all known
        for start in range(0, self.hop if strengths.any() else 0, step):
            here = slice(start, min(start + step, self.hop))
            places = before + np.arange(here.start, here.stop) - lags[here]
            first = np.floor(places).astype(np.int64)
            share = places - first
            earlier = (1 - share) * sound[first] + share * sound[first + 1]
            new = slice(before + here.start, before + here.stop)
            sound[new] += strengths[here] * (earlier - sound[new])
        self.past = sound[-before:]
        return sound[before:]


class _RunningMean:
    """Mean over the past of frames ``(mels,)``, in which older frames count less."""

    def __init__(self) -> None:
        self.total: Array | float = 0.0
        self.count = 0.0

    def add(self, frame: Array) -> Array:
        self.total, self.count = MEMORY * self.total + frame, MEMORY * self.count + 1
        mean: Array = self.total / self.count
        return mean


class _Tracker:
    """The best path of periods so far, frame by frame (Viterbi, without looking ahead)."""

    def __init__(self, config: SpectrogramConfig) -> None:
        rate = config.sample_rate
        self.rate = rate
        self.shortest, self.longest = round(rate / HIGHEST), round(rate / LOWEST)
        self.lags = np.arange(self.shortest, self.longest + 1)
        self.octaves = np.log2(rate / self.lags)  # of the pitch, binary logarithm of Hz
        self.costs = OCTAVE_JUMP * self.octaves
        self.window = max(round(rate * WINDOW_SECONDS), config.hop_length)
        self.points = 1 << (self.window + self.longest - 1).bit_length()  # no lag wraps around
        self.recent = np.zeros(self.window + self.longest)
        self.score = np.zeros(len(self.lags))

    def follow(self, samples: Array, *, weight: float, octaves: float | None) -> tuple[float, float]:
        """Return the period at the end of the next samples, and the correlation there.

        Args:
            samples: ``(hop_length,)``.
            weight: of this frame, 0 to 1.
            octaves: the expected pitch, binary logarithm of Hz; None: unknown.
        """
        self.recent = np.concatenate([self.recent, samples])[-len(self.recent) :]
        found = self._correlations()
        value = found - LONGER * (self.octaves[0] - self.octaves)
        if octaves is not None:
            value = value - OCTAVE_OFF * np.abs(self.octaves - octaves)
        # The best way to each lag costs the distance of the two pitches: a running maximum from either side.
        shorter = np.maximum.accumulate(self.score - self.costs) + self.costs
        longer = np.maximum.accumulate((self.score + self.costs)[::-1])[::-1] - self.costs
        self.score = np.maximum(shorter, longer) + weight * value
        self.score -= self.score.max()
        best = int(self.score.argmax())
        return self.lags[best] + _peak(found, best), float(found[best])

    def _correlations(self) -> Array:
        """Correlate the last window with the windows before it ``(lags,)``."""
        new = self.recent[self.longest :]
        spectrum = np.fft.rfft(self.recent, self.points) * np.fft.rfft(new, self.points).conj()
        products = np.fft.irfft(spectrum, self.points)[self.longest - self.lags]
        energies = np.cumsum(np.pad(np.square(self.recent), (1, 0)))
        starts = self.longest - self.lags
        scale = np.sqrt((energies[starts + self.window] - energies[starts]).clip(0.0) * np.square(new).sum())
        silent = scale < SILENT * self.window
        values: Array = np.where(silent, 0.0, products / np.where(silent, 1.0, scale))
        return values


def _peak(values: Array, best: int) -> float:
    """Return the distance of a parabola's peak from the highest of three values, at most half a sample."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def fit_head(clips: Iterable[tuple[npt.NDArray[np.float32], Tensor]], config: SpectrogramConfig) -> VoiceHead | None:
    """Fit the predictions to recordings; None if these have too little of a voice.

    Args:
        clips: samples ``(samples,)`` and the log-mel ``(frames, mels)`` of their codes.
        config: the front end.
    """
    if not resolves_pitch(config.sample_rate):
        return None
    inputs, voiced, octaves = list[Array](), list[Array](), list[Array]()
    for samples, log_mel in clips:
        frames = log_mel.double().cpu().numpy()
        mean, tracker = _RunningMean(), _Tracker(config)
        padded = np.pad(samples.astype(np.float64), (0, config.hop_length))  # the last frame may be in part beyond
        whole = padded[: min(len(frames), len(padded) // config.hop_length) * config.hop_length]
        pieces = whole.reshape(-1, config.hop_length)
        if not len(pieces):
            continue
        tracked = np.array([tracker.follow(piece, weight=1.0, octaves=None) for piece in pieces])
        power = np.square(pieces).mean(axis=1)
        voiced.append((tracked[:, 1] >= PERIODIC) & (power >= LOUD * power.max()) & (power > SILENT))
        octaves.append(np.log2(config.sample_rate / tracked[:, 0]))
        inputs.append(np.array([np.concatenate([frame, mean.add(frame)]) for frame in frames[: len(pieces)]]))
    if not inputs:
        return None
    each, known = np.concatenate(inputs), np.concatenate(voiced)
    if known.sum() < LEAST_FRAMES:
        return None
    return VoiceHead(
        voicing=_ridge(each, known.astype(np.float64)), octaves=_ridge(each[known], np.concatenate(octaves)[known])
    )


def _ridge(inputs: Array, wanted: Array) -> tuple[float, ...]:
    """Fit constant and weights ``(1 + inputs,)``."""
    mean, std = inputs.mean(axis=0), inputs.std(axis=0).clip(1e-3)
    scaled = (inputs - mean) / std
    weights = np.linalg.solve(
        scaled.T @ scaled + PENALTY * np.eye(scaled.shape[1]), scaled.T @ (wanted - wanted.mean())
    )
    weights = weights / std
    return tuple(float(f"{value:.6g}") for value in (wanted.mean() - mean @ weights, *weights))
