"""Paths of recordings: one file, or all files below a folder."""

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from foundation.errors import InputError

EXTENSIONS = (
    *("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc"),
    *("au", "snd", "caf", "w64", "rf64", "sph", "voc"),
)
UNREADABLE = ("m4a", "aac", "wma", "amr")  # sound that libsndfile cannot decode: listed as set aside, not ignored


class MissingRecordingError(InputError):
    """A table or a list names a recording that is not there."""


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
    return Recordings(root=place, paths=tuple(find_paths(place, EXTENSIONS, option="input", remedy="")))


def find_paths(root: Path, extensions: Collection[str], *, option: str, remedy: str) -> list[str]:
    """List the paths of the recordings below ``root``, sorted; ``option`` and ``remedy`` are for a message."""
    wanted = {extension.lower().lstrip(".") for extension in extensions}
    others: Counter[str] = Counter()
    paths, unreadable = [], []
    for path in _files(root):
        suffix = PurePosixPath(path).suffix.lower().lstrip(".")
        if suffix in wanted:
            paths.append(path)
        elif not (root / path).is_dir():
            others[suffix] += 1
            unreadable += [path] if suffix in UNREADABLE else []
    if not paths:
        most = "".join(f"; it holds {count} .{suffix} files" for suffix, count in others.most_common(1) if suffix)
        problem = f"{option}={root} holds no recordings{most}; looked for {' '.join(f'.{each}' for each in extensions)}"
        raise InputError(f"{problem}, in sub-folders too: check the path, convert other formats to WAV or FLAC{remedy}")
    return sorted([*paths, *unreadable])  # inspection sets the unreadable ones aside


def _files(root: Path) -> Iterator[str]:
    """List the paths of all files and folders below ``root`` except hidden ones. Links are followed, each folder once.

    A folder may have a recording's name: the folder is then set aside by name, and the recordings in it are found as
    well.
    """
    entered = set()
    for folder, subfolders, names in os.walk(root, onerror=_no_permission, followlinks=True):
        status = Path(folder).stat()
        here = (status.st_dev, status.st_ino)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".")) if here not in entered else []
        if here in entered:
            continue
        entered.add(here)
        below = PurePosixPath(folder).relative_to(PurePosixPath(root))
        yield from (str(below / name) for name in (*subfolders, *names) if not name.startswith("."))


def _no_permission(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error


def expand_home(text: str, source: str) -> Path:
    """Convert text to a path; ``~`` and ``~user`` become home folders."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # for an unknown user
        raise InputError(f"{source}: {text} does not exist ({error}); write the whole path") from error


def require_folder(text: str, source: str, *, option: str = "corpus.root") -> Path:
    """Return the path if it is a folder that may be listed; ``source`` gave it, and ``option`` can name another."""
    path = expand_home(text, source)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"{source}: {path} does not exist"
        raise InputError(f"{problem}; name the folder of your recordings ({option}=PATH)") from error
    except ValueError as error:  # the path has a null character, or a character that UTF-8 cannot encode
        raise InputError(f"{source}: {text!r:.200} is not a path; name the folder of your recordings") from error
    except OSError as error:
        raise InputError(f"{source}: {path} cannot be read: {error.strerror}; check its permissions") from error
    if not is_folder:
        raise InputError(f"{source}: {path} is a file; name the folder that holds it")
    return path


def listed_path(root: Path, listed: str, where: str, *, remedy: str) -> str:
    """Return a listed path relative to the root, "/" between folders, "." and ".." resolved.

    An absolute path may name the root as given, or with its links resolved.

    Raises:
        InputError: the path lies outside the root, or is not there; the message begins with ``where``.
    """
    path = Path(os.path.normpath(root.absolute() / (on_disk(root, listed) or listed)))
    roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
    found = [path.relative_to(own).as_posix() for own in roots if path.is_relative_to(own)]
    if not found:
        raise InputError(f"{where}: {listed} lies outside {root}; set corpus.root to a folder that holds it")
    if not os.path.lexists(path):  # a broken link exists: it is set aside as other unreadable files are
        raise MissingRecordingError(f"{where}: {listed} is not there (looked in {root}); {remedy}")
    return found[0]


def on_disk(root: Path, listed: str) -> str | None:
    """Return a listed path as it is spelt on this disk; None: it is not there.

    Other systems write backslashes between folders, and letters with marks in another form of Unicode (NFC, NFD).
    """
    plain = dict.fromkeys((listed, listed.strip(), listed.strip().replace("\\", "/")))
    for spelling in plain:
        for form in (spelling, *(unicodedata.normalize(form, spelling) for form in ("NFC", "NFD"))):
            if os.path.lexists(os.path.normpath(root / form)):
                return form
    found = (_in_mixed_forms(root, spelling) for spelling in plain if not spelling.isascii())
    return next((spelling for spelling in found if spelling), None)


def _in_mixed_forms(root: Path, listed: str) -> str | None:
    """Find a path whose folders and name may each be in another form of Unicode."""
    place, here = root / PurePosixPath(listed).anchor, PurePosixPath(listed)
    for part in here.parts[bool(here.anchor) :]:
        if not os.path.lexists(place / part):
            try:
                names = _composed_names(str(place), place.stat().st_mtime_ns)
            except (OSError, ValueError):  # no folder, none that may be listed, or no path at all
                return None
            part = names.get(unicodedata.normalize("NFC", part), "")
        if not part:
            return None
        place /= part
    return str(place.relative_to(root)) if not here.anchor else str(place)


@lru_cache(maxsize=4)
def _composed_names(folder: str, changed_ns: int) -> dict[str, str]:
    """Return the names in a folder by their composed forms."""
    return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}  # noqa: PTH208  names alone
