"""Plain values of a JSON file as records, checked against their types, so that pages can rely on the types."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from wordless.base.configuration import describe_type, kind_of, render
from wordless.base.errors import InputError


def read_record(kind: Any, value: object, place: str = "") -> Any:
    """Build a value of a type from plain values. Keys that a record does not have are those of a later version.

    A record is a ``TypedDict``, or a dataclass, whose fields without a default are required.

    Raises:
        InputError: a value has another type, or a record lacks a key; the message names the place.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(kind) or is_dataclass(kind):
        return _record(kind, value, place)
    if origin is list:
        return [
            read_record(parts[0], item, f"{place}[{number}]")
            for number, item in enumerate(_of_type(list, value, place))
        ]
    if origin in (dict, Mapping):
        return {
            key: read_record(parts[1], item, f"{place}.{key}") for key, item in _of_type(dict, value, place).items()
        }
    if origin in (Union, UnionType):  # a type or None; other unions and Literal are not supported
        part = next(part for part in parts if part is not NoneType)
        return None if value is None else read_record(part, value, place)
    if not (kind is object or type(value) is kind or (kind is float and type(value) is int)):
        raise InputError(f"{place} is {render(value)}, {kind_of(value)}; it must be {describe_type(kind)}")
    return value


def _record(kind: Any, value: object, place: str) -> Any:
    values = _of_type(dict, value, place)
    required = kind.__required_keys__ if is_typeddict(kind) else _required(kind)
    if missing := sorted(required - values.keys()):
        raise InputError(f"{place} has no {missing[0]!r}")
    types = get_type_hints(kind)
    found = {
        key: read_record(part, values[key], f"{place}.{key}" if place else key)
        for key, part in types.items()
        if key in values
    }
    return kind(**found)


def _required(kind: Any) -> set[str]:
    return {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}


def _of_type(kind: type[Any], value: object, place: str) -> Any:
    if not isinstance(value, kind):
        what = "a list" if kind is list else "an object"
        raise InputError(f"{place or 'the file'} is {kind_of(value)}; it must be {what}")
    return value
