"""``wordless <command> --help``: every option with its value now and its explanation, or those of one group."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from hydra import initialize_config_module
from omegaconf import OmegaConf, open_dict

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.composition import compose, plain, prepare, quote
from pipelines.commandline.option_index import HYDRA, Index, group_by_section, index, options_class, written_value
from wordless.base.messages import InputError, suggestion
from wordless.base.options import leaves

ALL = "all"  # the topic of every option
WIDEST = 120  # columns of a page
LONGEST_NAME, LONGEST_VALUE = 34, 24  # columns; longer ones have their explanation on the next line
MANY = 6  # choices of a group, which are then counted, not named

FOOTER = """\
An option is written name=value; -m runs one job for each of several values: name=1,2,3. Paths need no quotes beyond the
shell's own. --cfg job prints the values chosen, --hydra-help Hydra's own switches."""


def command_help(name: str, topic: str, words: Sequence[str]) -> str:
    """Write the help of a command about a topic, with the values that command-line ``words`` give."""
    known, values = _composed(name, words)
    often: Sequence[str] = getattr(options_class(name), "often", ())
    if topic and topic != ALL:
        names = [option for option in values if f"{option}.".startswith(f"{topic}.")]
        if not names and topic not in known.groups:
            parts = {part for option in values for part in accumulate(option.split("."), "{}.{}".format)}
            similar = suggestion(topic, parts | {*known.groups})
            raise InputError(f"--help {topic}: there is no such group or option; {similar}")
        return "\n".join([*_sections(names, known, values), *_choices({topic} & {*known.groups}, known), FOOTER])
    usage = f"usage: wordless {name} {'[group=choice ...] ' if known.groups else ''}[name=value ...]"
    begin = [f"wordless {name}: {COMMANDS[name].purpose}", "", usage, ""]
    if often and topic != ALL:
        top = [option for option in values if "." not in option]
        first = [option.partition(".")[0] for option in values if "." in option]
        groups = [name for name in dict.fromkeys([*first, *known.groups]) if name != HYDRA]
        body = ["Options of the whole command", *_rows(known, values, top), ""]
        body += ["Options used most", *_rows(known, values, often), ""]
        body += [f"Groups: wordless {name} --help GROUP shows the options of a group, --help {ALL} every option"]
        chosen = {}
        for key, group in known.groups.items():
            others = [choice for choice in group.choices if choice != group.chosen]
            listed = " | ".join([group.chosen, *others])
            chosen[key] = f"{group.chosen} ({len(others)} others)" if len(others) > MANY else listed
        body += [*_rows(known, chosen, groups), ""]
    else:
        body = [*_sections(values, known, values), *_choices(known.groups, known)]
    notes = [*known.notes.splitlines(), ""] if known.notes else []
    return "\n".join([*begin, *body, *notes, FOOTER])


def _composed(name: str, words: Sequence[str]) -> tuple[Index, dict[str, str]]:
    """Return the options of a command with the choices that were made, and the value of each option."""
    known = index(name)
    arguments = prepare(words, known)
    with initialize_config_module("conf", version_base="1.3"):
        folder = arguments.config_dir and f"file://{Path(arguments.config_dir).absolute()}"
        searched = [f"hydra.searchpath=[{quote(folder)}]"] if folder else []  # as --config-dir says
        config = compose(name, overrides=[*searched, *arguments.overrides], return_hydra_config=True)
    made = config.hydra.runtime.choices
    known = replace(known, groups={key: replace(group, chosen=str(made[key])) for key, group in known.groups.items()})
    for group in known.groups.values():
        if own := group.variants.get(group.chosen):
            known = replace(known, options=known.options | own.options, sections=known.sections | own.sections)
    hydra = {key: OmegaConf.select(config, key) for key in known.options if key.startswith(f"{HYDRA}.")}
    with open_dict(config):
        del config[HYDRA]
    values = {**dict(leaves(plain(config))), **hydra}
    return known, {key: written_value(value) for key, value in values.items()}


def _sections(names: Iterable[str], known: Index, values: Mapping[str, str]) -> Iterator[str]:
    """Give the options below each heading."""
    for section, within in group_by_section(names).items():
        explanation = known.sections.get(section, "")
        yield f"{section}: {explanation}" if explanation else section or "Options"
        yield from [*_rows(known, values, within), ""]


def _choices(names: Iterable[str], known: Index) -> Iterator[str]:
    """Give the choices of each group."""
    for name in names:
        group = known.groups[name]
        yield f"Choices of {name}: {group.explanation}" if group.explanation else f"Choices of {name}"
        marks = {choice: "chosen" if choice == group.chosen else "" for choice in group.choices}
        yield from [*_table((f"{name}={each}", marks[each], text) for each, text in group.choices.items()), ""]


def _rows(known: Index, values: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """Give the lines of a table of options or groups, with their values and explanations."""
    explained = known.sections | {name: group.explanation for name, group in known.groups.items()}
    explained |= {name: option.explanation for name, option in known.options.items()}
    return _table((name, values.get(name, ""), explained.get(name, "")) for name in names)


def _table(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Give the lines of a table of names, values and explanations, as wide as the terminal."""
    table = list(rows)
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    first = min(max((len(name) for name, _, _ in table), default=0), LONGEST_NAME)
    second = min(max((len(value) for _, value, _ in table), default=0), LONGEST_VALUE)
    indent = 4 + first + (second + 2 if second else 0)
    for name, value, explanation in table:
        row = f"  {name:<{first}}  {value:<{second}}".rstrip()
        if len(row) + 2 > indent:
            yield row
            row = ""
        for line in textwrap.wrap(explanation, max(width - indent, 30)) or [""]:
            yield f"{row:<{indent}}{line}".rstrip()
            row = ""
