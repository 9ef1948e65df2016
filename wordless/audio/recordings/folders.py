"""Folders of recordings: the files below them, and paths as tables and options write them."""

import errno
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from wordless.audio.ffmpeg import FFMPEG_EXTENSIONS
from wordless.audio.windows import HEADERLESS
from wordless.base.errors import InputError

EXTENSIONS = (
    *("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc"),
    *("au", "snd", "caf", "w64", "rf64", "sph", "voc"),
    *("mp2", "mp1", "mpga", "mpa", "bwf", "bw64", "nist"),
    *HEADERLESS,  # set aside by name
    *FFMPEG_EXTENSIONS,  # set aside by name where FFmpeg's libraries are not installed
)
MOST_NAMED = 20  # file types in a message


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder and all that is below it; the disk is asked once."""

    root: Path
    files: tuple[str, ...]  # and folders, relative to the root, "/" between folders

    @classmethod
    def at(cls, root: Path) -> "Folder":
        """List all files and folders below ``root`` except hidden ones."""
        return cls(root=root, files=tuple(files_below(root)))

    def recordings(self, extensions: Collection[str] = EXTENSIONS) -> list[str]:
        """Return the paths of files with the endings of recordings, sorted.

        Paths that the system does not take are among them: inspection sets them aside.
        """
        wanted = {extension.lower().lstrip(".") for extension in extensions}
        return sorted(path for path in self.files if _suffix(path) in wanted or _is_too_long(self.root / path))

    def require_recordings(self, extensions: Collection[str] = EXTENSIONS, *, remedy: str = "") -> list[str]:
        """Return `recordings`, or refuse a folder without any; ``remedy`` is a further one."""
        if paths := self.recordings(extensions):
            return paths
        files = (path for path in self.files if not os.path.isdir(self.root / path))  # noqa: PTH112  Path raises for long names
        others = Counter(map(_suffix, files))
        most = "".join(f"; it holds {count} .{suffix} files" for suffix, count in others.most_common(1) if suffix)
        named = " ".join(f".{each}" for each in list(extensions)[:MOST_NAMED])
        more = f" and {len(extensions) - MOST_NAMED} more" if len(extensions) > MOST_NAMED else ""
        rule = f"it holds no recordings{most}; looked for {named}{more}, in sub-folders too"
        remedy = f"check the path, convert other formats to WAV or FLAC{remedy}"
        raise InputError(option="root", value=self.root, rule=rule, remedy=remedy)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().lstrip(".")


def files_below(root: Path) -> Iterator[str]:
    """List the paths of all files and folders below ``root`` except hidden ones; those of each folder in order.

    Links are followed, each folder once. A folder may have a recording's name: the folder is then set aside by name,
    and the recordings in it are found as well.
    """
    entered = set()
    for folder, subfolders, names in os.walk(root, onerror=_unlisted, followlinks=True):
        status = Path(folder).stat()
        here = (status.st_dev, status.st_ino)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".")) if here not in entered else []
        if here in entered:
            continue
        entered.add(here)
        below = PurePosixPath(folder).relative_to(PurePosixPath(root))
        yield from (str(below / name) for name in (*subfolders, *sorted(names)) if not name.startswith("."))


def _is_too_long(path: Path) -> bool:
    """Return whether the system takes no path of this length: a folder of a deep tree, which cannot be listed."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _unlisted(error: OSError) -> None:
    """Refuse a folder that may not be listed; one whose path is too long is among `Folder.recordings`."""
    if error.errno != errno.ENAMETOOLONG:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error


def expand_home(text: str, option: str) -> Path:
    """Convert the value of an option to a path; ``~`` and ``~user`` become home folders."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # for an unknown user
        rule = f"it does not exist ({error}): write the whole path"
        raise InputError(option=option, value=text, rule=rule) from error


def require_folder(text: str, *, option: str = "root", by: str = "") -> Path:
    """Return the path if it is a folder that may be listed.

    ``option`` names it, or could name another one if the folder is named ``by`` a table.
    """
    path, rule = expand_home(text, option), "it is a file"
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return path
    except OSError as error:
        rule = f"it cannot be read ({error.strerror})"
    except ValueError:  # the path has a null character, or a character that UTF-8 cannot encode
        rule = "it is not a path"
    rule, remedy = f"{rule}, and {by} names it" if by else rule, f"name the folder of your recordings as `{option}`"
    raise InputError(option=option, value=text if text.isprintable() else repr(text), rule=rule, remedy=remedy)


def listed_path(root: Path, listed: str, where: str, *, remedy: str) -> str | None:
    """Return a listed path relative to the root, "/" between folders, "." and ".." resolved; None: it is not there.

    An absolute path may name the root as given, or with its links resolved. A path that no file can have (too long, or
    with a null character) is returned as well: inspection sets it aside with its reason.

    Raises:
        InputError: the path lies outside the root; the message begins with ``where``.
    """
    path = Path(os.path.normpath(root.absolute() / (on_disk(root, listed) or listed)))
    roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
    found = [path.relative_to(own).as_posix() for own in roots if path.is_relative_to(own)]
    if not found:
        raise InputError(f"{where}: {listed} lies outside {root}; {remedy}")
    return None if is_missing(path) else found[0]


def is_missing(path: Path) -> bool:
    """Return whether nothing has this path. A broken link has it, and other errors are reasons to set a file aside."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # the name is too long, may not be looked up, or has a null character
        return False
    return False


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
