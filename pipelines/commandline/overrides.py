"""The words of the command line: as the user typed them, and prepared for Hydra.

Hydra's grammar gives meaning to spaces, commas, parentheses, brackets, quotes, backslashes and ``=``, all of which
occur in paths and in patterns of file names. Values of options that hold paths or patterns are therefore quoted first,
and ``~`` of a path is expanded. Values that the user quoted for Hydra keep their quotes, and interpolations of
OmegaConf, such as ``${oc.env:SCRATCH}``, are still resolved.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.resources import files

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError, OmegaConfBaseException
from omegaconf.grammar_parser import parse

from wordless.base.errors import InputError

HYDRA_PATHS = frozenset({"hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"})
SWITCHES = frozenset(
    {"-h", "--help", "--hydra-help", "--version", "-r", "--run", "-m", "--multirun", "--resolve"}
    | {"-sc", "--shell-completion"}
)
SWITCHES_WITH_VALUE = frozenset(
    {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}
    | {"-i", "--info"}
)
INFOS = frozenset({"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"})  # --info takes one or none

QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
ALREADY_QUOTED = re.compile(rf"{QUOTED}(?:,{QUOTED})*", re.DOTALL)
NOT_PLAIN = re.compile(r"""[][{},:'"=]|^\s|\s$""")  # characters that a text in a list or group would be quoted for
_TYPED: ContextVar[tuple[str, ...] | None] = ContextVar("_TYPED", default=None)


@contextmanager
def remember(words: Sequence[str]) -> Iterator[None]:
    """Remember the words as the shell passed them while a command runs: `prepare` changes ``sys.argv`` for Hydra."""
    token = _TYPED.set(tuple(words))
    try:
        yield
    finally:
        _TYPED.reset(token)


def command_line(command: str) -> str:
    """Return ``wordless <command>`` with the words that the user typed, quoted for a shell."""
    words = _TYPED.get()
    return shlex.join(["wordless", command, *(sys.argv[1:] if words is None else words)])


def prepare(words: Sequence[str], verbatim: frozenset[str]) -> list[str]:
    """Return the words for Hydra: switches first, then options, with the values of ``verbatim`` options quoted."""
    switches, options = separate(words)
    for word in options:
        if not word.startswith("~") and "=" not in word:
            raise InputError(f"{word!r} is not an option; options are written OPTION=VALUE (see --help)")
    return [*switches, *(quote_option(option, verbatim | HYDRA_PATHS) for option in options)]


def separate(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide the words into switches with their values, and options; argparse refuses options around a switch."""
    switches: list[str] = []
    options: list[str] = []
    waiting = ""  # a switch that takes the next word
    for word in words:
        if waiting and not (waiting in ("-i", "--info") and word not in INFOS):
            switches.append(word)
            waiting = ""
        elif word.startswith("-"):
            switches.append(known_switch(word))
            waiting = word if word in SWITCHES_WITH_VALUE else ""
        else:
            options.append(word)
            waiting = ""
    return switches, options


def known_switch(word: str) -> str:
    """Return the word, or refuse it if it is none of Hydra's switches."""
    name, _, value = word.partition("=")
    if name in SWITCHES | SWITCHES_WITH_VALUE:
        return word
    meant = f"{name.lstrip('-').replace('-', '_')}={value or 'value'}"
    raise InputError(f"{word} is not a switch; options are written without dashes: {meant} (see --help)")


def quote_option(word: str, verbatim: frozenset[str]) -> str:
    """Quote the value of ``name=value``, ``+name=value`` or ``++name=value`` if the option holds one text or path.

    The number after the name of a group of presets, as in ``lm=3``, is quoted as well: Hydra raises its own error for a
    number, and says which presets there are for a text.
    """
    name, _, value = word.partition("=")
    if name.lstrip("+") in verbatim:
        return f"{name}={quote(os.path.expanduser(value))}"  # noqa: PTH111  Path raises for unknown users
    if _is_ambiguous(value) and value.lower() != "null" and files("conf").joinpath(name.lstrip("+")).is_dir():
        return f"{name}={quote(value)}"
    return word


def quote(value: str) -> str:
    """Quote a value as a string of Hydra's grammar; null, empty and quoted values stay as they are."""
    if value.lower() in ("", "null") or ALREADY_QUOTED.fullmatch(value):
        return value
    return QuotedString(text=without_interpolation(value), quote=Quote.single).with_quotes()


def without_interpolation(text: str) -> str:
    r"""Escape ``${`` (as ``\${``, with backslashes before it doubled) unless the text is well formed."""
    try:
        parse(text)
    except GrammarParseError:
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return text


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
            return spell(value[0]) if len(value) == 1 else f"[{','.join(spell(each, inside=True) for each in value)}]"
        case dict():
            parts = sorted(f"{name}:{spell(each, inside=True)}" for name, each in value.items())
            return f"{{{','.join(parts)}}}"
        case str() if _is_ambiguous(value) or (inside and NOT_PLAIN.search(value)):
            return repr(value)
        case _:
            return str(value)


def _is_ambiguous(text: str) -> bool:
    """Return whether a text looks like another kind of value: the label ``"1"`` is not the number 1."""
    with suppress(ValueError):
        float(text)
        return True
    return text.lower() in ("null", "true", "false")
