"""Type checks of plain values from a JSON file against records, so that pages can rely on the types."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from wordless.base.configuration import describe_type, kind_of, render
from wordless.base.errors import InputError


def require_record(kind: Any, value: object, place: str) -> None:
    """Refuse a value of another type, and a record that lacks a key; records may have more keys.

    A record is a ``TypedDict``, or a dataclass, whose fields without a default are required.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(kind) or is_dataclass(kind):
        _require_keys(kind, value, place)
    elif origin is list:
        for number, item in enumerate(_of_type(list, value, place)):
            require_record(parts[0], item, f"{place}[{number}]")
    elif origin in (dict, Mapping):
        for key, item in _of_type(dict, value, place).items():
            require_record(parts[1], item, f"{place}.{key}")
    elif origin in (Union, UnionType):  # a type or None; other unions and Literal are not supported
        if value is not None:
            require_record(next(part for part in parts if part is not NoneType), value, place)
    elif not (kind is object or type(value) is kind or (kind is float and type(value) is int)):
        raise InputError(f"{place} is {render(value)}, {kind_of(value)}; it must be {describe_type(kind)}")


def _require_keys(kind: Any, value: object, place: str) -> None:
    values = _of_type(dict, value, place)
    required = (
        {field.name for field in fields(kind) if field.default is MISSING}
        if is_dataclass(kind)
        else kind.__required_keys__
    )
    if missing := sorted(required - values.keys()):
        raise InputError(f"{place} has no {missing[0]!r}")
    for key, part in get_type_hints(kind).items():
        if key in values:
            require_record(part, values[key], f"{place}.{key}" if place else key)


def _of_type(kind: type[Any], value: object, place: str) -> Any:
    if not isinstance(value, kind):
        what = "a list" if kind is list else "an object"
        raise InputError(f"{place or 'the file'} is {kind_of(value)}; it must be {what}")
    return value
