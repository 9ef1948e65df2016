"""Type checks of plain values from a JSON file against a ``TypedDict``, so that pages can rely on the types."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from foundation.configuration import describe_type, kind_of, render
from foundation.errors import InputError


def require_record(kind: Any, value: object, place: str) -> None:
    """Refuse a value of another type; keys that a ``TypedDict`` does not name are ignored."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        _require_keys(kind, value, place)
    elif origin is list:
        for number, item in enumerate(_of_type(list, value, place)):
            require_record(parts[0], item, f"{place}[{number}]")
    elif origin in (dict, Mapping):
        for key, item in _of_type(dict, value, place).items():
            require_record(parts[1], item, f"{place}.{key}")
    elif origin in (Union, UnionType):
        if value is not None or NoneType not in parts:
            _require_one_of([part for part in parts if part is not NoneType], value, place)
    elif not _fits(kind, value):
        raise InputError(f"{place} is {render(value)}, {kind_of(value)}; it must be {describe_type(kind)}")


def _require_keys(kind: Any, value: object, place: str) -> None:
    values = _of_type(dict, value, place)
    if missing := sorted(kind.__required_keys__ - values.keys()):
        raise InputError(f"{place} has no {missing[0]!r}")
    for key, part in get_type_hints(kind).items():
        if key in values:
            require_record(part, values[key], f"{place}.{key}" if place else key)


def _require_one_of(kinds: list[Any], value: object, place: str) -> None:
    for kind in kinds[:-1]:
        try:
            return require_record(kind, value, place)
        except InputError:
            continue
    require_record(kinds[-1], value, place)


def _of_type(kind: type[Any], value: object, place: str) -> Any:
    if not isinstance(value, kind):
        what = "a list" if kind is list else "an object"
        raise InputError(f"{place or 'the file'} is {kind_of(value)}; it must be {what}")
    return value


def _fits(kind: Any, value: object) -> bool:
    if kind in (Any, object):
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind
