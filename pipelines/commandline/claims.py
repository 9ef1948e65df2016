"""Folders that this process alone writes, each under a lock until the command ends.

A lock is a ``flock``: it goes with its process, however that process ends.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from foundation.errors import InputError

RUN_LOCK = ".lock"
SWEEP_LOCK = ".sweep.lock"
# What stands in the folder of a run or a sweep before any result does.
NOTES = frozenset({RUN_LOCK, SWEEP_LOCK, ".hydra", "multirun.yaml"})

_CLAIMS = (
    ExitStack()
)  # Hydra makes its callbacks itself, so the command that runs in this process shares its claims here


@contextmanager
def claims() -> Iterator[None]:
    """Give up all claims when the block ends; folders that were made for nothing go."""
    with _CLAIMS:
        yield


def claim(wanted: Path, *, option: str, lock: str, new: bool) -> Path:
    """Hold a folder until `claims` ends, and return it: ``wanted`` itself, made where it is missing.

    With ``new``, a folder that exists is left alone: ``wanted_2``, ``wanted_3`` and so on are tried in its place. Of
    several processes, on whatever machines, that want the same new folder at the same time, each gets another one.

    Raises:
        InputError: another process holds the folder; ``option`` names it on the command line.
    """
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    folder = make_new(wanted) if new else make(wanted)
    _CLAIMS.callback(discard, [folder, *(parent for parent in made if parent != wanted)] if new or made else [])
    _CLAIMS.enter_context(held(folder, option=option, lock=lock))
    return folder


def make(folder: Path) -> Path:
    """Make a folder where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_new(wanted: Path) -> Path:
    """Make a folder that was not there: ``wanted``, or the first of ``wanted_2``, ``wanted_3`` and so on."""
    others = (wanted.with_name(f"{wanted.name}_{number}") for number in count(2))
    return next(folder for folder in chain([wanted], others) if made_now(folder))


def made_now(folder: Path) -> bool:
    """Make a folder; returns False where something of its name exists. Of several processes one gets True."""
    while True:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except FileNotFoundError:  # another run was refused, and removed the parent that it had made
            continue
        return True


@contextmanager
def held(folder: Path, *, option: str, lock: str = RUN_LOCK) -> Iterator[None]:
    """Hold the lock of a folder.

    Raises:
        InputError: another process holds it, or its file system keeps no locks.
    """
    with (folder / lock).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{option}={folder}: another run is writing there; wait for it, or name another folder: {option}=..."
            ) from None
        except OSError as error:
            raise InputError(
                f"{option}={folder}: its file system keeps no locks ({error.strerror}); name a folder on another one: "
                f"{option}=..."
            ) from error
        yield


def discard(made: list[Path]) -> None:
    """Remove a folder that holds no result yet, and then empty folders above it: ``made``, innermost first."""
    for folder in made[:1]:
        if any(path.name not in NOTES for path in folder.iterdir()):
            return
        for name in NOTES:
            path = folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):  # another run is using a folder above
        for folder in made:
            folder.rmdir()
