"""``predictions.parquet``: what each probe answered for each test clip, in rows that a data frame reads.

A clip has a row for each method, fold and seed. ``clip`` is its name, as in the files of `wordless embed`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

from pipelines.methods.table import row_of
from pipelines.results.comparison import By, Comparison, Probed
from pipelines.store.stored_features import GPT
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.base.files import aside

PREDICTIONS = "predictions.parquet"  # in the folder of a run
COLUMNS = {  # of the table, with their meanings
    "clip": (pa.string(), "name of the clip: its path, and for a part of a recording its seconds, `a.wav#t=10,20`"),
    "path": (pa.string(), "the recording"),
    "start": (pa.float64(), "where the used part of the recording begins, in seconds"),
    "end": (pa.float64(), "where it ends"),
    "group": (pa.string(), "as the corpus has it"),
    "label": (pa.string(), "as the corpus has it; several labels stand with the separator between them"),
    "prediction": (pa.string(), "the answer"),
    "probability": (
        pa.float64(),
        "of the answer, with logistic probes and classifiers; empty with ridge, whose values are no probabilities, and "
        "with several labels",
    ),
    "method": (pa.string(), "the method"),
    "candidate": (
        pa.string(),
        "layer and pooling that were chosen without test clips; empty: a classifier that the method trained",
    ),
    "fold": (pa.string(), "the fold that was held out; empty on a single split"),
    "seed": (pa.int64(), "the seed"),
    "split": (pa.string(), "`test`"),
}
_SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


def write_predictions(
    path: Path, per_fold: Mapping[tuple[str, int], Probed], manifest: Clips, *, by: By, separator: str | None
) -> None:
    """Write the table, whole or not at all, from the ``probe.json`` of each fold and seed.

    ``separator`` stands between the classes of a clip that has several. Such clips have no single probability.
    """
    clips = {clip.name: clip for clip in manifest.clips}
    with aside(path) as beside, pq.ParquetWriter(beside, _SCHEMA) as writer:
        for (fold, seed), probed in per_fold.items():
            own = [clips[name] for name in probed["clips"]]
            for row in probed["methods"]:
                place = {"fold": None if by == "split" else fold, "seed": seed, "split": "test"}
                rows = list(_rows(own, probed["truth"], row, place, separator))
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _rows(
    clips: Sequence[Clip],
    truth: Sequence[Any],
    row: Mapping[str, Any],
    place: Mapping[str, object],
    separator: str | None,
) -> Iterator[dict[str, object]]:
    """Give the rows of one method in one fold with one seed."""
    of = {"method": row["of"], "candidate": row["chosen"] if row["penalties"] else None, **place}
    probabilities = row["probabilities"] or [None] * len(clips)
    for clip, label, answer, probability in zip(clips, truth, row["predictions"], probabilities, strict=True):
        start, end = clip.part.span(clip.sample_rate)
        sound = {"clip": clip.name, "path": clip.path, "start": start, "end": end, "group": clip.group}
        answers = {"label": _text(label, separator), "prediction": _text(answer, separator)}
        yield {**sound, **answers, "probability": probability, **of}


def _text(classes: str | Sequence[str], separator: str | None) -> str:
    return classes if isinstance(classes, str) else (separator or ";").join(classes)


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
    few = comparison.single_group
    return "\n".join([*lines, *map(_line, _cells(comparison)), *(["", few] if few else [])]) + "\n"


def print_table(table: Table) -> None:
    """Print a complete table; a narrower terminal wraps its lines."""
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum
    Console(width=max(console.width, needed)).print(table)


def as_table(comparison: Comparison) -> Table:
    """Build a terminal table of the methods, the best first."""
    headings = _headings(comparison)
    columns = (Column(headings[name], no_wrap=name != "chosen") for name in IN_TERMINAL)
    table = Table(*columns, box=None, pad_edge=False)
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
