"""Conversion of the composed Hydra config to frozen dataclasses.

OmegaConf's structured configs do not support ``Literal``, so Hydra only composes. This module checks names and types
once, before anything runs. The dataclasses check ranges (wordless/base/options.py) and rules over several fields.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wordless.base.errors import InputError
from wordless.base.options import MEANING, Meaning
from wordless.base.text import alternatives, suggestion

T = TypeVar("T")

MOST_INTEGER = 2**63 - 1  # the largest integer of NumPy, PyTorch and C
MOST_NUMBER = 1e12  # largest float: seconds times samples per second still fits into 64 bits
MOST_CHARACTERS = 200  # longest value in a message

WORDS: dict[object, tuple[str, str]] = {  # type -> (its description, an example)
    bool: ("true or false", "true"),
    int: ("a whole number", "256"),
    float: ("a number", "0.1"),
    str: ("text", "name"),
    Path: ("a path", "folder/file"),
    NoneType: ("null", "null"),
}


def build(cls: type[T], values: Mapping[str, object], *, name: str) -> T:
    """Build the dataclass ``cls`` from plain ``values``; nested mappings become nested dataclasses.

    ``name`` is the dotted path of the values in the whole config, for messages: ``"tokenizer"``; ``""`` at the top.

    Raises:
        InputError: a key is unknown or missing, or a value is not of the annotated type, at any depth.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"{name}={values!r} is one value", remedy=f"it must be a group of options: set {name}.<option>=..."
        )
    fields = {field.name: field for field in dataclasses.fields(cast(Any, cls)) if field.init}
    require_known(values, fields, name)
    require_complete(values, fields, name)
    types = get_type_hints(cls)
    arguments = {
        key: _build_variant(variants, value, name=dotted(name, key))
        if (variants := _variants(fields[key]))
        else convert(types[key], value, option=dotted(name, key))
        for key, value in values.items()
    }
    try:
        return cast(Any, cls)(**arguments)  # type: ignore[no-any-return]  # mypy knows no constructor of any T
    except InputError as error:
        raise error.within(name) from error


def _variants(field: dataclasses.Field[Any]) -> Mapping[str, type] | None:
    meaning: Meaning | None = field.metadata.get(MEANING)
    return None if meaning is None else meaning.variants


def _build_variant(variants: Mapping[str, type], value: object, *, name: str) -> object:
    """Build the dataclass that the option ``name`` of the values chooses."""
    if not isinstance(value, Mapping):
        raise InputError(
            f"{name}={value!r} is one value", remedy=f"choose {name}={next(iter(variants))}, or set its options"
        )
    chosen = str(value.get("name"))
    if chosen not in variants:
        raise InputError(f"{name}.name={chosen} is not one of its choices", remedy=suggestion(chosen, variants))
    others = {key: each for key, each in value.items() if key != "name"}
    return build(variants[chosen], others, name=name)


def move_seeds(config: T, by: int, *, name: str) -> T:
    """Copy the dataclass ``config`` with its ``seed``, and that of each dataclass in it, increased by ``by``.

    Raises:
        InputError: a seed becomes too large; ``name`` is the dotted place of the config, as for `build`.
    """
    moved: dict[str, object] = {}
    for field in dataclasses.fields(cast(Any, config)):
        value = getattr(config, field.name)
        if field.name == "seed":
            moved["seed"] = value + by
        elif dataclasses.is_dataclass(value):
            moved[field.name] = move_seeds(value, by, name=dotted(name, field.name))
    try:
        return cast(T, dataclasses.replace(cast(Any, config), **moved))
    except InputError as error:
        raise error.within(name) from error


def require_known(values: Mapping[str, object], fields: Mapping[str, object], name: str) -> None:
    """Refuse keys that are not fields."""
    for key in values:
        if key not in fields:
            known = [dotted(name, field) for field in fields]
            raise InputError(
                f"{dotted(name, str(key))} is not an option", remedy=suggestion(dotted(name, str(key)), known)
            )


def require_complete(values: Mapping[str, object], fields: Mapping[str, dataclasses.Field[Any]], name: str) -> None:
    """Refuse missing values of fields that have no default."""
    nothing = dataclasses.MISSING
    for key, field in fields.items():
        if key not in values and field.default is nothing and field.default_factory is nothing:
            raise InputError(
                f"{dotted(name, key)} is missing", remedy=f"it has no default: set {dotted(name, key)}=..."
            )


def dotted(name: str, key: str) -> str:
    """Return ``name.key``, or ``key`` at the top."""
    return f"{name}.{key}" if name else key


def convert(kind: Any, value: object, *, option: str) -> object:
    """Convert a value to the annotated type ``kind``."""
    if type(value) is int and not -MOST_INTEGER <= value <= MOST_INTEGER:
        raise InputError(
            f"{option}={render(value)} is too large", remedy=f"it must lie within 64 bits: ±{MOST_INTEGER}"
        )
    origin = get_origin(kind)
    if origin is Literal:
        return match_choice(get_args(kind), value, option=option)
    if origin is Union or origin is UnionType:
        return convert_union(get_args(kind), value, option=option)
    if origin is tuple:
        return convert_sequence(get_args(kind), value, option=option)
    if origin in (dict, Mapping):
        return convert_mapping(get_args(kind)[1], value, option=option)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return build(kind, cast(Mapping[str, object], value), name=option)
    return convert_plain(kind, value, option=option)


def match_choice(choices: tuple[object, ...], value: object, *, option: str) -> object:
    """Return the choice of a ``Literal`` that equals the value; 1 and true are different choices."""
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise InputError(f"{option}={render(value)} is not one of its choices: {', '.join(map(str, choices))}")


def convert_union(kinds: tuple[Any, ...], value: object, *, option: str) -> object:
    """Convert the value to the first type of a union that accepts it.

    Errors of ``X | None``, where X has parts, are the errors of X.
    """
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1 and others[0] not in WORDS and get_origin(others[0]) is not Literal:  # it has parts
        return convert(others[0], value, option=option)
    if float in others:
        require_moderate(value, option=option)
    for kind in others:
        try:
            return convert(kind, value, option=option)
        except InputError:
            continue
    wanted = alternatives([describe_type(kind) for kind in kinds])
    raise InputError(f"{option}={render(value)} is {kind_of(value)}", remedy=f"it must be {wanted}")


def convert_sequence(kinds: tuple[Any, ...], value: object, *, option: str) -> tuple[object, ...]:
    """Convert to a tuple: ``(X, ...)`` takes any number of values, ``(X, Y)`` exactly two."""
    if not isinstance(value, list | tuple):
        raise InputError(
            f"{option}={render(value)} is one value", remedy=f"it must be a list: {option}=[{render(value)}]"
        )
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise InputError(f"{option} has {len(value)} values", remedy=f"it takes {len(kinds)}: {option}=[...]")
    pairs = zip(kinds, value, strict=True)
    return tuple(convert(kind, item, option=f"{option}[{place}]") for place, (kind, item) in enumerate(pairs))


def convert_mapping(kind: Any, value: object, *, option: str) -> dict[str, object]:
    """Convert to a dictionary from names to values of one type."""
    if not isinstance(value, Mapping):
        raise InputError(
            f"{option}={render(value)} is one value", remedy=f"it must be a group: {option}={{name: value}}"
        )
    return {str(key): convert(kind, item, option=dotted(option, str(key))) for key, item in value.items()}


def convert_plain(kind: Any, value: object, *, option: str) -> object:
    """Convert a value without parts: bool, int, float, str, Path, None; ``object`` and ``Any`` take every value."""
    if kind in (Any, object):
        return value
    if kind is float:
        require_moderate(value, option=option)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str) and value:
        return convert_path(value, option=option)
    if type(value) is kind and not (isinstance(value, float) and math.isnan(value)):
        return value
    rule = f"it must be {describe_type(kind)}{remedy(kind, value, option)}"
    raise InputError(f"{option}={render(value)} is {kind_of(value)}", remedy=rule)


def require_moderate(value: object, *, option: str) -> None:
    """Refuse a number that is infinite or beyond `MOST_NUMBER`."""
    if isinstance(value, int | float) and abs(value) > MOST_NUMBER:
        raise InputError(f"{option}={render(value)} is too large", remedy=f"it must lie within ±{MOST_NUMBER:g}")


def convert_path(value: str, *, option: str) -> Path:
    """Convert text to a path; a ``~`` or ``~name`` at the beginning becomes the home folder."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{option}={render(value)} names no home folder ({error})", remedy="write the path in full"
        ) from error


def remedy(kind: Any, value: object, option: str) -> str:
    """Write the end of an error message: an assignment of the right type, with the intended value if it is clear."""
    match value:
        case float() if kind is int and value.is_integer() and abs(value) <= MOST_INTEGER:
            return f": {option}={int(value)}"
        case str() if kind in (int, float) and value.replace(".", "", 1).isdigit():
            return f": {option}={value}, without quotes"
        case bool() | int() | float() if kind is str:
            return f""": {option}="'{render(value)}'" """.rstrip()
        case _:
            return f", such as {option}={WORDS.get(kind, ('', '...'))[1]}"


def render(value: object) -> str:
    """Format a value as the command line writes it; a long value is cut."""
    if isinstance(value, int) and not -MOST_INTEGER <= value <= MOST_INTEGER:  # str() refuses thousands of digits
        return f"a number of {value.bit_length()} bits" if value.bit_length() > 200 else str(value)
    text = _format_any(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."


def _format_any(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return value if value and value == value.strip() and value.isprintable() else repr(value)
        case _:
            return str(value)


def kind_of(value: object) -> str:
    """Describe a plain value in words."""
    match value:
        case "":
            return "empty"
        case float() if math.isnan(value):
            return "not a number"
        case Mapping():
            return "a group of options"
        case list() | tuple():
            return "a list"
        case _:
            return describe_type(type(value))


def describe_type(kind: Any) -> str:
    """Describe a type in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return WORDS[kind][0] if kind in WORDS else str(getattr(kind, "__name__", kind))
