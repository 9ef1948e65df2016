"""Tables of a comparison: for the terminal, and in Markdown."""

from collections.abc import Collection, Iterable, Iterator

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from pipelines.methods.table import row_of
from pipelines.results.comparison import Comparison
from pipelines.store.stored_features import GPT

# fmt: off
HEADINGS = (
    "method", "on test", "interval", "validation", "clips", "by fold", "by seed", "macro F1", "mean AP", "ahead by",
    "p", "chosen",
)
# fmt: on
WIDEST = 10_000  # columns of a terminal, for a table that may take what it needs
IN_TERMINAL = ("method", "on test", "interval", "validation", "ahead by", "p", "chosen")


def as_markdown(comparison: Comparison) -> str:
    """Write the methods as a Markdown table, the best first, and what it leaves open."""
    lines = [_line(_headings(comparison).values()), _line(["---", *["---:"] * (len(HEADINGS) - 2), "---"])]
    few = comparison.few_groups
    return "\n".join([*lines, *map(_line, _cells(comparison)), *(["", few] if few else [])]) + "\n"


def print_table(table: Table) -> None:
    """Print a complete table; a narrower terminal wraps its lines."""
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    Console(width=max(console.width, needed)).print(table)


def as_table(comparison: Comparison) -> Table:
    """Build a terminal table of the methods, the best first."""
    table = Table(box=None, pad_edge=False)
    headings = _headings(comparison)
    for name in IN_TERMINAL:
        table.add_column(headings[name], no_wrap=name != "chosen")
    for cells in _cells(comparison):
        table.add_row(*(cells[HEADINGS.index(name)] for name in IN_TERMINAL))
    return table


def _headings(comparison: Comparison) -> dict[str, str]:
    """Return the columns' headings by name; the first reference is in one of them."""
    first = next(iter(comparison.references), GPT)
    return {name: f"{row_of(first).title} {name}" if name == "ahead by" else name for name in HEADINGS}


def _cells(comparison: Comparison) -> Iterator[list[str]]:
    ahead = {row.against: row for row in comparison.differences(next(iter(comparison.references), GPT))}
    for of, row in comparison.tested.items():
        other, validated = ahead.get(of), comparison.validated[of]
        yield [
            of,
            f"{row.value:.1%}",
            f"{row.low:.1%} - {row.high:.1%}",
            f"{validated.value:.1%}",
            f"{validated.count:,}",
            _each(comparison.by_fold(of).values()),
            _each(comparison.by_seed(of).values()),
            f"{comparison.value(of, 'macro_f1'):.3f}",
            f"{comparison.value(of, 'mean_average_precision'):.3f}",
            "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * (end or 0.0) for end in (other.value, other.low, other.high)))
            if other
            else "",
            f"{other.p:.3f}" if other else "",
            ", ".join(dict.fromkeys(comparison.chosen(of).values())),
        ]


def _each(values: Collection[float]) -> str:
    """Write several values; a single one is that of the whole row."""
    return ", ".join(f"{value:.1%}" for value in values) if len(values) > 1 else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
