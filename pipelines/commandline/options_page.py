"""Every option of every command as a page of the site, in Markdown."""

from collections.abc import Iterable, Iterator

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.options import Option, group_by_section, index


def options_page() -> str:
    """Give the page: the options of all commands."""
    return "# Options\n" + "\n".join(line for name in COMMANDS for line in _command(name)) + "\n"


def _command(name: str) -> Iterator[str]:
    """Give the sections of one command: the options of each section, then the choices of each group."""
    known = index(name)
    yield from ["", f"## `wordless {name}`", "", COMMANDS[name].purpose]
    for section, names in group_by_section(known.options).items():
        explanation = known.sections.get(section, "")
        yield from ["", f"**`{section}`**: {explanation}" if explanation else f"**{section or 'Options'}**"]
        rows = ((name, known.options[name].value, _meaning(known.options[name])) for name in names)
        yield from _table(("name", "default", "meaning"), rows)
    for key, group in known.groups.items():
        yield from ["", f"**`{key}=...`**: {group.explanation}"]
        yield from _table(("name", "meaning"), ((f"{key}={name}", text) for name, text in group.choices.items()))


def _meaning(option: Option) -> str:
    """Write the meaning of an option; where choices differ, each with its default or its meaning."""
    others = {choice: each for choice, each in option.choices.items() if each.value != option.value}
    if len({each.explanation for each in option.choices.values()}) <= 1:
        values = ", ".join(f"{each.value} with {choice}" for choice, each in others.items())
        return f"{option.explanation}; default {values}" if values else option.explanation
    alike: dict[str, list[str]] = {}
    for choice, each in option.choices.items():
        alike.setdefault(each.explanation, []).append(
            f"{choice} (default {each.value})" if choice in others else choice
        )
    return "; ".join(f"with {' or '.join(choices)}: {explanation}" for explanation, choices in alike.items())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Give the lines of a Markdown table. All columns but the last one hold code."""
    yield from ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        *code, text = (cell.replace("|", r"\|").replace("\n", " ") for cell in row)
        yield f"| {' | '.join([*(f'`{cell}`' for cell in code), text])} |"
