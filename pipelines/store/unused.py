"""Entries of a store that no run uses any more, and their deletion; see `pipelines.store.users`."""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.store.users import USERS, Users, read_users
from wordless.base.files import remove

KEY = re.compile("[0-9a-f]{16}")  # the name of an entry's folder
DELETED: Final = ".deleted"  # an entry whose deletion has begun
PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED)


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry of a store, finished or begun."""

    path: Path  # of the folder of the finished entry
    size: int  # bytes, with checkpoints
    users: Users | None  # None: there is no record

    @property
    def stage(self) -> str:
        """The stage that made the entry."""
        return self.path.parent.name


def stored_entries(root: Path) -> list[StoredEntry]:
    """List the entries of a store, by stage and key."""
    found = {path.with_suffix("") for path in root.glob("*/*") if KEY.fullmatch(path.stem) and path.suffix in PARTS}
    return [
        StoredEntry(path=path, size=sum(map(folder_size, parts_of(path))), users=read_users(path))
        for path in sorted(found)
    ]


def is_unused(entry: StoredEntry, root: Path) -> bool:
    """Return whether all users of an entry are known, and were deleted."""
    return entry.users is not None and entry.users.deleted(root)


def delete_unused(entry: StoredEntry, root: Path) -> bool:
    """Delete an entry, and return whether it is gone; an entry that a run uses by now, or is making, stays."""
    with entry.path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        now = StoredEntry(path=entry.path, size=entry.size, users=read_users(entry.path))
        if not is_unused(now, root):
            return False
        deleted = entry.path.with_suffix(DELETED)
        remove(deleted)
        if entry.path.exists():
            entry.path.rename(deleted)  # so that no killed deletion leaves half an entry
        for part in parts_of(entry.path):
            remove(part)
        entry.path.with_suffix(USERS).unlink(missing_ok=True)
    return True


def parts_of(entry: Path) -> Iterator[Path]:
    """Give the folders of an entry: the entry itself, its partial folder, and its checkpoints."""
    yield from (path for suffix in PARTS if (path := entry.with_suffix(suffix)).is_dir())


def folder_size(folder: Path) -> int:
    """Sum the sizes of all files of a folder, in bytes; links are not followed.

    A run may rename and delete files meanwhile.
    """
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found = (Path(place) / name).lstat()
                size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size
