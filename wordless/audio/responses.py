"""Responses of microphones and rooms, and spectra of noise, as filters of sound.

A response is a curve of gains at `OCTAVES`, or the sound of a room that dies away. Responses have minimum phase, so
filtered sound is not later than the sound before, and its frames are those of the same times.
"""

import numpy as np

from wordless.base.array_types import DoubleArray, FloatArray

OCTAVES = 62.5 * 2.0 ** np.arange(9)  # Hz, up to 16 kHz; a curve is constant beyond
MIDDLE = 4  # of them: 1 kHz
BINS = 1024  # samples of the Fourier transform in which a curve becomes a response of half as many
STEEPEST = 6.0  # dB per octave of noise: -3 is pink, -6 is brown
ROUGHEST = 20.0  # dB, of either sign, at each octave of shaped noise
AS_LOUD = 0.5  # seconds of reverberation whose power is that of the direct sound


class Filter:
    """A filter of the blocks ``(samples,)`` of one sound, given in order."""

    def __init__(self, response: FloatArray) -> None:
        self._response, self._rest = response, np.zeros(len(response) - 1, np.float32)

    def __call__(self, block: FloatArray) -> FloatArray:
        """Convolve the next block; what lies beyond its end is added to the next one."""
        from scipy.fft import irfft, next_fast_len, rfft  # the options of commands load no SciPy

        length = len(block) + len(self._rest)
        size = next_fast_len(length, real=True)
        both: FloatArray = irfft(rfft(block, size) * rfft(self._response, size), size)[:length]
        both[: len(self._rest)] += self._rest
        self._rest = both[len(block) :]
        return both[: len(block)]


def sloped(decibels: float) -> DoubleArray:
    """Return a curve of so many dB per octave, which leaves 1 kHz as it is."""
    return np.asarray(decibels * (np.arange(len(OCTAVES)) - MIDDLE), np.float64)


def draw_spectrum(rng: np.random.Generator) -> DoubleArray:
    """Draw the curve of a noise: white, sloped, or of any shape."""
    match rng.integers(3):
        case 0:
            return np.zeros(len(OCTAVES))
        case 1:
            return sloped(rng.uniform(-STEEPEST, STEEPEST))
        case _:
            return rng.uniform(-ROUGHEST, ROUGHEST, len(OCTAVES))


def response_of(curve: DoubleArray, sample_rate: int) -> FloatArray:
    """Return the response of minimum phase of a curve in dB (Oppenheim and Schafer: by its folded cepstrum)."""
    from scipy.fft import irfft, rfft

    hertz = np.fft.rfftfreq(BINS, 1 / sample_rate)
    decibels = np.interp(np.log2(np.maximum(hertz, OCTAVES[0])), np.log2(OCTAVES), curve)
    cepstrum = irfft(decibels * np.log(10) / 20, BINS)
    cepstrum[1 : BINS // 2] *= 2
    cepstrum[BINS // 2 + 1 :] = 0
    return np.asarray(irfft(np.exp(rfft(cepstrum, BINS)), BINS)[: BINS // 2], np.float32)


def room_response(seconds: float, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Return a response whose noise dies away by 60 dB in so many ``seconds`` behind the direct sound.

    In a room the power of the reverberation grows with this time (Sabine); the power of all sound stays as it was.
    """
    length = max(round(seconds * sample_rate), 1)
    room = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    room *= np.sqrt(seconds / AS_LOUD / np.square(room).sum())
    return np.asarray(np.append(1.0, room) / np.sqrt(1 + seconds / AS_LOUD), np.float32)
