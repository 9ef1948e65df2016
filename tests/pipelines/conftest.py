"""Run folders and recordings that the commands' tests share."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from pipelines.store.stage import Session
from tests.killing import call
from tests.pipelines.tiny import save_run, silent_session, sweep
from tests.pipelines.tiny_chain import TINY
from wordless.audio.recordings.manifest import Clips, read_manifest


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


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A tiny run of the whole chain that nothing disturbed."""

    store: Path
    folder: Path
    printed: str
    words: tuple[str, ...]  # that it was called with

    @property
    def manifest(self) -> Clips:
        """The recordings, in the store."""
        (root,) = (self.store / "embedded").glob("embedded-*/")
        return read_manifest(self.folder / "manifest.tsv", root)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The run that others are compared with."""
    place = tmp_path_factory.mktemp("finished")
    words = (*TINY, f"store.root={place / 'store'}", f"hydra.run.dir={place / 'run'}")
    done = call("run", *words, place=place)
    assert done.code == 0, done.told
    return FinishedRun(store=place / "store", folder=place / "run", printed=done.told, words=words)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session whose store the tests of a file share."""
    return silent_session(tmp_path_factory.mktemp("session"))


@pytest.fixture
def own_session(tmp_path: Path) -> Session:
    """A session with an empty store."""
    return silent_session(tmp_path)
