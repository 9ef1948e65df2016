"""Plain values of unknown origin, from JSON or the composed Hydra config, checked and built into frozen dataclasses.

OmegaConf's structured configs do not support ``Literal``, so Hydra only composes. `build` checks names and types once,
before anything runs. The dataclasses check ranges (wordless/base/options.py) and rules over several fields. JSON is
parsed to plain values, or refused with one line that says what is wrong.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wordless.base.messages import InputError, OldModelError, listed, named, suggestion, written
from wordless.base.options import MEANING, Meaning, updated

T = TypeVar("T")

MOST_INTEGER = 2**63 - 1  # the largest integer of NumPy, PyTorch and C
MOST_NUMBER = 1e12  # largest float: seconds times samples per second still fits into 64 bits
WORDS: dict[object, tuple[str, str]] = {  # type -> (its description, an example)
    bool: ("true or false", "true"),
    int: ("a whole number", "256"),
    float: ("a number", "0.1"),
    str: ("text", "name"),
    Path: ("a path", "folder/file"),
    NoneType: ("null", "null"),
    list: ("a list", "[1,2]"),
    dict: ("a group of options", "{name: value}"),
}


def build(cls: type[T], values: Mapping[str, object], *, name: str, default: T | None = None) -> T:
    """Build the dataclass ``cls`` from plain ``values``; nested mappings become nested dataclasses.

    A missing value is that of ``default``, else that of the class; a nested dataclass has the default of its field.
    Fields that folders of older versions have stand in ``cls.GONE``, each with the only value that is still right.
    ``name`` is the dotted path of the values in the whole config, for messages: ``"tokenizer"``; ``""`` at the top.

    Raises:
        InputError: a key is unknown or missing, or a value is not of the annotated type, at any depth.
        OldModelError: a field of ``cls.GONE`` has another value.
    """
    if not isinstance(values, Mapping):
        raise InputError(option=name, value=values, rule=f"it must be a group of options: set `{name}`.<option>=...")
    try:
        fields = {field.name: field for field in dataclasses.fields(cast(Any, cls)) if field.init}
        gone: Mapping[str, object] = getattr(cls, "GONE", {})
        for key in values:
            if key in gone:
                if values[key] != gone[key]:
                    raise OldModelError(f"{key} is {written(values[key])}, and this version has no {key}")
            elif key not in fields:
                near = suggestion(f"`{key}`", [f"`{field}`" for field in fields])
                raise InputError(f"`{key}` is not an option", remedy=near)
        nothing = dataclasses.MISSING
        for key, field in fields.items():
            if default is None and key not in values and field.default is field.default_factory is nothing:
                raise InputError(f"`{key}` is missing", remedy=f"it has no default: set `{key}`=...")
        types = get_type_hints(cls)
        arguments = {} if default is None else {key: getattr(default, key) for key in fields}
        for key, value in ((key, value) for key, value in values.items() if key not in gone):
            meaning: Meaning | None = fields[key].metadata.get(MEANING)
            if not (variants := meaning and meaning.variants):
                own = arguments.get(key, fields[key].default)
                arguments[key] = convert(types[key], value, option=key, default=own)
                continue
            if not isinstance(value, Mapping):
                rule = f"choose `{key}`={next(iter(variants))}, or set its options"
                raise InputError(option=key, value=value, rule=rule)
            chosen = str(value.get("name"))
            if chosen not in variants:
                rule = f"it is not one of its choices: {suggestion(chosen, variants)}"
                raise InputError(option=f"{key}.name", value=chosen, rule=rule)
            given = {name: each for name, each in value.items() if name != "name"}
            arguments[key] = build(variants[chosen], given, name=key)
        return cast(Any, cls)(**arguments)  # type: ignore[no-any-return]  # mypy knows no constructor of any T
    except InputError as error:
        raise error.within(name) from error


def move_seeds(config: T, by: int, *, name: str) -> T:
    """Copy the dataclass ``config``, ``name`` in messages, with all seeds in it increased by ``by``."""
    return updated(config, lambda field, value: value + by if field.name == "seed" else value, name=name)


def convert(kind: Any, value: object, *, option: str, default: object = None) -> object:
    """Convert a value to the annotated type ``kind``; what a dataclass lacks is that of the ``default``."""
    if type(value) is int and abs(value) > MOST_INTEGER:
        raise InputError(option=option, value=value, rule=f"it must lie within 64 bits: ±{MOST_INTEGER}")
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return match_choice(parts, value, option=option)
    if origin is Union or origin is UnionType:
        return _union(parts, value, option, default)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(option=option, value=value, rule=f"it must be a list: `{option}`=[{written(value)}]")
        kinds = parts[:1] * len(value) if parts[1:] == (Ellipsis,) else parts
        if len(kinds) != len(value):
            raise InputError(option=option, value=value, rule=f"it has {len(value)} values, and takes {len(kinds)}")
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(convert(kind, item, option=f"{option}[{place}]") for place, (kind, item) in pairs)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(option=option, value=value, rule=f"it must be a group: `{option}`={{name: value}}")
        return {str(key): convert(parts[1], item, option=f"{option}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        own = default if isinstance(default, kind) else None
        return build(kind, cast(Mapping[str, object], value), name=option, default=own)
    return _plain(kind, value, option)


def match_choice(choices: tuple[object, ...], value: object, *, option: str) -> object:
    """Return the choice that equals the value; 1 and true are different choices."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise InputError(option=option, value=value, rule=suggestion(str(value), map(str, choices)))


def _union(kinds: tuple[Any, ...], value: object, option: str, default: object) -> object:
    """Convert the value to the first type of a union that accepts it; errors of ``X | None`` may be those of X."""
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1 and others[0] not in WORDS and get_origin(others[0]) is not Literal:  # it has parts
        return convert(others[0], value, option=option, default=default)
    for kind in others:
        try:
            return convert(kind, value, option=option)
        except InputError:
            if kind is float and type(value) in (int, float):  # too large, or no number
                raise
    raise _other_type(listed([describe_type(kind) for kind in kinds], "or"), value, option)


def _plain(kind: Any, value: Any, option: str) -> object:
    """Convert a value without parts: bool, int, float, str, Path, None; ``object`` and ``Any`` take every value."""
    if kind is float and type(value) in (int, float):
        if not abs(value) <= MOST_NUMBER:  # NaN, too
            raise InputError(option=option, value=value, rule=f"it must be a number within ±{MOST_NUMBER:g}")
        return float(value)
    if kind is Path and isinstance(value, str) and value:
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            rule = f"it names no home folder ({error}): write the path in full"
            raise InputError(option=option, value=value, rule=rule) from error
    if kind in (Any, object) or type(value) is kind:
        return value
    example = WORDS.get(kind, ("", "..."))[1]
    match value:  # the intended value if it is clear
        case float() | str() if kind in (int, float) and (digits := str(value).removesuffix(".0")).isdigit():
            example = digits
        case bool() | int() | float() if kind is str:
            example = f"""\"'{written(value)}'\""""
    raise _other_type(describe_type(kind), value, option, f"such as `{option}`={example}")


def _other_type(wanted: str, value: object, option: str, remedy: str = "") -> InputError:
    rule = f"it is {describe_type(type(value))}, and must be {wanted}"
    return InputError(option=option, value=value, rule=rule, remedy=remedy)


def describe_type(kind: Any) -> str:
    """Describe a type in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return WORDS[kind][0] if kind in WORDS else str(getattr(kind, "__name__", kind))


MAX_BYTES = 64 << 20  # of a JSON file; its Python values take about ten times as much memory as its text


def nan_as_none(constant: str) -> float | None:
    """Parse NaN, Infinity or -Infinity of a JSON text; NaN is how pandas writes a missing value: None."""
    return None if constant == "NaN" else float(constant)


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
    """Read the object in a JSON file of at most `MAX_BYTES`; other files are refused with their path."""
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
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"has {size} bytes; JSON of this kind has at most {MAX_BYTES}")
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
    except OldModelError:
        raise
    except InputError as error:
        told = InputError(named(f"{path.name}: {error.problem}"), rule=named(error.rule))  # remedies are for commands
        raise told from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InputError(f"names {written(twice)} twice")
    return values


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give dotted name and value of each option in nested mappings; an empty mapping is a value."""
    for key, value in values.items():
        name = f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            yield from leaves(value, name)
        else:
            yield name, value
