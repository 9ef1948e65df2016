"""The second half of ``docs/options.md``: every option of every command, in Markdown.

``python -m pipelines.commandline.options_page`` writes this half anew. A test compares the file with `options_page`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.option_index import Option, group_by_section, index

PAGE = Path(__file__).parents[2] / "docs/options.md"
MARKER = "<!-- python -m pipelines.commandline.options_page writes everything below this line -->\n"


def options_page(page: str) -> str:
    """Replace what stands below the marker of a page by the options of all commands."""
    return page.partition(MARKER)[0] + MARKER + "\n".join(line for name in COMMANDS for line in _command(name)) + "\n"


def _command(name: str) -> Iterator[str]:
    """Give the sections of one command: the options of each section, then the choices of each group."""
    known = index(name)
    yield from ["", f"## `wordless {name}`", "", COMMANDS[name]]
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


if __name__ == "__main__":
    PAGE.write_text(options_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
