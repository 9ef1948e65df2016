"""What a store holds, whether it is as it was written, and what nobody uses."""

import fcntl
import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from pipelines.store.store import Recipe, Store
from pipelines.store.unused import (
    USERS,
    StoredEntry,
    delete_unused,
    note_user,
    read_users,
    stored_entries,
    unused_names,
)
from tests.calling import Command
from wordless.base.errors import InputError

RECIPE = Recipe(stage="sums", version=1, config={"terms": 3}, inputs={})


def is_unused(entry: StoredEntry, root: Path) -> bool:
    return entry.name in unused_names(read_users(root), root)


def record_of(store: Store) -> Path:
    (record,) = (store.root / USERS).glob("*.json")
    return record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "project/store")


def use(store: Store, run: Path) -> Path:
    """A run makes or reuses the entry."""
    run.mkdir(parents=True, exist_ok=True)
    with store.locked(RECIPE, lambda recipe: None):
        note_user(store.folder(RECIPE), run, store.root)
        if store.find(RECIPE) is None:
            with store.making(RECIPE, ["sum.txt"]) as folder:
                (folder / "sum.txt").write_text("6" * 1000)
    return store.folder(RECIPE)


def begin(store: Store) -> None:
    with store.making(RECIPE, ["sum.txt"]) as folder:
        (folder / "half.txt").write_text("3")
        raise KeyboardInterrupt


def only(root: Path) -> StoredEntry:
    (entry,) = stored_entries(root)
    return entry


def test_an_entry_is_used_as_long_as_one_of_its_runs_exists(store: Store, tmp_path: Path) -> None:
    runs = [tmp_path / "project/runs" / name for name in ("a", "b")]
    for run in (*runs, runs[0]):
        folder = use(store, run)
    users = read_users(store.root)
    assert {Path(user.path): user.entries for user in users} == dict.fromkeys(runs, (f"sums/{folder.name}",))
    assert only(store.root).size > 1000
    shutil.rmtree(runs[0])
    assert not is_unused(only(store.root), store.root)
    assert not delete_unused([only(store.root)], store.root)
    shutil.rmtree(runs[1])
    assert is_unused(only(store.root), store.root)
    assert delete_unused([only(store.root)], store.root)
    assert stored_entries(store.root) == []
    assert read_users(store.root) == []
    assert [path.suffix for path in (store.root / "sums").iterdir()] == [".lock"]
    assert store.find(RECIPE) is None
    use(store, runs[0])  # is made again
    assert store.find(RECIPE) is not None


@pytest.mark.parametrize("moved", ["project", "project/store"])
def test_a_store_that_moves_with_its_runs_or_alone_keeps_its_users(store: Store, tmp_path: Path, moved: str) -> None:
    use(store, tmp_path / "project/runs/a")
    (tmp_path / moved).rename(tmp_path / "elsewhere")
    root = tmp_path / "elsewhere" if moved.endswith("store") else tmp_path / "elsewhere/store"
    assert not is_unused(only(root), root)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"path": "x"}', '{"path": 1, "relative": "x"}', "\x00"])
def test_a_damaged_record_keeps_all_entries(store: Store, tmp_path: Path, content: str) -> None:
    run = tmp_path / "project/runs/a"
    use(store, run)
    record = record_of(store)
    record.write_text(content)
    use(store, run)  # a run goes on, and the record stays for people to see
    assert record.read_text() == content
    shutil.rmtree(run)
    with pytest.raises(InputError, match=rf"{record}\b.*delete"):
        delete_unused([only(store.root)], store.root)
    assert store.find(RECIPE) is not None


def test_a_run_of_another_machine_is_never_taken_for_deleted(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    use(store, run)
    record = record_of(store)
    record.write_text(record.read_text().replace(f'"{socket.gethostname()}"', '"another.machine"'))
    shutil.rmtree(run)
    entry = only(store.root)
    assert not is_unused(entry, store.root)
    assert not delete_unused([entry], store.root)


def test_runs_of_two_machines_with_one_path_are_two_users(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "scratch/run"  # on a disk that each machine has for itself
    use(store, run)
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "another.machine")
        use(store, run)
    shutil.rmtree(run)
    assert not delete_unused([only(store.root)], store.root)


def test_a_folder_that_is_not_there_yet_is_created(store: Store, tmp_path: Path) -> None:
    """A missing one would count as deleted while its command runs."""
    with store.locked(RECIPE, lambda recipe: None):
        note_user(store.folder(RECIPE), tmp_path / "new/folder", store.root)
        with store.making(RECIPE, ["sum.txt"]) as folder:
            (folder / "sum.txt").write_text("6")
    assert not is_unused(only(store.root), store.root)


def test_a_killed_stage_is_used_by_its_run_and_deleted_with_its_checkpoints(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    run.mkdir(parents=True)
    with store.locked(RECIPE, lambda recipe: None):
        note_user(store.folder(RECIPE), run, store.root)
        with pytest.raises(KeyboardInterrupt):
            begin(store)
    assert not is_unused(only(store.root), store.root)
    shutil.rmtree(run)
    assert delete_unused([only(store.root)], store.root)
    assert [path.suffix for path in (store.root / "sums").iterdir()] == [".lock"]


def test_an_entry_that_a_process_makes_now_stays(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    folder = use(store, run)
    shutil.rmtree(run)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not delete_unused([only(store.root)], store.root)
    assert store.find(RECIPE) is not None


def test_a_run_that_came_between_list_and_deletion_keeps_its_entry(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    use(store, run)
    shutil.rmtree(run)
    listed = only(store.root)
    assert is_unused(listed, store.root)
    use(store, tmp_path / "project/runs/b")
    assert not delete_unused([listed], store.root)


def made(root: Path) -> Path:
    store = Store(root)
    with store.making(RECIPE, ["deep/sum.bin"]) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "sum.bin").write_bytes(bytes(2_000_000))
    with store.making(Recipe(stage="lm", version=1, config={}, inputs={}), ["x"]) as folder:
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
