"""Every option of a command with its explanation, as help, completion and the page of options read it.

The options of ``wordless finetune`` but those of its corpus are read from ``conf/``: the comment at the end of an
option's line explains the option, and the comment lines at the top of a file explain the file. All other options are
fields of dataclasses (`options`).
Hydra is not imported: shells ask for completions while a user types.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import takewhile
from pathlib import Path

import yaml

import conf
from pipelines.commandline import options
from pipelines.commandline.commands import OPTIONS

FOLDER = Path(str(conf.__file__)).parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GLOBAL = "# @package _global_"  # a file that sets options of other groups, and has none of its own
HYDRA = "hydra"  # of its own options those are ours that have a comment


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: what ``name=value`` sets."""

    name: str  # dotted, as on the command line
    value: str  # as on the command line
    explanation: str
    # such as body=ast -> the option with this choice; empty if all choices have one value and one meaning
    choices: Mapping[str, "Option"] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A config group: ``name=choice`` sets several options at once."""

    chosen: str
    explanation: str
    choices: Mapping[str, str] = field(default_factory=dict)  # name of a file of the group -> its explanation


_TIME = "${now:%Y-%m-%d}_${now:%H-%M-%S}"
HYDRA_FOLDERS = (  # options of Hydra itself that a run has a use for
    Option(name="hydra.run.dir", value=f"runs/{_TIME}", explanation="folder of the run"),
    Option(name="hydra.sweep.dir", value=f"multirun/{_TIME}", explanation="folder of a sweep"),
)


@dataclass(frozen=True, kw_only=True)
class Index:
    """The options of a command, or of one YAML file."""

    notes: str = ""  # the comment at the top of the file
    options: dict[str, Option] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)  # dotted name of what holds several options -> explanation
    groups: dict[str, Group] = field(default_factory=dict)


@cache
def index(command: str) -> Index:
    """Read the options of ``wordless <command>``; none if it has no configuration.

    An option without an explanation of its own has that of its namesake in ``wordless run``.
    """
    if command in OPTIONS:
        found = options.index_of(options.options_class(command))
        known = {
            name: Option(name=name, value=each.value, explanation=each.explanation)
            for name, each in found.options.items()
        }
        groups = {
            name: Group(chosen=group.chosen, explanation=group.explanation, choices=group.choices)
            for name, group in found.groups.items()
        }
        known |= {each.name: each for each in HYDRA_FOLDERS if command == "run"}
        return Index(notes=found.notes, options=known, sections=found.sections, groups=groups)
    path = FOLDER / f"{command}.yaml"
    own = _read("", path) if path.exists() else Index()
    known, sections, groups = own.options, own.sections, dict[str, Group]()
    for name, group in own.groups.items():
        if typed := [option for option in index("probe").options.values() if option.name.startswith(f"{name}.")]:
            probed = index("probe")
            groups[name] = probed.groups[name]
            known |= {option.name: option for option in typed}
            sections |= {each: text for each, text in probed.sections.items() if f"{each}.".startswith(f"{name}.")}
            continue
        files = {path.stem: _read(name, path) for path in sorted((FOLDER / name).glob("*.yaml"))}
        groups[name] = replace(group, choices={stem: file.notes for stem, file in files.items()})
        # A file that builds on another one repeats known of it to give them other values.
        by_precedence = sorted(files, key=lambda stem: (bool(files[stem].groups), stem != group.chosen))
        for stem in by_precedence:
            known = {**known, **files[stem].options, **known}
            sections = {**sections, **files[stem].sections, **sections}
        alike = {f"{name}={stem}": file for stem, file in files.items() if not file.groups and file.options}
        known |= dict(_by_choice(known, alike, f"{name}={group.chosen}"))
        sections[name] = group.explanation
    run = index("run") if command != "run" else Index()
    sections = {name: text or run.sections.get(name, "") for name, text in sections.items()}
    groups = {name: replace(group, explanation=sections[name]) for name, group in groups.items()}
    known = {name: _explain(option, {**known, **run.options}) for name, option in known.items()}
    return Index(notes=own.notes, options=known, sections=sections, groups=groups)


def _by_choice(options: Mapping[str, Option], files: Mapping[str, Index], chosen: str) -> Iterator[tuple[str, Option]]:
    """Give the options that differ among the files of a group, each with what it is in these files.

    Files with the same options are sizes of one thing: the chosen one has the defaults, and others other values.
    """
    sizes = len({frozenset(file.options) for file in files.values()}) == 1
    for name in dict.fromkeys(key for file in files.values() for key in file.options):
        found = {choice: file.options[name] for choice, file in files.items() if name in file.options}
        meanings = {each.explanation for each in found.values() if each.explanation}
        values = {each.value for each in found.values()}
        if len(meanings) > 1 or (len(values) > 1 and not sizes):
            value = found[chosen].value if chosen in found else values.pop() if len(values) == 1 else "–"
            yield name, replace(options[name], value=value, choices=found)


def _explain(option: Option, others: dict[str, Option]) -> Option:
    """Return the option with the explanation of its namesake, such as ``tokenizer.fit.steps`` for ``lm.fit.steps``."""
    if option.choices:
        choices = {choice: _explain(each, others) for choice, each in option.choices.items()}
        option = replace(option, choices=choices)
    if option.explanation:
        return option
    tail = option.name.split(".")[-2:]
    same = [each for each in others.values() if each.explanation and each.name.split(".")[-2:] == tail]
    exact = [each for each in same if each.name == option.name]
    return replace(option, explanation=(exact or same or [option])[0].explanation)


def _read(group: str, path: Path) -> Index:
    """Read one file; its options are named with the group that they belong to."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    top = list(takewhile(lambda line: line.startswith("#"), lines))
    file = Index(notes="\n".join(line.removeprefix("#").removeprefix(" ") for line in top if line != GLOBAL))
    root = yaml.compose(text, Loader=LOADER)
    if isinstance(root, yaml.MappingNode) and GLOBAL not in top:
        _collect(file, root, lines, group)
    return file


def _collect(file: Index, node: yaml.MappingNode, lines: list[str], prefix: str) -> None:
    """Add the options below a mapping to the file."""
    for key, value in node.value:
        name = f"{prefix}.{key.value}".lstrip(".")
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            file.groups.update(_defaults(value, lines))
        elif isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            if name.partition(".")[0] != HYDRA:
                file.sections[name] = _comment(lines, key.end_mark.line, key.end_mark.column + 1)
            _collect(file, value, lines, name)
        else:
            line, begin, end = value.start_mark.line, value.start_mark.column, value.end_mark.column
            explanation = _comment(lines, value.end_mark.line, end)
            if explanation or not name.startswith(f"{HYDRA}."):
                file.options[name] = Option(name=name, value=lines[line][begin:end], explanation=explanation)


def _defaults(node: yaml.SequenceNode, lines: list[str]) -> Iterator[tuple[str, Group]]:
    """Give the config groups of a defaults list. A plain file, on which another one builds, has the group name ""."""
    for item in node.value:
        match item:
            case yaml.MappingNode():
                ((key, value),) = item.value
                if not key.value.startswith("override "):
                    explanation = _comment(lines, value.end_mark.line, value.end_mark.column)
                    yield key.value, Group(chosen=value.value, explanation=explanation)
            case yaml.ScalarNode(value=name) if name != "_self_":
                yield "", Group(chosen=name, explanation="")


def group_by_section(names: Iterable[str]) -> dict[str, list[str]]:
    """Group dotted names by what stands before their last dot."""
    sections: dict[str, list[str]] = {}
    for name in names:
        sections.setdefault(name.rpartition(".")[0], []).append(name)
    return sections


def _comment(lines: list[str], line: int, column: int) -> str:
    found = re.match(r"\s*#\s*(.*?)\s*$", lines[line][column:])
    return found[1] if found else ""
