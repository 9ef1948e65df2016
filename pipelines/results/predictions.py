"""``predictions.parquet``: what each probe answered for each test clip, in rows that a data frame reads.

A clip has a row for each method, fold and seed. ``clip`` is its name, as in the files of `wordless embed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.results.probed_folds import By, Probed
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.base.files import aside

PREDICTIONS = "predictions.parquet"  # in the folder of a run
_SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("path", pa.string()),
        ("start", pa.float64()),  # seconds within the file
        ("end", pa.float64()),
        ("group", pa.string()),
        ("label", pa.string()),
        ("prediction", pa.string()),
        ("probability", pa.float64()),  # of the prediction; null: the values of ridge regression are none
        ("method", pa.string()),
        ("candidate", pa.string()),  # layer and pooling that validation chose; null: a classifier of the method's own
        ("fold", pa.string()),  # held out for test; null: the corpus has one split
        ("seed", pa.int64()),
        ("split", pa.string()),
    ]
)


def write_predictions(
    path: Path, per_fold: Mapping[tuple[str, int], Probed], manifest: Manifest, *, by: By, separator: str | None
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
