"""The options of every command, read from the fields of its dataclass (wordless/base/options.py).

Help, completion, refusals and the page of options read this index. ``conf/`` adds presets: files that set several
options at once. Neither Hydra nor PyTorch is imported, because shells ask for completions while a user types.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import conf
from pipelines.commandline.commands import COMMANDS
from wordless.base.errors import written
from wordless.base.options import MEANING, REQUIRED, Meaning, choices_of
from wordless.base.seeds import MAX_SEED

FOLDER = Path(str(conf.__file__)).parent
DEFAULT_PRESET = "The defaults."
MOST_LISTED = 13  # choices in an explanation; completion has all
MISSING = "???"  # OmegaConf's value of an option that must be given
HYDRA = "hydra"  # whose options begin with this name
TIME = "${now:%Y-%m-%d}_${now:%H-%M-%S}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what ``name=value`` sets."""

    name: str  # dotted, as on the command line
    default: object  # plain: null, number, text, list or mapping
    explanation: str
    values: tuple[str, ...] = ()  # those that have names
    kind: object = None  # its type
    meaning: Meaning | None = None  # None: of Hydra, or of several choices that differ
    verbatim: bool = False  # whether the value is one text or path, in which no character has a meaning for Hydra
    # such as body=ast -> the option with this choice; empty if all choices that have it mean the same
    choices: Mapping[str, "Option"] = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The default as on the command line."""
        return MISSING if self.default is REQUIRED else written_value(self.default)


HYDRA_FOLDERS = (  # options of Hydra itself that a run has a use for
    Option(name="hydra.run.dir", default=f"runs/{TIME}", explanation="folder of the run"),
    Option(name="hydra.sweep.dir", default=f"multirun/{TIME}", explanation="folder of a sweep"),
)


def written_value(value: object) -> str:
    """Write a plain value as on the command line."""
    match value:
        case "":
            return '""'
        case dict():
            return f"{{{', '.join(f'{key}: {written_value(each)}' for key, each in value.items())}}}"
        case _:
            return written(value, most=None)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of options of which ``name=choice`` sets several at once, by a preset or by another dataclass."""

    chosen: str
    explanation: str
    choices: Mapping[str, str] = field(default_factory=dict)  # name -> its explanation
    variants: Mapping[str, "Index"] = field(default_factory=dict)  # of choices that have options of their own


@dataclass(frozen=True, kw_only=True)
class Index:
    """The options of a command."""

    notes: str = ""  # docstring of the dataclass after its first line: details and examples
    options: dict[str, Option] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)  # dotted name of what holds several options -> explanation
    groups: dict[str, Group] = field(default_factory=dict)

    @cached_property
    def names(self) -> frozenset[str]:
        """The dotted names of all that ``name=value`` can set."""
        return frozenset({*self.options, *self.sections, *self.groups})


@cache
def index(command: str) -> Index:
    """Return the options of ``wordless <command>``; none if it is no command."""
    if command not in COMMANDS:
        return Index()
    found = index_of(options_class(command))
    hydra = {each.name: each for each in HYDRA_FOLDERS if command == "run"}
    return replace(found, options=found.options | hydra)


@cache
def options_class(command: str) -> type:
    """Import the dataclass with the options of a command."""
    module, _, name = COMMANDS[command].options.partition(":")
    cls: type = getattr(import_module(module), name)
    return cls


@cache
def index_of(cls: type) -> Index:
    """Read the options of a dataclass."""
    lines = (cls.__doc__ or "").strip().splitlines()[1:]
    notes = "\n".join(line.removeprefix("    ") for line in lines).strip()
    found = Index(notes=notes)
    _collect(found, cls, cls, {}, "")
    for name, (chosen, explanation) in getattr(cls, "presets", {}).items():
        found.groups[name] = Group(chosen=chosen, explanation=explanation, choices=dict(presets(name)))
    return found


def _collect(found: Index, root: type, cls: type, values: Mapping[str, object], prefix: str) -> None:
    """Add the options of a dataclass, whose defaults ``values`` replace, to those of the command ``root``."""
    types = get_type_hints(cls)
    for each in sorted(dataclasses.fields(cls), key=lambda one: one.name not in cls.__annotations__):  # its own first
        meaning: Meaning | None = each.metadata.get(MEANING)
        if meaning is None:
            continue
        name = f"{prefix}.{each.name}".lstrip(".")
        made = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        default = values.get(each.name, made)
        inner = meaning.given_as or (type(default) if dataclasses.is_dataclass(default) else None)
        if meaning.variants is not None:
            _collect_variants(found, root, name, meaning)
        elif inner is not None:
            if meaning.group:
                choices = {meaning.group: DEFAULT_PRESET, **dict(presets(name))}
                found.groups[name] = Group(chosen=meaning.group, explanation=meaning.text, choices=choices)
            found.sections[name] = meaning.text
            given = vars(default) if dataclasses.is_dataclass(default) and isinstance(default, inner) else {}
            _collect(found, root, inner, given, name)
        else:
            found.options[name] = _option(root, name, default, meaning, types[each.name])


def _collect_variants(found: Index, root: type, name: str, meaning: Meaning) -> None:
    """Add the options of every dataclass that may stand in a field; those that differ have their choices."""
    variants = {choice: Index() for choice in meaning.variants or {}}
    for choice, cls in (meaning.variants or {}).items():
        chooses = Option(name=f"{name}.name", default=choice, explanation=f"{name}=NAME chooses it")
        variants[choice].options[chooses.name] = chooses
        _collect(variants[choice], root, cls, {}, name)
    for option in dict.fromkeys(key for each in variants.values() for key in each.options):
        having = {choice: each.options[option] for choice, each in variants.items() if option in each.options}
        first, alike = next(iter(having.values())), len({(one.value, one.explanation) for one in having.values()}) == 1
        choices = {} if alike else {f"{name}={choice}": each for choice, each in having.items()}
        verbatim = any(each.verbatim for each in having.values())
        own = first.meaning if alike else None
        found.options[option] = replace(first, meaning=own, verbatim=verbatim, choices=choices)
    docs = {choice: (cls.__doc__ or "").strip().splitlines()[0] for choice, cls in (meaning.variants or {}).items()}
    docs |= dict(presets(name))
    found.groups[name] = Group(chosen=meaning.group, explanation=meaning.text, choices=docs, variants=variants)
    found.sections[name] = meaning.text
    for each in variants.values():
        found.sections.update(each.sections | found.sections)


def _option(root: type, name: str, default: object, meaning: Meaning, kind: object) -> Option:
    """Describe the option of one field; ``typed`` and ``own_seeds`` of the command may give another default."""
    explanation, typed = _explanation(meaning, kind), getattr(root, "typed", {}).get(name)
    if typed is not None:
        default, explanation = typed.default, f"{explanation}; {typed.note}" if typed.note else explanation
    if name.endswith(".seed") and name not in getattr(root, "own_seeds", (name,)):
        default = "${seed}"
    values = ("true", "false") if kind is bool else tuple(map(str, meaning.choices or _names(kind)))
    return Option(
        name=name,
        default=plain_value(default),
        explanation=explanation,
        values=values,
        kind=kind,
        meaning=meaning,
        verbatim=is_verbatim(kind),
    )


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
    values = [*map(str, meaning.choices or choices_of(kind))]
    listed = values if len(values) <= MOST_LISTED else [*values[:MOST_LISTED], "..."]
    choices = f"{' | '.join(listed)}: " if values else ""
    bounds = meaning.range
    limits = bounds is not None and bounds.least is not None and bounds.most is not None and bounds.most < MAX_SEED
    return f"{choices}{meaning.text}{f' ({bounds})' if limits else ''}"


def _names(kind: object) -> Iterator[object]:
    """Give the values of a type that have names; it may take others, too."""
    for each in get_args(kind):
        yield from (each,) if get_origin(kind) is Literal else _names(each)


def is_verbatim(kind: object) -> bool:
    """Return whether a type takes one text or path: such a value needs no quotes, whatever characters it has."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    several = any(get_origin(each) not in (None, Literal) for each in kinds)
    return not several and (str in kinds or Path in kinds)


def nested(options: Iterable[Option]) -> dict[str, object]:
    """Return the defaults of options as nested plain values."""
    values: dict[str, object] = {}
    for each in options:
        *places, last = each.name.split(".")
        inner: Any = values
        for place in places:
            inner = inner.setdefault(place, {})
        inner[last] = MISSING if each.default is REQUIRED else each.default
    return values


def group_by_section(names: Iterable[str]) -> dict[str, list[str]]:
    """Group dotted names by what stands before their last dot."""
    sections: dict[str, list[str]] = {}
    for name in names:
        sections.setdefault(name.rpartition(".")[0], []).append(name)
    return sections


def presets(group: str) -> Iterator[tuple[str, str]]:
    """Give the names of the presets of a group, and the comment at the top of each."""
    for path in sorted((FOLDER / group).glob("*.yaml")):
        lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        notes = (line.removeprefix("#").strip() for line in lines if not line.startswith("# @package"))
        yield path.stem, " ".join(notes)
