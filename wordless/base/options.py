"""Options: the default, the meaning and the range of a value stand in its field of a dataclass, and nowhere else::

    @dataclass(frozen=True, kw_only=True)
    class PatchConfig(Options):
        frames: int = option(2, "frames per patch; 2 frames give 50 codes per second by default", least=1)

Direct construction and `build` check the ranges. The command line has an option for each such field, and none for a
field without `option`. Its help and its defaults read the fields (pipelines/commandline/option_index.py).
A subclass that gives an option another default says nothing else again: ``frames: int = 4``.
This module imports no heavy library, and no module of options does: commands refuse options before PyTorch is imported.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wordless.base.messages import InputError, suggestion, within, written

T = TypeVar("T")
Choices = tuple[object, ...]  # the values that an option takes; (): any of its type and range

REQUIRED: Final[Any] = dataclasses.MISSING  # the default of an option that must be given
MOST_LAYERS = 256  # of a network
MEANING = "option"  # key of a field's metadata
BESIDE = "+"  # between choices of which a value has several


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that an option takes. Infinity and NaN are in no range."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{written(self.least)} to {written(self.most)}"
        bounds = (self.least, self.above, self.most, self.below)
        texts = zip(("{} or more", "more than {}", "at most {}", "less than {}"), bounds, strict=True)
        found = " and ".join(text.format(written(bound)) for text, bound in texts if math.isfinite(bound))
        return found or "a finite number"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What is known of an option beside its name, its type and its default."""

    text: str  # one line for people, with the unit
    range: Range  # of the number, or of each number of several
    unit: str = ""  # of the number, for messages
    choices: Choices = ()  # of a value, or of each in a list, if its type names none
    joined: bool = False  # whether a value may be several choices with "+" between them
    distinct: bool = False  # whether a list has each value once
    filled: bool = False  # whether a list has a value or more
    given_as: type | None = None  # dataclass that the command line has in the place of this one
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
    given_as: type | None = None,
    group: str = "",
    variants: Mapping[str, type] | None = None,
) -> T:
    """Describe a field: its default or `REQUIRED`, its meaning, and the range of its numbers; None is in each range."""
    meaning = Meaning(
        text=text,
        range=Range(least=least, most=most, above=above, below=below),
        unit=unit,
        choices=tuple(choices),
        joined=joined,
        distinct=distinct,
        filled=filled,
        given_as=given_as,
        group=group,
        variants=variants,
    )
    metadata = {MEANING: meaning}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)  # type: ignore[return-value]  # as `dataclasses.field` is typed, too
    return dataclasses.field(default=default, metadata=metadata)


def updated(config: T, change: Callable[[dataclasses.Field[Any], Any], object], *, name: str = "") -> T:
    """Copy a dataclass and those in it; ``change(field, value)`` returns the new value, or the same one to keep it.

    ``name`` is the dotted place of the config in the error of a dataclass that refuses its value.
    """
    changed: dict[str, object] = {}
    with within(name):
        for field in dataclasses.fields(cast(Any, config)):
            value = getattr(config, field.name)
            new = change(field, value)
            if dataclasses.is_dataclass(new):
                new = updated(cast(object, new), change, name=field.name)
            elif isinstance(new, Mapping):
                of = {
                    key: updated(each, change, name=key) if dataclasses.is_dataclass(each) else each
                    for key, each in new.items()
                }
                new = of if any(of[key] is not each for key, each in new.items()) else new
            if new is not value:
                changed[field.name] = new
        return cast(T, dataclasses.replace(cast(Any, config), **changed)) if changed else config


def follow(config: T, **values: object) -> T:
    """Copy a dataclass in which every field of these names that is no option has the command's value."""
    return updated(config, lambda of, own: own if MEANING in of.metadata else values.get(of.name, own))


class Options:
    """Base of dataclasses with options: a new instance checks the range of each."""

    def __init_subclass__(cls) -> None:
        """Keep the meaning of each option of which this class has another default."""
        super().__init_subclass__()
        of_bases = (getattr(base, "__dataclass_fields__", {}) for base in reversed(cls.__mro__[1:]))
        inherited: dict[str, dataclasses.Field[Any]] = {name: of for each in of_bases for name, of in each.items()}
        for name in inspect.get_annotations(cls):
            default = getattr(cls, name, REQUIRED)  # a type alone leaves the default
            if name in inherited and MEANING in inherited[name].metadata and not isinstance(default, dataclasses.Field):
                setattr(cls, name, dataclasses.field(default=default, metadata=inherited[name].metadata))

    def __post_init__(self) -> None:
        choices = field_choices(cast(type, type(self)))
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            if field.name in choices and (value := getattr(self, field.name)) is not None:
                require_in_range(field.name, value, field.metadata[MEANING], choices[field.name])

    def refuse_if(self, wrong: object, name: str, rule: str) -> None:
        """Refuse the value of an option, maybe one of a nested config (``batches.seed``); the rule is the remedy."""
        if wrong:
            raise InputError(option=name, value=attrgetter(name)(self), rule=rule)


def require_in_range(name: str, value: object, meaning: Meaning, choices: Choices) -> None:
    """Refuse a number out of range or, without a range, not finite; other values than choices; empty lists, repeats."""
    values = value if isinstance(value, tuple) else (value,)
    if (meaning.filled and not values) or (meaning.distinct and len({*values}) < len(values)):
        rule = f"name one or more{', each once' if meaning.distinct else ''}" if meaning.filled else "name each once"
        raise InputError(option=name, value=value, rule=rule)
    for number in values:
        if isinstance(number, float | int) and not isinstance(number, bool) and number not in meaning.range:
            each = "choose for each " if isinstance(value, tuple) else "choose "
            unit = f" {meaning.unit}" if meaning.unit else ""
            raise InputError(option=name, value=value, rule=f"{each}{meaning.range}{unit}")
    joined = [each.split(BESIDE) for each in values] if meaning.joined else []
    if any(len({*parts}) < len(parts) for parts in joined):
        raise InputError(option=name, value=value, rule="name each part of a sum once")
    single = [part for parts in joined for part in parts] if meaning.joined else values
    if choices and (wrong := [each for each in single if each not in choices]):
        raise InputError(option=name, value=value, rule=suggestion(str(wrong[0]), map(str, choices)))


@cache
def field_choices(cls: type) -> dict[str, Choices]:
    """Return the values that each option of a dataclass takes, as its meaning or its type names them; (): any."""
    kinds, found = get_type_hints(cls), dict[str, Choices]()
    for field in dataclasses.fields(cls):
        if (meaning := field.metadata.get(MEANING)) is not None:
            found[field.name] = meaning.choices or _choices_of(kinds[field.name])
    return found


def _choices_of(kind: object) -> Choices:
    """Return the values that a type names, if it takes nothing but them, or None, or a list."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return parts
    others = [each for each in parts if each not in (type(None), Ellipsis)]
    if origin not in (Union, UnionType, tuple) or len(others) != 1:
        return ()
    return _choices_of(others[0])


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
        if self.model_dim % (pair := 2 * self.heads):
            rule = f"rotary positions turn pairs: choose a multiple of {pair}, which is 2 * `heads`"
            raise InputError(option="model_dim", value=self.model_dim, rule=rule)
