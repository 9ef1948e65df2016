"""Options and fixtures of all tests."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import wordless  # noqa: F401  before anything loads PyTorch: OpenMP's threads are to wait, not to spin

OMP_NUM_THREADS, THREADS = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
# Triton's kernels run in its interpreter where there is no GPU. Triton reads this once, when it is first imported.
os.environ.setdefault("TRITON_INTERPRET", str(int(not torch.cuda.is_available())))

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
