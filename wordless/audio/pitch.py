"""The pitch of a voice, hop by hop: normalised correlation, and the best path of periods through the hops.

The method is RAPT (Talkin 1995, "A Robust Algorithm for Pitch Tracking"). For each hop, a window is correlated with the
window one period later; both lie around the middle of the hop::

    hop                          [   ]
    window            [                ]
    one period later         [                ]       1/400 to 1/60 s, the periods of voices

A path chooses a period for each hop, or no voice. High correlations are worth more than low ones, and a change of
pitch costs, as does the begin or the end of a voice. A hop is decided when the next `LOOK_AHEAD` hops are known. So the
pitch of a hop of 10 ms depends on at most 0.14 s of sound after its middle, and the sizes of pieces do not matter.

`vocoder.judging.pitch` judges decoded sound by another method, pYIN, and shares no code with this module.
"""

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 60.0, 400.0  # Hz
LEAST_LAG = 8  # samples of the shortest period; lower rates resolve no pitch
# Chosen on 60 validation recordings of FSDD: pitch within 25 cents of pYIN, and voicing differs in 11 % of the hops.
WINDOW_SECONDS = 0.035
LEAST_POWER = 1e-7  # added to the power of each window, so that faint noise does not correlate
UNVOICED = 0.45  # correlation that a hop without a voice is worth
OCTAVE_JUMP = 2.0  # correlation that a change of the pitch by an octave costs
SWITCH = 0.6  # correlation that the begin or the end of a voice costs
LONGER = 0.05  # correlation that each octave of a longer period costs: twice the period correlates as well
LOOK_AHEAD = 10  # hops
HOPS_TOGETHER = 64  # that are correlated in one call; larger sums would round differently

FloatArray = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


def resolves_pitch(sample_rate: int) -> bool:
    """Return whether periods of voices have samples enough at a rate."""
    return round(sample_rate / HIGHEST) >= LEAST_LAG


def peak_offset(values: Array, best: int) -> float:
    """Return the distance of a parabola's peak from the highest of three values, at most half a sample."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


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
        self.costs = OCTAVE_JUMP * self.octaves
        self.window = round(sample_rate * WINDOW_SECONDS)
        self.reach = (self.window + int(self.lags[-1])) // 2 + 1  # samples around a hop that its value depends on
        self.waiting = np.zeros(self.reach)  # samples from `reach` before the next hop on
        self.left = 0  # samples that belong to no correlated hop
        self.score, self.silence = np.zeros(len(self.lags)), 0.0  # of the best path to each lag, and to no voice
        self.recent: list[tuple[Array, IndexArray]] = []  # of undecided hops: correlations, and `_step`

    def add(self, samples: FloatArray) -> Array:
        """Add samples ``(samples,)``; return the pitch of the hops that they decide."""
        self.waiting = np.concatenate([self.waiting, samples.astype(np.float64)])
        self.left += len(samples)
        found, step = list[float](), HOPS_TOGETHER * self.hop
        while len(self.waiting) >= step + 2 * self.reach:
            found += self._follow(self._correlations(self.waiting[: step + 2 * self.reach]))
            self.waiting = self.waiting[step:]
            self.left -= step
        return np.array(found)

    def finish(self) -> Array:
        """Return the pitch of the hops that are left; the last one may be in part beyond the end."""
        found, step = list[float](), HOPS_TOGETHER * self.hop
        while self.left > 0:
            padded = np.zeros(step + 2 * self.reach)
            padded[: min(len(self.waiting), len(padded))] = self.waiting[: len(padded)]
            found += self._follow(self._correlations(padded)[: -(-self.left // self.hop)])
            self.waiting = self.waiting[step:]
            self.left -= step
        return np.array([*found, *self._path()])

    def _correlations(self, samples: Array) -> Array:
        """Correlate around the middle of each hop: ``(HOPS_TOGETHER * hop + 2 * reach,)`` -> ``(hops, lags)``."""
        centres = self.reach + self.hop * np.arange(HOPS_TOGETHER) + self.hop // 2
        energies = _summed(np.square(samples))
        found = np.zeros((HOPS_TOGETHER, len(self.lags)))
        for column, lag in enumerate(self.lags.tolist()):
            products = _summed(samples[:-lag] * samples[lag:])
            first = centres - (self.window + lag) // 2
            later, extra = first + lag, LEAST_POWER * self.window
            powers = (energies[first + self.window] - energies[first] + extra) * (
                energies[later + self.window] - energies[later] + extra
            )
            found[:, column] = (products[first + self.window] - products[first]) / np.sqrt(powers)
        return found

    def _follow(self, correlations: Array) -> list[float]:
        """Extend the best path by hops ``(hops, lags)``; return the pitch of the hops that are decided."""
        found = list[float]()
        for values in correlations:
            self.recent.append((values, self._step(values)))
            if len(self.recent) > LOOK_AHEAD:
                found.append(self._path()[0])
                del self.recent[0]
        return found

    def _step(self, values: Array) -> IndexArray:
        """Add a hop to the paths; return the state before each lag, and before no voice, which is the last state."""
        # The best way to each lag costs the distance of the two pitches: a running maximum from either side.
        higher, before_higher = _running_maximum(self.score - self.costs)
        lower, before_lower = _running_maximum((self.score + self.costs)[::-1])
        from_higher, from_lower = higher + self.costs, lower[::-1] - self.costs
        best = np.maximum(from_higher, from_lower)
        before = np.where(from_higher >= from_lower, before_higher, len(self.lags) - 1 - before_lower[::-1])
        begins = self.silence - SWITCH > best
        highest = int(self.score.argmax())
        ends = self.score[highest] - SWITCH > self.silence
        states = np.append(np.where(begins, len(self.lags), before), highest if ends else len(self.lags))
        silence = max(self.silence, self.score[highest] - SWITCH) + UNVOICED
        self.score = np.maximum(best, self.silence - SWITCH) + values - LONGER * (self.octaves[0] - self.octaves)
        most = max(silence, self.score.max())
        self.score, self.silence = self.score - most, silence - most
        return states

    def _path(self) -> list[float]:
        """Return the pitch of the recent hops on the best path so far."""
        state, path = int(self.score.argmax()) if self.score.max() > self.silence else len(self.lags), list[float]()
        for values, states in reversed(self.recent):
            voiced = state < len(self.lags)
            path.append(
                float(np.log2(self.rate / (self.lags[state] + peak_offset(values, state)))) if voiced else np.nan
            )
            state = int(states[state])
        return path[::-1]


def track_pitch(samples: FloatArray, sample_rate: int, hop_length: int) -> Array:
    """Return the pitch of each hop of a whole recording ``(samples,)``, as `PitchTracker` gives it."""
    tracker = PitchTracker(sample_rate, hop_length)
    return np.concatenate([tracker.add(samples), tracker.finish()])


def _summed(values: Array) -> Array:
    """Return the sums of the first 0, 1, 2, ... values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _running_maximum(values: Array) -> tuple[Array, IndexArray]:
    """Return the largest value so far at each place, and its place."""
    highest = np.maximum.accumulate(values)
    places = np.where(values >= highest, np.arange(len(values)), 0)
    return highest, np.maximum.accumulate(places)
