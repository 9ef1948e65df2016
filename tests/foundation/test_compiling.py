import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from numba import njit

from foundation.compiling import compiling, lock_paths
from vocoder.engines import kernels
from vocoder.judging.pitch import has_pitch


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[threading.Event]:
    """Run ``work`` in a thread; the event is set when it has ended."""
    ended = threading.Event()

    def run() -> None:
        work()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield ended
    thread.join()


def enter() -> None:
    with compiling():
        pass


def assert_waits(work: Callable[[], object]) -> None:
    """Assert that ``work`` does not end before the lock is released."""
    lock = compiling()
    lock.__enter__()
    with beside(work) as ended:
        waited = not ended.wait(0.5)
        lock.__exit__(None, None, None)
        assert ended.wait(60)
    assert waited


def test_a_second_block_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert_waits(enter)
    assert (tmp_path / "wordless" / "compiling.lock").is_file()


def test_without_a_cache_folder_the_lock_is_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert_waits(enter)
    assert lock_paths()[1].parent == tmp_path
    assert lock_paths()[1].is_file()


def test_without_any_folder_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr("tempfile.tempdir", str(file))
    with compiling(), beside(enter) as ended:
        assert ended.wait(60)


def test_errors_of_the_block_are_raised() -> None:
    with pytest.raises(FileNotFoundError, match="of the block"), compiling():
        raise FileNotFoundError("of the block")


def test_librosa_is_imported_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert_waits(has_pitch)


def test_the_kernel_is_compiled_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled = njit(lambda number: number)
    monkeypatch.setattr(kernels, "go_on", compiled)
    assert_waits(lambda: kernels.prepare((1,)))
    assert len(compiled.overloads) == 1
    with compiling(), beside(lambda: kernels.prepare((2,))) as ended:  # it is there, so nothing waits
        assert ended.wait(60)
