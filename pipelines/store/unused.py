"""The run folders that use an entry of the store, and the deletion of entries that no run uses any more.

A run records its folder in ``<key>.users`` beside the entry's folder before it makes or reuses the entry, under the
lock of the entry. An entry is unused when all of these folders were deleted. Each folder is recorded twice, as an
absolute path and as a path from the store, because a store may be moved alone or together with its runs.

A folder that cannot be seen may still exist: on the disk of another machine that shares the store, on a disk that is
not mounted, or in a folder that this user may not read. Only the machine that wrote a folder can tell that it was
deleted, and only while the folder above it is there.
"""

import fcntl
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from wordless.base.configuration import build
from wordless.base.errors import InputError
from wordless.base.files import NO_PERMISSION, remove, write_aside
from wordless.base.json_values import find_object

KEY = re.compile("[0-9a-f]{16}")  # the name of an entry's folder
DELETED: Final = ".deleted"  # an entry whose deletion has begun
PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED)
USERS: Final = ".users"


@dataclass(frozen=True, kw_only=True)
class User:
    """A run folder."""

    path: str  # absolute
    relative: str  # to the root of the store
    host: str = ""  # name of the machine

    def exists(self, root: Path) -> bool:
        """Return whether the folder can be seen, for a store that is now at ``root``."""
        return os.path.isdir(self.path) or os.path.isdir(root / self.relative)  # noqa: PTH112  no error without access

    def is_deleted(self, root: Path) -> bool:
        """Return whether the folder was deleted for certain."""
        above = os.path.dirname(self.path)  # noqa: PTH120
        seen = self.host == socket.gethostname() and os.access(above, os.R_OK | os.X_OK)
        return seen and not self.exists(root)


@dataclass(frozen=True, kw_only=True)
class Users:
    """The users of an entry."""

    complete: bool  # False: the entry is older than its record
    runs: tuple[User, ...]

    def deleted(self, root: Path) -> bool:
        """Return whether all users are known, and all their folders were deleted."""
        return self.complete and all(user.is_deleted(root) for user in self.runs)

    def unseen(self, root: Path) -> list[User]:
        """List the users whose folders cannot be seen, and may exist all the same."""
        return [user for user in self.runs if not user.exists(root) and not user.is_deleted(root)]


def note_user(entry: Path, run: Path, root: Path) -> None:
    """Record that a run uses an entry of the store ``root``, whose lock the caller holds.

    The folder of the run is created, because a missing one counts as deleted. A store that may not be written keeps no
    record.
    """
    run.mkdir(parents=True, exist_ok=True)
    whole, user, host = run.absolute(), os.path.relpath(run.resolve(), root.resolve()), socket.gethostname()
    known = read_users(entry)
    if known is None:
        made_before = any(entry.with_suffix(suffix).exists() for suffix in ("", ".partial"))
        known = Users(complete=not made_before, runs=())
    if (str(whole), host) in {(each.path, each.host) for each in known.runs}:  # two machines may have equal paths
        return
    own = User(path=str(whole), relative=user, host=host)
    users = Users(complete=known.complete, runs=(*known.runs, own))
    try:
        write_aside(entry.with_suffix(USERS), json.dumps(asdict(users), indent=1) + "\n")
    except OSError as error:
        if error.errno not in NO_PERMISSION:
            raise


def read_users(entry: Path) -> Users | None:
    """Read the users of an entry; None without a record. A damaged record counts as incomplete."""
    path = entry.with_suffix(USERS)
    if not path.exists():
        return None
    with suppress(InputError, OSError):
        return build(Users, find_object(path) or {}, name="")
    return Users(complete=False, runs=())


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
