"""The options of every command, read from the fields of its dataclass (wordless/base/options.py); what Hydra composes.

Help, refusals, and the config that Hydra composes read the index of options. ``conf/`` adds presets: files that set
several options at once. A composed config is checked and completed here (`completed`).

Spaces, commas, brackets, quotes, backslashes and ``=`` mean something in Hydra's grammar, and they occur in paths and
patterns of file names, so the words of the command line are quoted first. Values that the user quoted keep their
quotes, and interpolations of OmegaConf, such as ``${oc.env:SCRATCH}``, are still resolved.
"""

import dataclasses
import inspect
import math
import os
import re
import shlex
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from omegaconf.grammar_parser import parse

import conf
from pipelines.extras.table import extras
from pipelines.settings.run_settings import RunSettings, with_choices
from wordless.base.messages import InputError, first_line, suggestion, written
from wordless.base.options import (
    FORMER_VALUES,
    FORMERLY,
    METADATA,
    REQUIRED,
    Choices,
    OptionMetadata,
    convert,
    field_choices,
    require_in_range,
)
from wordless.base.processes import rank
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
    # option of version 0.x -> its name of today, and its values of then with those of today
    former: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)

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
    known = [each for each in dataclasses.fields(cls) if METADATA in each.metadata]
    for each in dataclasses.fields(cls):
        if old := each.metadata.get(FORMERLY):
            values_of_today = {was: now for now, was in each.metadata.get(FORMER_VALUES, {}).items()}
            former, name = (f"{prefix}.{own}".lstrip(".") for own in (old, each.name))
            found.former[former] = (name, values_of_today)
    needed = [each for each in known if each.default is REQUIRED and each.metadata[METADATA].command_line_type is None]
    nearest = [name for of in cls.__mro__ for name in inspect.get_annotations(of)]  # own options before those of bases
    for each in [*needed, *sorted({*known} - {*needed}, key=lambda of: nearest.index(of.name))]:
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
    """Describe the option of one field; ``typed`` and ``own_seeds`` of the command may give another default."""
    explanation = f"{' | '.join(map(str, choices))}: {meaning.text}" if choices else meaning.text
    bounds = meaning.range
    if math.isfinite(bounds.least) and bounds.most < MAX_SEED:
        explanation = f"{explanation} ({bounds})"
    default, note = getattr(root, "typed", {}).get(name, (default, ""))
    explanation = f"{explanation}; {note}" if note else explanation
    if name.endswith(".seed") and name not in getattr(root, "own_seeds", (name,)):
        default = "${seed}"
    plain_config = plain_value(default)
    return Option(name=name, default=plain_config, explanation=explanation, kind=kind, meaning=meaning, choices=choices)


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
            return _MISSING if value is REQUIRED else value


GONE = {  # options and values of older versions whose nearest names mean something else -> what to do instead
    **dict.fromkeys(
        ("annotations=kaldi", "annotations=lhotse"),
        "the readers of Kaldi and lhotse are gone: write path, start, end and label of each part into a TSV file, "
        "which wordless run reads by corpus.table",
    ),
    "tokenizer.levels": "there are no residual codebooks; a larger tokenizer.codebook_size loses less of the sound",
    "compare.assignments": "a preset says it by compare.readout: codes (hard) or similarities (soft)",
    "probe.bound": "validation chooses among several: probe.feature_clipping=[2] gives one alone",
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


# Options whose keys of the store have the name of today already; all others say at their field what they were.
RENAMED: dict[str, tuple[str, Mapping[str, str]]] = {
    "compare.assignments": ("compare.readout", {"hard": "codes", "soft": "similarities"})
}


def today(word: str, known: Index, *, tell: bool = True) -> str:
    """Return the word of a renamed option, or of a renamed value, as it is written today; ``tell`` prints which."""
    name, equals, value = word.partition("=")
    bare = name.lstrip("+~")
    former = RENAMED | known.former
    named = {new: (new, values) for new, values in known.former.values() if values}
    if bare in known.names and bare not in named:
        return word
    new, values = (former | named).get(bare, ("", {}))
    if not new or (new not in known.names and bare in RENAMED):
        return word
    # Values that were renamed are choices, which need no quotes.
    given = re.sub(r"['\"]|[\w.]+", lambda part: values.get(part[0], part[0].strip(QUOTES)), value) if values else value
    if tell and (new, given) != (bare, value):
        tell_renamed(word, f"{new}={given}" if equals else new, bare if new != bare else value)
    return f"{name.removesuffix(bare)}{new}{equals}{given}"


@cache
def tell_renamed(old: str, new: str, gone: str) -> None:
    """Print once how a name or value of an older version is written today."""
    if rank() == 0:
        print(f"{old} is now {new}; the next version will not know {gone}", file=sys.stderr, flush=True)


def with_names_of_today(config: Mapping[str, Any], known: Index) -> dict[str, Any]:
    """Return a composed config in which names of version 0.x, which presets may have, are those of today."""
    found = deepcopy(dict(config))
    for old, (new, values) in (RENAMED | known.former).items():
        *places, last = old.split(".")
        group = _value_of(found, ".".join(places)) if places else found
        if not isinstance(group, dict) or last not in group or old in known.names:
            continue
        value = group.pop(last)
        several = isinstance(value, list)
        today = [values.get(each, each) if isinstance(each, str) else each for each in (value if several else [value])]
        group[new.rpartition(".")[2]] = today if several else today[0]
        tell_renamed(old, new, old)
    return found


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
        if any(name.startswith(f"{each}.") and _value_of(config, each) is None for each in known.omissible):
            continue
        for place in name.split("."):
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is missing; leave its group as it is, and set single options")
            given, value = place in value, value.get(place)
        # a value that follows from others, such as the words of a corpus of sentences, is null until it is known
        if value is not None or (given and option.default is not None):
            single = isinstance(value, str) and option.takes_list  # needs no brackets
            built = convert(option.kind, [value] if single else value, option=name)
            require_in_range(name, built, option.meaning, option.choices)


def _value_of(config: Mapping[str, object], name: str) -> object:
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
        lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        notes = (line.removeprefix("#").strip() for line in lines if not line.startswith("# @package"))
        yield path.stem, " ".join(notes)


def completed(cls: type, config: Mapping[str, object]) -> dict[str, Any]:
    """Check the values of the composed config of a command, once, and return a copy with those that follow from others.

    ``cls`` is the dataclass of the command's options.
    """
    refuse_overwritten(config)
    require_values(config, index(cls))
    return with_choices(config)


HYDRA_PATHS = frozenset({"hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"})
MODES = {"run": "--run", "multirun": "-m", "cfg": "--cfg", "info": "--info", "shell_completion": "-sc"}
QUOTES = "'\""
QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
ALREADY_QUOTED = re.compile(rf"{QUOTED}(?:,{QUOTED})*", re.DOTALL)
NOT_PLAIN = re.compile(r"[^\w/.+$%*@?| -]|^\s|\s$|^$", re.ASCII)  # texts in lists and groups that need quotes


def command_line(command: str) -> str:
    """Return ``wordless <command>`` with the words that the user typed, quoted for a shell."""
    return shlex.join(["wordless", command, *sys.argv[1:]])


def prepare(words: Sequence[str], known: Index) -> Namespace:
    """Return the arguments for Hydra: its switches, and ``overrides`` with the values of texts and paths quoted."""
    parser = get_args_parser()
    parser.exit_on_error = parser.allow_abbrev = False
    try:
        arguments, others = parser.parse_known_intermixed_args(words)
    except ArgumentError as error:
        raise InputError(f"{error}; see --hydra-help") from error
    for word in others:
        name, _, value = word.partition("=")
        bare = name.lstrip("-").replace("-", "_")
        if bare in GONE and bare not in known.names:
            raise unknown_option(bare, known)
        meant = f"{bare}={value or 'value'}"
        raise InputError(f"{word} is not a switch; options are written without dashes: {meant} (see --help)")
    if len(modes := [switch for name, switch in MODES.items() if getattr(arguments, name)]) > 1:
        raise InputError(f"{' and '.join(modes)} do not go together; leave one of them out")
    if arguments.resolve and not arguments.cfg:
        raise InputError("--resolve is for --cfg; add --cfg job, or leave it out")
    if not arguments.shell_completion:
        arguments.overrides = [_prepared(today(word, known), known) for word in arguments.overrides]
    return arguments


def _prepared(word: str, known: Index) -> str:
    """Quote the value of ``name=value``, ``+name=value`` or ``++name=value`` if the option holds one text or path."""
    name, equals, value = word.partition("=")
    bare = name.lstrip("+~")
    if not equals and not name.startswith("~"):
        raise InputError(f"{word!r} is not an option; options are written OPTION=VALUE (see --help)")
    if instead := GONE.get(f"{bare.rpartition('.')[2]}={value.strip(QUOTES).lower()}"):  # that older versions took
        raise InputError(option=bare, value=value, rule=instead)
    if known.names and bare not in known.names and not name.startswith(("+", "hydra")):
        raise unknown_option(bare, known)
    if bare in known.names and name.startswith(
        "~"
    ):  # Hydra removes it, and the command would need it, or take its default
        raise InputError(f"{word} removes an option, and a command has them all; {_instead(bare, known)}")
    if bare in known.names and name == f"+{bare}":
        raise InputError(f"{bare} is an option already; write {bare}=... without +")
    if bare in known.groups and value.lower() == "null":
        raise InputError(option=bare, value=value, rule=suggestion(value, known.groups[bare].choices))
    if name in HYDRA_PATHS or name.lstrip("+") in known.verbatim:
        return f"{name}={quote(os.path.expanduser(value))}"  # noqa: PTH111  Path raises for unknown users
    # Hydra has its own error for a number, as in ``lm=3``, and says which presets there are for a text.
    return f"{name}={quote(value)}" if bare in known.groups and _is_ambiguous(value) else word


def _instead(name: str, known: Index) -> str:
    """Say what to write in the place of the removal of an option or group."""
    if name in known.groups:
        return f"{name}={known.groups[name].chosen} is the default"
    if (option := known.options.get(name)) is None:
        return f"{name}. begins the names of several: give those other values, or leave the word out"
    filled = option.meaning is not None and option.meaning.filled
    if option.takes_list and option.default and not filled:
        return f"{name}=[] names none, and {name}={spell(option.default)} is the default"
    return f"{name}={spell(option.default)} is the default"


def quote(value: str) -> str:
    """Quote a value as a string of Hydra's grammar; null, empty and quoted values stay as they are."""
    if value.lower() in ("", "null") or ALREADY_QUOTED.fullmatch(value):
        return value
    try:
        parse(value)
    except GrammarParseError:  # what is no interpolation is escaped: ${ as \${, with backslashes before it doubled
        value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    return QuotedString(text=value, quote=Quote.single).with_quotes()


def parse_values(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse options to their values: one, or of an option that is swept all, in the order in which Hydra sweeps.

    Each value has one spelling, however it was quoted or written: ``1e-3`` is ``0.001``, ``[a, "b"]`` is ``[a,b]``, and
    ``range(1,3)`` are ``1`` and ``2``. Of an option that is named twice the last value counts, as for Hydra. A list of
    one value is spelled as this value, because some options take both. A deletion is an option with a ``~``.
    """
    there = GlobalHydra.instance()
    parser = OverridesParser.create(config_loader=there.config_loader() if there.is_initialized() else None)
    values: dict[str, tuple[str, ...]] = {}
    for word in words:
        try:
            override = parser.parse_override(word)
            key = f"{'~' * override.is_delete()}{override.get_key_element().lstrip('+~')}"
            values[key] = tuple(_values(override, parser))
        except (HydraException, OmegaConfBaseException):  # Hydra refuses it, too, or another version wrote it
            name, _, value = word.partition("=")
            values[name.lstrip("+")] = (value,)
    return values


def _values(override: Override, parser: OverridesParser) -> Iterator[str]:
    if not override.is_discrete_sweep():  # of an interval Hydra's own sweeper knows no values
        yield override.get_value_string() if override.is_sweep_override() else spell(override.value())
        return
    for text in override.sweep_string_iterator():
        yield spell(parser.parse_override(f"{override.key_or_group}={text}").value())


def spell(value: object, *, inside: bool = False) -> str:
    """Spell a parsed value in one way; a text ``inside`` a list or group is quoted where it needs it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < 1e16:
            return str(int(value))
        case list() | tuple():
            parts = [spell(each, inside=inside or len(value) > 1) for each in value]
            return parts[0] if len(value) == 1 else f"[{','.join(parts)}]"
        case dict():
            return f"{{{','.join(sorted(f'{name}:{spell(each, inside=True)}' for name, each in value.items()))}}}"
        case str() if _is_ambiguous(value) or (inside and NOT_PLAIN.search(value)):
            return QuotedString(text=value, quote=Quote.single).with_quotes()
        case _:
            return str(value)


def _is_ambiguous(text: str) -> bool:
    """Return whether a text looks like another kind of value: the label ``"1"`` is not the number 1."""
    with suppress(ValueError):
        float(text)
        return True
    return text.lower() in ("null", "true", "false")


# Groups whose presets choose for other groups. Hydra reads its list from the end, so they stand behind the others.
CHOOSING = ("baselines", "experiment")
QUIET = [{"override hydra/job_logging": "none"}, {"override hydra/hydra_logging": "none"}]
NO_FOLDER = {"output_subdir": None, "run": {"dir": "."}}


def register(name: str, cls: type, folders: Mapping[str, object] = NO_FOLDER) -> None:
    """Make the config of a command known to Hydra, the choices of each group, and the folders that Hydra makes."""
    store, known = ConfigStore.instance(), index(cls)
    values = nested([each for key, each in known.options.items() if not key.startswith(f"{HYDRA}.")])
    empty = dict[str, object]()  # keeps the order of the groups in the config
    for key, group in known.groups.items():
        if (own := values.pop(key, None)) is not None:
            empty[key] = {}
        choices = {choice: nested(each.options.values())[key] for choice, each in group.variants.items()}
        for choice, node in choices.items() or ([(group.chosen, own)] if own is not None else []):
            store.store(choice, node, group=key)
    order = sorted(known.groups, key=lambda key: CHOOSING.index(key) if key in CHOOSING else -1)
    chosen = [{key: known.groups[key].chosen} for key in order]
    store.store(name, {"defaults": ["_self_", *chosen, *QUIET], **values, **empty, "hydra": folders})


AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'$", re.MULTILINE)  # several values without a sweep
_REJECTED = re.compile(r"Could not \w+ .*?'([^']*)'")  # an option that a config does not have, in an error of Hydra


def resolved(config: DictConfig) -> dict[str, object]:
    """Return the config as plain dictionaries, lists and values, with interpolations resolved."""
    try:
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{', '.join(missing)} must be given: {' '.join(f'{key}=...' for key in missing)}")
        return plain_config(config)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {first_line(error)}; check what stands between ${{ and }}") from error


def explain(error: Exception, known: Index) -> InputError:
    """Turn an error of Hydra or OmegaConf about the words of a command into an `InputError`."""
    match error:
        case OverrideParseException():
            option = error.override.partition("=")[0] or "OPTION"
            remedy = f"in quotes, a value may hold anything: \"{option}='VALUE'\""
            return InputError(f"{error.override!r} does not parse: {first_line(error)}; {remedy}")
        case MissingConfigException():
            group, _, choice = str(error.missing_cfg_file).rpartition("/")
            if not group:
                return InputError(f"there is no configuration {choice!r}; see --help")
            if group.startswith("corpus/"):
                path = f"{group}/{choice}".removeprefix("corpus/")
                return InputError(f"corpus={path} is a path; name the folder of your recordings: corpus.root={path}")
            own = f"--config-dir FOLDER finds a preset of yours, FOLDER/{group}/{choice}.yaml"
            return InputError(f"{group}={choice} does not exist ({own}); {suggestion(choice, error.options or [])}")
        case ConfigCompositionException() if found := _REJECTED.match(str(error)):
            key = found[1]
            if key in known.names:  # of another choice of its group
                return InputError(f"{key} is not an option with this choice of {key.partition('.')[0]}; see --help")
            return unknown_option(key, known)
        case ConfigCompositionException() if found := AMBIGUOUS.match(str(error)):
            name, _, value = found[1].partition("=")
            takes_list = name in known.options and known.options[name].takes_list
            remedy = f"write {name}=[{value}]" if takes_list else "name one"
            return InputError(f"{found[1]} has several values; {remedy}, or add -m for a sweep over them")
    cause = first_line(error.__cause__) if error.__cause__ is not None else ""
    return InputError(f"{first_line(error)}: {cause}" if cause else first_line(error))


def plain_config(config: DictConfig) -> dict[str, object]:
    return cast(dict[str, object], OmegaConf.to_container(config, resolve=True))
