"""What a store holds, whether it is as it was written, and what nobody uses."""

import fcntl
import os
import re
import time
from pathlib import Path

import pytest

from pipelines.store.store import TIMINGS, Recipe, Store
from pipelines.store.unused import SECONDS_PER_DAY, delete_unused, is_unused, stored_entries
from tests.calling import Command

RECIPE = Recipe(stage="sums", version=1, arguments={"terms": 3})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with an entry that nobody has used for two days."""
    store = Store(tmp_path / "store")
    with store.making(RECIPE) as folder:
        (folder / "sum.txt").write_text("6" * 1000)
    long_ago(store.folder(RECIPE) / TIMINGS)
    return store


def long_ago(file: Path) -> None:
    os.utime(file, times=(0, time.time() - 2.1 * SECONDS_PER_DAY))


def test_an_entry_that_nobody_used_for_so_long_is_deleted(store: Store) -> None:
    ((entry, size),) = stored_entries(store.root).items()
    assert size > 1000
    assert [is_unused(entry, days=days) for days in (1, 2, 3)] == [True, True, False]
    assert not delete_unused(entry, days=3)
    assert store.find(RECIPE) is not None  # which uses it
    assert not delete_unused(entry, days=2)
    long_ago(entry / TIMINGS)
    assert delete_unused(entry, days=2)
    assert not stored_entries(store.root)
    assert [path.suffix for path in (store.root / "sums").iterdir()] == [".lock"]
    assert store.find(RECIPE) is None


def test_an_entry_that_a_process_makes_now_stays(store: Store) -> None:
    folder = store.folder(RECIPE)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not delete_unused(folder, days=1)
    assert folder.is_dir()


def test_a_killed_stage_is_deleted_with_its_checkpoints(store: Store) -> None:
    other = Recipe(stage="sums", version=2, arguments={})
    with pytest.raises(KeyboardInterrupt), store.making(other):
        raise KeyboardInterrupt
    (begun,) = (entry for entry in stored_entries(store.root) if entry.name == other.key)
    assert not delete_unused(begun, days=1)
    for part in begun.parent.glob(f"{other.key}.*"):
        long_ago(part)
    assert delete_unused(begun, days=1)
    assert not list(begun.parent.glob(f"{other.key}.[pc]*"))


def made(root: Path) -> Path:
    store = Store(root)
    with store.making(RECIPE) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "sum.bin").write_bytes(bytes(2_000_000))
    with store.making(Recipe(stage="lm", version=1, arguments={})) as folder:
        (folder / "x").write_text("6")
    (root / "lm" / "0123456789abcdef.partial").mkdir()
    return store.folder(RECIPE)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command("store", monkeypatch, capsys)


@pytest.mark.parametrize("verify", ["--verify", "verify=true"])
def test_a_byte_that_changed_under_the_same_size_and_time_is_found(verify: str, tmp_path: Path, call: Command) -> None:
    root = tmp_path / "a store"
    file = made(root) / "deep" / "sum.bin"
    code, listed, _ = call(verify, f"store.root={root}")
    assert code == 0
    assert f"sums                   {RECIPE.key}         2.0 MB  whole" in listed
    assert "2 entries, 2.0 MB, 0 damaged" in listed
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[1_000_000] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert call(f"store.root={root}")[0] == 0  # size and time are those that were noted
    code, listed, told = call(verify, f"store.root={root}")
    assert code == 2
    assert re.search(rf"{file} .*changed", listed)
    assert "2 entries, 2.0 MB, 1 damaged" in listed
    assert re.match(rf"wordless store: {file.parents[1]} .*\bchanged\b", told)
    assert told.count("\n") == 1
