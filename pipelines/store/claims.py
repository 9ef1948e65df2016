"""Folders of runs and sweeps that a command claims, and holds while it works.

A lock is a ``flock``, which the system releases when its process ends for any reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wordless.base.files import MARK, existing, mark, remove, take_lock
from wordless.base.messages import InputError

RUN_LOCK = ".lock"
SWEEP_LOCK = ".sweep.lock"
# Files in the folder of a run or a sweep that are no results.
NOTES = frozenset({MARK, RUN_LOCK, SWEEP_LOCK, ".hydra", "multirun.yaml", "log.txt"})
# Globals, because Hydra creates its callbacks itself and passes them nothing: locks, and folders without a result yet,
# each with the folders above it that were created with it.
_HELD, _NEW = ExitStack(), dict[Path, list[Path]]()
CLAIMED: list[Path] = []  # folders of runs and sweeps, until `claims` ends
MOST_TRIES = 100  # of other runs that are refused at the same moment


@contextmanager
def claims() -> Iterator[None]:
    """Release all claims when the block ends, and remove the folders that they created if these hold no result."""
    try:
        with _HELD:
            yield
    finally:
        for folder, above in _NEW.items():
            with suppress(OSError):  # other runs are there
                if all(path.name in NOTES for path in folder.iterdir()):
                    remove(folder)
                    for parent in above:
                        parent.rmdir()
        _NEW.clear()
        CLAIMED.clear()


def keep_claimed() -> None:
    """Keep the claimed folders also without a result, because work has begun that belongs to them."""
    _NEW.clear()


def claim(wanted: Path, *, option: str, lock: str, new: bool) -> Path:
    """Lock a folder until `claims` ends, and return it. A missing folder is created.

    With ``new``, an existing folder is left alone, and the first free one of ``wanted_2``, ``wanted_3``, ... is
    taken, by one process of all machines. ``option`` names the folder on the command line.
    """
    made, *above = [new or not wanted.exists(), *(parent for parent in wanted.parents if not parent.exists())]
    try:
        folder = make_new(wanted) if new else wanted
        mark(folder)
    except FileNotFoundError as error:
        there = existing(str(wanted))
        rule = f"no folder can be created in {there}: go to another one (cd), or name another: {option}=..."
        raise InputError(option=option, value=wanted, rule=rule) from error
    CLAIMED.append(folder)
    _NEW.update({folder: above} if made else {})
    _HELD.enter_context(hold(folder, option=option, lock=lock))
    return folder


def make_new(wanted: Path) -> Path:
    """Create a new folder: ``wanted``, or the first free one of ``wanted_2``, ``wanted_3`` and so on."""
    folder, number, tries = wanted, 1, 0
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder = wanted.with_name(f"{wanted.name}_{(number := number + 1)}")
        except FileNotFoundError:  # another run was refused, and removed the parent folder that it had created
            if (tries := tries + 1) == MOST_TRIES:  # or no folder can be made there, as in /proc
                raise


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
