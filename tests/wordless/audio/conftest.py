"""Small recordings and corpora for the tests of `audio`."""

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.inspection import Inspected, InspectionConfig, inspect
from wordless.audio.recordings.manifest import Clips, Rejected
from wordless.audio.recordings.splits import SplitConfig

Tone = Callable[..., Path]
ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)
USUAL = InspectionConfig()


def corpus_config(folder: Path, **options: Any) -> CorpusConfig:
    """The corpus of a folder, or of a ``table`` in it; also ``root`` is a name in the folder."""
    if "table" in options:
        options["table"] = str(folder / options["table"])
    if "root" in options or "table" not in options:
        options["root"] = str(folder / options.get("root", ""))
    return CorpusConfig(**options)


def train_all(folder: Path, **options: Any) -> tuple[Clips, tuple[Rejected, ...]]:
    """The manifest of a folder or table whose clips all train, and what is set aside."""
    return build_manifest(corpus_config(folder, **{"split": ALL_TRAIN, **options}))


def inspected(
    folder: Path, names: Sequence[str] | None = None, config: InspectionConfig = USUAL, **options: Any
) -> Inspected:
    """What inspection finds in files of a folder: in all of them, unless some are named."""
    every = [path.name for path in folder.iterdir() if path.is_file()]
    return inspect(folder, every if names is None else names, config, **options)


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
