"""What is written under a name is whole."""

import hashlib
from pathlib import Path

import pytest

from audio.files import aside, file_hash, write_aside


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
