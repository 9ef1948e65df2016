"""Sound as an MP3 file of a low bit rate leaves it."""

import io
from collections.abc import Iterable, Iterator

import numpy as np

from wordless.audio.reading import resample_blocks
from wordless.audio.waveform import equal_blocks
from wordless.base.array_types import FloatArray

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
