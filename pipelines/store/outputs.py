"""Outputs of commands: refused before the work where they cannot be written, and whole in the end."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import move_folder, remove, take_lock
from wordless.base.messages import InputError, require

REMEDY = "choose another output=..., or delete it"
OTHERS = (  # suffixes of files beside those of sounds
    "npz npy pt pth bin ckpt pkl pickle h5 hdf5 mat onnx safetensors parquet arrow feather csv tsv json jsonl ndjson "
    "txt km xlsx yaml yml html md pdf png svg jpg jpeg zip tar gz tgz bz2 xz zst 7z"
)
# An output with any other suffix, such as "codes.v2", is taken for a folder.
_FILES = frozenset(f".{suffix}" for suffix in (*EXTENSIONS, *OTHERS.split()))


def require_kind(output: Path, written: Collection[str], *, possible: str) -> None:
    """Refuse an output whose suffix names a kind of file that the command does not write.

    ``written`` lists the suffixes that it writes, such as ".wav"; ``possible`` says what the user can name instead.
    """
    suffix = output.suffix.lower()
    if suffix in _FILES and suffix not in written:
        raise InputError(f"output={output} looks like a {suffix} file, which is not written here; name {possible}")


def require_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"output={output} exists already; {REMEDY}")


def require_table(output: Path, *suffixes: str) -> None:
    """Refuse an output whose suffix is not one of ``suffixes``."""
    rule = f"name a file ending in {', '.join(suffixes[:-1])} or {suffixes[-1]}"
    require(output.suffix.lower() in suffixes, "output", output, rule)


def prepare_output(output: Path) -> None:
    """Refuse an output that exists; create the folder above it."""
    require_new(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"output={output} lies below a file; name another place: output=PATH") from error


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
            move_folder(partial, output)
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
