"""Folders that only this process writes, each locked until the command ends.

A lock is a ``flock``, which the system releases when its process ends for any reason.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from wordless.base.errors import InputError
from wordless.base.files import take_lock

RUN_LOCK = ".lock"
SWEEP_LOCK = ".sweep.lock"
# Files in the folder of a run or a sweep that are no results.
NOTES = frozenset({RUN_LOCK, SWEEP_LOCK, ".hydra", "multirun.yaml", "log.txt"})

_CLAIMS = ExitStack()  # a global, because Hydra creates its callbacks itself and passes them nothing
_MADE: list[list[Path]] = []  # the folders that each claim created, innermost first


@contextmanager
def claims() -> Iterator[None]:
    """Release all claims when the block ends, and remove claimed folders that hold no result."""
    try:
        with _CLAIMS:
            yield
    finally:
        _MADE.clear()


def keep_claimed() -> None:
    """Keep the claimed folders also without a result: work has begun, and belongs to them as long as they exist."""
    for made in _MADE:
        made.clear()


def claim(wanted: Path, *, option: str, lock: str, new: bool) -> Path:
    """Lock a folder until `claims` ends, and return it. A missing folder is created.

    With ``new``, an existing folder is left alone, and ``wanted_2``, ``wanted_3`` and so on are tried in its place.
    Several processes that want the same new folder at the same time get different folders, on several machines too.
    ``option`` names the folder on the command line.
    """
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    folder = make_new(wanted) if new else wanted
    folder.mkdir(parents=True, exist_ok=True)
    _MADE.append([folder, *(parent for parent in made if parent != wanted)] if new or made else [])
    _CLAIMS.callback(discard, _MADE[-1])
    _CLAIMS.enter_context(hold(folder, option=option, lock=lock))
    return folder


def make_new(wanted: Path) -> Path:
    """Create a new folder: ``wanted``, or the first free one of ``wanted_2``, ``wanted_3`` and so on."""
    others = (wanted.with_name(f"{wanted.name}_{number}") for number in count(2))
    return next(folder for folder in chain([wanted], others) if create(folder))


def create(folder: Path) -> bool:
    """Create a folder and return True, or False if the name is taken. Only one of several processes gets True."""
    while True:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            return False
        except FileNotFoundError:  # another run was refused, and removed the parent folder that it had created
            continue
        return True


@contextmanager
def hold(folder: Path, *, option: str, lock: str = RUN_LOCK, remedy: str = "") -> Iterator[None]:
    """Hold the lock of a folder during the block."""
    remedy = remedy or f"wait for it, or name another folder: {option}=..."
    with (folder / lock).open("a") as handle:
        try:
            held = take_lock(handle, wait=False)
        except OSError as error:
            problem = f"its file system keeps no locks ({error.strerror})"
            raise InputError(f"{option}={folder}: {problem}; name a folder on another one: {option}=...") from error
        if not held:
            raise InputError(f"{option}={folder}: another run is writing there; {remedy}")
        yield


def is_held(folder: Path, *, lock: str = RUN_LOCK) -> bool:
    """Return whether a command is writing a folder."""
    with suppress(OSError), (folder / lock).open("rb") as handle:  # an error: there is no lock
        return not take_lock(handle, wait=False, shared=True)
    return False


def discard(made: list[Path]) -> None:
    """Remove the folders ``made``, innermost first, unless the innermost holds a result."""
    for folder in made[:1]:
        if any(path.name not in NOTES for path in folder.iterdir()):
            return
        for name in NOTES:
            path = folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):  # another run is using a folder above
        for folder in made:
            folder.rmdir()
