"""The comparison of language models of samples: means and differences over seeds, from the entries of every seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from lm.probing.comparison import t_interval
from lm.samples.counts import BASELINES
from pipelines.methods.run_entries import RunEntries
from pipelines.results.figures import Figure
from pipelines.results.run_record import SampleClip, SampleModels
from pipelines.settings.run import RunSettings
from pipelines.stages.next_sample import NEXT_SAMPLE, SAMPLE_SOUNDS, SCORES
from pipelines.store.store import CURVE
from wordless.audio.recordings.manifest import Manifest
from wordless.training.record import TrainingRecord


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model generates one sound."""

    samples_per_second: float
    engine: str  # the code that generates samples


Made = Mapping[tuple[str, int], RunEntries]  # by test fold and seed
Rows = Sequence[Mapping[str, Any]]  # of one model, for each seed
ASKED = (  # model -> its rivals
    ("transformer", ("wavenet", "wavenet_large")),
    ("transformer_context", ("transformer", "wavenet", "wavenet_large")),
)


def sample_models(
    made: Made, manifest: Manifest, settings: RunSettings, speeds: Mapping[str, Speed]
) -> tuple[SampleModels, list[Figure]]:
    """Describe the models, and give their figures over all seeds; the continued clips have the manifest's labels."""
    known = {clip.name: clip for clip in manifest.clips}
    options = settings.next_sample
    scores = [entries.sample_scores for entries in made.values() if entries.sample_scores is not None]
    scored = [cast(dict[str, Any], entry.read_json(SCORES))["rows"] for entry in scores]
    rows: dict[str, Rows] = {name: [each[name] for each in scored] for name in (*BASELINES, *options.models)}
    sounds = next(iter(made.values())).sample_sounds
    assert sounds is not None, "the chain makes sounds of the first seed before it writes results"
    models = SampleModels(
        seeds=len(made),
        sample_rate=settings.audio.sample_rate,
        samples=next(iter(rows.values()))[0]["samples"],
        steps=options.fit.steps,
        crops=options.crops.batch_size,
        crop_samples=options.crops.samples,
        engines={name: speed.engine for name, speed in speeds.items()},
        trainings={name: _trainings(made, name) for name in options.models},
        sounds=sounds.read_rows(SAMPLE_SOUNDS, "sounds"),
        clips=[
            SampleClip(path=row["path"], label=known[row["path"]].label, group=known[row["path"]].group)
            for row in sounds.read_rows(SAMPLE_SOUNDS, "clips")
        ],
    )
    keys = " ".join(entry.key for entry in scores)
    row = Figure(stage=NEXT_SAMPLE, name="accuracy", value=np.nan, artifact=keys)
    return models, list(_figures(rows, speeds, row, settings.probe.confidence))


def _figures(rows: Mapping[str, Rows], speeds: Mapping[str, Speed], row: Figure, confidence: float) -> Iterator[Figure]:
    """Give the scores, sizes and speeds of all models, and the differences of models that are compared."""
    tested = replace(row, split="test", seeds=len(next(iter(rows.values()))))
    for name, own in rows.items():
        for figure in ("accuracy", "bits_per_sample"):
            if own[0][figure] is not None:  # None: a baseline without probabilities
                yield _mean(replace(tested, name=figure, of=name), [each[figure] for each in own], confidence)
        for size in ("parameters", "multiply_adds", "history"):
            yield replace(row, name=size, of=name, value=own[0][size])
        if speed := speeds.get(name):
            yield replace(row, name="samples_per_second", of=name, value=speed.samples_per_second)
    for name, rivals in ASKED:
        for rival in rivals:
            if name in rows and rival in rows:
                pair = replace(tested, of=name, against=rival)
                for figure, called in (("accuracy", "difference"), ("bits_per_sample", "bits_per_sample_difference")):
                    paired = [a[figure] - b[figure] for a, b in zip(rows[name], rows[rival], strict=True)]
                    yield _mean(replace(pair, name=called), paired, confidence)


def _mean(row: Figure, values: Sequence[float], confidence: float) -> Figure:
    """Return the mean over seeds and its t interval."""
    low, high = t_interval(np.asarray(values), confidence=confidence)
    return replace(row, value=float(np.mean(values)), low=low, high=high)


def _trainings(made: Made, name: str) -> dict[str, TrainingRecord]:
    curves = {seed: entries.sample_models[name].read_json(CURVE) for (_, seed), entries in made.items()}
    return {f"seed {seed}": cast(TrainingRecord, curve) for seed, curve in curves.items()}
