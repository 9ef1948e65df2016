"""The figures of a fine-tuning: ``figures.json``, and a table for the terminal and in Markdown."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from lm.heads.head import Figure
from lm.probing.comparison import t_interval
from pipelines.finetuning.trials import Trial
from wordless.base.text import counted

BASELINE = "the same answer for every clip"


def summary(trials: Sequence[Trial], constant: Sequence[Figure], *, confidence: float) -> list[dict[str, Any]]:
    """Average the figures of each opponent and share over the seeds, with t intervals; the constant answer is last.

    With a single seed the interval is the bootstrap interval over test clips, or over their groups. With several seeds,
    the differences between the fine-tuned body and each opponent follow, paired by seed: trials of one seed have the
    same labels.
    """
    by_share: dict[float, dict[str, list[Trial]]] = {}
    for trial in sorted(trials, key=lambda each: each.share):
        by_share.setdefault(trial.share, {}).setdefault(trial.title, []).append(trial)
    rows = [_row(of, several, confidence) for arms in by_share.values() for of, several in arms.items()]
    for arms in by_share.values():
        finetuned, *others = arms.values()
        if len(finetuned) > 1:
            rows += [_difference_row(finetuned, other, confidence) for other in others]
    return [*rows, {"of": BASELINE, "share": None, "clips": None, "seeds": 1, "figures": [_plain(f) for f in constant]}]


def _row(of: str, trials: Sequence[Trial], confidence: float) -> dict[str, Any]:
    figures = [
        _over_seeds([trial.figures[number] for trial in trials], confidence) for number in range(len(trials[0].figures))
    ]
    return {**_described(of, trials), "figures": figures}


def _described(of: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return what a row is of: an opponent, its share of the labels, and the number of seeds."""
    clips = round(float(np.mean([trial.clips for trial in trials])))
    return {"of": of, "share": trials[0].share, "clips": clips, "seeds": len(trials)}


def _over_seeds(figures: Sequence[Figure], confidence: float) -> dict[str, Any]:
    first = figures[0]
    if len(figures) == 1:
        return _plain(first)
    values = np.array([each.value for each in figures])
    low, high = t_interval(values, confidence=confidence)
    mean = Figure(name=first.name, value=float(values.mean()), low=low or 0.0, high=high or 0.0, percent=first.percent)
    return _plain(mean)


def _difference_row(finetuned: Sequence[Trial], other: Sequence[Trial], confidence: float) -> dict[str, Any]:
    """Compare the fine-tuned body with an opponent: the mean of the differences of each seed, with a t interval."""
    against, figures = {trial.seed: trial for trial in other}, []
    for number, first in enumerate(finetuned[0].figures):
        values = np.array([each.figures[number].value - against[each.seed].figures[number].value for each in finetuned])
        low, high = t_interval(values, confidence=confidence)
        found = Figure(name=first.name, value=float(values.mean()), low=low or 0.0, high=high or 0.0)
        mean, *ends = (_signed(value, percent=first.percent) for value in (found.value, found.low, found.high))
        text = f"{mean}{' points' if first.percent else ''} ({' to '.join(ends)})"
        figures.append({**found.plain, "text": text if math.isfinite(found.value) else "–"})
    title = f"{finetuned[0].title} minus {other[0].title}"
    return {**_described(title, finetuned), "figures": figures}


def _signed(value: float, *, percent: bool) -> str:
    return f"{100 * value:+.1f}" if percent else f"{value:+.3f}"


def _plain(one: Figure) -> dict[str, Any]:
    """Return a figure as plain values, with its text; None where it is not known, such as R2 of equal numbers."""
    text = f"{one.show(one.value)} ({one.show(one.low)} to {one.show(one.high)})" if math.isfinite(one.value) else "–"
    return {**one.plain, "text": text}


def _percent(share: float) -> str:
    """Write a share with all of its digits: two shares never have the same text."""
    return f"{100 * share:.12g}%"


def named_figures(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Name the figures of the summary as ``opponent/figure``, of smaller shares as ``opponent, 10%/figure``."""
    return {
        f"{row['of']}{', ' + _percent(row['share']) if (row['share'] or 1) < 1 else ''}/{figure['name']}": value
        for row in rows
        for figure in row["figures"]
        if (value := figure["value"]) is not None
    }


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Write the summary as a Markdown table."""
    head = _heading(rows)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *_cells(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Build a terminal table of the summary."""
    table = Table(box=None, pad_edge=False)
    for name in _heading(rows):
        table.add_column(name, no_wrap=True)
    for cells in _cells(rows):
        table.add_row(*cells)
    return table


def _heading(rows: Sequence[dict[str, Any]]) -> list[str]:
    return ["", "labels", *(figure["name"] for figure in rows[0]["figures"])]


def _cells(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        labels = "" if row["share"] is None else f"{_percent(row['share'])}: {counted(row['clips'], 'clip')}"
        yield [row["of"], labels, *(figure["text"] for figure in row["figures"])]
