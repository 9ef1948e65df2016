"""Options and fixtures of all tests."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import wordless  # noqa: F401  before anything loads PyTorch: OpenMP's threads are to wait, not to spin

ROOT = Path(__file__).parents[1]
OMP_NUM_THREADS, THREADS = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
# Triton's kernels run in its interpreter where there is no GPU. Triton reads this once, when it is first imported.
os.environ.setdefault("TRITON_INTERPRET", str(int(not torch.cuda.is_available())))
DATA = ROOT / "../shared/data"  # real recordings beside the checkout; not part of the project

settings.register_profile("wordless", deadline=None)  # the first example pays for imports and compiled kernels
settings.load_profile("wordless")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes: pytest --slow"))


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    """Give the process back its number of threads, which a command called in this process may have set for good.

    Later tests start processes, which inherit the number, and the number is part of what training leaves in a store.
    """
    _restore_threads()  # a fixture of a module may have called a command
    yield
    _restore_threads()


def _restore_threads() -> None:
    if torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)
    if OMP_NUM_THREADS is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    else:
        os.environ["OMP_NUM_THREADS"] = OMP_NUM_THREADS


@pytest.fixture(scope="session")
def fsdd() -> Path:
    """Free Spoken Digit Dataset: 2,500 WAV files, 8 kHz, {digit}_{speaker}_{index}.wav."""
    return present(DATA / "fsdd/recordings")


@pytest.fixture(scope="session")
def esc10() -> Path:
    """ESC-10: 320 Ogg files, 44.1 kHz, one folder per class, named by fold."""
    return present(DATA / "esc10")


@pytest.fixture(scope="session")
def instruments() -> Path:
    """Single notes of seven instruments: 187 MP3 files, 44.1 kHz, one folder for each instrument."""
    return present(DATA / "instruments")


@pytest.fixture(scope="session")
def wake_words() -> Path:
    """Six spoken wake words: 1,603 Ogg files of about 3 s, 16 kHz, mostly silence, one folder for each word."""
    return present(DATA / "wake_words")


def present(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"needs real recordings in {folder.relative_to(ROOT)}")
    return folder.resolve()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 1 MiB and 40 files; skipped where the tests may not mount one."""
    disk = tmp_path / "small_disk"
    disk.mkdir()
    options = ["-o", "size=1m,nr_inodes=40"]
    if subprocess.run(["mount", "-t", "tmpfs", *options, "none", disk], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)
