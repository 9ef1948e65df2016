"""Recordings byte by byte, so that their headers may declare anything."""

import struct
from pathlib import Path

import numpy as np
import soundfile


def noise(samples: int, *, seed: int = 0) -> bytes:
    """16-bit noise at 0.3 of full scale."""
    return np.random.default_rng(seed).uniform(-9830, 9830, samples).astype("<i2").tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk; ``size`` is what it declares instead of its length."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(
    *,
    rate: int = 8_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    block_align: int | None = None,
    byte_rate: int | None = None,
    samples: int = 1_600,
    data: bytes | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    extension: bytes = b"",
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A WAV file of ``samples`` 16-bit noise, or of ``data``, under a header that declares whatever it is told to.

    ``extension`` follows the 16 bytes of the format; ``before`` and ``after`` are chunks around the data.
    """
    align = max(channels * bits // 8, 0) % 65536 if block_align is None else block_align
    bytes_each_second = align * rate % 2**32 if byte_rate is None else byte_rate
    description = struct.pack("<HHIIHH", tag, channels, rate, bytes_each_second, align, bits) + extension
    content = data if data is not None else noise(samples, seed=rate % 1000)
    body = b"WAVE" + chunk(b"fmt ", description) + before + chunk(b"data", content, size=data_size) + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def mp3_of_estimated_length(path: Path) -> Path:
    """A second of noise as an honest MP3 without a header of its length: libsndfile takes its ID3 tag for sound.

    The first frame that libsndfile writes holds the length (Xing), and is left out.
    """
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 22_050)
    soundfile.write(path, sound, 22_050, bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    second = content.find(content[:2], 2)
    tag = b"ID3\x03\0\0" + bytes([0, 0, 32, 0]) + bytes(4_096)
    path.write_bytes(tag + content[second:])
    return path
