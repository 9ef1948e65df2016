"""Enough room on the disk and the right to use it, before anything is written."""

import os
import shutil
from pathlib import Path

from foundation.errors import InputError

# What a small run leaves in the store; and, per second of sound, waveforms, codes and spectrograms, with room to spare.
BASE_BYTES = 500 * 2**20
BYTES_PER_SECOND = 60_000
BYTES_PER_VECTOR = 60_000  # all layers and poolings of one clip by one method; of convolutional encoders, as measured


def require_space(folder: Path, option: str, *, seconds: float = 0.0, vectors: int = 0, reused: bool = False) -> None:
    """Refuse to begin what the disk cannot hold, or does not let us write.

    Args:
        folder: where it is to be written.
        option: what chooses another place.
        seconds: of sound that is worked on, once for each fold and seed.
        vectors: clips times methods that are probed, likewise.
        reused: it may hold all that is needed: where it is there but cannot be written, it will be read.

    Raises:
        InputError: less is free than that needs, or the folder is closed to us.
    """
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK) and reused:
        return  # what is there is read; what is not there is refused when its turn comes
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        problem = "you may not write there" if existing.is_dir() else "it is a file"
        raise InputError(
            f"{folder} cannot be written, because of {existing}: {problem}; give yourself access, or choose another "
            f"place with {option}"
        )
    free = shutil.disk_usage(existing).free
    needed = BASE_BYTES + round(BYTES_PER_SECOND * seconds) + BYTES_PER_VECTOR * vectors
    if free < needed:
        raise InputError(
            f"{folder} has {free / 2**30:.1f} GiB free; this run needs about {needed / 2**30:.1f} GiB: make room, or "
            "choose another "
            f"place with {option}"
        )
