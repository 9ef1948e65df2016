"""``predictions.parquet``: what each probe answered for each test clip, a row for each method, fold and seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.results.probes import Probed
from pipelines.settings.comparison_settings import By
from wordless.audio.recordings.manifest import Clips
from wordless.base.files import aside

PREDICTIONS = "predictions.parquet"  # in the folder of a run
_NUMBERS = {"start": pa.float64(), "end": pa.float64(), "probability": pa.float64(), "seed": pa.int64()}
_SOUND, _ANSWER = ("clip", "path", "start", "end", "group", "label"), ("prediction", "probability", "method")
_COLUMNS = (*_SOUND, *_ANSWER, "candidate", "fold", "seed", "split")  # docs/figures.md explains them
_SCHEMA = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in _COLUMNS])


def write_predictions(
    path: Path, per_fold: Mapping[tuple[str, int], Probed], manifest: Clips, *, by: By, separator: str | None
) -> None:
    """Write the table from the probes of each fold and seed; ``separator`` stands between several classes."""

    def text(classes: str | Sequence[str]) -> str:
        return classes if isinstance(classes, str) else (separator or ";").join(classes)

    known, tables = {clip.name: clip for clip in manifest.clips}, []
    for (fold, seed), probed in per_fold.items():
        clips = [known[name] for name in probed["clips"]]
        spans = [clip.part.span(clip.sample_rate) for clip in clips]
        sounds = [(clip.name, clip.path, *span, clip.group) for clip, span in zip(clips, spans, strict=True)]
        table = pandas.DataFrame(sounds, columns=["clip", "path", "start", "end", "group"])
        table = table.assign(label=[*map(text, probed["truth"])], fold=None if by == "split" else fold, seed=seed)
        for row in probed["methods"]:
            chosen = row["chosen"] if row["penalties"] else None
            answers = {"prediction": [*map(text, row["predictions"])], "probability": row["probabilities"]}
            tables.append(table.assign(**answers, method=row["of"], candidate=chosen, split="test"))
    with aside(path) as beside:
        pq.write_table(pa.Table.from_pandas(pandas.concat(tables), _SCHEMA, preserve_index=False), beside)
