"""Small recordings for the tests of `audio`."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

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
