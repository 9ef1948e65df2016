"""The entries of a store, and the deletion of those that nobody has used for long."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.store.store import TIMINGS
from wordless.base.files import MARK, folder_size, remove, take_lock
from wordless.base.messages import InputError

KEY = re.compile("[0-9a-f]{16}")  # the name of an entry's folder
DELETED = ".deleted"  # an entry whose deletion has begun
PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED)
SECONDS_PER_DAY = 86_400


def stored_entries(root: Path) -> dict[Path, int]:
    """Return the folder of each entry of a store, finished or begun, and its bytes with those of checkpoints."""
    found = {path.with_suffix("") for path in root.glob("*/*") if KEY.fullmatch(path.stem) and path.suffix in PARTS}
    return {entry: sum(map(folder_size, _parts_of(entry))) for entry in sorted(found)}


def is_unused(entry: Path, *, days: int) -> bool:
    """Return whether `Store.find` gave an entry, or a killed run wrote it, for the last time so many days ago."""
    times = [0.0]
    for path in (entry / TIMINGS, *(part for part in _parts_of(entry) if part != entry)):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return time.time() - max(times) > days * SECONDS_PER_DAY


@contextmanager
def unused_store(root: Path) -> Iterator[None]:
    """Keep commands from using the store until the block ends; one that is using it reads entries that it has found."""
    with (root / MARK).open("a") as marked:
        if not take_lock(marked, wait=False):
            rule = "another command is using it, and reads entries that it has found: wait for it, or end it first"
            raise InputError(option="store.root", value=root, rule=rule)
        yield


def delete_unused(entry: Path, *, days: int) -> bool:
    """Delete an entry, and return whether it is gone; one that was used meanwhile, or is being made, stays."""
    with entry.with_suffix(".lock").open("w") as file:
        if not take_lock(file, wait=False) or not is_unused(entry, days=days):
            return False
        deleted = entry.with_suffix(DELETED)
        remove(deleted)
        if entry.exists():
            entry.rename(deleted)  # so that no killed deletion leaves half an entry
        for part in _parts_of(entry):
            remove(part)
    return True


def _parts_of(entry: Path) -> list[Path]:
    """List the folders of an entry: the entry itself, its partial folder, and its checkpoints."""
    return [path for suffix in PARTS if (path := entry.with_suffix(suffix)).is_dir()]
