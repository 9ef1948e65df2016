"""The entries of a store, and the deletion of those that nobody has used for long."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.store.store import TIMINGS
from wordless.base.files import folder_size, remove, take_lock

KEY = re.compile("[0-9a-f]{16}")  # the name of an entry's folder
DELETED: Final = ".deleted"  # an entry whose deletion has begun
PARTS = ("", ".partial", ".checkpoints", ".damaged", DELETED)
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry of a store, finished or begun."""

    path: Path  # of the folder of the finished entry
    size: int  # bytes, with checkpoints

    @property
    def stage(self) -> str:
        return self.path.parent.name


def stored_entries(root: Path) -> list[StoredEntry]:
    """List the entries of a store, by stage and key."""
    found = {path.with_suffix("") for path in root.glob("*/*") if KEY.fullmatch(path.stem) and path.suffix in PARTS}
    return [StoredEntry(path=path, size=sum(map(folder_size, parts_of(path)))) for path in sorted(found)]


def delete_unused(entries: Sequence[StoredEntry], *, days: int) -> list[StoredEntry]:
    """Delete entries, and return those that are gone; one that was used meanwhile, or is being made, stays."""
    return [entry for entry in entries if _delete(entry.path, days=days)]


def is_unused(entry: Path, *, days: int) -> bool:
    """Return whether nobody has used an entry for so many days."""
    return time.time() - _last_use(entry) > days * SECONDS_PER_DAY


def _last_use(entry: Path) -> float:
    """Return the time at which `Store.find` last gave the entry, or at which a killed run last wrote it."""
    times = [0.0]
    for path in (entry / TIMINGS, *(part for part in parts_of(entry) if part != entry)):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def _delete(entry: Path, *, days: int) -> bool:
    with entry.with_suffix(".lock").open("w") as file:
        if not take_lock(file, wait=False) or not is_unused(entry, days=days):
            return False
        deleted = entry.with_suffix(DELETED)
        remove(deleted)
        if entry.exists():
            entry.rename(deleted)  # so that no killed deletion leaves half an entry
        for part in parts_of(entry):
            remove(part)
    return True


def parts_of(entry: Path) -> Iterator[Path]:
    """Give the folders of an entry: the entry itself, its partial folder, and its checkpoints."""
    yield from (path for suffix in PARTS if (path := entry.with_suffix(suffix)).is_dir())
