"""The store: whole or not at all, made once and refused when it has changed."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.results.results import training_costs
from pipelines.store.store import (
    BEGUN,
    ENTRY,
    TIMINGS,
    CachedArtifact,
    CacheKey,
    Store,
    checkpoints_of,
    note_finished,
    write_json,
)
from pipelines.store.stored_features import STORED_ROWS_AT_ONCE, joined_rows, stacked_rows
from tests.hostile.measured import at_most_seconds
from tests.pipelines.tiny import silent_session
from wordless.base.files import MARK, file_stamp
from wordless.base.messages import InputError

CACHE_KEY = CacheKey(stage="sums", version=1, arguments={"terms": 3, "seed": 0, "codes": "def"})
PROCESSES = multiprocessing.get_context("fork")  # these processes run no threads


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def made(store: Store, cache_key: CacheKey = CACHE_KEY) -> Path:
    """An artifact of two files, one of them in a folder."""
    with store.making(cache_key) as folder:
        (folder / "deep").mkdir(exist_ok=True)
        (folder / "deep" / "sum.txt").write_text("6")
        write_json(folder / "terms.json", {"terms": [1, 2, 3]})
    return store.folder(cache_key)


@given(values=st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.none(), min_size=2))
def test_the_key_does_not_depend_on_order(values: dict[str, int | str | None]) -> None:
    turned: Mapping[str, object] = dict(reversed(values.items()))
    assert replace(CACHE_KEY, arguments=values).digest == replace(CACHE_KEY, arguments=turned).digest


def costs_of(store: Store) -> dict[str, float]:
    """What the artifact has cost, which must be whole."""
    artifact = store.find(CACHE_KEY)
    assert artifact is not None
    return artifact.costs


def interrupt(store: Store) -> None:
    """Begin an artifact, and end behind its first checkpoint."""

    def begin() -> None:
        with store.making(CACHE_KEY) as folder:
            (checkpoints_of(folder) / "fit.safetensors").write_text("step 5")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()


def test_half_an_entry_is_no_entry_and_keeps_what_it_has(store: Store) -> None:
    interrupt(store)
    assert store.find(CACHE_KEY) is None
    (later := checkpoints_of(store.folder(CACHE_KEY)) / "fit.safetensors").touch()
    os.utime(later, (time.time() + 100, time.time() + 100))
    with store.making(CACHE_KEY) as folder:
        assert (checkpoints_of(folder) / "fit.safetensors").read_text() == "step 5"
        (folder / "sum.txt").touch()
    assert not checkpoints_of(store.folder(CACHE_KEY)).exists()
    costs = costs_of(store)
    assert 90 < costs["seconds"] < 110  # a killed attempt counts for what it wrote
    assert costs["cpu_seconds"] <= 110 * (os.cpu_count() or 1)


def test_processor_seconds_are_those_of_all_threads_and_not_of_waiting(store: Store) -> None:
    def work() -> None:
        begin = time.thread_time()
        while time.thread_time() - begin < 0.3:
            hashlib.sha256(bytes(1 << 22)).digest()  # without the lock of the interpreter

    with store.making(CACHE_KEY) as folder:
        (folder / "sum.txt").touch()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)
    costs = costs_of(store)
    assert 0.6 <= costs["cpu_seconds"] < 1.2
    assert costs["seconds"] > 1.3


def test_processor_seconds_are_those_of_the_processes_of_a_pool_too(store: Store) -> None:
    """Also where a stage leaves the pool with the last result, before the pool knows that there are no more."""
    numbers = range(30_000_000)
    begin = time.process_time()
    total = sum(numbers)
    alone = time.process_time() - begin
    with store.making(CACHE_KEY) as folder:
        (folder / "sum.txt").touch()
        results = silent_session(folder.parent, workers=2).each("summing", sum, [numbers, numbers])
        assert [each for _, each in zip(range(2), results, strict=False)] == [total, total]
        del results
    assert costs_of(store)["cpu_seconds"] > 1.3 * alone


def test_a_training_costs_what_it_and_all_stages_that_it_reads_have_cost(store: Store) -> None:
    """Each artifact counts once, however many folds and stages read it."""

    def artifact(name: str, cost: float, *read: CachedArtifact, fold: int = 0) -> CachedArtifact:
        cache_key = CacheKey(
            stage=name, version=1, arguments={"fold": fold, "read": {"keys": [each.key for each in read]}}
        )
        with store.making(cache_key) as folder:
            (folder / "sum.txt").touch()
        write_json(store.folder(cache_key) / TIMINGS, {"cpu_seconds": cost})
        return CachedArtifact(stage=name, key=cache_key.digest, place=store.folder(cache_key), reused=False)

    made: dict[tuple[str, int], dict[str, CachedArtifact]] = {}
    sample = artifact("sample", 1)
    for fold in range(2):
        tokens = artifact("tokenizer", 10, sample, fold=fold)
        codes = artifact("codes", 100, tokens, sample, fold=fold)
        lm, other = artifact("lm", 1000, codes, fold=fold), artifact("simclr", 10_000, sample, fold=fold)
        made[str(fold), 0] = {each.stage: each for each in (sample, tokens, codes, lm, other)}
    assert training_costs("lm", made) == {"lm": 2000, "codes": 200, "tokenizer": 20, "sample": 1}
    assert training_costs("simclr", made) == {"simclr": 20_000, "sample": 1}


def test_a_disk_that_fills_up_at_the_end_costs_no_checkpoint(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    interrupt(store)
    with pytest.raises(OSError, match="No space"):
        made(store)
    assert (checkpoints_of(store.folder(CACHE_KEY)) / "fit.safetensors").read_text() == "step 5"


def test_files_are_hashed_again_only_where_they_seem_to_have_changed(store: Store) -> None:
    folder = made(store)
    changed = folder / "deep" / "sum.txt"
    before = changed.stat()
    changed.write_text("7")
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="changed"):
        store.find(CACHE_KEY)
    changed.write_text("6")
    assert store.find(CACHE_KEY) is not None
    changed.write_text("7")
    timings = json.loads((folder / TIMINGS).read_text())
    timings["files"]["deep/sum.txt"] = file_stamp(changed)
    (folder / TIMINGS).write_text(json.dumps(timings))
    assert store.find(CACHE_KEY) is not None  # nothing seems to have changed: the file is not hashed


@pytest.mark.parametrize("mark", [None, "", "wordless store 0\n", "\xff"])
def test_a_store_of_another_version_is_refused_with_the_command_that_deletes_it(mark: str | None, store: Store) -> None:
    made(store)
    (store.root / MARK).unlink()
    if mark is not None:
        (store.root / MARK).write_bytes(mark.encode("latin-1"))
    told = rf"^store\.root is {store.root}; .*another version.*\(rm -r {store.root}\).*$"
    with pytest.raises(InputError, match=told):
        Store(store.root).find(CACHE_KEY)
    shutil.rmtree(store.root)
    made(Store(store.root))
    assert Store(store.root).find(CACHE_KEY) is not None


def test_a_store_is_marked(store: Store) -> None:
    made(store)
    assert (store.root / MARK).is_file()


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(store: Store) -> None:
    folder = made(store)
    (folder / TIMINGS).unlink()
    os.mkfifo(folder / TIMINGS)
    with at_most_seconds(10), pytest.warns(UserWarning, match="missing or damaged"):
        assert store.find(CACHE_KEY) is not None
    (folder / ENTRY).unlink()
    os.mkfifo(folder / ENTRY)
    with at_most_seconds(10), pytest.raises(InputError, match=r"entry\.json\b.*missing"):
        store.find(CACHE_KEY)


def test_a_record_that_tells_of_another_recipe_or_of_other_libraries_is_noticed(store: Store) -> None:
    folder = made(store)
    whole = json.loads((folder / ENTRY).read_text())
    for damage in ({"arguments": {"terms": 4}}, {"version": 2}, {"stage": "lm"}, {"files": {}}, {"libraries": 7}):
        (folder / ENTRY).write_text(json.dumps({**whole, **damage}))
        with pytest.raises(InputError, match=r"entry\.json\b.*changed"):
            store.find(CACHE_KEY)
    (folder / ENTRY).write_text(json.dumps(whole))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.find(CACHE_KEY) is not None
    (folder / ENTRY).write_text(json.dumps({**whole, "libraries": {**whole["libraries"], "torch": "0.1"}}))
    with pytest.warns(UserWarning, match=r"torch 0\.1\b"):
        assert store.find(CACHE_KEY) is not None


DAMAGED = (b"", b"[]", b"{}", b"\xff\x00", b"[" * 100_000, b'{"seconds": NaN, "time": 0}')


@pytest.mark.parametrize("content", [None, *DAMAGED, b'{"files": 7}'])
def test_damaged_timings_are_told_and_made_anew(store: Store, content: bytes | None) -> None:
    timings = made(store) / TIMINGS
    timings.unlink() if content is None else timings.write_bytes(content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        costs = costs_of(store)
    assert costs == {"seconds": 0, "cpu_seconds": 0, "peak_memory": 0}
    assert json.loads(timings.read_text())["files"].keys() == {"deep/sum.txt", "terms.json"}
    assert [f"{timings} " in str(each.message) for each in told] == [True] * (content != b'{"files": 7}')


@pytest.mark.parametrize("content", [*DAMAGED, b'{"seconds": "x", "time": []}'])
def test_what_a_damaged_note_says_of_earlier_attempts_is_forgotten(store: Store, content: bytes) -> None:
    interrupt(store)
    (checkpoints_of(store.folder(CACHE_KEY)) / BEGUN).write_bytes(content)
    made(store)
    assert 0 <= costs_of(store)["seconds"] < 60


def test_only_finished_files_are_found_again(store: Store) -> None:
    with suppress(KeyboardInterrupt), store.making(CACHE_KEY) as folder:
        for name in ("finished", "changed", "half"):
            (folder / name).write_text("codes")
        for name in ("finished", "changed"):
            note_finished(folder / name)
        (folder / "changed").write_text("other")
        (folder / "link").symlink_to("half")
        raise KeyboardInterrupt
    with store.making(CACHE_KEY) as folder:
        assert [path.name for path in folder.iterdir()] == ["finished"]


@pytest.fixture
def read_only(small_disk: Path) -> Iterator[Callable[[], None]]:
    """Makes the small disk one that can only be read, as root, too."""
    yield lambda: subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)


def test_a_store_that_can_only_be_read_is_reused(small_disk: Path, read_only: Callable[[], None]) -> None:
    store = Store(small_disk / "store")
    folder = made(store)
    timings = json.loads((folder / TIMINGS).read_text())
    (folder / TIMINGS).write_text(json.dumps({**timings, "files": {}}))  # as after a copy
    read_only()
    waited: list[CacheKey] = []
    with store.locked(CACHE_KEY, waited.append):
        assert costs_of(store)["seconds"] == timings["seconds"]
    other = replace(CACHE_KEY, version=2)
    with pytest.raises(OSError, match=r"Read-only file system\b.*sums\b"), store.locked(other, waited.append):
        pass


@pytest.mark.parametrize("name", ["deep/sum.txt", "terms.json", ENTRY])
@pytest.mark.parametrize("content", [None, "", "7", "[]", "{}"])
def test_a_missing_or_changed_file_is_refused(store: Store, name: str, content: str | None) -> None:
    file = (folder := made(store)) / name
    file.unlink() if content is None else file.write_text(content)
    state = "missing" if content is None else "changed"
    with pytest.raises(InputError, match=rf"{file} .*{state}\b.*\bsums\b.*delete {folder}\b"):
        store.find(CACHE_KEY)


def _make_once(root: Path, start: Event) -> None:
    """Make the artifact as a run would, and sign for it."""
    store = Store(root)
    start.wait()
    with store.locked(CACHE_KEY, lambda cache_key: None):
        if store.find(CACHE_KEY) is None:
            with store.making(CACHE_KEY) as folder:
                time.sleep(0.05)
                (folder / f"{os.getpid()}.txt").write_text("made by this process")


def test_processes_that_want_the_same_entry_make_it_once(store: Store) -> None:
    start = PROCESSES.Event()
    several = [PROCESSES.Process(target=_make_once, args=(store.root, start)) for _ in range(4)]
    for process in several:
        process.start()
    start.set()
    for process in several:
        process.join(30)
    assert [process.exitcode for process in several] == [0] * 4
    assert len(list(store.folder(CACHE_KEY).glob("*.txt"))) == 1
    assert store.find(CACHE_KEY) is not None


def _hold(root: Path, held: Event) -> None:
    with Store(root).locked(CACHE_KEY, lambda cache_key: None):
        held.set()
        time.sleep(600)


def test_a_killed_process_lets_go_of_its_lock(store: Store) -> None:
    held = PROCESSES.Event()
    holder = PROCESSES.Process(target=_hold, args=(store.root, held))
    holder.start()
    assert held.wait(30)
    waited: list[CacheKey] = []

    def wait(cache_key: CacheKey) -> None:
        waited.append(cache_key)
        os.kill(holder.pid or 0, signal.SIGKILL)

    with store.locked(CACHE_KEY, wait):
        assert waited == [CACHE_KEY]
    holder.join(30)
    assert holder.exitcode == -signal.SIGKILL
    with store.locked(CACHE_KEY, waited.append):
        assert len(waited) == 1


def test_rows_are_stacked_and_blocks_joined_in_their_order() -> None:
    values = np.random.default_rng(0).standard_normal((2 * STORED_ROWS_AT_ONCE + 3, 5)).astype(np.float32)
    stacked = stacked_rows({"a:mean": row, "a:thirds": np.repeat(row, 3)} for row in values)
    assert list(stacked) == ["a:mean", "a:thirds"]
    np.testing.assert_array_equal(stacked["a:mean"], values)
    np.testing.assert_array_equal(stacked["a:thirds"], np.repeat(values, 3, axis=1))
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    joined = joined_rows({"a": block} for block in (values[:4], values[4:5], values[5:]))
    np.testing.assert_array_equal(joined["a"], values)
