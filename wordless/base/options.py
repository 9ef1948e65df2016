"""Options: the default, the meaning and the range of a value stand in its field of a dataclass, and nowhere else::

    @dataclass(frozen=True, kw_only=True)
    class PatchConfig(Options):
        frames: int = option(2, "frames per patch; 2 frames give 50 codes per second by default", least=1)

The command line has an option for each such field, and none for a field without `option`. Its help and its defaults
read the fields (pipelines/commandline/option_index.py). A subclass that gives an option another default says nothing
else again: ``frames: int = 4``.

A new instance checks its ranges and rules over several fields. `build` makes one from plain values of unknown origin,
JSON or the composed Hydra config, and checks their names and types first. (OmegaConf's structured configs do not
support ``Literal``, so Hydra only composes.)

This module imports no heavy library.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wordless.base.messages import InputError, listed, suggestion, written

T = TypeVar("T")
Choices = tuple[object, ...]  # the values that an option takes; (): any of its type and range
REQUIRED: Final[Any] = dataclasses.MISSING  # the default of an option that must be given
MOST_LAYERS = 256  # of a network
METADATA = "option"  # key of a field's metadata
DECIDES = "decides"  # another one
NO_RESULT = {DECIDES: False}  # metadata of a field that decides no result, and stands in no key of the store
BESIDE = "+"  # between choices of which a value has several
MOST_INTEGER = 2**63 - 1  # the largest integer of NumPy, PyTorch and C
MOST_NUMBER = 1e12  # largest float: seconds times samples per second still fits into 64 bits
_USUAL = (bool, float, str, NoneType)  # types of values that `convert` keeps as they are, in fields of any type
_WORDS: dict[object, tuple[str, str]] = {  # type -> (its description, an example)
    bool: ("true or false", "true"),
    int: ("a whole number", "256"),
    float: ("a number", "0.1"),
    str: ("text", "name"),
    Path: ("a path", "folder/file"),
    NoneType: ("null", "null"),
    list: ("a list", "[1,2]"),
    dict: ("a group of options", "{name: value}"),
}


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that an option takes. Infinity and NaN are in no range."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{written(self.least)} to {written(self.most)}"
        bounds = (self.least, self.above, self.most, self.below)
        texts = zip(("{} or more", "more than {}", "at most {}", "less than {}"), bounds, strict=True)
        found = " and ".join(text.format(written(bound)) for text, bound in texts if math.isfinite(bound))
        return found or "a finite number"


@dataclass(frozen=True, kw_only=True)
class OptionMetadata:
    """What is known of an option beside its name, its type and its default."""

    text: str  # one line for people, with the unit
    range: Range  # of the number, or of each number of several
    unit: str = ""  # of the number, for messages
    choices: Choices = ()  # of a value, or of each in a list, if its type names none
    joined: bool = False  # whether a value may be several choices with "+" between them
    distinct: bool = False  # whether a list has each value once
    filled: bool = False  # whether a list has a value or more
    command_line_type: type | None = None  # dataclass that the command line has in the place of this one
    group: str = ""  # name of the choice that has the default, if there are others: presets of conf/, or `variants`
    variants: Mapping[str, type] | None = None  # choices that have options of their own -> the dataclass of each


def option(
    default: T,
    text: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    unit: str = "",
    choices: Iterable[object] = (),
    joined: bool = False,
    distinct: bool = False,
    filled: bool = False,
    command_line_type: type | None = None,
    group: str = "",
    variants: Mapping[str, type] | None = None,
    decides: bool = True,
) -> T:
    """Describe a field: its default or `REQUIRED`, its meaning, and the range of its numbers; None is in each range.

    ``decides`` is false of what changes no result, such as which program computes the same sound.
    """
    meaning = OptionMetadata(
        text=text,
        range=Range(least=least, most=most, above=above, below=below),
        unit=unit,
        choices=tuple(choices),
        joined=joined,
        distinct=distinct,
        filled=filled,
        command_line_type=command_line_type,
        group=group,
        variants=variants,
    )
    metadata = {METADATA: meaning, **({} if decides else NO_RESULT)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)  # type: ignore[return-value]  # as `dataclasses.field` is typed, too
    return dataclasses.field(default=default, metadata=metadata)


class Options:
    """Base of dataclasses with options: a new instance checks the range of each."""

    def __init_subclass__(cls) -> None:
        """Keep the meaning of each option of which this class has another default."""
        super().__init_subclass__()
        of_bases = (getattr(base, "__dataclass_fields__", {}) for base in reversed(cls.__mro__[1:]))
        inherited: dict[str, dataclasses.Field[Any]] = {name: of for each in of_bases for name, of in each.items()}
        for name in inspect.get_annotations(cls):
            default = getattr(cls, name, REQUIRED)  # a type alone leaves the default
            if (
                name in inherited
                and METADATA in inherited[name].metadata
                and not isinstance(default, dataclasses.Field)
            ):
                setattr(cls, name, dataclasses.field(default=default, metadata=inherited[name].metadata))

    def __post_init__(self) -> None:
        choices = field_choices(cast(type, type(self)))
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            value = getattr(self, field.name)
            # `tests/test_configs.py` holds that defaults are in their ranges, and most values are defaults. Options in
            # this one have checked theirs.
            if field.name not in choices or value is None or isinstance(value, Options):
                continue
            if value is not field.default and value != field.default:
                require_in_range(field.name, value, field.metadata[METADATA], choices[field.name])

    def refuse_if(self, wrong: object, name: str, rule: str) -> None:
        """Refuse the value of an option, maybe one of a nested config (``batches.seed``); the rule is the remedy."""
        if wrong:
            raise InputError(option=name, value=attrgetter(name)(self), rule=rule)


def require_in_range(name: str, value: object, meaning: OptionMetadata, choices: Choices) -> None:
    """Refuse a number out of range or, without a range, not finite; other values than choices; empty lists, repeats."""
    values = value if isinstance(value, tuple) else (value,)
    if (meaning.filled and not values) or (meaning.distinct and len({*values}) < len(values)):
        rule = f"name one or more{', each once' if meaning.distinct else ''}" if meaning.filled else "name each once"
        raise InputError(option=name, value=value, rule=rule)
    bounds = meaning.range
    for number in values:
        if not isinstance(number, float | int) or isinstance(number, bool):
            continue
        if not (bounds.least <= number <= bounds.most and bounds.above < number < bounds.below):
            each = "choose for each " if isinstance(value, tuple) else "choose "
            unit = f" {meaning.unit}" if meaning.unit else ""
            raise InputError(option=name, value=value, rule=f"{each}{bounds}{unit}")
    single: Iterable[object] = values
    if meaning.joined:
        joined = [each.split(BESIDE) for each in values]
        if any(len({*parts}) < len(parts) for parts in joined):
            raise InputError(option=name, value=value, rule="name each part of a sum once")
        single = [part for parts in joined for part in parts]
    if choices and (wrong := [each for each in single if each not in choices]):
        raise InputError(option=name, value=value, rule=suggestion(str(wrong[0]), map(str, choices)))


@cache
def field_choices(cls: type) -> dict[str, Choices]:
    """Return the values that each option of a dataclass takes, as its meaning or its type names them; (): any."""
    kinds, found = get_type_hints(cls), dict[str, Choices]()
    for field in dataclasses.fields(cls):
        if (meaning := field.metadata.get(METADATA)) is not None:
            found[field.name] = meaning.choices or _choices_of(kinds[field.name])
    return found


def _choices_of(kind: object) -> Choices:
    """Return the values that a type names, if it takes nothing but them, or None, or a list."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return parts
    others = {*parts} - {NoneType, Ellipsis}
    if origin not in (Union, UnionType, tuple) or len(others) != 1:
        return ()
    return _choices_of(others.pop())


def build(
    cls: type[T],
    values: Mapping[str, object],
    *,
    name: str,
    default: T | None = None,
    settle: Callable[[dict[str, Any]], Mapping[str, object]] | None = None,
) -> T:
    """Build the dataclass ``cls`` from plain ``values``; nested mappings become nested dataclasses.

    A missing value is that of ``default``, else that of the class; a nested dataclass has the default of its field.
    ``name`` is the dotted path of the values in the whole config, for messages: ``"tokenizer"``; ``""`` at the top.
    ``settle`` gets the converted values by name, with defaults, and returns them with those that follow from others: so
    the dataclass itself is made once.

    Raises:
        InputError: a key is unknown or missing, or a value is not of the annotated type, at any depth.
    """
    if not isinstance(values, Mapping):
        raise InputError(option=name, value=values, rule=f"it must be a group of options: set `{name}`.<option>=...")
    try:
        fields = {field.name: field for field in dataclasses.fields(cast(Any, cls)) if field.init}
        for key in values:
            if key not in fields:
                near = suggestion(f"`{key}`", [f"`{field}`" for field in fields])
                raise InputError(f"`{key}` is not an option", remedy=near)
        for key, field in fields.items():
            if default is None and key not in values and _is_required(field):
                raise InputError(f"`{key}` is missing", remedy=f"it has no default: set `{key}`=...")
        types = get_type_hints(cls)
        arguments = {} if default is None else {key: getattr(default, key) for key in fields}
        for key, value in values.items():
            meaning: OptionMetadata | None = fields[key].metadata.get(METADATA)
            if not (variants := meaning and meaning.variants):
                own, kind = arguments.get(key, fields[key].default), type(value)
                # A default is of the field's type, but for a whole number that stands for a float.
                usual = kind is type(own) and (kind in _USUAL or kind is types[key]) and value == own
                arguments[key] = own if usual else convert(types[key], value, option=key, default=own)
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
        if settle is not None:
            defaults = {key: field.default for key, field in fields.items() if field.default is not dataclasses.MISSING}
            arguments = {**settle(defaults | arguments)}
        return cast(Any, cls)(**arguments)  # type: ignore[no-any-return]  # mypy knows no constructor of any T
    except InputError as error:
        raise error.within(name) from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def convert(kind: Any, value: object, *, option: str, default: object = None) -> object:
    """Convert a value to the annotated type ``kind``; what a dataclass lacks is that of the ``default``."""
    if type(value) is int and abs(value) > MOST_INTEGER:
        raise InputError(option=option, value=value, rule=f"it must lie within 64 bits: ±{MOST_INTEGER}")
    if type(value) is kind and kind in (bool, int, str):
        return value
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
        return tuple([convert(kind, item, option=f"{option}[{place}]") for place, (kind, item) in pairs])
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
    if len(others) == 1 and others[0] not in _WORDS and get_origin(others[0]) is not Literal:  # it has parts
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
    example = _WORDS.get(kind, ("", "..."))[1]
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
    return _WORDS[kind][0] if kind in _WORDS else str(getattr(kind, "__name__", kind))


def updated(
    config: T, change: Callable[[dataclasses.Field[Any], Any], object], *, of: Collection[str], name: str = ""
) -> T:
    """Copy a dataclass and those in it with other values of the fields whose names are in ``of``.

    ``change(field, value)`` returns the new value, or the same one to keep it. ``name`` is the dotted place of the
    config in the error of a dataclass that refuses its value.
    """
    changed: dict[str, object] = {}
    try:
        for field in dataclasses.fields(cast(Any, config)):
            value = new = getattr(config, field.name)
            if field.name in of:
                new = change(field, value)
            if dataclasses.is_dataclass(new):
                new = updated(cast(object, new), change, of=of, name=field.name)
            elif isinstance(new, Mapping):
                several = {
                    key: updated(each, change, of=of, name=key) if dataclasses.is_dataclass(each) else each
                    for key, each in new.items()
                }
                new = several if any(several[key] is not each for key, each in new.items()) else new
            if new is not value:
                changed[field.name] = new
        return cast(T, dataclasses.replace(cast(Any, config), **changed)) if changed else config
    except InputError as error:
        raise error.within(name) from error


def with_values(config: T, **values: object) -> T:
    """Copy a dataclass with other values of some fields; it stays the same object where it has these values already."""
    if all(getattr(config, name) == value for name, value in values.items()):
        return config
    return cast(T, dataclasses.replace(cast(Any, config), **values))


Meanings = Mapping[str, Mapping[object, object]]  # name of an option -> what some of its values mean here


def follow(config: T, meanings: Meanings = MappingProxyType({}), /, **values: object) -> T:
    """Copy a dataclass in which every field of these names that is no option has the command's value.

    Options that ``meanings`` names have what their values mean.
    """

    def change(field: dataclasses.Field[Any], own: Any) -> object:
        if METADATA not in field.metadata:
            return values.get(field.name, own)
        return own if field.name not in meanings else meanings[field.name].get(own, own)

    return updated(config, change, of={*values, *meanings})


def move_seeds(config: T, by: int, *, name: str) -> T:
    """Copy the dataclass ``config``, ``name`` in messages, with all seeds in it increased by ``by``."""
    return updated(config, lambda _, value: value + by, of=("seed",), name=name)


def leaves(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """List dotted name and value of each option in nested mappings; an empty mapping is a value."""
    found = list[tuple[str, object]]()
    for key, value in values.items():
        name = f"{prefix}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            found += leaves(value, name)
        else:
            found.append((name, value))
    return found


@dataclass(frozen=True, kw_only=True)
class BatchSize(Options):
    """The size of a training batch."""

    batch_size: int = option(32, "examples (windows, crops) per step, over all processes", least=1)


@dataclass(frozen=True, kw_only=True)
class TransformerSizes(Options):
    """Sizes that every transformer has."""

    layers: int = option(6, "layers of the transformer", least=1, most=MOST_LAYERS)
    heads: int = option(6, "attention heads", least=1)
    ffn_dim: int = option(512, "width inside the feed-forward networks", least=1)


@dataclass(frozen=True, kw_only=True)
class CausalSizes(TransformerSizes):
    """Sizes of a causal transformer with rotary positions."""

    model_dim: int = option(192, "width of the transformer", least=1)
    dropout: float = 0.0  # of the embeddings and of the output of each sub-layer
    rope_theta: float = 10_000.0  # base of the rotary frequencies
    init_std: float = 0.02  # standard deviation of the initial weights

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"rotary positions turn pairs: choose a multiple of {2 * self.heads}, which is 2 * `heads`"
        self.refuse_if(self.model_dim % (2 * self.heads), "model_dim", rule)
