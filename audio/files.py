"""Files: written whole or not at all, and hashed."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it becomes ``path`` when the block ends, and goes when the block raises."""
    beside = path.with_name(path.name + ".aside")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_aside(path: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, into a file beside ``path``, then rename it."""
    with aside(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
