"""What the site says from the code, in Markdown: the page of options, and tables within other pages."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from lm.language_tests import Score
from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.options import Index, group_by_section, index
from pipelines.methods.table import METHODS
from pipelines.results.figures import MEASURES, Figure
from pipelines.results.predictions import COLUMNS
from pipelines.results.symptoms import SIGNS
from vocoder.speech_judges import SPEECH_JUDGES
from wordless.base.options import MEANING

UNTRAINED = "the same network with random weights"


def with_tables(page: str) -> str:
    """Replace each comment ``<!-- table NAME -->`` of a page by that table."""
    return re.sub(r"<!-- table (\w+) -->", lambda found: "\n".join(TABLES[found[1]]()), page)


def options_page() -> str:
    """Give the page: the options of all commands."""
    return "# Options\n" + "\n".join(line for name in COMMANDS for line in _command(name)) + "\n"


def _command(name: str) -> Iterator[str]:
    """Give the sections of one command: the options of each section, then each group with its choices."""
    known = index(name)
    yield from ["", f"## `wordless {name}`", "", COMMANDS[name].purpose]
    yield from _sections(known, [option for option in known.options if not option.startswith(known.varied)])
    for key, group in known.groups.items():
        yield from ["", f"**`{key}=...`**: {group.explanation}"]
        yield from _table(("name", "meaning"), ((f"{key}={name}", text) for name, text in group.choices.items()))
        for choice, variant in group.variants.items():
            yield from ["", f"With `{key}={choice}`:", *_sections(variant, variant.options)]


def _sections(known: Index, names: Iterable[str]) -> Iterator[str]:
    for section, own in group_by_section(names).items():
        explanation = known.sections.get(section, "")
        yield from ["", f"**`{section}`**: {explanation}" if explanation else f"**{section or 'Options'}**"]
        rows = ((name, known.options[name].value, known.options[name].explanation) for name in own)
        yield from _table(("name", "default", "meaning"), rows, code=2)


def _symptoms() -> Iterator[str]:
    rows = ((sign.name, sign.figure, sign.bound, f"{sign.remedy}: {_code(sign.options)}") for sign in SIGNS)
    return _table(("symptom", "figure that shows it", "usual value", "what mends it"), rows, code=0)


def _methods() -> Iterator[str]:
    """Give the methods; one row for all that are explained alike."""
    alike: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        alike.setdefault(method.explanation or UNTRAINED, []).append(name)
    return _table(("method", "what is probed"), ((_code(names), text) for text, names in alike.items()), code=0)


def _judges() -> Iterator[str]:
    rows = ((name, at.explanation, "speech of 16,000 Hz or more") for name, at in SPEECH_JUDGES.items())
    return _table(("judge", "what it measures", "what it needs"), rows)


def _measures() -> Iterator[str]:
    rows = ((name, at.title or name.replace("_", " "), at.unit) for name, at in MEASURES.items())
    return _table(("name", "meaning", "unit"), rows)


def _columns(row: type[Figure] | type[Score], **more: str) -> Iterator[str]:
    known = {field.name: field.metadata[MEANING].text for field in fields(row)}
    return _table(("column", "meaning"), [*more.items(), *known.items()])


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "columns": lambda: _columns(Figure, unit="of the value: `ratio` (0.5 is 50 %), `codes`, `bit/s`, `dB`, `s`, ..."),
    "judges": _judges,
    "measures": _measures,
    "methods": _methods,
    "predictions": lambda: _table(("column", "meaning"), ((name, text) for name, (_, text) in COLUMNS.items())),
    "scores": lambda: _columns(Score, path="the recording"),
    "symptoms": _symptoms,
}


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], code: int = 1) -> Iterator[str]:
    """Give the lines of a Markdown table. The first ``code`` columns hold code."""
    yield from ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [cell.replace("|", r"\|").replace("\n", " ") for cell in row]
        yield f"| {' | '.join([*(f'`{cell}`' for cell in cells[:code]), *cells[code:]])} |"
