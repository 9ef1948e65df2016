"""Where the recordings of a table are: beside it, or in the folders that data sets use, with or without endings."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.recording_paths import EXTENSIONS, on_disk
from wordless.audio.recordings.tables import Row

FOLDERS = ("clips", "wavs", "wav", "audio", "recordings")  # that data sets keep recordings in, beside their tables
_ROWS = 100  # that are looked for in these folders


def folder_of(rows: Sequence[Row], base: Path, *, around: bool) -> Path:
    """Return the folder that has most of the first recordings of a table: ``base``, or one of `FOLDERS` in it.

    With ``around`` the folder above ``base`` is tried as well, as a table may lie in a folder of its own.
    """
    first = [row for row in rows[:_ROWS] if not row.set_aside]
    bases = [base, *([base.absolute().parent] if around else [])]
    best, most = base, -1
    for place in (each for own in bases for each in (own, *(own / name for name in FOLDERS))):
        if place.is_dir() and (found := sum(spelling_of(row, place) is not None for row in first)) > most:
            best, most = place, found
            if found == len(first):
                break
    return best


def spelling_of(row: Row, root: Path) -> str | None:
    """Return the path of a row as it is on the disk, relative to ``root`` or absolute; None: it is not there.

    Without an ending, those of recordings are tried; with a fold, also a folder of its name (UrbanSound8K).
    """
    bare = PurePosixPath(row.path.replace("\\", "/")).suffix.lower().lstrip(".") not in EXTENSIONS
    fold = row.description.fold
    for folder in ("", *((f"fold{fold}/", f"{fold}/") if fold else ())):
        for ending in ("", *(f".{each}" for each in EXTENSIONS if bare)):
            if found := on_disk(root, f"{folder}{row.path}{ending}"):
                return found
    return None
