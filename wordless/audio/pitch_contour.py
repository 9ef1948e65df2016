"""The pitch of a voice, hop by hop: normalised correlation, and the best path of periods through the hops.

The method is RAPT (Talkin 1995, "A Robust Algorithm for Pitch Tracking"). For each hop, a window is correlated with the
window one period later; both lie around the middle of the hop::

    hop                          [   ]
    window            [                ]
    one period later         [                ]       1/400 to 1/60 s, the periods of voices

A path chooses a period for each hop, or no voice. High correlations are worth more than low ones, and a change of
pitch costs, as does the begin or the end of a voice. A hop is decided when the next `PITCH_LOOK_AHEAD` hops are known.
So the pitch of a hop of 10 ms depends on at most 0.14 s of sound after its middle, and the sizes of pieces do not
matter.

`vocoder.measures.pitch` judges decoded sound by another method, pYIN, and shares no code with this module.

Two kernels of numba do the work. Their sums are in a stated order and stay in float64: neither the width of a vector
nor the sizes of pieces change a bit.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from wordless.base.arrays import DoubleArray, FloatArray, IndexArray
from wordless.base.compiling import call_kernel, kernel

LOWEST, HIGHEST = 60.0, 400.0  # Hz
LEAST_LAG = 8  # samples of the shortest period; lower rates resolve no pitch
# Chosen on 60 validation recordings of FSDD: pitch within 25 cents of pYIN, and voicing differs in 11 % of the hops.
PITCH_WINDOW_SECONDS = 0.035
LEAST_POWER = 1e-7  # added to the power of each window, so that faint noise does not correlate
UNVOICED = 0.45  # correlation that a hop without a voice is worth
OCTAVE_JUMP = 2.0  # correlation that a change of the pitch by an octave costs
SWITCH = 0.6  # correlation that the begin or the end of a voice costs
LONGER = 0.05  # correlation that each octave of a longer period costs: twice the period correlates as well
PITCH_LOOK_AHEAD = 10  # hops
HOPS_TOGETHER = 64  # that are correlated in one call; larger sums would round differently


def resolves_pitch(sample_rate: int) -> bool:
    """Return whether periods of voices have samples enough at a rate."""
    return round(sample_rate / HIGHEST) >= LEAST_LAG


def peak_offset(values: DoubleArray, best: int) -> float:
    """Return the distance of a parabola's peak from the highest of three values, at most half a sample."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return min(max(float(0.5 * (before - after) / bend), -0.5), 0.5) if bend < 0 else 0.0


def correlate(
    samples: DoubleArray,
    reversed_samples: DoubleArray,
    hops: int,
    hop: int,
    reach: int,
    window: int,
    shortest: int,
    longest: int,
    extra: float,
) -> DoubleArray:
    """Correlate around the middle of each hop: ``(hops * hop + 2 * reach,)`` -> ``(hops, lags)``.

    The two samples of a product lie around its place m. Products are summed over the segments that the windows of all
    hops divide the places into, so that each product is computed once::

        window of hop 0   [ a ][    b    ][ a ][    b    ][ a ]                     a + b: a hop
        window of hop 1                   [ a ][    b    ][ a ][    b    ][ a ]
        lag 2 h           x[m - h] * x[m + h]
        lag 2 h + 1       x[m - h] * x[m + h + 1]

    For one place, all lags are neighbours in memory: in the samples, and in the reversed samples.
    """
    whole, rest = window // hop, window % hop
    found = np.empty((hops, longest - shortest + 1))
    energies = np.zeros(len(samples) + 1)
    for number in range(len(samples)):
        energies[number + 1] = energies[number] + samples[number] * samples[number]
    for odd in range(2):
        low, high = (shortest + 1 - odd) // 2, (longest - odd) // 2  # of h
        width = high - low + 1
        sums = np.zeros((hops + whole, 2, width))
        for number in range(hops + whole):
            start = reach + hop // 2 - (window + odd) // 2 + number * hop
            for part in range(2):
                begin, end = (start, start + rest) if part == 0 else (start + rest, start + hop)
                if number == hops + whole - 1 and part == 1:
                    continue  # after the last window
                row = sums[number, part]
                for place in range(begin, end):
                    earlier = reversed_samples[len(samples) - 1 - place + low :]
                    later = samples[place + low + odd :]
                    for column in range(width):
                        row[column] += earlier[column] * later[column]
        for number in range(hops):
            for column in range(width):
                total = 0.0
                for each in range(number, number + whole):
                    total += sums[each, 0, column] + sums[each, 1, column]
                total += sums[number + whole, 0, column]
                lag = 2 * (low + column) + odd
                first = reach + number * hop + hop // 2 - (window + lag) // 2
                one = energies[first + window] - energies[first] + extra
                other = energies[first + lag + window] - energies[first + lag] + extra
                found[number, lag - shortest] = total / np.sqrt(one * other)
    return found


def _follow(
    values: DoubleArray,
    before: IndexArray,
    known: int,
    score: DoubleArray,
    octaves: DoubleArray,
    jump: float,
    switch: float,
    longer: float,
    unvoiced: float,
    look_ahead: int,
) -> IndexArray:
    """Extend the best path by the hops from ``known`` on, of which ``values (hops, lags)`` are the correlations.

    Fills ``before (hops, lags + 1)``, the state before each lag and before no voice, which is the last state, and
    updates ``score (lags + 1,)`` of the best path to each state. Returns the states of all hops: a hop is on the best
    path when the next ``look_ahead`` hops are known, and the last hops on that so far.
    """
    lags = len(octaves)
    best, place = np.empty(lags), np.empty(lags, np.int64)
    path = np.empty(len(values), np.int64)
    for number in range(known, len(values)):
        # The best way to each lag costs the distance of the two pitches: a running maximum from either side.
        highest, at = -np.inf, 0
        for lag in range(lags):
            if score[lag] - jump * octaves[lag] >= highest:
                highest, at = score[lag] - jump * octaves[lag], lag
            best[lag], place[lag] = highest + jump * octaves[lag], at
        highest = -np.inf
        for lag in range(lags - 1, -1, -1):
            if score[lag] + jump * octaves[lag] >= highest:
                highest, at = score[lag] + jump * octaves[lag], lag
            if highest - jump * octaves[lag] > best[lag]:
                best[lag], place[lag] = highest - jump * octaves[lag], at
        loudest = np.argmax(score[:lags])
        silent = score[lags]
        before[number, lags] = loudest if score[loudest] - switch > silent else lags
        score[lags] = max(silent, score[loudest] - switch) + unvoiced
        most = score[lags]
        for lag in range(lags):
            begins = silent - switch > best[lag]
            before[number, lag] = lags if begins else place[lag]
            way = silent - switch if begins else best[lag]
            score[lag] = way + values[number, lag] - longer * (octaves[0] - octaves[lag])
            most = max(most, score[lag])
        for state in range(lags + 1):
            score[state] -= most
        loudest = np.argmax(score[:lags])
        state = int(loudest) if score[loudest] > score[lags] else lags
        for hop in range(number, max(number - look_ahead, 0) - 1, -1):
            path[hop] = state
            state = before[hop, state]
    return path


class PitchTracker:
    """The pitch of samples that arrive in pieces of any sizes.

    Pitch is the binary logarithm of Hz, float64 ``(hops,)``; nan where there is no voice.

    Args:
        sample_rate: in Hz, which `resolves_pitch`.
        hop_length: samples per hop.
    """

    def __init__(self, sample_rate: int, hop_length: int) -> None:
        self.rate, self.hop = sample_rate, hop_length
        self.lags = np.arange(round(sample_rate / HIGHEST), round(sample_rate / LOWEST) + 1)
        self.octaves = np.log2(sample_rate / self.lags)  # of the pitch
        self.window = round(sample_rate * PITCH_WINDOW_SECONDS)
        self.reach = (self.window + int(self.lags[-1])) // 2 + 1  # samples around a hop that its value depends on
        self.waiting = np.zeros(self.reach)  # samples from `reach` before the next hop on
        self.left = 0  # samples that belong to no correlated hop
        self.score = np.zeros(len(self.lags) + 1)  # of the best path to each lag, and to no voice
        # of undecided hops: correlations, the state before each state, and the state on the best path so far
        self.values, self.before = np.zeros((0, len(self.lags))), np.zeros((0, len(self.lags) + 1), np.int64)
        self.path = np.zeros(0, np.int64)

    def add(self, samples: FloatArray) -> DoubleArray:
        """Add samples ``(samples,)``; return the pitch of the hops that they decide."""
        self.waiting = np.concatenate([self.waiting, samples.astype(np.float64)])
        self.left += len(samples)
        return self._decided()

    def finish(self) -> DoubleArray:
        """Return the pitch of the hops that are left; the last one may be in part beyond the end."""
        self.waiting = np.append(self.waiting, np.zeros(HOPS_TOGETHER * self.hop + 2 * self.reach))
        return np.concatenate([self._decided(), self._pitches(self.values, self.path)])

    def _decided(self) -> DoubleArray:
        """Follow the best path through the hops that have all their samples; return the pitch of the decided ones."""
        found, step = [np.zeros(0)], HOPS_TOGETHER * self.hop
        lags, extra = (int(self.lags[0]), int(self.lags[-1])), LEAST_POWER * self.window
        costs = (OCTAVE_JUMP, SWITCH, LONGER, UNVOICED)
        while self.left > 0 and len(self.waiting) >= step + 2 * self.reach:
            samples = self.waiting[: step + 2 * self.reach]
            places = (HOPS_TOGETHER, self.hop, self.reach, self.window)
            # around the middle of each hop (hops, lags)
            correlations = call_kernel(
                kernel(correlate), samples, np.ascontiguousarray(samples[::-1]), *places, *lags, extra
            )
            correlations = correlations[: -(-self.left // self.hop)]
            self.waiting, self.left = self.waiting[step:], self.left - step
            known, rows = len(self.values), np.empty((len(correlations), len(self.score)), np.int64)
            values, before = np.concatenate([self.values, correlations]), np.concatenate([self.before, rows])
            path = call_kernel(
                kernel(_follow), values, before, known, self.score, self.octaves, *costs, PITCH_LOOK_AHEAD
            )
            decided = max(len(values) - PITCH_LOOK_AHEAD, 0)
            self.values, self.before, self.path = values[decided:], before[decided:], path[decided:]
            found.append(self._pitches(values[:decided], path[:decided]))
        return np.concatenate(found)

    def _pitches(self, values: DoubleArray, path: IndexArray) -> DoubleArray:
        """Return the pitch of hops of which ``values (hops, lags)`` are the correlations, and ``path`` the states."""
        voiced = path < len(self.lags)
        found = np.full(len(path), np.nan)
        chosen = zip(values[voiced], path[voiced].tolist(), strict=True)
        found[voiced] = np.log2(self.rate / np.array([self.lags[lag] + peak_offset(own, lag) for own, lag in chosen]))
        return found


def track_pitch(samples: FloatArray, sample_rate: int, hop_length: int) -> DoubleArray:
    """Return the pitch of each hop of a whole recording ``(samples,)``, as `PitchTracker` gives it."""
    tracker = PitchTracker(sample_rate, hop_length)
    return np.concatenate([tracker.add(samples), tracker.finish()])


def patch_pitches(
    blocks: Iterable[FloatArray], sample_rate: int, hop_length: int, patch_frames: int
) -> Iterator[DoubleArray]:
    """Give the pitch of patches of ``patch_frames`` hops, each as soon as the blocks ``(samples,)`` decide it::

    hops       [  h0  ][  h1  ][  h2  ][  h3  ]     the pitch of each, or no voice
    patches    [      p0      ][      p1      ]     no voice if fewer than half of the hops have one; else the mean
    """
    tracker, octaves = PitchTracker(sample_rate, hop_length), np.zeros(0)
    for block in blocks:
        octaves = np.append(octaves, tracker.add(block))
        known = len(octaves) // patch_frames * patch_frames
        yield _pitch_of_patches(octaves[:known], patch_frames)
        octaves = octaves[known:]
    octaves = np.append(octaves, tracker.finish())
    silence = np.full(-len(octaves) % patch_frames, np.nan)
    yield _pitch_of_patches(np.append(octaves, silence), patch_frames)


def _pitch_of_patches(octaves: DoubleArray, frames: int) -> DoubleArray:
    """Average the pitch of hops ``(patches * frames,)`` over each patch; nan: no voice in more than half of it."""
    hops = octaves.reshape(-1, frames)
    voiced = ~np.isnan(hops)
    counts = voiced.sum(axis=1)
    means = np.where(voiced, hops, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(2 * counts >= frames, np.where(counts, means, np.nan), np.nan)
