"""Hashes of the contents of packed files, which are kept with the files' sizes and times of change."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from wordless.base.errors import InputError
from wordless.base.files import file_hash, locked, write_aside
from wordless.base.json_values import find_object, list_hash


def content_hashes(paths: Sequence[Path], cache: Path, progress: Callable[[int], None] | None = None) -> list[str]:
    """Return the SHA-256 of each file; only files of another size or time of change are read again.

    ``progress`` is told how many bytes of files were read since the last call.

    Raises:
        InputError: a file cannot be read, or its hash cannot be kept in the folder ``cache``.
    """
    note = cache / f"contents-{list_hash([str(path.resolve()) for path in paths])[:16]}.json"
    keys = [_key(path) for path in paths]
    known = find_object(note) or {}
    if not all(isinstance(known.get(key), str) for key in keys):
        with locked(note.with_suffix(".lock")):  # another process may hash the same files
            known = find_object(note) or {}
            known = {key: known.get(key) or _hash(path, progress) for path, key in zip(paths, keys, strict=True)}
            write_aside(note, json.dumps(known, indent=1) + "\n")
    return [str(known[key]) for key in keys]


def _key(path: Path) -> str:
    """Return a key of the file's place, size and time of change."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check path and permissions") from error
    return json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns])


def _hash(path: Path, progress: Callable[[int], None] | None) -> str:
    try:
        found = file_hash(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check path and permissions") from error
    if progress:
        progress(path.stat().st_size)
    return found
