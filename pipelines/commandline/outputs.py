"""Checks of the place that a command writes to, before anything is written: suffix, free space and permission."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from wordless.audio.recordings.folders import EXTENSIONS
from wordless.base.errors import InputError, require
from wordless.base.files import existing

# Size of a small run's store, and of waveforms, codes and spectrograms per second of sound, both generously rounded.
BASE_BYTES = 500 * 2**20
BYTES_PER_SECOND = 60_000

REMEDY = "choose another output=..., or delete it"
# Suffixes of files. An output with any other suffix, such as "codes.v2", is taken for a folder.
ARRAYS = ("npz", "npy", "pt", "pth", "bin", "ckpt", "pkl", "pickle", "h5", "hdf5", "mat", "onnx", "safetensors")
TABLES = ("parquet", "arrow", "feather", "csv", "tsv", "json", "jsonl", "ndjson", "txt", "km", "xlsx", "yaml", "yml")
PAGES = ("html", "md", "pdf", "png", "svg", "jpg", "jpeg")
SOUNDS = EXTENSIONS
ARCHIVES = ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z")
FILES = frozenset(f".{suffix}" for suffix in (*ARRAYS, *TABLES, *PAGES, *SOUNDS, *ARCHIVES))


def require_kind(output: Path, written: Collection[str], *, possible: str) -> None:
    """Refuse an output whose suffix names a kind of file that the command does not write.

    ``written`` lists the suffixes that it writes, such as ".wav"; ``possible`` says what the user can name instead.
    """
    suffix = output.suffix.lower()
    if suffix in FILES and suffix not in written:
        raise InputError(f"output={output} looks like a {suffix} file, which is not written here; name {possible}")


def require_new(output: Path) -> None:
    """Refuse an output that exists."""
    if output.exists():
        raise InputError(f"output={output} exists already; {REMEDY}")


def require_table(output: Path, *suffixes: str) -> None:
    """Refuse an output whose suffix is not one of ``suffixes``."""
    possible = f"a file ending in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    require_kind(output, suffixes, possible=possible)
    require(output.suffix.lower() in suffixes, "output", output, f"name {possible}")


def prepare_output(output: Path) -> None:
    """Refuse an output that exists, or a disk without space or permission; create the folder above the output."""
    require_new(output)
    require_space(output.parent, "output=PATH")
    output.parent.mkdir(parents=True, exist_ok=True)


def require_space(folder: Path, option: str, *, seconds: float = 0.0, arrays: int = 0, reused: bool = False) -> None:
    """Refuse to begin if the disk has too little space, or if the folder may not be written.

    ``option`` chooses another folder, such as ``store.root=PATH``. ``seconds`` of sound count once for each fold
    and seed; ``arrays`` are bytes beside them. With ``reused``, an existing folder that may not be written is accepted,
    because it may already hold everything.
    """
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK) and reused:
        return  # stages that are missing are refused later, when they are written
    place = existing(str(folder))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        problem = "you may not write there" if place.is_dir() else "it is a file"
        remedy = f"give yourself access, or choose another place with {option}"
        raise InputError(f"{folder} cannot be written, because of {place}: {problem}; {remedy}")
    free = shutil.disk_usage(place).free
    needed = BASE_BYTES + round(BYTES_PER_SECOND * seconds) + arrays
    if free < needed:
        space = f"{free / 2**30:.1f} GiB free; this run needs about {needed / 2**30:.1f} GiB"
        raise InputError(f"{folder} has {space}: make room, or choose another place with {option}")
