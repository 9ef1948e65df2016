"""The options of every command, read from the fields of its dataclass (wordless/base/options.py).

``conf/`` adds presets: files that set several options at once. Neither Hydra nor PyTorch is imported, because shells
ask for completions while a user types.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import conf
from pipelines.commandline.commands import OPTIONS
from wordless.base.errors import written
from wordless.base.options import MEANING, REQUIRED, Meaning, choices_of
from wordless.base.seeds import MAX_SEED

FOLDER = Path(str(conf.__file__)).parent
DEFAULT_PRESET = "The defaults."
MISSING = "???"  # OmegaConf's value of an option that must be given


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what ``name=value`` sets."""

    name: str  # dotted, as on the command line
    default: object  # plain: null, number, text, list or mapping
    explanation: str
    values: tuple[str, ...] = ()  # if it takes nothing else
    verbatim: bool = False  # whether the value is one text or path, in which no character has a meaning for Hydra

    @property
    def value(self) -> str:
        """The default as on the command line."""
        return MISSING if self.default is REQUIRED else written_value(self.default)


def written_value(value: object) -> str:
    """Write a plain value as on the command line."""
    match value:
        case "":
            return '""'
        case dict():
            return f"{{{', '.join(f'{key}: {written_value(each)}' for key, each in value.items())}}}"
        case _:
            return written(value)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of options that has presets: ``name=choice`` sets several options at once."""

    chosen: str
    explanation: str
    choices: Mapping[str, str] = field(default_factory=dict)  # name of a preset -> its explanation


@dataclass(frozen=True, kw_only=True)
class Index:
    """The options of a command."""

    notes: str = ""  # docstring of the dataclass after its first line: details and examples
    options: dict[str, Option] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)  # dotted name of what holds several options -> explanation
    groups: dict[str, Group] = field(default_factory=dict)


@cache
def index_of(cls: type) -> Index:
    """Read the options of a dataclass."""
    lines = (cls.__doc__ or "").strip().splitlines()[1:]
    notes = "\n".join(line.removeprefix("    ") for line in lines).strip()
    found = Index(notes=notes)
    _collect(found, cls, {}, "")
    for name, typed in getattr(cls, "typed", {}).items():
        each = found.options[name]
        explanation = f"{each.explanation}; {typed.note}" if typed.note else each.explanation
        found.options[name] = replace(each, default=typed.default, explanation=explanation)
    for name in found.options:
        if name.endswith(".seed") and name not in getattr(cls, "own_seeds", (name,)):
            found.options[name] = replace(found.options[name], default="${seed}")
    for name, (chosen, explanation) in getattr(cls, "presets", {}).items():
        found.groups[name] = Group(chosen=chosen, explanation=explanation, choices=dict(presets(name)))
    return found


@cache
def options_class(command: str) -> type:
    """Import the dataclass with the options of a command."""
    module, _, name = OPTIONS[command].partition(":")
    cls: type = getattr(import_module(module), name)
    return cls


def _collect(found: Index, cls: type, values: Mapping[str, object], prefix: str) -> None:
    """Add the options of a dataclass, whose defaults ``values`` replace."""
    types = get_type_hints(cls)
    for each in sorted(dataclasses.fields(cls), key=lambda one: one.name not in cls.__annotations__):  # its own first
        meaning: Meaning | None = each.metadata.get(MEANING)
        if meaning is None:
            continue
        name = f"{prefix}.{each.name}".lstrip(".")
        default = values.get(each.name, _default(each))
        inner = meaning.given_as or (type(default) if dataclasses.is_dataclass(default) else None)
        if meaning.group:
            choices = {meaning.group: DEFAULT_PRESET, **dict(presets(name))}
            found.groups[name] = Group(chosen=meaning.group, explanation=meaning.text, choices=choices)
        if inner is not None:
            found.sections[name] = meaning.text
            given = vars(default) if dataclasses.is_dataclass(default) and isinstance(default, inner) else {}
            _collect(found, inner, given, name)
        else:
            kind = types[each.name]
            found.options[name] = Option(
                name=name,
                default=plain_value(default),
                explanation=_explanation(meaning, kind),
                values=_values(kind, meaning),
                verbatim=is_verbatim(kind),
            )


def _default(each: "dataclasses.Field[Any]") -> object:
    return each.default if each.default_factory is dataclasses.MISSING else each.default_factory()


def plain_value(value: object) -> object:
    """Return a default as Hydra takes it: paths as texts, tuples as lists."""
    match value:
        case Path():
            return str(value)
        case tuple() | list():
            return [plain_value(each) for each in value]
        case Mapping():
            return {str(key): plain_value(each) for key, each in value.items()}
        case _:
            return value


def _explanation(meaning: Meaning, kind: object) -> str:
    values = _values(kind, meaning)
    choices = f"{' | '.join(values)}: " if values and values != ("true", "false") else ""
    bounds = meaning.range
    limits = bounds is not None and bounds.least is not None and bounds.most is not None and bounds.most < MAX_SEED
    return f"{choices}{meaning.text}{f' ({bounds})' if limits else ''}"


def _values(kind: object, meaning: Meaning) -> tuple[str, ...]:
    return ("true", "false") if kind is bool else tuple(map(str, meaning.choices or choices_of(kind)))


def is_verbatim(kind: object) -> bool:
    """Return whether a type takes one text or path: such a value needs no quotes, whatever characters it has."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    several = any(get_origin(each) not in (None, Literal) for each in kinds)
    return not several and (str in kinds or Path in kinds)


def index(command: str) -> Index:
    """Return the options of ``wordless <command>``; none if it is no command."""
    return index_of(options_class(command)) if command in OPTIONS else Index()


def defaults(cls: type) -> dict[str, object]:
    """Return the defaults of a dataclass as nested plain values, as Hydra takes them."""
    values: dict[str, object] = {}
    for name, each in index_of(cls).options.items():
        *places, last = name.split(".")
        inner: Any = values
        for place in places:
            inner = inner.setdefault(place, {})
        inner[last] = MISSING if each.default is REQUIRED else each.default
    return values


def notes_of(path: Path) -> str:
    """Return the comment at the top of a preset."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return " ".join(line.removeprefix("#").strip() for line in lines if not re.match(r"# @package", line))


def presets(group: str) -> Iterator[tuple[str, str]]:
    """Give the names of the presets of a group, and what they are."""
    for path in sorted((FOLDER / group).glob("*.yaml")):
        yield path.stem, notes_of(path)
