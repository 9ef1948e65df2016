"""Sessions and recordings of the stages' tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.store.session import Session
from tests.pipelines.tiny import silent_session
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.base.array_types import FloatArray
from wordless.base.files import file_hash


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session whose store the tests of a file share."""
    return silent_session(tmp_path_factory.mktemp("session"))


@pytest.fixture
def own_session(tmp_path: Path) -> Session:
    """A session with an empty store."""
    return silent_session(tmp_path)


RATE = 8000  # Hz


def write_clip(root: Path, name: str, samples: FloatArray, label: str | None, split: Split, rate: int = RATE) -> Clip:
    """Write a recording below ``root``, and describe it."""
    path = root / name
    soundfile.write(path, samples, rate)
    return Clip(
        path=name,
        num_samples=len(samples),
        sample_rate=rate,
        size=path.stat().st_size,
        sha256=file_hash(path),
        label=label,
        split=split,
    )


def tone_corpus(root: Path, splits: Sequence[Split], *, first: float, step: float) -> Clips:
    """Clips ``high_0.wav`` and so on of each pitch, one for each split; the first has so many seconds, others more."""
    clips = []
    for label, pitch in (("high", 2000), ("low", 300)):
        for number, split in enumerate(splits):
            time = np.arange(round(RATE * (first + step * number))) / RATE
            noise = np.random.default_rng([number, len(label)]).normal(0, 0.02, len(time))
            samples = (0.3 * np.sin(2 * np.pi * pitch * time) + noise).astype(np.float32)
            clips.append(write_clip(root, f"{label}_{number}.wav", samples, label, split))
    return Clips.from_rows(root, clips)
