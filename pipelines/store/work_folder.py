"""A folder that a command fills file by file, and continues after it was killed.

``job.json`` describes the job: the same command continues where it stopped, another one is refused.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.commandline.outputs import REMEDY, require_new
from pipelines.store.store import write_json
from wordless.base.errors import InputError
from wordless.base.files import take_lock
from wordless.base.values import find_object

JOB = "job.json"


@contextmanager
def work_folder(folder: Path, job: Mapping[str, object]) -> Iterator[None]:
    """Lock ``folder`` for ``job``; it must be new, empty, or begun by the same job."""
    require_own(folder, job)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / JOB).exists():
        write_json(folder / JOB, job)
    with (folder / JOB).open() as handle:
        _lock(handle.fileno(), f"{folder}")
        yield


def remove_work_folder(folder: Path) -> None:
    """Remove a filled folder, `JOB` last, so that an interrupted removal is recognised; another command may help."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != JOB:
                path.unlink(missing_ok=True)
        (folder / JOB).unlink(missing_ok=True)
        folder.rmdir()


def partial_folder(output: Path) -> Path:
    """Return the folder beside an output that holds what is made on the way to it."""
    return output.with_name(f"{output.name}.partial")


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``output`` at the end of the block; after an error nothing is left.

    Of two commands with one output, one is refused while the other writes, except where folders cannot be locked (NFS).
    What a killed command left is removed.
    """
    partial = partial_folder(output)
    partial.mkdir(parents=True, exist_ok=True)
    locked = os.open(partial, os.O_RDONLY)  # the folder itself: a file would have to be removed after the last step
    try:
        with suppress(OSError):  # the file system locks no folder
            _lock(locked, f"output={output}")
        try:
            require_new(output)  # the other command may have finished since this one began
            for path in partial.iterdir():
                path.unlink()
            yield partial
            partial.rename(output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    finally:
        os.close(locked)


def _lock(descriptor: int, written: str) -> None:
    """Lock an open file or folder, which another command may be writing."""
    if not take_lock(descriptor, wait=False):
        raise InputError(f"another command is writing {written}; wait for it, or choose another output=...")


def require_own(folder: Path, job: Mapping[str, object]) -> None:
    """Refuse a file, a folder with other content, and one that another job began."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"output={folder} is a file, and a folder is to be written; {REMEDY}")
    begun = find_object(folder / JOB)
    if begun is None and any(path.suffix != ".aside" for path in folder.iterdir()):
        raise InputError(f"output={folder} holds other things; {REMEDY}")
    differing = sorted(name for name in job if begun is not None and begun.get(name) != job[name])
    if differing:
        raise InputError(f"output={folder} was begun with other values of {', '.join(differing)}; {REMEDY}")
