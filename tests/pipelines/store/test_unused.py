"""Users of store entries: an entry is unused only if all its users are known, and none of them exists any more."""

import fcntl
import json
import shutil
import socket
from pathlib import Path

import pytest

from pipelines.store.store import Recipe, Store
from pipelines.store.unused import USERS, StoredEntry, delete_unused, is_unused, note_user, read_users, stored_entries

RECIPE = Recipe(stage="sums", version=1, config={"terms": 3}, inputs={})


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
    """A stage that is killed."""
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
    users = read_users(folder)
    assert users is not None
    assert [Path(user.path) for user in users.runs] == runs
    assert only(store.root).size > 1000
    shutil.rmtree(runs[0])
    assert not is_unused(only(store.root), store.root)
    assert not delete_unused(only(store.root), store.root)
    shutil.rmtree(runs[1])
    assert is_unused(only(store.root), store.root)
    assert delete_unused(only(store.root), store.root)
    assert stored_entries(store.root) == []
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


def test_entries_of_unknown_users_are_never_unused(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    folder = use(store, run)
    folder.with_suffix(USERS).unlink()  # as an older version left it
    assert not is_unused(only(store.root), store.root)
    use(store, run)
    shutil.rmtree(run)
    users = read_users(folder)
    assert users is not None
    assert (users.complete, len(users.runs)) == (False, 1)
    assert not delete_unused(only(store.root), store.root)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"complete": true}', '{"complete": true, "runs": [1]}', "\x00"])
def test_a_damaged_record_keeps_the_entry(store: Store, tmp_path: Path, content: str) -> None:
    run = tmp_path / "project/runs/a"
    use(store, run).with_suffix(USERS).write_text(content)
    shutil.rmtree(run)
    assert not is_unused(only(store.root), store.root)


def test_a_run_of_another_machine_is_never_taken_for_deleted(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    record = use(store, run).with_suffix(USERS)
    record.write_text(record.read_text().replace(f'"{socket.gethostname()}"', '"another.machine"'))
    shutil.rmtree(run)
    entry = only(store.root)
    assert not is_unused(entry, store.root)
    assert not delete_unused(entry, store.root)
    assert entry.users is not None
    assert [user.host for user in entry.users.unseen(store.root)] == ["another.machine"]


def test_runs_of_two_machines_with_one_path_are_two_users(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "scratch/run"  # on a disk that each machine has for itself
    use(store, run)
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "another.machine")
        use(store, run)
    shutil.rmtree(run)
    assert not delete_unused(only(store.root), store.root)


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
    assert delete_unused(only(store.root), store.root)
    assert [path.suffix for path in (store.root / "sums").iterdir()] == [".lock"]


def test_an_entry_that_a_process_makes_now_stays(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    folder = use(store, run)
    shutil.rmtree(run)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not delete_unused(only(store.root), store.root)
    assert store.find(RECIPE) is not None


def test_a_run_that_came_between_list_and_deletion_keeps_its_entry(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    use(store, run)
    shutil.rmtree(run)
    listed = only(store.root)
    assert is_unused(listed, store.root)
    use(store, tmp_path / "project/runs/b")
    assert not delete_unused(listed, store.root)


def test_the_record_is_plain_json(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "project/runs/a"
    content = json.loads(use(store, run).with_suffix(USERS).read_text())
    user = {"path": str(run), "relative": "../runs/a", "host": socket.gethostname()}
    assert content == {"complete": True, "runs": [user]}
