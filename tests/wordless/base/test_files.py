"""What is written under a name is whole."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from safetensors.numpy import save_file

from tests.calling import python
from tests.hostile.measured import at_most_seconds, write_special_files
from tests.image_layers import of_image
from wordless.base import files
from wordless.base.compiling import compiling
from wordless.base.files import aside, file_hash, is_full, open_regular, replace_folder, take_lock, write_aside


def test_text_and_bytes_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    for content in ("ü\n", "ü\n".encode()):
        write_aside(tmp_path / "a", content)
        assert file_hash(tmp_path / "a") == hashlib.sha256("ü\n".encode()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    write_aside(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError), aside(tmp_path / "a") as beside:
        beside.write_text("new \udcff")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]
    for name in ("null\0", "surrogate\ud800"):
        with pytest.raises(OSError, match="name"):
            file_hash(tmp_path / name)


def test_every_library_s_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with aside(tmp_path / "a") as beside:
            save_file({"x": np.ones(3)}, beside)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    write_aside(tmp_path / "a", "content")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as file:
        assert os.read(file, 100) == b"content"
    special = tmp_path / "special"
    special.mkdir()
    kinds = write_special_files(special)
    assert {"named pipe", "socket", "device", "folder"} <= set(kinds.values())
    for name, kind in kinds.items():
        with at_most_seconds(10), pytest.raises(OSError, match=kind):
            file_hash(special / name)


WRITERS: dict[str, Callable[[Path], object]] = {
    "array": lambda path: np.ones(1 << 20).tofile(path),
    "sound": lambda path: soundfile.write(path, np.ones(1 << 20, np.float32), 8000, format="WAV"),
    "tensors": lambda path: save_file({"x": np.ones(1 << 20)}, path),
    "table": lambda path: pq.write_table(pa.table({"x": np.random.default_rng(0).random(1 << 20)}), path),
    "bytes": lambda path: path.write_bytes(bytes(1 << 22)),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("lacking", ["bytes", "inodes"])
def test_each_library_s_full_disk_names_a_file(lacking: str, write: Callable[[Path], object], small_disk: Path) -> None:
    write_aside(small_disk / "kept", "old")
    if lacking == "inodes":
        while not is_full(small_disk):
            (small_disk / str(len(list(small_disk.iterdir())))).touch()
    before = sorted(small_disk.iterdir())
    with pytest.raises(OSError, match="No space") as raised, aside(small_disk / "kept") as beside:
        write(beside)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(small_disk / "kept"))
    assert sorted(small_disk.iterdir()) == before  # nothing half-written is left
    assert (small_disk / "kept").read_text() == "old"


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT),
        (RuntimeError("I/O error: No space left on device (os error 28)"), errno.ENOSPC),
        (RuntimeError(f"write failed: {os.strerror(errno.EDQUOT)}"), errno.EDQUOT),
        (ValueError("Error writing bytes to file. Detail: [errno 28] ..."), errno.ENOSPC),
        (ValueError("a value"), 0),
    ],
)
def test_the_number_of_an_error_is_found_in_its_causes(error: Exception, number: int) -> None:
    assert files.os_number(error) == number
    outer = RuntimeError("a pool's")
    outer.__cause__ = error
    assert files.os_number(outer) == number


@pytest.mark.parametrize("killed", ["rmtree", "copyfileobj"])
def test_a_folder_is_replaced_whole(killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("new", "2"), ("place", "1")):
        (tmp_path / name / "deep").mkdir(parents=True)
        for file in ("a", "deep/b"):
            (tmp_path / name / file).write_text(text)

    def kill(first: object, *others: object, **more: object) -> None:
        if killed == "rmtree" and not Path(str(first)).exists():
            return
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files.shutil, killed, kill)
        with pytest.raises(KeyboardInterrupt):
            replace_folder(tmp_path / "place", tmp_path / "new")
    found = {(tmp_path / "place" / file).read_text() for file in ("a", "deep/b")}
    assert found == {"2" if killed == "rmtree" else "1"}
    replace_folder(tmp_path / "place", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "place"]
    replace_folder(tmp_path / "place", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


MOVES = """
import sys
from pathlib import Path
from wordless.base.files import move_folder, replace_folder

root = Path(sys.argv[1])
move_folder(root / "moved", root / "target")
replace_folder(root / "place", root / "new")
replace_folder(root / "left", None)
"""


def test_folders_of_an_image_are_copied_where_they_cannot_be_renamed(tmp_path: Path) -> None:
    (root := tmp_path / "image").mkdir()
    for name in ("moved", "place", "new", "left"):
        (root / name / "deep").mkdir(parents=True)
        (root / name / "deep/file").write_text(name)
    environment = of_image(root, tmp_path)
    refused = python("-c", f"import os; os.rename({str(root / 'new')!r}, {str(root / 'newer')!r})", **environment)
    assert "Invalid cross-device link" in refused.stderr
    done = python("-c", MOVES, root, **environment)
    assert done.returncode == 0, done.stderr
    assert {path.name: (path / "deep/file").read_text() for path in root.iterdir()} == {
        "target": "moved",
        "place": "new",
        "new": "new",
    }


def test_a_copied_folder_has_what_links_lead_to_and_is_not_made_of_a_missing_one(tmp_path: Path) -> None:
    """Someone keeps the large part of a model on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "weights").write_text("1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "part").symlink_to(tmp_path / "disk")
    replace_folder(tmp_path / "place", tmp_path / "model")
    assert (tmp_path / "place" / "part" / "weights").read_text() == "1"
    with pytest.raises(FileNotFoundError, match="missing"):
        replace_folder(tmp_path / "place", tmp_path / "missing")
    assert (tmp_path / "place" / "part" / "weights").read_text() == "1"


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    """Somebody who can write into a shared store puts a link there, and waits for its owner."""
    (tmp_path / "other").write_text("not ours")
    (tmp_path / "a.aside").symlink_to("other")
    write_aside(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "other").read_text() == "not ours"


def test_a_disk_without_locks_is_refused_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)  # as on a network's file system
    with (tmp_path / "x.lock").open("w") as file, pytest.raises(OSError, match="lock") as refusal:
        take_lock(file)
    assert (refusal.value.errno, refusal.value.filename) == (errno.ENOLCK, str(tmp_path / "x.lock"))
    with compiling():  # nothing is locked
        pass
