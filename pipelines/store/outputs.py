"""Places that a command writes to: checked first, locked while it writes, and whole in the end.

A lock is a ``flock``, which the system releases when its process ends for any reason.
"""

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import MARK, existing, mark, remove, take_lock
from wordless.base.messages import InputError, require

REMEDY = "choose another output=..., or delete it"
OTHERS = (  # suffixes of files beside those of sounds
    "npz npy pt pth bin ckpt pkl pickle h5 hdf5 mat onnx safetensors parquet arrow feather csv tsv json jsonl ndjson "
    "txt km xlsx yaml yml html md pdf png svg jpg jpeg zip tar gz tgz bz2 xz zst 7z"
)
# An output with any other suffix, such as "codes.v2", is taken for a folder.
FILES = frozenset(f".{suffix}" for suffix in (*EXTENSIONS, *OTHERS.split()))


def require_kind(output: Path, written: Collection[str], *, possible: str) -> None:
    """Refuse an output whose suffix names a kind of file that the command does not write.

    ``written`` lists the suffixes that it writes, such as ".wav"; ``possible`` says what the user can name instead.
    """
    suffix = output.suffix.lower()
    if suffix in FILES and suffix not in written:
        raise InputError(f"output={output} looks like a {suffix} file, which is not written here; name {possible}")


def require_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"output={output} exists already; {REMEDY}")


def require_table(output: Path, *suffixes: str) -> None:
    """Refuse an output whose suffix is not one of ``suffixes``."""
    rule = f"name a file ending in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    require(output.suffix.lower() in suffixes, "output", output, rule)


def prepare_output(output: Path, *beside: Path) -> None:
    """Refuse an output that exists, or a file ``beside`` it that is written, too; create the folder above them."""
    for path in (output, *beside):
        require_new(path)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"output={output} lies below a file; name another place: output=PATH") from error


RUN_LOCK = ".lock"
SWEEP_LOCK = ".sweep.lock"
# Files in the folder of a run or a sweep that are no results.
NOTES = frozenset({MARK, RUN_LOCK, SWEEP_LOCK, ".hydra", "multirun.yaml", "log.txt"})

# Globals, because Hydra creates its callbacks itself and passes them nothing: locks, and folders without a result yet,
# each with the folders above it that were created with it.
_HELD, _NEW = ExitStack(), dict[Path, list[Path]]()
CLAIMED: list[Path] = []  # folders of runs and sweeps, until `claims` ends


MOST_TRIES = 100  # of other runs that are refused at the same moment


@contextmanager
def claims() -> Iterator[None]:
    """Release all claims when the block ends, and remove the folders that they created if these hold no result."""
    try:
        with _HELD:
            yield
    finally:
        for folder, above in _NEW.items():
            with suppress(OSError):  # other runs are there
                if all(path.name in NOTES for path in folder.iterdir()):
                    remove(folder)
                    for parent in above:
                        parent.rmdir()
        _NEW.clear()
        CLAIMED.clear()


def keep_claimed() -> None:
    """Keep the claimed folders also without a result, because work has begun that belongs to them."""
    _NEW.clear()


def claim(wanted: Path, *, option: str, lock: str, new: bool) -> Path:
    """Lock a folder until `claims` ends, and return it. A missing folder is created.

    With ``new``, an existing folder is left alone, and the first free one of ``wanted_2``, ``wanted_3``, ... is
    taken, by one process of all machines. ``option`` names the folder on the command line.
    """
    made, *above = [new or not wanted.exists(), *(parent for parent in wanted.parents if not parent.exists())]
    try:
        folder = make_new(wanted) if new else wanted
        mark(folder)
    except FileNotFoundError as error:
        there = existing(str(wanted))
        rule = f"no folder can be created in {there}: go to another one (cd), or name another: {option}=..."
        raise InputError(option=option, value=wanted, rule=rule) from error
    CLAIMED.append(folder)
    _NEW.update({folder: above} if made else {})
    _HELD.enter_context(hold(folder, option=option, lock=lock))
    return folder


def make_new(wanted: Path) -> Path:
    """Create a new folder: ``wanted``, or the first free one of ``wanted_2``, ``wanted_3`` and so on."""
    folder, number, tries = wanted, 1, 0
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder = wanted.with_name(f"{wanted.name}_{(number := number + 1)}")
        except FileNotFoundError:  # another run was refused, and removed the parent folder that it had created
            if (tries := tries + 1) == MOST_TRIES:  # or no folder can be made there, as in /proc
                raise


@contextmanager
def hold(folder: Path, *, option: str, lock: str = RUN_LOCK, remedy: str = "") -> Iterator[None]:
    """Hold the lock of a folder during the block."""
    remedy = remedy or f"wait for it, or name another folder: {option}=..."
    with (folder / lock).open("a") as handle:
        try:
            held = take_lock(handle, wait=False)
        except OSError as error:
            problem = f"its file system keeps no locks ({error.strerror})"
            raise InputError(f"{option}={folder}: {problem}; name a folder on another one: {option}=...") from error
        if not held:
            raise InputError(f"{option}={folder}: another run is writing there; {remedy}")
        yield


def is_held(folder: Path, *, lock: str = RUN_LOCK) -> bool:
    """Return whether a command is writing a folder."""
    with suppress(OSError), (folder / lock).open("rb") as handle:  # an error: there is no lock
        return not take_lock(handle, wait=False, shared=True)
    return False


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``output`` at the end of the block; after an error nothing is left.

    Of two commands with one output, one is refused while the other writes, except where folders cannot be locked (NFS).
    What a killed command left is removed.
    """
    partial = output.with_name(f"{output.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    locked = os.open(partial, os.O_RDONLY)  # the folder itself: a file would have to be removed after the last step
    try:
        with suppress(OSError):  # the file system locks no folder
            if not take_lock(locked, wait=False):
                raise InputError(f"another command is writing output={output}; wait for it, or choose another output")
        try:
            require_new(output)  # the other command may have finished since this one began
            for path in partial.iterdir():
                remove(path)
            yield partial
            partial.rename(output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(locked)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a place to write a file that belongs to an output; one that is there must be the same, left by a kill."""
    beside = path.with_name(f"{path.name}.aside")
    try:
        yield beside
        if path.exists() and not filecmp.cmp(path, beside, shallow=False):
            require_new(path)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
