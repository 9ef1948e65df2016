"""Mono waveforms, parts and blocks of them, and 16-bit PCM WAV files that are written piece by piece.

Python writes the bytes: on a full disk libsndfile reports only a failure, Python the reason.
"""

import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wordless.base.arrays import Array, FloatArray
from wordless.base.files import aside
from wordless.base.messages import InputError, require

MIN_RATE, MAX_RATE = 1, 1_000_000  # Hz; recordings that declare another rate are set aside
EXTENSIONS = (  # of recordings
    *("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc"),
    *("au", "snd", "caf", "w64", "rf64", "sph", "voc"),
    *("mp2", "mp1", "mpga", "mpa", "bwf", "bw64", "nist"),
    *("m4a", "m4b", "m4r", "m4v", "mp4", "mov", "3gp", "3gpp", "3g2", "aac", "adts", "webm", "weba", "mka", "mkv"),
    *("ogv", "ogx", "spx", "wma", "wmv", "asf", "avi", "flv", "f4v", "f4a", "mpg", "mpeg", "vob", "mts", "m2ts", "qt"),
    *("amr", "awb", "ac3", "eac3", "dts", "dtshd", "tta", "wv", "ape", "mpc", "shn", "tak", "dsf", "dff", "mlp"),
    *("ra", "rm", "oma", "aa3"),
)
# Suffixes of other sound formats. Most players would refuse a WAV file with such a name.
OTHER_SOUNDS = frozenset(
    f".{suffix}"
    for suffix in ("mp3", "flac", "ogg", "oga", "opus", "m4a", "aac", "mp4", "wma", "aiff", "aif", "au", "caf", "raw")
)

S = TypeVar("S", bound=np.generic)
LOUDEST = 100.0  # of full scale; larger floating-point samples are integers that nobody scaled, or damage


def unusable_peak(peak: float) -> str | None:
    """Say why sound with this largest absolute sample is unusable, in a file or in an array; None if it is usable.

    Up to `LOUDEST` the log-mel spectrogram of every front end is finite.
    """
    if not np.isfinite(peak):
        return "holds values that are not finite"
    return f"holds a sample of {peak:.3g} times full scale, more than {LOUDEST:g}" if peak > LOUDEST else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """Mono samples ``(samples,)`` float32, nominally in [-1, 1], at ``sample_rate`` Hz."""

    samples: FloatArray
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            problem = f"samples are {self.samples.dtype} of shape {self.samples.shape}"
            raise InputError(f"{problem}; a waveform is mono float32 (samples,): average the channels and cast")
        require(self.sample_rate > 0, "sample_rate", self.sample_rate, "it must be a positive number of Hz")

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.samples)

    def __bool__(self) -> bool:
        """Return true: a sound of no length is a sound, too."""
        return True

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the samples ``(samples,)`` for `numpy.asarray`, which copies them only where it must."""
        return np.array(self.samples, dtype=dtype, copy=copy)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    def write(self, path: Path | str) -> None:
        """Write a 16-bit PCM WAV file atomically; samples outside [-1, 1] are clipped."""
        path = Path(path).expanduser()
        if path.suffix.lower() in OTHER_SOUNDS:
            raise InputError(f"{path} is not the name of a WAV file, which is what is written; name {path.stem}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside(path) as beside, wav_file(beside, self.sample_rate) as write:
            write(self.samples)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Samples ``start`` to ``start + num_samples`` of a recording, at its own rate.

    With a ``stamp``, `wordless.audio.reading.read_blocks` refuses a file that is no longer the one of this stamp.
    """

    start: int
    num_samples: int
    channel: int | None = None  # from 0; None: the mean of all channels
    stamp: str = field(default="", compare=False, repr=False)  # `stamp_text` of the file; "": of any file
    sha256: str = field(default="", compare=False, repr=False)  # of its bytes, which may get another stamp; "": unknown

    def __post_init__(self) -> None:
        if self.start < 0 or self.num_samples < 0:
            name = "start" if self.start < 0 else "num_samples"
            raise InputError(f"{name} is {getattr(self, name)}", remedy="a part of a recording needs 0 samples or more")

    def span(self, sample_rate: int) -> tuple[float, float]:
        """Return begin and end in seconds."""
        return self.start / sample_rate, (self.start + self.num_samples) / sample_rate

    def overlaps(self, other: "Part") -> bool:
        """Return whether both parts hold a common sample."""
        return self.start < other.start + other.num_samples and other.start < self.start + self.num_samples


def in_16_bits(samples: FloatArray) -> npt.NDArray[np.int16]:
    """Round samples to 16 bits; those outside [-1, 1) are clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


@contextmanager
def wav_file(path: Path, sample_rate: int) -> Iterator[Callable[[FloatArray], None]]:
    """Give a function that appends samples ``(time,)`` to a mono WAV file; the end of the block completes its header.

    Samples outside [-1, 1] are clipped, as the format demands.
    """
    with path.open("wb") as file, wave.open(file) as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)  # bytes
        writer.setframerate(sample_rate)
        writer.writeframesraw(b"")  # writes the header, also if no samples follow

        def write(samples: FloatArray) -> None:
            scaled = np.clip(np.rint(samples.astype(np.float64) * 2.0**31), -(2.0**31), 2.0**31 - 1)
            writer.writeframesraw((scaled.astype(np.int64) >> 16).astype("<i2").tobytes())  # as libsndfile rounds

        yield write


def join_blocks(blocks: Iterable[FloatArray]) -> FloatArray:
    """Join the blocks ``(samples,)`` of a recording, of which there may be none."""
    return np.concatenate([np.empty(0, np.float32), *blocks])


def equal_blocks(blocks: Iterable[npt.NDArray[S]], size: int) -> Iterator[npt.NDArray[S]]:
    """Give the same samples, or rows, in blocks of ``size``; the last may be shorter, and no block is empty."""
    waiting: list[npt.NDArray[S]] = []
    samples = 0
    for block in blocks:
        waiting.append(block)
        samples += len(block)
        if samples >= size:
            joined = np.concatenate(waiting)
            whole = samples // size * size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            waiting, samples = [joined[whole:]], samples - whole
    if samples:
        yield np.concatenate(waiting)


def first_samples(blocks: Iterable[FloatArray], count: int) -> Iterator[FloatArray]:
    """Give the first ``count`` samples of the blocks; later blocks are never read."""
    if count <= 0:
        return
    for block in blocks:
        yield block[:count]
        count -= len(block)
        if count <= 0:
            return


def skip_samples(blocks: Iterable[FloatArray], count: int) -> Iterator[FloatArray]:
    """Give the blocks without their first ``count`` samples."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(count - len(block), 0)
