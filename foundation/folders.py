"""Copies of whole folders."""

import shutil
from pathlib import Path

from foundation.files import named_write_errors


def replace_folder(place: Path, source: Path | None) -> None:
    """Put a copy of the folder ``source`` at ``place``, whole, instead of what is there; None leaves nothing there."""
    beside = place.with_name(f"{place.name}.aside")
    shutil.rmtree(beside, ignore_errors=True)
    if source is not None:
        try:
            _copy(source, beside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    if place.exists():
        shutil.rmtree(place)
    if source is not None:
        beside.rename(place)


def _copy(folder: Path, place: Path) -> None:
    """Copy the files of a folder without their permissions: the source may be read-only, the copy can be changed."""
    place.mkdir()
    for path in sorted(folder.iterdir()):
        copy = place / path.name
        if path.is_dir():
            _copy(path, copy)
        else:
            with named_write_errors(copy), path.open("rb") as source, copy.open("wb") as copied:
                shutil.copyfileobj(source, copied, 1 << 20)
