"""Which entries of a store are used: mark and sweep.

Each run folder has a record in the store: where the folder is, and the entries that the run makes or reuses. A run
lists an entry before it looks for it. An entry is unused if runs listed it, and the folders of all of them were
deleted. Each folder is recorded twice, as an absolute path and as a path from the store, because a store may be moved
alone or together with its runs.

A folder that cannot be seen may still exist: on the disk of another machine that shares the store, on a disk that is
not mounted, or in a folder that this user may not read. Only the machine that wrote a folder can tell that it was
deleted, and only while the folder above it is there.
"""

import json
import os
import re
import socket
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from pipelines.store.store import text_hash
from wordless.base.errors import InputError
from wordless.base.files import NO_PERMISSION, remove, take_lock, write_aside
from wordless.base.values import build, find_object

KEY = re.compile("[0-9a-f]{16}")  # the name of an entry's folder
DELETED: Final = ".deleted"  # an entry whose deletion has begun
PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED)
USERS: Final = "users"  # folder of the records in a store


@dataclass(frozen=True, kw_only=True)
class User:
    """The record of a run folder."""

    path: str  # absolute
    relative: str  # to the root of the store
    host: str = ""  # name of the machine
    entries: tuple[str, ...] = ()  # that the run uses, as stage/key

    def exists(self, root: Path) -> bool:
        """Return whether the folder can be seen, for a store that is now at ``root``."""
        return os.path.isdir(self.path) or os.path.isdir(root / self.relative)  # noqa: PTH112  no error without access

    def is_deleted(self, root: Path) -> bool:
        """Return whether the folder was deleted for certain."""
        above = os.path.dirname(self.path)  # noqa: PTH120
        seen = self.host == socket.gethostname() and os.access(above, os.R_OK | os.X_OK)
        return seen and not self.exists(root)


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry of a store, finished or begun."""

    path: Path  # of the folder of the finished entry
    size: int  # bytes, with checkpoints

    @property
    def stage(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        """The entry in records: stage/key."""
        return f"{self.stage}/{self.path.name}"


def note_user(entry: Path, run: Path, root: Path) -> None:
    """Record that a run uses an entry of the store ``root``, whose lock the caller holds.

    The folder of the run is created, because a missing one counts as deleted. A store that may not be written keeps no
    record.
    """
    run.mkdir(parents=True, exist_ok=True)
    whole, host = str(run.absolute()), socket.gethostname()
    record, name = _record(root, whole, host), f"{entry.parent.name}/{entry.name}"
    relative = os.path.relpath(run.resolve(), root.resolve())
    try:
        with _locked(root):
            user = _read(record) if record.exists() else User(path=whole, relative=relative, host=host)
            if user is not None and name not in user.entries:  # None: the record is damaged, and `read_users` says so
                content = asdict(replace(user, entries=(*user.entries, name)))
                write_aside(record, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        if error.errno not in NO_PERMISSION:
            raise


def read_users(root: Path) -> list[User]:
    """Read the records of all runs of a store.

    Raises:
        InputError: a record is damaged, so nobody knows which entries its run uses.
    """
    found = []
    for path in sorted((root / USERS).glob("*.json")):
        if (user := _read(path)) is None:
            raise InputError(
                f"{path} is damaged, so the entries that its run uses are not known: delete it if that run was "
                "deleted, or repeat the run"
            )
        found.append(user)
    return found


def stored_entries(root: Path) -> list[StoredEntry]:
    """List the entries of a store, by stage and key."""
    found = {path.with_suffix("") for path in root.glob("*/*") if KEY.fullmatch(path.stem) and path.suffix in PARTS}
    return [StoredEntry(path=path, size=sum(map(folder_size, parts_of(path)))) for path in sorted(found)]


def unused_names(users: Collection[User], root: Path) -> set[str]:
    """Return the entries that runs listed, and whose runs were all deleted."""
    used = {name for user in users if not user.is_deleted(root) for name in user.entries}
    return {name for user in users for name in user.entries} - used


def delete_unused(entries: Sequence[StoredEntry], root: Path) -> list[StoredEntry]:
    """Delete entries, and return those that are gone; an entry that a run uses by now, or is making, stays.

    Runs that want to list an entry meanwhile wait. Records of deleted runs without entries are deleted, too.
    """
    with _locked(root):
        users = read_users(root)
        unused = unused_names(users, root)
        deleted = [entry for entry in entries if entry.name in unused and _delete(entry.path)]
        for user in users:
            if user.is_deleted(root) and not any(any(parts_of(root / name)) for name in user.entries):
                _record(root, user.path, user.host).unlink(missing_ok=True)
    return deleted


def _delete(entry: Path) -> bool:
    with entry.with_suffix(".lock").open("w") as file:
        if not take_lock(file, wait=False):  # a run is making the entry
            return False
        deleted = entry.with_suffix(DELETED)
        remove(deleted)
        if entry.exists():
            entry.rename(deleted)  # so that no killed deletion leaves half an entry
        for part in parts_of(entry):
            remove(part)
    return True


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    (root / USERS).mkdir(parents=True, exist_ok=True)
    with (root / USERS / ".lock").open("w") as file:
        take_lock(file)
        yield


def _record(root: Path, path: str, host: str) -> Path:
    """Return the record of a run folder; two machines may have equal paths."""
    return root / USERS / f"{text_hash(f'{host}:{path}')[:16]}.json"


def _read(record: Path) -> User | None:
    """Read a record; None if it is damaged."""
    with suppress(InputError, OSError):
        return build(User, find_object(record) or {}, name="")
    return None


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
