"""Paths of recordings: one file, or all files below a folder."""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audio.ffmpeg import FFMPEG_EXTENSIONS
from audio.foreign import HEADERLESS
from foundation.errors import InputError

EXTENSIONS = (
    *("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc"),
    *("au", "snd", "caf", "w64", "rf64", "sph", "voc"),
    *("mp2", "mp1", "mpga", "mpa", "bwf", "bw64", "nist"),
    *HEADERLESS,  # set aside by name
    *FFMPEG_EXTENSIONS,  # set aside by name where FFmpeg's libraries are not installed
)
MOST_NAMED = 20  # file types in a message


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
    if is_missing(place):
        raise InputError(f"input={place} does not exist; name a recording, or a folder of recordings")
    if not os.path.isdir(place):  # noqa: PTH112  Path raises for long names
        # what is no regular file is set aside when it is read
        return Recordings(root=place.parent, paths=(place.name,))
    return Recordings(root=place, paths=tuple(find_paths(place, EXTENSIONS, option="input", remedy="")))


def find_paths(root: Path, extensions: Collection[str], *, option: str, remedy: str) -> list[str]:
    """List the paths of the recordings below ``root``, sorted; ``option`` and ``remedy`` are for a message."""
    wanted = {extension.lower().lstrip(".") for extension in extensions}
    others: Counter[str] = Counter()
    paths: list[str] = []
    out_of_reach: list[str] = []
    for path in _files(root, out_of_reach):
        suffix = PurePosixPath(path).suffix.lower().lstrip(".")
        if suffix in wanted:
            paths.append(path)
        elif not os.path.isdir(root / path):  # noqa: PTH112  Path raises for long names
            others[suffix] += 1
    if not paths:
        most = "".join(f"; it holds {count} .{suffix} files" for suffix, count in others.most_common(1) if suffix)
        named = " ".join(f".{each}" for each in list(extensions)[:MOST_NAMED])
        more = f" and {len(extensions) - MOST_NAMED} more" if len(extensions) > MOST_NAMED else ""
        problem = f"{option}={root} holds no recordings{most}; looked for {named}{more}"
        raise InputError(f"{problem}, in sub-folders too: check the path, convert other formats to WAV or FLAC{remedy}")
    return sorted([*paths, *out_of_reach])  # inspection sets aside what is out of reach


def _files(root: Path, out_of_reach: list[str]) -> Iterator[str]:
    """List the paths of all files and folders below ``root`` except hidden ones. Links are followed, each folder once.

    A folder may have a recording's name: the folder is then set aside by name, and the recordings in it are found as
    well. A folder whose path is longer than the system allows is added to ``out_of_reach``.
    """
    entered = set()

    def set_aside(error: OSError) -> None:
        if error.errno != errno.ENAMETOOLONG:
            raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error
        out_of_reach.append(str(PurePosixPath(error.filename).relative_to(PurePosixPath(root))))

    for folder, subfolders, names in os.walk(root, onerror=set_aside, followlinks=True):
        status = Path(folder).stat()
        here = (status.st_dev, status.st_ino)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".")) if here not in entered else []
        if here in entered:
            continue
        entered.add(here)
        below = PurePosixPath(folder).relative_to(PurePosixPath(root))
        yield from (str(below / name) for name in (*subfolders, *names) if not name.startswith("."))


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

    An absolute path may name the root as given, or with its links resolved. A path that no file can have (too long, or
    with a null character) is returned as well: inspection sets it aside with its reason.

    Raises:
        InputError: the path lies outside the root, or is not there; the message begins with ``where``.
    """
    path = Path(os.path.normpath(root.absolute() / listed))
    roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
    found = [path.relative_to(own).as_posix() for own in roots if path.is_relative_to(own)]
    if not found:
        raise InputError(f"{where}: {listed} lies outside {root}; set corpus.root to a folder that holds it")
    if is_missing(path):
        raise InputError(f"{where}: {listed} is not there (looked in {root}); {remedy}")
    return found[0]


def is_missing(path: Path) -> bool:
    """Return whether nothing has this path. A broken link has it, and other errors are reasons to set a file aside."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # the name is too long, may not be looked up, or has a null character
        return False
    return False
