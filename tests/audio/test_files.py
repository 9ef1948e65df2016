"""What is written under a name is whole."""

import hashlib
import os
from pathlib import Path

import pytest

from audio.files import aside, file_hash, open_regular, write_aside
from tests.hostile.special_files import at_most_seconds, write_special_files


def test_text_and_bytes_are_written_and_hashed(tmp_path: Path) -> None:
    for content in ("ü\n", "ü\n".encode()):
        write_aside(tmp_path / "a", content)
        assert file_hash(tmp_path / "a") == hashlib.sha256("ü\n".encode()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_aside(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError), aside(tmp_path / "a") as beside:
        beside.write_text("new \udcff")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


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


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("null\0", "surrogate\ud800"):
        with pytest.raises(OSError, match="no file can have this name"):
            file_hash(tmp_path / name)
