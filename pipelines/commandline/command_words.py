"""The words of the command line, in which paths and texts are quoted before Hydra reads them.

Spaces, commas, brackets, quotes, backslashes and ``=`` mean something in Hydra's grammar, and they occur in paths and
patterns of file names, so the words of the command line are quoted first. Values that the user quoted keep their
quotes, and interpolations of OmegaConf, such as ``${oc.env:SCRATCH}``, are still resolved.
"""

import os
import re
import shlex
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from omegaconf.grammar_parser import parse

from pipelines.commandline.option_index import Index
from wordless.base.messages import InputError, suggestion

HYDRA_PATHS = frozenset({"hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"})
MODES = {"run": "--run", "multirun": "-m", "cfg": "--cfg", "info": "--info", "shell_completion": "-sc"}
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
        meant = f"{bare}={value or 'value'}"
        raise InputError(f"{word} is not a switch; options are written without dashes: {meant} (see --help)")
    if len(modes := [switch for name, switch in MODES.items() if getattr(arguments, name)]) > 1:
        raise InputError(f"{' and '.join(modes)} do not go together; leave one of them out")
    if arguments.resolve and not arguments.cfg:
        raise InputError("--resolve is for --cfg; add --cfg job, or leave it out")
    if not arguments.shell_completion:
        arguments.overrides = [_prepared(word, known) for word in arguments.overrides]
    return arguments


def unknown_option(name: str, known: Index) -> InputError:
    """Return the refusal of a name that is no option."""
    return InputError(f"{name} is not an option; {suggestion(name, known.names)}")


def _prepared(word: str, known: Index) -> str:
    """Quote the value of ``name=value``, ``+name=value`` or ``++name=value`` if the option holds one text or path."""
    name, equals, value = word.partition("=")
    bare = name.lstrip("+~")
    if not equals and not name.startswith("~"):
        raise InputError(f"{word!r} is not an option; options are written OPTION=VALUE (see --help)")
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
