"""``wordless <command> --help``: every option with its value now and its explanation, or those of one group."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from hydra import initialize_config_module
from omegaconf import open_dict

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.completion import HELP
from pipelines.commandline.composition import compose, plain
from pipelines.commandline.options import HYDRA, Group, Index, group_by_section, index
from pipelines.commandline.overrides import quote, separate
from wordless.base.errors import InputError
from wordless.base.text import suggestion
from wordless.base.values import leaves

ALL = "all"  # the topic of every option
CONFIG_DIR = ("-cd", "--config-dir")
WIDEST = 120  # columns of a page
LONGEST_NAME, LONGEST_VALUE = 34, 24  # columns; longer ones have their explanation on the next line
MANY = 6  # choices of a group, which are then counted, not named

FOOTER = """\
An option is written name=value; -m runs one job for each of several values: name=1,2,3. Paths need no quotes beyond the
shell's own. --cfg job prints the values chosen, --hydra-help Hydra's own switches."""


def help_request(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Find the topic of ``--help``, ``--help lm`` or ``--help=lm``, and the other words; None without ``--help``.

    The topic is a group, an option, `ALL`, or "" for the overview.
    """
    for place, word in enumerate(words):
        switch, _, topic = word.partition("=")
        if switch in HELP:
            others = [*words[:place], *words[place + 1 :]]
            if not topic and place < len(others) and "=" not in others[place] and others[place][:1] not in ("-", "~"):
                topic = others.pop(place)
            return topic, others
    return None


def command_help(name: str, topic: str, words: Sequence[str], *, often: Sequence[str] = ()) -> str:
    """Write the help of a command about a topic, with the values that command-line ``words`` give.

    Without a topic, the help names every option, or the groups and the options that are used ``often``.
    """
    page = _Page.of(name, words)
    if topic and topic != ALL:
        return "\n".join([*page.about(topic), FOOTER])
    usage = f"usage: wordless {name} {'[group=choice ...] ' if page.groups else ''}[name=value ...]"
    begin = [f"wordless {name}: {COMMANDS[name].purpose}", "", usage, ""]
    everything = topic == ALL or not often
    body = [*page.sections(page.values), *page.choices(page.groups)] if everything else page.overview(often)
    notes = [*page.index.notes.splitlines(), ""] if page.index.notes else []
    return "\n".join([*begin, *body, *notes, FOOTER])


@dataclass(frozen=True, kw_only=True)
class _Page:
    """Options, values and groups of a command."""

    name: str
    index: Index
    values: Mapping[str, str]  # of each option, as shown
    groups: Mapping[str, Group]  # with the choices that were made

    @classmethod
    def of(cls, name: str, words: Sequence[str]) -> "_Page":
        switches, options = separate(words)
        known = index(name)
        with initialize_config_module("conf", version_base="1.3"):
            config = compose(name, overrides=[*_searched(switches), *options], return_hydra_config=True)
        chosen = config.hydra.runtime.choices
        groups = {key: replace(group, chosen=str(chosen[key])) for key, group in known.groups.items()}
        for group in groups.values():
            if own := group.variants.get(group.chosen):
                known = replace(known, options=known.options | own.options, sections=known.sections | own.sections)
        hydra = {key: option.value for key, option in known.options.items() if key.startswith(f"{HYDRA}.")}
        with open_dict(config):
            del config[HYDRA]
        values = {key: format_value(value) for key, value in leaves(plain(config, resolve=True))}
        given = {key: value for key, _, value in (word.partition("=") for word in options) if key in hydra}
        return cls(name=name, index=known, values={**values, **hydra, **given}, groups=groups)

    def overview(self, often: Sequence[str]) -> Iterator[str]:
        """Give the options at the top, those that are used often, and the groups."""
        top = [name for name in self.values if "." not in name]
        yield from ["Options of the whole command", *_rows(map(self._row, top)), ""]
        yield from ["Options used most", *_rows(map(self._row, often)), ""]
        yield f"Groups: wordless {self.name} --help GROUP shows the options of a group, --help {ALL} every option"
        sections = dict.fromkeys(name.partition(".")[0] for name in self.values if "." in name)
        names = [name for name in {**sections, **self.groups} if name != HYDRA]
        yield from [*_rows((name, self._choice(name), self._explanation(name)) for name in names), ""]

    def about(self, topic: str) -> Iterator[str]:
        """Give one option, or the options and choices of one group."""
        names = [name for name in self.values if f"{name}.".startswith(f"{topic}.")]
        if not names and topic not in self.groups:
            known = {part for name in self.values for part in accumulate(name.split("."), "{}.{}".format)}
            similar = suggestion(topic, known | {*self.groups})
            raise InputError(f"--help {topic}: there is no such group or option; {similar}")
        yield from self.sections(names)
        yield from self.choices(name for name in self.groups if name == topic)

    def sections(self, names: Iterable[str]) -> Iterator[str]:
        """Give the options below each heading."""
        for section, within in group_by_section(names).items():
            explanation = self.index.sections.get(section, "")
            yield f"{section}: {explanation}" if explanation else section or "Options"
            yield from [*_rows(map(self._row, within)), ""]

    def choices(self, names: Iterable[str]) -> Iterator[str]:
        """Give the choices of each group."""
        for name in names:
            group = self.groups[name]
            yield f"Choices of {name}: {group.explanation}" if group.explanation else f"Choices of {name}"
            marks = {choice: "chosen" if choice == group.chosen else "" for choice in group.choices}
            yield from [*_rows((f"{name}={each}", marks[each], text) for each, text in group.choices.items()), ""]

    def _row(self, name: str) -> tuple[str, str, str]:
        return name, self.values.get(name, ""), self._explanation(name)

    def _explanation(self, name: str) -> str:
        option, group = self.index.options.get(name), self.groups.get(name)
        return option.explanation if option else group.explanation if group else self.index.sections.get(name, "")

    def _choice(self, name: str) -> str:
        group = self.groups.get(name)
        if group is None:
            return ""
        others = [choice for choice in group.choices if choice != group.chosen]
        return f"{group.chosen} ({len(others)} others)" if len(others) > MANY else " | ".join([group.chosen, *others])


def _searched(switches: Sequence[str]) -> Iterator[str]:
    """Give options that make `compose` look where ``--config-dir`` tells Hydra to look."""
    words = [part for switch in switches for part in switch.split("=", 1)]
    for switch, value in pairwise(words):
        if switch in CONFIG_DIR:
            yield f"hydra.searchpath=[{quote(f'file://{Path(value).absolute()}')}]"


def format_value(value: object) -> str:
    """Write a value as on the command line."""
    match value:
        case None | bool():
            return "null" if value is None else str(value).lower()
        case "???":
            return "(required)"
        case str():
            return value or '""'
        case list():
            return f"[{', '.join(map(format_value, value))}]"
        case _:
            return str(value)


def _rows(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Give the lines of a table of names, values and explanations, as wide as the terminal."""
    table = list(rows)
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    first = min(max((len(name) for name, _, _ in table), default=0), LONGEST_NAME)
    second = min(max((len(value) for _, value, _ in table), default=0), LONGEST_VALUE)
    begin = " " * (2 + first + 2 + (second + 2 if second else 0))
    for name, value, explanation in table:
        row = f"  {name:<{first}}  {value:<{second}}".rstrip()
        lines = textwrap.wrap(explanation, max(width - len(begin), 30)) or [""]
        if len(row) + 2 > len(begin):
            yield row
        else:
            yield (f"{row:<{len(begin)}}" + lines.pop(0)).rstrip()
        yield from (begin + line for line in lines if line)
