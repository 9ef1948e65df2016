"""Small recordings for the tests of `audio`, and files of many formats."""

import io
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordless.base.array_types import FloatArray

Tone = Callable[..., Path]


@contextmanager
def most_bytes(count: int) -> Iterator[None]:
    """Assert that what is done needs at most so many bytes of memory at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < count
    finally:
        tracemalloc.stop()


@pytest.fixture
def tone(tmp_path: Path) -> Tone:
    """Writes a tone of its own pitch below ``tmp_path``: ``tone("a/b.wav", seconds=0.2, sample_rate=8_000)``."""
    written = 0

    def write(
        name: str, *, seconds: float = 0.1, sample_rate: int = 8_000, channels: int = 1, subtype: str | None = None
    ) -> Path:
        nonlocal written
        written += 1
        time = np.arange(round(seconds * sample_rate)) / sample_rate
        pitches = 200 + 10 * written + 100 * np.arange(channels)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        opus = path.suffix == ".opus"
        soundfile.write(
            path,
            0.4 * np.sin(2 * np.pi * time[:, None] * pitches),
            sample_rate,
            subtype="OPUS" if opus else subtype,
            format="OGG" if opus else None,
        )
        return path

    return write


RATE, SAMPLES = 16_000, 16_000


def encoded(
    kind: str,
    subtype: str | None = None,
    *,
    seed: int = 0,
    rate: int = RATE,
    channels: int = 1,
    mode: str | None = None,
) -> bytes:
    """A second of noise as a file of libsndfile."""
    noise = 0.2 * np.random.default_rng(seed).standard_normal((rate, channels))
    file = io.BytesIO()
    quality = 0.5 if mode else None
    soundfile.write(
        file,
        noise.clip(-1, 1),
        rate,
        format=kind,
        subtype=subtype,
        bitrate_mode=mode or None,
        compression_level=quality,
    )
    return file.getvalue()


def changing_mp3(*, rate: int, channels: int, mode: str, seconds: int = 4) -> bytes:
    """An MP3 that is loud at first and then soft, so that its bit rate changes."""
    count = seconds * rate
    noise = 0.3 * np.random.default_rng(0).standard_normal((count, channels)).clip(-3, 3)
    noise[count // 2 :] *= 0.001
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return file.getvalue()


def without_header(mp3: bytes) -> bytes:
    """The MP3 without the frame that declares its length (Xing or Info), as programs write it into a pipe."""
    return mp3[mp3.find(mp3[:2], 4) :]


def mp3_in_wav(mp3: bytes, *, rate: int = RATE) -> bytes:
    """A WAV file that holds an MP3."""
    description = struct.pack("<HHIIHHHHIHHH", 0x55, 1, rate, 4_000, 1, 0, 12, 1, 2, 417, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(description)) + description + b"data" + struct.pack("<I", len(mp3)) + mp3
    return b"RIFF" + struct.pack("<I", len(body)) + body


def id3v2(size: int = 3_000) -> bytes:
    """A tag of this many bytes behind its head, such as a picture."""
    return b"ID3\x03\0\0" + bytes([0, 0, size >> 7, size & 127]) + b"\xff\xd8picture".ljust(size, b"x")


def id3v1() -> bytes:
    """The tag of 128 bytes that ends an MP3."""
    return b"TAG".ljust(128, b"t")


def ape() -> bytes:
    """An APE tag with header and footer."""
    fields = struct.pack("<II", 4, 0) + b"Title\0name"
    head, foot = (
        b"APETAGEX" + struct.pack("<IIII", 2_000, len(fields) + 32, 1, flags) + bytes(8)
        for flags in (1 << 31 | 1 << 29, 1 << 31)
    )
    return head + fields + foot


def decoded(path: Path, content: bytes) -> FloatArray:
    """Write the content into a file, and decode it by soundfile alone ``(samples, channels)``."""
    path.write_bytes(content)
    samples: FloatArray = soundfile.read(path, dtype="float32", always_2d=True)[0]
    return samples
