"""The pitch of a voice by pYIN, bit for bit that of `librosa.pyin`, in an eighth of its time.

Mauch and Dixon, "pYIN: A fundamental frequency estimator using probabilistic threshold distributions", 2014. A hidden
Markov model follows the pitch. Its states are the pitches in steps of a tenth of a semitone, each with and without a
voice. librosa looks at the way from each state to each other one; here, only ways of at most four semitones are looked
at, and one more that stands for all others, because librosa gives these the same tiny probability.
"""

from functools import cache

import numpy as np
from scipy import fft
from scipy.special import betainc

from wordless.base.arrays import DoubleArray, IndexArray
from wordless.base.compiling import call_kernel, kernel

BINS_PER_SEMITONE = 10
BINS_PER_OCTAVE = 12 * BINS_PER_SEMITONE
FASTEST = 35.92  # octaves a second that the pitch moves at most
SWITCH = 0.01  # probability that a voice begins or ends at a frame
THRESHOLDS = 100  # of a trough of YIN's difference function
PRIOR = (2.0, 18.0)  # of the beta distribution of the thresholds
DECAY = 2.0  # of the Boltzmann distribution: earlier troughs below a threshold are more probable
NO_TROUGH = 0.01  # probability of the lowest trough where none is below a threshold
TINY = float(np.finfo(np.float64).tiny)  # probability of what is impossible


def track(
    samples: DoubleArray, sample_rate: int, *, lowest: float, highest: float, frame_length: int, hop_length: int
) -> DoubleArray:
    """Return the pitch in Hz of each frame ``(frames,)``, nan without a voice; a frame lies around its hop's begin.

    Args:
        lowest: pitch in Hz of the first state.
        highest: in Hz, at most a half of the sample rate.
        frame_length: samples of a frame, at least two periods of the lowest pitch.
    """
    bins = int(BINS_PER_OCTAVE * np.log2(highest / lowest)) + 1
    shortest, longest = int(sample_rate / highest), min(int(np.ceil(sample_rate / lowest)), frame_length - 1)
    padded = np.pad(samples, frame_length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame_length)[::hop_length]
    differences = _normalised_differences(frames, shortest, longest)
    voiced = _voiced_probabilities(differences, shortest, sample_rate / lowest, bins)
    silent = (1 - voiced.sum(axis=1).clip(0.0, 1.0)) / bins
    reach = round(FASTEST * 12 * hop_length / sample_rate) * BINS_PER_SEMITONE // 2
    path: IndexArray = call_kernel(
        kernel(follow), np.log(voiced + TINY), np.log(silent + TINY), *_log_transitions(bins, reach)
    )
    return np.where(path < bins, lowest * 2 ** (path % bins / BINS_PER_OCTAVE), np.nan)


def _normalised_differences(frames: DoubleArray, shortest: int, longest: int) -> DoubleArray:
    """Compute YIN's cumulative mean normalised difference of each lag ``(frames, lags)`` of ``(frames, samples)``."""
    points = fft.next_fast_len(2 * frames.shape[1] - 1, real=True)
    # along the first axis, as librosa has it: along the other one, sums would be rounded in another way
    spectrum = fft.rfft(frames.T, n=points, axis=0)
    powers = spectrum.real**2 + spectrum.imag**2
    correlations = fft.irfft(powers, n=points, axis=0)[: longest + 1]
    energies = np.cumsum(np.square(frames.T), axis=0)[:longest]
    differences = 2 * (correlations[:1] - correlations[1:]) - energies  # of the lags from 1 on
    means = np.cumsum(differences, axis=0) / np.arange(1, longest + 1)[:, None]
    found: DoubleArray = differences[shortest - 1 :] / (means[shortest - 1 :] + TINY)
    return found.T


def _voiced_probabilities(differences: DoubleArray, shortest: int, periods: float, bins: int) -> DoubleArray:
    """Return the probability of each pitch ``(frames, bins)``; ``periods`` are samples of a period of the lowest."""
    thresholds = np.linspace(0, 1, THRESHOLDS + 1)
    weights, decay = np.diff(betainc(*PRIOR, thresholds)), np.exp(-DECAY * np.arange(differences.shape[1] + 1.0))
    scales = (1 - np.exp(-DECAY)) / (1 - np.exp(-DECAY * np.arange(1.0, differences.shape[1] + 1)))
    before, here, after = differences[:, :-2], differences[:, 1:-1], differences[:, 2:]
    troughs = np.zeros(differences.shape, np.bool_)
    troughs[:, 0] = differences[:, 0] < differences[:, 1]
    troughs[:, 1:-1] = (here < before) & (here <= after)
    troughs[:, -1] = differences[:, -1] < differences[:, -2]
    bends, slopes = after + before - 2 * here, (after - before) / 2
    shifts = np.zeros(differences.shape)  # from a lag to the vertex of a parabola through it and its neighbours
    inside = np.abs(slopes) < np.abs(bends)
    shifts[:, 1:-1][inside] = -slopes[inside] / bends[inside]
    found = np.zeros((len(differences), bins + 1))
    for frame, own in enumerate(differences):
        lags = np.flatnonzero(troughs[frame])
        if not len(lags):
            continue
        below = own[lags, None] < thresholds[1:]  # (troughs, thresholds)
        counts = below.sum(axis=0)
        prior = np.where(below, scales[np.maximum(counts, 1) - 1] * decay[np.maximum(below.cumsum(axis=0) - 1, 0)], 0)
        chances, deepest = prior.dot(weights), int(np.argmin(own[lags]))
        chances[deepest] += NO_TROUGH * np.sum(weights[: np.count_nonzero(~below[deepest])])
        kept = chances != 0
        octaves = np.log2(periods / (shortest + lags[kept] + shifts[frame, lags[kept]]))
        # Of several troughs of one pitch the last one counts.
        found[frame, np.clip(np.round(BINS_PER_OCTAVE * octaves), 0, bins).astype(np.int64)] = chances[kept]
    return found[:, :bins]


@cache
def _log_transitions(bins: int, reach: int) -> tuple[DoubleArray, DoubleArray]:
    """Return the log probabilities of the ways to each pitch from those around ``(bins, 2 * reach + 1)``.

    The first are of frames that are both with or both without a voice, the second of its begins and ends.
    """
    distances = np.arange(bins)[:, None] - np.arange(bins)
    ways = np.where(np.abs(distances) <= reach, (reach + 1 - np.abs(distances)) / (reach + 1), 0.0)
    ways /= ways.sum(axis=1, keepdims=True)  # of each pitch, to all others
    padded = np.pad(ways, ((reach, reach), (0, 0)))
    near = np.stack([padded[bin : bin + 2 * reach + 1, bin] for bin in range(bins)])
    return np.log((1 - SWITCH) * near + TINY), np.log(SWITCH * near + TINY)


def follow(voiced: DoubleArray, silent: DoubleArray, staying: DoubleArray, switching: DoubleArray) -> IndexArray:
    """Return the best path of states ``(frames,)``: pitches with a voice, then as many without.

    ``voiced (frames, bins)`` and ``silent (frames,)`` are log probabilities of what is observed. Of equal ways the
    first state's is taken.
    """
    frames, bins = voiced.shape
    width = staying.shape[1]
    reach = width // 2
    impossible = np.log(TINY)
    score, moved = np.empty(2 * bins), np.empty(2 * bins)
    before = np.empty((frames, 2 * bins), np.int16)
    start = np.log(1 / (2 * bins) + TINY)
    for state in range(2 * bins):
        score[state] = (voiced[0, state] if state < bins else silent[0]) + start
    for frame in range(1, frames):
        top = np.argmax(score)
        for state in range(2 * bins):
            pitch, with_voice = state % bins, state < bins
            best, place = -np.inf, 0
            for past in range(2):  # with a voice, without
                ways = staying if with_voice == (past == 0) else switching
                for column in range(max(reach - pitch, 0), min(reach + bins - pitch, width)):
                    source = past * bins + pitch - reach + column
                    value = score[source] + ways[pitch, column]
                    if value > best:
                        best, place = value, source
            other = score[top] + impossible
            if other > best or (other == best and top < place):
                best, place = other, top
            before[frame, state] = place
            moved[state] = (voiced[frame, pitch] if with_voice else silent[frame]) + best
        score, moved = moved, score
    path = np.empty(frames, np.int64)
    path[-1] = np.argmax(score)
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = before[frame, path[frame]]
    return path
