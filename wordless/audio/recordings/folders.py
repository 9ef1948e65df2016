"""Files of users: recordings below folders, and paths and texts as tables and options write them.

Tables, lists and annotations are text as programs write it: UTF-8 or UTF-16, with any line ends.
"""

import csv
import errno
import io
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Literal

from wordless.audio.decoding import foreign_kind
from wordless.audio.recordings.archives import archive_notices
from wordless.audio.recordings.letters import SPACES
from wordless.audio.recordings.manifest import Rejected
from wordless.audio.recordings.matching import Recordings, fold
from wordless.audio.recordings.sources import Seen
from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import MARK, broken_link, is_ours
from wordless.base.messages import InputError, counted

_LONGEST = 4095  # bytes of a path
MAX_PART_BYTES = 200  # of a file's or folder's name; file systems take 255, with the endings that are added to it
_UNREAD = "cannot be read"  # kind of a reason


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder and what is below it. The disk is asked once."""

    root: Path
    files: tuple[str, ...]  # and folders, relative to the root, "/" between folders
    folders: frozenset[str] = frozenset()  # those of the files that are folders
    hidden: tuple[str, ...] = ()  # files whose names begin with a dot
    closed: Mapping[str, str] = field(default_factory=dict)  # folder that was not entered -> why
    rejected: tuple[Rejected, ...] = ()  # folders that cannot be listed, or were listed by another name
    ours: tuple[str, ...] = ()  # folders that Wordless wrote, which are left out
    only: str = ""  # the only recording whose annotations are wanted; empty: those of all

    @classmethod
    def at(cls, root: Path) -> "Folder":
        """List all files and folders below ``root`` except hidden ones and what Wordless wrote."""
        listing = Listing()
        files = tuple(files_below(root, listing))
        return cls(
            root=root,
            files=files,
            folders=frozenset(listing.folders),
            hidden=tuple(listing.hidden),
            closed=listing.closed,
            rejected=tuple(listing.rejected),
            ours=tuple(listing.ours),
        )

    @property
    def seen(self) -> Seen:
        """What an account says of the folder."""
        files = (*(name for name in self.files if name not in self.folders), *self.hidden)
        return Seen(root=self.root, files=files, closed=self.closed)

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences about folders that are left out, and about archives."""
        archives = archive_notices(self.files)
        if not self.ours:
            return archives
        which = f"{counted(len(self.ours), 'folder')} that Wordless wrote left out, such as {self.ours[0]}"
        return (f"{which} (to read one, name it, or delete the file {MARK} in it)", *archives)

    @cached_property
    def recordings(self) -> list[str]:
        """The paths of files with the endings of recordings, and of folders too deep to be listed, sorted."""
        return sorted(
            path
            for path in self.files
            if is_recording(path) or len(str(self.root / path).encode(errors="surrogatepass")) >= _LONGEST
        )

    @cached_property
    def others(self) -> list[str]:
        """The paths of all other files, sorted."""
        return sorted(name for name in self.files if not is_recording(name))

    def require_recordings(self) -> list[str]:
        """Return the recordings, or refuse a folder without any."""
        if self.recordings:
            return self.recordings
        others = Counter(map(_suffix, self.files)).most_common(1)
        most = "".join(f"; it holds {count} .{suffix} files" for suffix, count in others if suffix)
        most += "".join(f"; {each.path} {each.reason}" for each in self.rejected[:1])
        rule = "; ".join([f"it holds no recordings{most}", *self.notices])
        rule += f"; looked for .wav, .flac and {len(EXTENSIONS) - 2} more"
        remedy = "check the path, or convert other formats to WAV or FLAC"
        raise InputError(option="root", value=self.root, rule=rule, remedy=remedy)

    @cached_property
    def matching(self) -> Recordings:
        """The recordings as names and paths in other files mean them."""
        return Recordings(paths=self.recordings, others=self.others, root=fold(self.root.absolute().name))

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file annotates (`Recordings.of_file`)."""
        return [path for path in self.matching.of_file(file) if self.only in ("", path)]

    def named(self, names: Collection[str], file: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the recording that each name in a file means, relative to the root, or absolute; and why others none.

        Relative paths are those from the file's folder, the folders above it, the root, or the current folder; a bare
        name is one of the file's folder, if that holds recordings. Recordings move to other machines, so what is not
        there is looked for by `Recordings.meant`.
        """
        folder = Path(os.path.normpath((self.root / file).parent.absolute()))
        bases = (folder, self.root.absolute(), *list(folder.parents)[:3], Path.cwd())
        spelt, found = {name: name.replace("\\", "/") for name in names}, dict[str, str]()
        here = bases[:1] if self.matching.has_home(file) else bases[:-1]
        for name, spelling in spelt.items():
            places = product(bases if "/" in spelling else here, dict.fromkeys((name, spelling)))
            paths = (Path(os.path.normpath(base / each)) for base, each in places)
            if (path := next(filter(is_file, paths), None)) is not None:
                found[name] = _below(self.root, path) or str(path)
        if len(found) == len(spelt):
            return found, {}
        meant, missing = self.matching.meant({*spelt.values()}, file), dict[str, str]()
        for name in (each for each in spelt if each not in found):
            same = meant[spelt[name]]
            if len(same) == 1:
                found[name] = same[0]
                continue
            many = f"is the name of {len(same)} recordings; write its folder as well"
            gone = f"is not there (looked in {folder}, in {self.root}, and above)"
            if others := self.matching.of_name(PurePosixPath(spelt[name]).name):
                gone = f"is not there, and {others[0]} is of another folder"
            missing[name] = f"{name:.200} {many if same else gone}"
        return found, missing


def is_recording(path: str) -> bool:
    """Return whether a path has the ending of a recording."""
    return _suffix(path) in EXTENSIONS


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().lstrip(".")


@dataclass(kw_only=True, slots=True)
class Listing:
    """What `files_below` finds beside the names that it gives."""

    folders: list[str] = field(default_factory=list)  # those of the names that are folders
    hidden: list[str] = field(default_factory=list)  # files that it does not give
    closed: dict[str, str] = field(default_factory=dict)  # folder that was not entered -> why
    rejected: list[Rejected] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)  # folders that Wordless wrote


HIDDEN = "hidden: its name begins with a dot"


def files_below(root: Path, listing: Listing | None = None) -> Iterator[str]:
    """List the paths of all files and folders below ``root`` except hidden ones; those of each folder in order.

    Links are followed, each folder once. A folder with a recording's name is listed, and what is in it as well. What is
    in a folder that Wordless wrote is left out. The ``listing`` gets folders that cannot be listed, or have been listed
    by another name, and broken links, which may be folders; without one the first are refused.
    """
    # by their real paths, because some file systems give no numbers of inodes
    ours, entered, found = set[str](), dict[str, str](), listing or Listing()

    def refuse(error: OSError) -> None:
        if error.errno == errno.ENAMETOOLONG:  # it stands among the recordings, which inspection sets aside
            return
        if listing is None or not entered:
            raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error
        set_aside(
            str(PurePosixPath(error.filename).relative_to(PurePosixPath(root))),
            f"cannot be listed: {error.strerror}; check its permissions",
            "cannot be listed",
        )

    def set_aside(path: str, reason: str, kind: str) -> None:
        found.rejected.append(Rejected(path=path, reason=reason, kind=kind))
        if kind != _UNREAD:  # a broken link stands among the names
            found.closed[path] = reason

    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        here, below = os.path.realpath(folder), PurePosixPath(folder).relative_to(PurePosixPath(root))
        if here in entered:
            subfolders.clear()
            if here not in ours:  # such as the link runs/latest
                kind = "listed by another name"
                set_aside(str(below), f"{kind}: it is the folder {entered[here]}", kind)
            else:
                found.closed[str(below)] = _OURS
            continue
        entered[here] = str(below)
        if below.parts and is_ours(Path(folder), names):
            subfolders.clear()
            ours.add(here)
            found.ours.append(str(below))
            found.closed[str(below)] = _OURS
            continue
        found.hidden += (str(below / name) for name in sorted(names) if name.startswith("."))
        found.closed |= {str(below / name): HIDDEN for name in sorted(subfolders) if name.startswith(".")}
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found.folders += (str(below / name) for name in subfolders)
        names = sorted(name for name in names if not name.startswith("."))
        for name in names:  # a broken recording is set aside when it is read
            if listing is not None and not is_recording(name) and (broken := broken_link(Path(folder, name))):
                set_aside(str(below / name), f"{_UNREAD}: {broken}", _UNREAD)
        yield from (str(below / name) for name in (*subfolders, *names))


_OURS = f"Wordless wrote it: name it to read it, or delete the file {MARK} in it"


def seen_around(root: Path, listing: Path, paths: Iterable[str]) -> Seen:
    """Return what lies in the folder of recordings that a file lists, for an account; ``paths`` are below ``root``.

    The folder is that of the file if the recordings lie below it, else the root. Nobody means a whole disk or home with
    a list, so there the common folder of the recordings counts.
    """
    top, beside = Path(os.path.normpath(root.absolute())), Path(os.path.normpath(listing.parent.absolute()))
    top = beside if top.is_relative_to(beside) else top
    if Path.home().is_relative_to(top):
        folders = {os.path.dirname(os.path.join(root.absolute(), path)) for path in paths}  # noqa: PTH118, PTH120  texts
        top = Path(os.path.commonpath(folders)) if folders else top
    known = tuple(os.path.relpath(os.path.join(root.absolute(), path), top) for path in dict.fromkeys(paths))  # noqa: PTH118
    if Path.home().is_relative_to(top):
        return Seen(root=top, files=known)
    try:
        return Folder.at(top).seen
    except InputError:  # it may be entered, and not be listed
        return Seen(root=top, files=known)


def expand_home(text: str, option: str) -> Path:
    """Convert the value of an option to a path; ``~`` and ``~user`` become home folders."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # for an unknown user
        rule = f"it does not exist ({error}): write the whole path"
        raise InputError(option=option, value=text, rule=rule) from error


def require_folder(text: str, *, option: str = "root", by: str = "") -> Path:
    """Return the path if it is a folder that may be listed; ``option``, or a table ``by`` this name, names it."""
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


def listed_path(root: Path, listed: str, where: str, *, remedy: str, fold: str | None = None) -> str | None:
    """Return a listed path relative to the root, "/" between folders, "." and ".." resolved; None: it is not there.

    An absolute path may name the root as given, or with its links resolved. A path that no file can have is returned as
    well: inspection sets it aside. Paths outside the root are refused, in a message that begins with ``where``.
    """
    path = Path(os.path.normpath(root.absolute() / (on_disk(root, listed, fold) or listed)))
    if (found := _below(root, path)) is None:
        raise InputError(f"{where}: {listed} lies outside {root}; {remedy}")
    return None if is_missing(path) else found


def _below(root: Path, path: Path) -> str | None:
    """Return a path relative to the root as it is given, or with its links resolved; None: it lies outside."""
    roots = (Path(os.path.normpath(root.absolute())), root.resolve())
    return next((path.relative_to(own).as_posix() for own in roots if path.is_relative_to(own)), None)


def is_missing(path: Path) -> bool:
    """Return whether nothing has this path. A broken link has it, and other errors are reasons to set a file aside."""
    try:
        path.lstat()
    except (OSError, ValueError) as error:  # or the name is too long, may not be looked up, or has a null character
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def on_disk(root: Path, listed: str, fold: str | None = None) -> str | None:
    """Return a listed path as it is on this disk, relative to ``root`` or absolute; None: it is not there.

    Other systems write backslashes between folders, and letters with marks in another form of Unicode (NFC, NFD).
    Without an ending, those of recordings are tried; with a fold, also a folder of its name (UrbanSound8K).
    """
    endings = ("",) if is_recording(listed.replace("\\", "/")) else ("", *(f".{each}" for each in EXTENSIONS))
    folders = ("", f"fold{fold}/", f"{fold}/") if fold else ("",)
    spellings = dict.fromkeys((listed, listed.strip(), listed.strip().replace("\\", "/")))
    for folder, ending, spelling in product(folders, endings, spellings):
        name = f"{folder}{spelling}{ending}"
        for form in dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))):
            if os.path.lexists(os.path.normpath(root / form)):
                return form
    return None


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file; false for a path that no file can have, or that is not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


_MAX_BYTES = 1 << 28  # of a file of annotations
_HEAD = 1 << 16  # bytes that show whether a text may hold annotations
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_OTHERS = (  # first bytes -> what the file is, and what to do
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook: save the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook: save the table as CSV"),
    (b"PAR1", "is a Parquet file: give it as `dataset` if it holds sound, or name it .parquet"),
)
_XML = (b"<!doctype", b"<!--", b"<?xml")
_LOOKED_AT = 400  # bytes


def read_text(path: Path, *, option: str) -> str:
    r"""Return the text of a table or list, which ``option`` names, with ``\n`` at the ends of its lines."""
    try:
        if path.is_char_device() or path.is_block_device():  # reading /dev/zero never ends; a pipe of a shell ends
            raise OSError(None, "it is a device: name a file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character, or a character that UTF-8 cannot encode
        rule = f"it cannot be read: {getattr(error, 'strerror', error)}"
        shown = path if str(path).isprintable() else repr(str(path))
        raise InputError(option=option, value=shown, rule=rule, remedy="check the path") from error
    _require_text(content, str(path))
    encoding = _encoding(content)
    try:
        return _decoded(content, encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not {encoding[:6].upper()}; save the table as UTF-8 text") from error


def _decoded(content: bytes, encoding: str, errors: str = "strict") -> str:
    return content.decode(encoding, errors).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_annotation_text(path: Path, *, head: bool = False, xml: bool = False) -> str:
    r"""Return the text of a file of annotations with ``\n`` at the ends of its lines; what is no Unicode is Latin-1.

    With ``head``, of a file of more than 64 KB only the first lines are read. The file may be an ``xml`` document;
    files of another kind are refused.
    """
    with path.open("rb") as file:
        content = file.read(_HEAD if head else _MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path.name}:1: more than {_MAX_BYTES >> 20} MiB of text; divide the file")
    _require_text(content, path.name, xml=xml)
    encoding = _encoding(content)
    if head and len(content) == _HEAD:  # the last line may be cut off
        content = content[: content.rfind(b"\n") + 1]
    try:
        return _decoded(content, encoding, "strict" if encoding == "utf-8" else "replace")
    except UnicodeDecodeError:
        return _decoded(content, "latin-1")


def _require_text(content: bytes, shown: str, *, xml: bool = False) -> None:
    """Refuse the content of files of other kinds than text, or than an ``xml`` document."""
    begin = content[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = next((kind for start, kind in _OTHERS if content.startswith(start)), None) or foreign_kind(content)
    if kind is None and not xml and begin.startswith(_XML):
        kind = "is a web page or an XML document: download the text itself"
    if kind:
        raise InputError(f"{shown}:1: it {kind}{'' if ': ' in kind else ': give the text file itself'}")


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    begin = content[:_LOOKED_AT]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):  # every second byte of Latin letters is zero
        if len(begin) >= 4 and begin[first::2].count(0) > len(begin) / 3 and 0 not in begin[1 - first :: 2]:
            return encoding
    return "utf-8"


csv.field_size_limit(_MAX_BYTES)


# What Python takes for space beside the plain one, tabs and line breaks: other spaces, and characters that are refused.
_ODD_SPACES = f"\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029{SPACES.strip(' ')}"


def _trimmed(cell: str) -> str:
    cell = cell.strip(" \t\r\n")
    return cell if cell.strip(SPACES) else ""


def _words(line: str) -> list[str]:
    return re.findall(r"[^ \t]+", line)


def separated(text: str, delimiter: str | None, shown: str, *, quoted: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Give line number and cells of each row that is not empty; without a ``delimiter`` spaces separate them.

    A row whose quoted cells have several lines has the number of its last line. ``shown`` names the file in errors.
    Cells begin and end without spaces, tabs and line breaks. Other spaces stay at the ends of a cell, which may be the
    name of a file, unless there is nothing else in the cell; no space but the plain one separates cells.
    """
    usual = not any(each in text for each in _ODD_SPACES)  # then Python's own functions, which are faster, do the same
    trim, words = (str.strip, str.split) if usual else (_trimmed, _words)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    remedy = "fix the line, or write a tab-separated .tsv"
    whole = f"{text}\n\n"  # only a quotation mark that is not closed reaches the empty last line
    reader = csv.reader(io.StringIO(whole), delimiter=delimiter or "\t", quoting=quoting, skipinitialspace=quoted)
    last, rows = whole.count("\n"), ((line, words(each)) for line, each in enumerate(text.split("\n"), start=1))
    try:
        for line, cells in ((reader.line_num, each) for each in reader) if delimiter else rows:
            if any(row := [*map(trim, cells)]):
                if delimiter and line == last:
                    begun = last + 1 - "".join(cells).count("\n")
                    raise InputError(f"{shown}:{begun}: a quotation mark is not closed", remedy=remedy)
                yield line, row
    except csv.Error as error:
        raise InputError(f"{shown}:{reader.line_num}: {error}", remedy=remedy) from error
