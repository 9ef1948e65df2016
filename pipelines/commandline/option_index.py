"""The options of every command, read from the fields of its dataclass (wordless/base/options.py).

Help, refusals, and the config that Hydra composes read this index. ``conf/`` adds presets: files that set several
options at once. A composed config is checked and completed here (`completed`).
"""

import dataclasses
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import conf
from pipelines.commandline.commands import COMMANDS
from pipelines.extras.table import extras, imported
from wordless.base.messages import InputError, suggestion, written
from wordless.base.options import MEANING, REQUIRED, Choices, Meaning, convert, field_choices, require_in_range
from wordless.base.seeds import MAX_SEED

FOLDER = Path(str(conf.__file__)).parent
DEFAULT_PRESET = "The defaults."
MISSING = "???"  # OmegaConf's value of an option that must be given
HYDRA = "hydra"  # whose options begin with this name
TIME = "${now:%Y-%m-%d}_${now:%H-%M-%S}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what ``name=value`` sets."""

    name: str  # dotted, as on the command line
    default: object  # plain: null, number, text, list or mapping
    explanation: str
    kind: object = str  # its type
    meaning: Meaning | None = None  # None: of Hydra
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
            return "(required)" if value == MISSING else written(value, most=None)


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
        return frozenset(name for name, each in self.options.items() if _is_text(each.kind))


def _is_text(kind: object) -> bool:
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    several = any(get_origin(each) not in (None, Literal) for each in kinds)
    return not several and (str in kinds or Path in kinds)


@cache
def index(command: str) -> Index:
    """Return the options of ``wordless <command>``; none if it is no command."""
    if command not in COMMANDS:
        return Index()
    found = index_of(options_class(command))
    return replace(found, options=found.options | HYDRA_FOLDERS) if command == "run" else found


@cache
def options_class(command: str) -> type:
    """Import the dataclass with the options of a command."""
    cls: type = imported(COMMANDS[command].options)
    return cls


@cache
def index_of(cls: type) -> Index:
    """Read the options of a dataclass."""
    lines = (cls.__doc__ or "").strip().splitlines()[1:]
    found = Index(notes="\n".join(line.removeprefix("    ") for line in lines).strip())
    _collect(found, cls, cls, {}, "")
    for each in extras() if "extras" in {of.name for of in dataclasses.fields(cls)} else ():
        found.sections[each.name] = each.explanation
        _collect(found, each, each.options, {}, each.name)
        if each.preset:
            choices = {each.preset: DEFAULT_PRESET, **dict(presets(each.name))}
            found.groups[each.name] = Group(chosen=each.preset, explanation=each.explanation, choices=choices)
    for name, (chosen, explanation) in getattr(cls, "presets", {}).items():
        found.groups[name] = Group(chosen=chosen, explanation=explanation, choices=dict(presets(name)))
    return found


def _collect(found: Index, root: object, cls: type, values: Mapping[str, object], prefix: str) -> None:
    """Add the options of a dataclass, whose defaults ``values`` replace, to those of the command or extra ``root``."""
    types, choices_of = get_type_hints(cls), field_choices(cls)
    known = [each for each in dataclasses.fields(cls) if MEANING in each.metadata]
    needed = [each for each in known if each.default is REQUIRED and each.metadata[MEANING].given_as is None]
    nearest = [name for of in cls.__mro__ for name in inspect.get_annotations(of)]  # own options before those of bases
    for each in [*needed, *sorted({*known} - {*needed}, key=lambda of: nearest.index(of.name))]:
        meaning: Meaning = each.metadata[MEANING]
        name = f"{prefix}.{each.name}".lstrip(".")
        made = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        default = values.get(each.name, made)
        inner = meaning.given_as or (type(default) if dataclasses.is_dataclass(default) else None)
        if inner is None:
            found.options[name] = _option(root, name, default, meaning, types[each.name], choices_of[each.name])
            continue
        found.sections[name], variants = meaning.text, dict[str, Index]()
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


def _option(root: object, name: str, default: object, meaning: Meaning, kind: object, choices: Choices) -> Option:
    """Describe the option of one field; ``typed`` and ``own_seeds`` of the command may give another default."""
    explanation = f"{' | '.join(map(str, choices))}: {meaning.text}" if choices else meaning.text
    bounds = meaning.range
    if math.isfinite(bounds.least) and bounds.most < MAX_SEED:
        explanation = f"{explanation} ({bounds})"
    default, note = getattr(root, "typed", {}).get(name, (default, ""))
    explanation = f"{explanation}; {note}" if note else explanation
    if name.endswith(".seed") and name not in getattr(root, "own_seeds", (name,)):
        default = "${seed}"
    plain = plain_value(default)
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
            return MISSING if value is REQUIRED else value


GONE = {  # options and values of older versions whose nearest names mean something else -> what to do instead
    **dict.fromkeys(
        ("annotations=kaldi", "annotations=lhotse"),
        "the readers of Kaldi and lhotse are gone: write path, start, end and label of each part into a TSV file, "
        "which wordless run reads by corpus.table",
    ),
    "tokenizer.levels": "there are no residual codebooks; a larger tokenizer.codebook_size loses less of the sound",
    "probe.bound": "validation chooses among several: probe.bounds=[2] gives one alone",
    "corpus.shards": "tar shards are not read; unpack them (tar -xf), or write a Parquet file for corpus.dataset",
    "format=start": "wordless publish writes no start weights: vocoder.start=RUN begins with the vocoder of a run",
    "verify": "a file is hashed again where its size or times changed; delete an entry, and its command makes it again",
    "lm.pitch": "the GPT reads codes without their pitch, which a head predicts from its states",
    "fit.checkpoint_minutes": "all trainings of a command have its checkpoint_minutes",
    "fit.seed": "all trainings of a command follow its seed",
    "fit.compile": "trainings of 2,000 steps or more on a GPU are compiled, but for TORCH_COMPILE_DISABLE=1",
    "fit.accumulation": "language models, vocoders and bodies have it; a smaller batch_size needs less memory, too",
    "fit.ema_decay": "each kind of training has its own average; vocoder.fit.ema_decay of wordless run is left",
    "fit.final_lr_ratio": "each kind of training has its own; a preset of your own may set it",
    **dict.fromkeys(
        ("wavenet.cycles", "wavenet.condition", "wavenet.condition_layers", "crops.pitch_dropout"),
        "a preset of your own may set it (conf/vocoder)",
    ),
    "head.dropout": "the methods of a comparison have a dropout of their own; wordless finetune has the option",
    "augmentation": "the methods of a comparison have augmentations of their own; wordless finetune has the option",
}


COMMANDS_OWN = ("fit.seed", "fit.checkpoint_minutes")


def unknown_option(name: str, known: Index) -> InputError:
    """Return the refusal of a name that is no option."""
    instead = None
    for gone, text in GONE.items():
        before, found, _ = f".{name}.".partition(f".{gone}.")
        if found and f"{before}.{gone}".strip(".") not in known.sections:  # which this command has
            instead = text
    return InputError(f"{name} is not an option; {instead or suggestion(name, known.names)}")


def refuse_overwritten(config: Mapping[str, Any], place: str = "") -> None:
    """Refuse options of single trainings that a preset sets, and that those of the command would write over."""
    for name, value in config.items():
        whole = f"{place}{name}"
        if instead := next((GONE[each] for each in COMMANDS_OWN if f".{whole}".endswith(f".{each}")), None):
            raise InputError(option=whole, value=value, rule=instead)
        if isinstance(value, Mapping):
            refuse_overwritten(value, f"{whole}.")


def require_values(config: Mapping[str, object], known: Index) -> None:
    """Refuse options of a composed config that are missing, of another type or out of range."""
    for name, option in sorted(known.options.items(), key=lambda each: each[0].count(".")):  # others follow the seed
        if option.meaning is None or name.startswith(known.varied):
            continue
        value: object = config
        for place in name.split("."):
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is missing; leave its group as it is, and set single options")
            given, value = place in value, value.get(place)
        # a value that follows from others, such as the words of a corpus of sentences, is null until it is known
        if value is not None or (given and option.default is not None):
            single = isinstance(value, str) and option.takes_list  # needs no brackets
            built = convert(option.kind, [value] if single else value, option=name)
            require_in_range(name, built, option.meaning, option.choices)


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
    for path in sorted((FOLDER / group).glob("*.yaml")):
        lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        notes = (line.removeprefix("#").strip() for line in lines if not line.startswith("# @package"))
        yield path.stem, " ".join(notes)


def completed(command: str, config: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of a composed config, once, and return a copy with those that follow from others."""
    from pipelines.settings.run_settings import (
        with_choices,  # and with it pandas, which most commands need not wait for
    )

    refuse_overwritten(config)
    require_values(config, index(command))
    return with_choices(config)
