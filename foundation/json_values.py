"""JSON from outside: whatever the text holds, it becomes plain values or one line that says what is wrong."""

import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

from foundation.configuration import build
from foundation.errors import InputError

T = TypeVar("T")
MAX_BYTES = 64 << 20  # of a JSON file; Python's values take about ten times as much memory as their text


def parse_json(content: str | bytes) -> object:
    """The value of one JSON text.

    Python's parser takes more than JSON allows and raises errors of several types. Here all of them are one.

    Raises:
        InputError: the text is not JSON in UTF-8, names a key twice, holds NaN or an infinity, is nested too deeply, or
            has a number of thousands of digits.
    """
    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except InputError:
        raise
    except RecursionError:
        raise InputError("is nested too deeply; JSON of this kind has a few levels") from None
    except ValueError as error:  # not JSON, not UTF-8, or a number too long for int()
        raise InputError(f"is not JSON ({error})") from error


def read_json(path: Path) -> dict[str, object]:
    """The object that a JSON file of at most `MAX_BYTES` holds.

    Raises:
        InputError: there is no such file, it cannot be read, or it holds something else; names the file.
    """
    try:
        return _read_object(path)
    except InputError as error:
        raise InputError(f"{path} {error}; write it again with the command that made it") from error


def find_object(path: Path) -> dict[str, object] | None:
    """The object that a JSON file holds; None where there is no regular file, or the file holds something else."""
    try:
        return _read_object(path)
    except InputError:
        return None


def _read_object(path: Path) -> dict[str, object]:
    try:
        if not path.is_file():  # a folder, a pipe or a link that leads nowhere is no file either
            raise InputError("is missing or is no file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"has {size} bytes; JSON of this kind has at most {MAX_BYTES}")
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise InputError("holds no JSON object")
    return content


def read_object(cls: type[T], path: Path) -> T:
    """The dataclass ``cls`` that a JSON file holds, as `foundation.configuration.build` makes it from its values.

    Raises:
        InputError: there is no such file, or what it holds is not of that type; names the file's name alone, for the
            message of a folder.
    """
    try:
        values = _read_object(path)
    except InputError as error:
        raise InputError(f"{path.name} {error}") from error
    try:
        return build(cls, values, name="")
    except InputError as error:
        reason = str(error).partition("; ")[0]  # what follows is about options of the command line
        raise InputError(f"{path.name}: {reason}") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InputError(f"names {shortened(twice)} twice")
    return values


def _refuse_constant(name: str) -> object:
    raise InputError(f"holds {name}, which is no JSON number")


def shortened(value: object, most: int = 60) -> str:
    """A value as Python writes it, short enough for a message in one line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or deep nesting
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."
