"""Tables of a comparison: for the terminal, and in Markdown."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from pipelines.methods.table import row_of
from pipelines.results.comparison_record import few_groups
from pipelines.store.stored_features import GPT

# fmt: off
HEADINGS = (
    "method", "on test", "interval", "validation", "clips", "by fold", "by seed", "macro F1", "mean AP", "ahead by",
    "p", "chosen",
)
# fmt: on
WIDEST = 10_000  # columns of a terminal, for a table that may take what it needs
IN_TERMINAL = ("method", "on test", "interval", "validation", "ahead by", "p", "chosen")


def as_markdown(section: Mapping[str, Any]) -> str:
    """Write the methods of the section "comparison" as a Markdown table, the best first, and what it leaves open."""
    lines = [_line(_headings(section).values()), _line(["---", *["---:"] * (len(HEADINGS) - 2), "---"])]
    few = few_groups(section)
    return "\n".join([*lines, *map(_line, _cells(section)), *(["", few] if few else [])]) + "\n"


def print_table(table: Table) -> None:
    """Print a complete table; a narrower terminal wraps its lines."""
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    Console(width=max(console.width, needed)).print(table)


def as_table(section: Mapping[str, Any]) -> Table:
    """Build a terminal table of the methods of the section "comparison", the best first."""
    table = Table(box=None, pad_edge=False)
    headings = _headings(section)
    for name in IN_TERMINAL:
        table.add_column(headings[name], no_wrap=name != "chosen")
    for cells in _cells(section):
        table.add_row(*(cells[HEADINGS.index(name)] for name in IN_TERMINAL))
    return table


def _headings(section: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns' headings by name; the first reference is in one of them."""
    first = next(iter(section.get("references", [GPT])), GPT)
    return {name: f"{row_of(first).title} {name}" if name == "ahead by" else name for name in HEADINGS}


def _cells(section: Mapping[str, Any]) -> Iterator[list[str]]:
    first = next(iter(section.get("references", [GPT])), GPT)
    ahead = {row["against"]: row for row in section["differences"] if row["of"] == first}
    for row in section["methods"]:
        other = ahead.get(row["of"])
        yield [
            row["of"],
            f"{row['value']:.1%}",
            f"{row['low']:.1%} - {row['high']:.1%}",
            f"{row['validation']:.1%}",
            f"{row['validation_clips']:,}",
            _each(row["folds"]),
            _each(row.get("seeds", {})),
            f"{row['macro_f1']:.3f}",
            f"{row['mean_average_precision']:.3f}",
            f"{100 * other['value']:+.1f} ({100 * other['low']:+.1f} to {100 * other['high']:+.1f})" if other else "",
            f"{other['p']:.3f}" if other else "",
            ", ".join(dict.fromkeys(row["chosen"].values())),
        ]


def _each(values: Mapping[str, float]) -> str:
    """Write several values; a single one is that of the whole row."""
    return ", ".join(f"{value:.1%}" for value in values.values()) if len(values) > 1 else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
