"""The run folders that use an entry of the store: ``<key>.users`` beside the entry's folder.

A run records its folder before it makes or reuses an entry, under the lock of the entry. An entry is unused when none
of these folders exists any more. Each folder is recorded twice, as an absolute path and as a path from the store,
because a store may be moved alone or together with its runs.

Entries that are older than this record may have users that nobody wrote down. They are never called unused.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from foundation.configuration import build
from foundation.errors import InputError
from foundation.files import NO_PERMISSION, write_aside
from foundation.json_values import find_object

USERS: Final = ".users"


@dataclass(frozen=True, kw_only=True)
class User:
    """A run folder."""

    path: str  # absolute
    relative: str  # to the root of the store


@dataclass(frozen=True, kw_only=True)
class Users:
    """The users of an entry."""

    complete: bool  # False: the entry is older than its record
    runs: tuple[User, ...]

    def alive(self, root: Path) -> list[str]:
        """List the run folders that still exist."""
        return [user.path for user in self.runs if Path(user.path).is_dir() or (root / user.relative).is_dir()]


def note_user(entry: Path, run: Path, root: Path) -> None:
    """Record that a run uses an entry of the store ``root``, whose lock the caller holds.

    A store that may not be written keeps no record.
    """
    whole, user = run.absolute(), os.path.relpath(run.resolve(), root.resolve())
    known = read_users(entry)
    if known is None:
        made_before = any(entry.with_suffix(suffix).exists() for suffix in ("", ".partial"))
        known = Users(complete=not made_before, runs=())
    if str(whole) in {each.path for each in known.runs}:
        return
    users = Users(complete=known.complete, runs=(*known.runs, User(path=str(whole), relative=user)))
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
