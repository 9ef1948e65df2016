"""The input recordings of a command: one file, or all files below a folder."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from audio.recordings.corpus import CorpusConfig, find_recordings
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Paths relative to ``root``, "/" between folders, sorted."""

    root: Path
    paths: tuple[str, ...]

    @property
    def size(self) -> int:
        """Sum the bytes of all existing files."""
        return sum(status.st_size for path in self.paths if (status := self._status(path)))

    @property
    def state(self) -> str:
        """Hash the files' names, sizes and times of change."""
        digest = hashlib.sha256()
        for path in self.paths:
            status = self._status(path)
            known = f"{status.st_size} {status.st_mtime_ns}" if status else "missing"
            digest.update(f"{path!r} {known}\n".encode())
        return digest.hexdigest()

    def _status(self, path: str) -> os.stat_result | None:
        """Return a file's status; None for a broken link, which is set aside later with undecodable files."""
        try:
            return (self.root / path).stat()
        except OSError:
            return None


def recordings_at(place: Path) -> Recordings:
    """Find the recording ``place``, or all recordings below the folder ``place``."""
    if not os.path.lexists(place):
        raise InputError(f"input={place} does not exist; name a recording, or a folder of recordings")
    if not place.is_dir():  # other kinds of files are set aside when they are read
        return Recordings(root=place.parent, paths=(place.name,))
    try:
        root, found, _ = find_recordings(CorpusConfig(root=str(place), labels="none"))
    except InputError as error:  # its message names options of `wordless run`
        raise InputError(
            str(error).replace("corpus.root=", "input=").replace(", or set corpus.extensions", "")
        ) from error
    return Recordings(root=root, paths=tuple(found))
