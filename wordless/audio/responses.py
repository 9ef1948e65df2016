"""Sound as microphones, rooms, noise of any spectrum and MP3 files of a low bit rate leave it.

A response is a curve of gains at `OCTAVES`, or the sound of a room that dies away. Responses have minimum phase, so
filtered sound is not later than the sound before, and its frames are those of the same times.
"""

import io
from collections.abc import Iterable, Iterator

import numpy as np

from wordless.audio.reading import resample_blocks
from wordless.audio.waveform import equal_blocks
from wordless.base.arrays import DoubleArray, FloatArray

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


BIT_RATE = 32_000  # bits per second
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, of MP3
_BLOCK = 1 << 15  # samples that are encoded at a time


def through_mp3(blocks: Iterable[FloatArray], sample_rate: int) -> Iterator[FloatArray]:
    """Encode the blocks ``(samples,)`` of a mono sound, and decode them, with as many samples at the same times.

    The compressed sound is in memory, 4 kB for each second.
    """
    import av

    rate = next((each for each in _RATES if each >= sample_rate), _RATES[-1])
    file, count = io.BytesIO(), 0

    def counted() -> Iterator[FloatArray]:
        nonlocal count
        for block in blocks:
            count += len(block)
            yield block

    with av.open(file, "w", format="mp3") as written:
        stream = written.add_stream("libmp3lame", rate=rate, bit_rate=BIT_RATE, layout="mono", format="fltp")
        for block in equal_blocks(resample_blocks(counted(), sample_rate, rate), _BLOCK):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block[None], np.float32), "fltp", "mono")
            frame.sample_rate = rate
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, format="mp3") as read:
        decoded = (frame.to_ndarray()[0] for frame in read.decode(audio=0))
        for block in resample_blocks(decoded, rate, sample_rate):
            yield block[:count]  # very short sounds are decoded with silence behind them
            count -= len(block[:count])
    yield np.zeros(count, np.float32)
