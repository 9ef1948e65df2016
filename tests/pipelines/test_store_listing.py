"""``wordless store``: what a store holds, and whether it is as it was written."""

import os
import re
from pathlib import Path

import pytest

from pipelines.store.store import Recipe, Store
from tests.calling import Command

RECIPE = Recipe(stage="sums", version=1, config={"terms": 3}, inputs={})


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


def test_missing_files_and_records_are_listed_together(tmp_path: Path, call: Command) -> None:
    folder = made(tmp_path)
    (folder / "deep" / "sum.bin").unlink()
    (record,) = tmp_path.glob("lm/*/entry.json")
    record.write_bytes(b"\x80\x04.")
    code, listed, told = call(f"store.root={tmp_path}")
    assert code == 2
    assert re.search(rf"{folder / 'deep' / 'sum.bin'} .*missing", listed)
    assert re.search(rf"{record} .*changed", listed)
    assert "and 1 more" in told


def test_a_store_that_is_not_there_is_refused(tmp_path: Path, call: Command) -> None:
    code, _, told = call(f"store.root={tmp_path / 'none'}")
    assert (code, told.count("\n")) == (2, 1)
    assert f"{tmp_path / 'none'} " in told


def test_folders_of_recordings_are_listed(tmp_path: Path, call: Command) -> None:
    made(tmp_path)
    for place in ("datasets/dataset-0123456789abcdef/audio", "embedded/embedded-0123456789abcdef"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.wav").write_bytes(bytes(3_000_000))
    _, listed, _ = call(f"store.root={tmp_path}")
    assert "2 entries, 2.0 MB, 0 damaged" in listed
    for kind, name in (("datasets", "dataset"), ("embedded", "embedded")):
        assert f"{kind:<22} {name}-0123456789abcdef  3.0 MB of recordings" in listed
