"""JSON of unknown origin: parsed to plain values, or refused with one line that says what is wrong."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from wordless.base.configuration import build
from wordless.base.errors import InputError, named

T = TypeVar("T")
MAX_BYTES = 64 << 20  # of a JSON file; its Python values take about ten times as much memory as its text


def parse_json(content: str | bytes) -> object:
    """Parse one JSON text.

    Python's parser accepts more than JSON allows and raises errors of several types. Here all of them become
    `InputError`.

    Raises:
        InputError: the text is not JSON in UTF-8, has a key twice, holds NaN or an infinity, is nested too deeply, or
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


def list_hash(values: Iterable[object]) -> str:
    """Compute the SHA-256 of a list as `json.dumps` writes it, with one of its values in memory at a time."""
    digest = hashlib.sha256(b"[")
    for number, value in enumerate(values):
        digest.update(f"{', ' if number else ''}{json.dumps(value)}".encode())
    digest.update(b"]")
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, object]:
    """Read the object in a JSON file of at most `MAX_BYTES`.

    Raises:
        InputError: there is no such file, it cannot be read, or it does not hold an object; the message names the file.
    """
    try:
        return _read_object(path)
    except InputError as error:
        raise InputError(f"{path} {error}", remedy="write it again with the command that made it") from error


def find_object(path: Path) -> dict[str, object] | None:
    """Read the object in a JSON file; None where there is no regular file, or it does not hold an object."""
    try:
        return _read_object(path)
    except InputError:
        return None


def _read_object(path: Path) -> dict[str, object]:
    try:
        if not path.is_file():  # folders, pipes and broken links are not files
            raise InputError("is missing or is not a file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"has {size} bytes; JSON of this kind has at most {MAX_BYTES}")
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise InputError("does not hold a JSON object")
    return content


def read_object(cls: type[T], path: Path) -> T:
    """Read the dataclass ``cls`` from a JSON file, with `wordless.base.configuration.build`.

    Raises:
        InputError: there is no such file, or its values are not of that type; the message has only the file's name,
            because the caller names the folder.
    """
    try:
        values = _read_object(path)
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
        raise InputError(f"names {shortened(twice)} twice")
    return values


def _refuse_constant(name: str) -> object:
    raise InputError(f"holds {name}, which is not a JSON number")


def shortened(value: object, most: int = 60) -> str:
    """Format a value as Python writes it, cut to fit into a one-line message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or deep nesting
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give dotted name and value of each option in nested mappings; an empty mapping is a value."""
    for key, value in values.items():
        name = f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            yield from leaves(value, name)
        else:
            yield name, value
