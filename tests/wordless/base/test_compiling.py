"""What numba compiles, one process compiles at a time."""

import sys
from pathlib import Path

import pytest

from tests.calling import SOON, assert_waits, beside
from wordless.base import compiling as module
from wordless.base.compiling import compiling, importing

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


def test_the_next_place_is_taken_and_without_any_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    place(monkeypatch, tmp_path / "file" / "lock", tmp_path / "lock")
    monkeypatch.delitem(sys.modules, QUICK, raising=False)
    assert_waits(import_quick, lambda: QUICK in sys.modules)
    assert (tmp_path / "lock").is_file()
    (tmp_path / "file").touch()
    place(monkeypatch, tmp_path / "file" / "lock", tmp_path / "file" / "other")
    with compiling(), beside(enter) as ended:
        assert ended.wait(SOON)
