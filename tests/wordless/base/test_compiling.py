import sys
from pathlib import Path

import pytest

from tests.waiting import SOON, assert_waits, beside
from wordless.base import files as module
from wordless.base.files import compiling, importing, lock_paths

QUICK = "colorsys"  # a module of Python that nothing else imports here


def import_quick() -> None:
    with importing(QUICK):
        import colorsys  # noqa: F401


def enter() -> None:
    with compiling():
        pass


def place(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setattr(module, "lock_paths", lambda: [*paths])


def test_a_module_is_imported_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(monkeypatch, tmp_path / "here" / "lock", tmp_path / "other")
    monkeypatch.delitem(sys.modules, QUICK, raising=False)
    assert_waits(import_quick, lambda: QUICK in sys.modules)
    assert (tmp_path / "here" / "lock").is_file()
    assert not (tmp_path / "other").exists()
    with compiling(), beside(import_quick) as ended:  # it is there, so nothing waits
        assert ended.wait(SOON)


def test_the_next_place_is_taken_if_one_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    place(monkeypatch, tmp_path / "file" / "lock", tmp_path / "lock")
    monkeypatch.delitem(sys.modules, QUICK, raising=False)
    assert_waits(import_quick, lambda: QUICK in sys.modules)
    assert (tmp_path / "lock").is_file()


def test_without_any_place_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    place(monkeypatch, tmp_path / "file" / "lock", tmp_path / "file" / "other")
    with compiling(), beside(enter) as ended:
        assert ended.wait(SOON)


def test_errors_of_the_block_are_raised_and_release_the_lock() -> None:
    with pytest.raises(FileNotFoundError, match="of the block"), compiling():
        raise FileNotFoundError("of the block")
    with beside(enter) as ended:
        assert ended.wait(SOON)


def test_where_the_lock_may_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    environment, cache, temporary = lock_paths()
    assert environment.is_relative_to(sys.prefix)
    assert cache.is_relative_to(tmp_path)
    assert temporary.parent.is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as without a home
    assert lock_paths() == [environment, temporary]
