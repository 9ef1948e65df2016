"""The options of every command, read from the fields of its dataclass (`wordless.base.options`)."""

import dataclasses
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from operator import methodcaller
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import conf
from pipelines.plugins.table import plugins
from pipelines.settings.run_settings import RunSettings
from wordless.base.messages import written
from wordless.base.options import (
    METADATA,
    REQUIRED,
    Choices,
    OptionMetadata,
    field_choices,
)
from wordless.base.seeds import MAX_SEED

_FOLDER = Path(str(conf.__file__)).parent
DEFAULT_PRESET = "The defaults."
_MISSING = "???"  # OmegaConf's value of an option that must be given
HYDRA = "hydra"  # whose options begin with this name
TIME = "${now:%Y-%m-%d}_${now:%H-%M-%S}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what ``name=value`` sets."""

    name: str  # dotted, as on the command line
    default: object  # plain: null, number, text, list or mapping
    explanation: str
    kind: object = str  # its type
    meaning: OptionMetadata | None = None  # None: of Hydra
    choices: Choices = ()

    @property
    def value(self) -> str:
        """The default as on the command line."""
        return written_value(self.default)

    @property
    def takes_list(self) -> bool:
        return any(get_origin(kind) is tuple for kind in (self.kind, *get_args(self.kind)))


HYDRA_FOLDERS = {  # options of Hydra itself that a run has a use for
    "hydra.run.dir": Option(name="hydra.run.dir", default=f"runs/{TIME}", explanation="folder of the run"),
    "hydra.sweep.dir": Option(name="hydra.sweep.dir", default=f"multirun/{TIME}", explanation="folder of a sweep"),
}


def written_value(value: object) -> str:
    """Write a plain value as on the command line."""
    match value:
        case "":
            return '""'
        case dict():
            return f"{{{', '.join(f'{key}: {written_value(each)}' for key, each in value.items())}}}"
        case _:
            return "(required)" if value == _MISSING else written(value, most=None)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of options of which ``name=choice`` sets several at once, by a preset or by another dataclass."""

    chosen: str
    explanation: str
    choices: Mapping[str, str] = field(default_factory=dict)  # name -> its explanation
    variants: Mapping[str, "Index"] = field(default_factory=dict)  # of choices that have options of their own


@dataclass(frozen=True, kw_only=True)
class Index:
    """The options of a command; of an option that several variants have, that of the first."""

    notes: str = ""  # docstring of the dataclass after its first line: details and examples
    options: dict[str, Option] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)  # dotted name of what holds several options -> explanation
    groups: dict[str, Group] = field(default_factory=dict)
    omissible: set[str] = field(default_factory=set)  # sections of which null leaves all options out

    @property
    def varied(self) -> tuple[str, ...]:
        """How options begin that the choice of a variant decides."""
        return tuple(f"{name}." for name, group in self.groups.items() if group.variants)

    @cached_property
    def names(self) -> frozenset[str]:
        """The dotted names of all that ``name=value`` can set."""
        return frozenset({*self.options, *self.sections, *self.groups})

    @cached_property
    def verbatim(self) -> frozenset[str]:
        """The options whose value is one text or path, in which no character has a meaning for Hydra."""
        texts = {kind for kind in {each.kind for each in self.options.values()} if _is_text(kind)}
        return frozenset([name for name, each in self.options.items() if each.kind in texts])


def _is_text(kind: object) -> bool:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    several = {*map(get_origin, kinds)} - {None, Literal}
    return not several and (str in kinds or Path in kinds)


@cache
def index(cls: type) -> Index:
    """Read the options of a command from its dataclass; those of `RunSettings` are followed by folders of Hydra's."""
    found = index_of(cls)
    return replace(found, options=found.options | HYDRA_FOLDERS) if cls is RunSettings else found


@cache
def index_of(cls: type) -> Index:
    """Read the options of a dataclass."""
    lines = (cls.__doc__ or "").strip().splitlines()[1:]
    found = Index(notes="\n".join(line.removeprefix("    ") for line in lines).strip())
    _collect(found, cls, cls, {}, "")
    for each in plugins() if "plugins" in {of.name for of in dataclasses.fields(cls)} else ():
        found.sections[each.name] = each.explanation
        _collect(found, each, each.options, {}, each.name)
        if each.preset:
            choices = {each.preset: DEFAULT_PRESET, **dict(presets(each.name))}
            found.groups[each.name] = Group(chosen=each.preset, explanation=each.explanation, choices=choices)
    for name, (chosen, explanation) in getattr(cls, "presets", {}).items():
        found.groups[name] = Group(chosen=chosen, explanation=explanation, choices=dict(presets(name)))
    return found


def _collect(found: Index, root: object, cls: type, values: Mapping[str, object], prefix: str) -> None:
    """Add the options of a dataclass, whose defaults ``values`` replace, to those of the command or plugin ``root``."""
    types, choices_of = get_type_hints(cls), field_choices(cls)
    known, ordered = dict[str, dataclasses.Field[Any]](), dict[str, dataclasses.Field[Any]]()
    for each in dataclasses.fields(cls):
        if METADATA in each.metadata:
            known[each.name] = each
    for each in known.values():  # those that must be given come first
        if each.default is REQUIRED and each.metadata[METADATA].command_line_type is None:
            ordered[each.name] = each
    for of in cls.__mro__:  # own options before those of bases
        ordered |= {name: known[name] for name in inspect.get_annotations(of) if name in known and name not in ordered}
    for each in ordered.values():
        meaning: OptionMetadata = each.metadata[METADATA]
        name = f"{prefix}.{each.name}".lstrip(".")
        made = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        default = values.get(each.name, made)
        inner = meaning.command_line_type or (type(default) if dataclasses.is_dataclass(default) else None)
        if inner is None:
            found.options[name] = _option(root, name, default, meaning, types[each.name], choices_of[each.name])
            continue
        found.sections[name], variants = meaning.text, dict[str, Index]()
        if NoneType in get_args(types[each.name]):
            found.omissible.add(name)
        if meaning.variants is None:
            choices = {meaning.group: DEFAULT_PRESET}
            given = vars(default) if dataclasses.is_dataclass(default) and isinstance(default, inner) else {}
            _collect(found, root, inner, given, name)
        else:
            choices = {choice: (of.__doc__ or "").strip().partition("\n")[0] for choice, of in meaning.variants.items()}
            variants = {choice: _variant(root, name, choice, of) for choice, of in meaning.variants.items()}
            for variant in variants.values():
                found.sections.update(variant.sections | found.sections)
                for key, own in variant.options.items():
                    first = found.options.setdefault(key, own)
                    found.options[key] = replace(first, kind=Union[first.kind, own.kind], choices=())  # noqa: UP007  a text in types
        if meaning.group:
            choices |= dict(presets(name))
            group = Group(chosen=meaning.group, explanation=meaning.text, choices=choices, variants=variants)
            found.groups[name] = group


def _variant(root: object, name: str, choice: str, cls: type) -> Index:
    """Read the options of one of several dataclasses that may stand in a field."""
    found, chooses = Index(), f"{name}.name"
    found.options[chooses] = Option(name=chooses, default=choice, explanation=f"{name}=NAME chooses it")
    _collect(found, root, cls, {}, name)
    return found


def _option(
    root: object, name: str, default: object, meaning: OptionMetadata, kind: object, choices: Choices
) -> Option:
    """Describe the option of one field; ``defaults`` and ``fixed_seeds`` of its root say more of its default."""
    explanation = f"{' | '.join(map(str, choices))}: {meaning.text}" if choices else meaning.text
    bounds = meaning.range
    if math.isfinite(bounds.least) and bounds.most < MAX_SEED:
        explanation = f"{explanation} ({bounds})"
    default, note = getattr(root, "defaults", {}).get(name, (default, ""))
    explanation = f"{explanation}; {note}" if note else explanation
    if name.endswith(".seed") and name not in getattr(root, "fixed_seeds", (name,)):
        default = "${seed}"
    default = _MISSING if default is REQUIRED else default
    plain = plain_value(default) if isinstance(default, Path | tuple | list | Mapping) else default
    return Option(name=name, default=plain, explanation=explanation, kind=kind, meaning=meaning, choices=choices)


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


def option_value(config: Mapping[str, object], name: str) -> object:
    """Return the value of a dotted name in a composed config; None if it has none."""
    value: object = config
    for place in name.split("."):
        value = value.get(place) if isinstance(value, Mapping) else None
    return value


def nested(options: Iterable[Option]) -> dict[str, object]:
    """Return the defaults of options as nested plain values."""
    values: dict[str, object] = {}
    for each in options:
        *places, last = each.name.split(".")
        inner: Any = values
        for place in places:
            inner = inner.setdefault(place, {})
        inner[last] = each.default
    return values


def group_by_section(names: Iterable[str]) -> dict[str, list[str]]:
    """Group dotted names by what stands before their last dot."""
    sections: dict[str, list[str]] = {}
    for name in names:
        sections.setdefault(name.rpartition(".")[0], []).append(name)
    return sections


def presets(group: str) -> Iterator[tuple[str, str]]:
    """Give the names of the presets of a group, and the comment at the top of each."""
    for path in sorted((_FOLDER / group).glob("*.yaml")):
        lines = takewhile(methodcaller("startswith", "#"), path.read_text(encoding="utf-8").splitlines())
        yield path.stem, " ".join([line[1:].strip() for line in lines if not line.startswith("# @package")])
