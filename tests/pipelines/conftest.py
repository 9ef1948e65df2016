"""Run folders and recordings that the commands' tests share."""

from pathlib import Path

import pytest
import soundfile

from tests.pipelines.tiny import save_run, sweep


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own codebook."""
    return save_run(tmp_path_factory.mktemp("run") / "a run, (tiny)", seed=0)


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another codebook."""
    return save_run(tmp_path_factory.mktemp("run") / "other", seed=1)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of several rates and formats, two of them in a folder with a space in its name."""
    root = tmp_path_factory.mktemp("recordings")
    (root / "more of them").mkdir()
    names = ("a.wav", "b.flac", "c.ogg", "d.wav", "more of them/a.wav", "more of them/e.wav")
    for number, (name, rate) in enumerate(zip(names, (4000, 8000, 16_000, 4000, 8000, 11_025), strict=True)):
        soundfile.write(root / name, sweep(0.5 + 0.3 * number, rate, low=100 + 20 * number), rate)
    return root
