"""``predictions.parquet``: what each probe answered for each test clip, in rows that a data frame reads.

A clip has a row for each method, fold and seed. ``clip`` is its name, as in the files of `wordless embed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.methods.table import row_of
from pipelines.results.comparison import By, Comparison, Probed
from pipelines.store.stored_features import GPT
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.base.files import aside
from wordless.base.progress import print_table

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


IN_TERMINAL = ("method", "on test", "interval", "validation", "ahead by", "p", "chosen")


def method_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Write the figures of each method by their headings, the best method first."""
    first = next(iter(comparison.references), GPT)
    ahead, rows = {row.against: row for row in comparison.differences(first)}, []
    for of, row in comparison.tested.items():
        other, validated = ahead.get(of), comparison.validated[of]
        several = (
            comparison.means(of, "fold").values(),
            comparison.means(of, "seed").values(),
        )  # one: the whole row
        folds, seeds = (", ".join(f"{value:.1%}" for value in each) if len(each) > 1 else "" for each in several)
        points = [100 * (end or 0.0) for end in (other.value, other.low, other.high)] if other else []
        rows.append(
            {
                "method": of,
                "on test": f"{row.value:.1%}",
                "interval": f"{row.low:.1%} - {row.high:.1%}",
                "validation": f"{validated.value:.1%}",
                "clips": f"{validated.count:,}",
                "by fold": folds,
                "by seed": seeds,
                "macro F1": f"{comparison.value(of, 'macro_f1'):.3f}",
                "mean AP": f"{comparison.value(of, 'mean_average_precision'):.3f}",
                f"{row_of(first).title} ahead by": "{:+.1f} ({:+.1f} to {:+.1f})".format(*points) if other else "",
                "p": f"{other.p:.3f}" if other else "",
                "chosen": ", ".join(dict.fromkeys(comparison.chosen(of).values())),
            }
        )
    return rows


def as_markdown(comparison: Comparison) -> str:
    """Write the methods as a Markdown table, the best first, and what it leaves open."""
    rows, few = method_rows(comparison), comparison.single_group
    heads = [*rows[0]]
    cells = [heads, ["---", *["---:"] * (len(heads) - 2), "---"], *(row.values() for row in rows)]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in each)} |" for each in cells]
    return "\n".join([*lines, *(["", few] if few else [])]) + "\n"


def print_methods(comparison: Comparison) -> None:
    """Print the methods, the best first."""
    rows = [{name: text for name, text in row.items() if name.endswith(IN_TERMINAL)} for row in method_rows(comparison)]
    print_table([*rows[0]], [[*row.values()] for row in rows])
