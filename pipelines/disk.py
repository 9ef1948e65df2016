"""Enough room on the disk, before anything is written."""

import shutil
from pathlib import Path

from audio.errors import InputError

# What a small run leaves in the store; and, per second of sound, waveforms, codes and features, with room to spare.
BASE_BYTES = 500 * 2**20
BYTES_PER_SECOND = 60_000


def require_space(folder: Path, option: str, *, seconds: float = 0.0) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        InputError: less is free than a corpus of ``seconds`` needs; names the option that chooses another place.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    needed = BASE_BYTES + round(BYTES_PER_SECOND * seconds)
    if free < needed:
        raise InputError(
            f"{folder} has {free / 2**30:.1f} GiB free; this run needs about {needed / 2**30:.1f} GiB: make room, or "
            "choose another "
            f"place with {option}"
        )
