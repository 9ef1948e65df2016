"""Files and folders: written whole, opened only if they are regular, hashed and locked; and JSON in files.

JSON is parsed to plain values, or refused with one line that says what is wrong."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from wordless.base.messages import InputError, named, written
from wordless.base.options import build

T = TypeVar("T")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems of networks
NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
# Write errors for which the file's name is reported; the system often omits the name.
WRITE_ERRORS = (*NO_SPACE, errno.EFBIG, errno.EROFS, errno.EIO)
MARK = ".wordless"  # a file in each folder that Wordless writes, whose sounds are no recordings of the user
_LEAST_BYTES = 1 << 16  # below this many free bytes a disk counts as full
_NUMBER = re.compile(r"\[errno (\d+)\]|\(os error (\d+)\)", re.IGNORECASE)  # Python's and Arrow's form, and Rust's
_MAX_BYTES = 64 << 20  # of a JSON file; its Python values take about ten times as much memory as its text


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, renamed to ``path`` when the block ends and removed when the block raises.

    The bytes are flushed to the disk before the rename, and the rename is flushed before this returns. An `OSError` of
    a full disk names ``path``.
    """
    beside = path.with_name(path.name + ".aside")
    try:
        with named_write_errors(path):
            remove(beside)  # left by a killed process, or a link that somebody put there: its target must stay
            beside.touch()
            mode = beside.stat().st_mode
            yield beside
            beside.chmod(mode)  # safetensors writes files that their owner alone may read
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


@contextmanager
def named_write_errors(path: Path) -> Iterator[None]:
    """Turn a failed write into an `OSError` that names ``path``, whichever library wrote."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and not str(error.filename or path).startswith(str(path)):
            raise  # the error names another file, such as an input file
        number = os_number(error) or (errno.ENOSPC if is_full(path.parent) else 0)
        if number in WRITE_ERRORS:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def write_aside(path: Path, content: str | bytes) -> None:
    with aside(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """Open a regular file for reading and give its descriptor; links are followed, and other kinds of files refused.

    Opening a named pipe waits for a writer, reading /dev/zero never ends, and opening a device may change it. So the
    kind of file is checked before it is opened, and again afterwards, because another file may have taken its place.
    """
    try:
        _require_regular(path, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not (broken := broken_link(path)):
            raise
        raise OSError(error.errno, broken, str(path)) from error
    except ValueError as error:  # the path has a null character, or a character that UTF-8 cannot encode
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        yield descriptor
    finally:
        os.close(descriptor)


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    raise OSError(errno.EINVAL, f"it is a {kinds.get(stat.S_IFMT(mode), 'device')}, not a regular file", str(path))


def broken_link(path: Path) -> str:
    """Say that a path is a link that leads nowhere; empty: it is none."""
    if not os.path.islink(path):  # noqa: PTH114  Path raises for long names
        return ""
    try:
        path.stat()
    except FileNotFoundError:
        return f"it is a link to {path.readlink()}, which does not exist"
    except OSError as error:
        return f"it is a link to {path.readlink()}: {error.strerror}"
    return ""


def why_no_file(path: Path) -> str:
    """Say why a path is no file, for messages. A broken link is not a file, and neither is a folder or a named pipe."""
    return "is not a file" if path.is_symlink() or path.exists() else "is missing"


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it exists; the target of a link stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def move_folder(folder: Path, target: Path) -> None:
    """Rename a folder, or copy it, whole or not at all, and remove it where the system cannot rename it."""
    if _is_renamed(folder, target):
        return
    copy = target.with_name(f"{target.name}.copy")
    remove(copy)  # left by a killed process
    try:
        shutil.copytree(folder, copy, symlinks=True)
        os.utime(copy)  # it was made now
        os.sync()
        copy.rename(target)
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    shutil.rmtree(folder)


def _is_renamed(folder: Path, target: Path) -> bool:
    """Rename a folder, and return whether the system can do so.

    A folder of a container's image cannot be renamed (EXDEV), but what it holds can be read, changed and removed.
    """
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _delete_in_place(folder: Path) -> None:
    """Delete a folder, at last JSON and hidden files, by which commands know what the folder is, also after a kill."""
    for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".json" or path.name.startswith(".")):
        remove(path)
    folder.rmdir()


def os_number(error: BaseException) -> int:
    """Find the operating system's error number in an error, its causes or their messages; 0 where there is none."""
    for each in causes(error):
        if isinstance(each, OSError) and each.errno:
            return each.errno
        if found := _NUMBER.search(str(each)):
            return int(found[1] or found[2])
        for number in NO_SPACE:
            if os.strerror(number) in str(each):
                return number
    return 0


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give the error, its cause, the cause of the cause, and so on."""
    seen, each = list[BaseException](), error
    while each is not None and each not in seen:
        yield each
        seen.append(each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def is_full(folder: Path) -> bool:
    """Return whether the disk of ``folder`` has no room for another block or file; False where this is unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LEAST_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


def take_lock(file: int | IO[Any], *, wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed, or its process ends; return whether it is locked now.

    Without ``wait``, another process may hold the lock. A file system that keeps no locks is an `OSError`.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise OSError(error.errno, error.strerror, getattr(file, "name", None)) from error
    return True


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold a lock, a file at ``path``, that the end of its process releases; ``waiting`` is called before a wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if not take_lock(file, wait=False):
            waiting()
            take_lock(file)
        yield


def mark(folder: Path) -> None:
    """Create a folder and mark it as written by Wordless; one that already has other files stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / MARK).touch()


def is_ours(folder: Path, files: Collection[str]) -> bool:
    """Return whether Wordless wrote the folder, which holds these files: a run, a store, a part of them, or sounds."""
    if MARK in files:
        return True
    return "entry.json" in files and {"stage", "arguments"} <= {*(find_object(folder / "entry.json") or {})}


def file_stamp(file: Path | int) -> list[int]:
    """Return what changes when a file, by its path or its descriptor, gets another content.

    Programs that copy, unpack or synchronise files set the time of change, and sizes may agree. They cannot set the
    time of change of the inode.
    """
    status = os.stat(file)  # noqa: PTH116  also of a descriptor
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def stamp_text(file: Path | int) -> str:
    """Return the `file_stamp` as a text; empty: there is no such file, or its name is invalid."""
    try:
        return " ".join(map(str, file_stamp(file)))
    except (OSError, ValueError):
        return ""


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes."""
    with open_regular(path) as file:
        return open_file_hash(file)


def open_file_hash(file: int) -> str:
    """Compute the SHA-256 of the bytes of a file that is open for reading, whose position stays."""
    digest, place = hashlib.sha256(), 0
    while block := os.pread(file, 1 << 20, place):
        digest.update(block)
        place += len(block)
    return digest.hexdigest()


def flush_folder(folder: Path) -> None:
    """Flush a folder's names to the disk; some network file systems refuse this, and flush by themselves."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy_file(source: Path, target: Path) -> None:
    """Write a copy of ``source``, whole or not at all. Errors of writing name the target."""
    with aside(target) as written:
        _copy(source, written)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as file, target.open("wb") as copied:
        shutil.copyfileobj(file, copied, 1 << 20)
        copied.flush()
        os.fsync(copied.fileno())


def replace_folder(place: Path, source: Path | None) -> None:
    """Put a copy of the folder ``source`` at ``place``, whole or absent at any moment; None leaves nothing there."""
    beside, replaced = [place.with_name(f"{place.name}.{word}") for word in ("aside", "replaced")]
    for left in (beside, replaced):  # by a killed process
        shutil.rmtree(left, ignore_errors=True)
    if source is not None:
        try:
            for folder, _, names in os.walk(source, onerror=_raised, followlinks=True):
                copy = beside / Path(folder).relative_to(source)
                copy.mkdir()  # without permissions: the source may be read-only
                with named_write_errors(copy):
                    for name in names:
                        _copy(Path(folder, name), copy / name)
                flush_folder(copy)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    if place.exists() and not _is_renamed(place, replaced):
        _delete_in_place(place)
    if source is not None:
        beside.rename(place)
    flush_folder(place.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _raised(error: OSError) -> None:
    raise error


def require_current_folder() -> Path:
    """Return the current folder; refuse one that is deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise InputError("the current folder is deleted; go to another one (cd), and call the command again") from None


def existing(path: str) -> Path:
    """Return the path itself, or the nearest existing folder above it."""
    place = Path(path)
    with suppress(FileNotFoundError):  # the current folder is deleted
        place = place.absolute()
    return next((folder for folder in (place, *place.parents) if folder.exists()), Path("/"))


def parse_json(content: str | bytes, constant: Callable[[str], object] | None = None) -> object:
    """Parse one JSON text; ``constant`` gives the value of NaN and infinities, which are refused without it.

    Python's parser accepts more than JSON allows (a key twice, NaN) and raises errors of several types. Here all of
    them, also of deep nesting and of thousands of digits, are an `InputError`.
    """

    def refused(name: str) -> object:
        raise InputError(f"holds {name}, which is not a JSON number")

    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=constant or refused)
    except InputError:
        raise
    except RecursionError:
        raise InputError("is nested too deeply; JSON of this kind has a few levels") from None
    except ValueError as error:  # not JSON, not UTF-8, or a number too long for int()
        raise InputError(f"is not JSON ({error})") from error


def list_hash(values: Iterable[object]) -> str:
    """Compute the SHA-256 of a list as `json.dumps` writes it."""
    return hashlib.sha256(json.dumps([*values]).encode()).hexdigest()


def read_json(path: Path) -> dict[str, object]:
    """Read the object in a JSON file of at most `_MAX_BYTES`; other files are refused with their path."""
    try:
        return _read_object(path)
    except InputError as error:
        raise InputError(f"{path} {error}", remedy="write it again with the command that made it") from error


def find_object(path: Path) -> dict[str, object] | None:
    """Read the object in a JSON file; None where there is no regular file, or it does not hold an object."""
    with suppress(InputError):
        return _read_object(path)
    return None


def _read_object(path: Path) -> dict[str, object]:
    try:
        if not path.is_file():  # folders, pipes and broken links are not files
            raise InputError("is missing or is not a file")
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise InputError(f"has {size} bytes; JSON of this kind has at most {_MAX_BYTES}")
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise InputError("does not hold a JSON object")
    return content


def read_object(cls: type[T], path: Path, values: Mapping[str, object] | None = None) -> T:
    """Read the dataclass ``cls`` from a JSON file, or its known ``values``; refusals have no folder of the file."""
    try:
        values = _read_object(path) if values is None else values
    except InputError as error:
        raise InputError(f"{path.name} {error}") from error
    try:
        return build(cls, values, name="")
    except InputError as error:
        told = InputError(named(f"{path.name}: {error.problem}"), rule=named(error.rule))  # remedies are for commands
        raise told from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InputError(f"names {written(twice)} twice")
    return values
