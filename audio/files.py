"""Files: written whole or not at all, opened only where reading them comes to an end, and hashed."""

import errno
import hashlib
import os
import stat
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


@contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """The descriptor of a regular file, opened for reading; links are followed.

    Opening a named pipe waits for a writer, reading /dev/zero never ends, and opening a device may change it. So the
    kind of file is looked at before it is opened, and once more afterwards: another file may have taken its place.

    Raises:
        OSError: there is no such file, it may not be read, or it is a folder, a named pipe, a socket or a device.
    """
    try:
        _require_regular(path, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # of a null character, or one that UTF-8 does not have
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        yield descriptor
    finally:
        os.close(descriptor)


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(mode), "device")
    raise OSError(errno.EINVAL, f"it is a {kind}, not a regular file", str(path))


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: as `open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := os.read(file, 1 << 20):
            digest.update(block)
    return digest.hexdigest()
