"""The comparison of language models of samples: means and differences over seeds, from the entries of every seed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from lm.probing.comparison import t_interval
from lm.samples.counts import BASELINES
from pipelines.results.figures import Figure
from pipelines.results.next_sample_record import (
    IntervalRecord,
    NextSampleRecord,
    SampleClipRecord,
    SampleDifferenceRow,
    SampleModelRow,
    SpeedRecord,
)
from pipelines.settings.run import RunSettings
from pipelines.stages.next_sample import NEXT_SAMPLE, SCORES
from pipelines.stages.next_sample_sounds import SAMPLE_SOUNDS
from pipelines.store.store import Entry
from pipelines.store.training_curve import CURVE
from wordless.audio.recordings.manifest import Manifest
from wordless.training.record import TrainingRecord

Made = Mapping[tuple[str, int], Mapping[str, Entry]]  # by test fold and seed, then by stage
Rows = Sequence[Mapping[str, Any]]  # of one model, for each seed
SCORED, SOUNDS = f"{NEXT_SAMPLE}_scores", f"{NEXT_SAMPLE}_sounds"  # stages
ASKED = (  # model -> its rivals
    ("transformer", ("wavenet", "wavenet_large")),
    ("transformer_context", ("transformer", "wavenet", "wavenet_large")),
)


def next_sample_record(
    made: Made, manifest: Manifest, settings: RunSettings, speeds: Mapping[str, SpeedRecord]
) -> NextSampleRecord:
    """Summarise the scores of all seeds; the clips that the models continue have the manifest's labels."""
    known = {clip.name: clip for clip in manifest.clips}
    options, confidence = settings.next_sample, settings.probe.confidence
    scored = [cast(dict[str, Any], entries[SCORED].read_json(SCORES))["rows"] for entries in made.values()]
    rows: dict[str, Rows] = {name: [each[name] for each in scored] for name in (*BASELINES, *options.models)}
    first = next(iter(made.values()))
    return NextSampleRecord(
        models=[_model(name, each, confidence, speeds.get(name)) for name, each in rows.items()],
        differences=list(_differences(rows, confidence)),
        seeds=len(made),
        sample_rate=settings.audio.sample_rate,
        samples=next(iter(rows.values()))[0]["samples"],
        steps=options.fit.steps,
        crops=options.crops.batch_size,
        crop_samples=options.crops.samples,
        trainings={name: _trainings(made, f"{NEXT_SAMPLE}_{name}") for name in options.models},
        sounds=first[SOUNDS].read_rows(SAMPLE_SOUNDS, "sounds"),
        clips=[
            SampleClipRecord(path=row["path"], label=known[row["path"]].label, group=known[row["path"]].group)
            for row in first[SOUNDS].read_rows(SAMPLE_SOUNDS, "clips")
        ],
    )


def _model(name: str, rows: Rows, confidence: float, speed: SpeedRecord | None) -> SampleModelRow:
    first = rows[0]
    with_bits = first["bits_per_sample"] is not None
    return SampleModelRow(
        of=name,
        accuracy=_interval([row["accuracy"] for row in rows], confidence),
        bits_per_sample=_interval([row["bits_per_sample"] for row in rows], confidence) if with_bits else None,
        parameters=first["parameters"],
        multiply_adds=first["multiply_adds"],
        history=first["history"],
        speed=speed,
    )


def _differences(rows: Mapping[str, Rows], confidence: float) -> Iterator[SampleDifferenceRow]:
    for name, rivals in ASKED:
        for rival in rivals:
            if name in rows and rival in rows:
                yield SampleDifferenceRow(
                    of=name,
                    against=rival,
                    accuracy=_paired(rows[name], rows[rival], "accuracy", confidence),
                    bits_per_sample=_paired(rows[name], rows[rival], "bits_per_sample", confidence),
                )


def _paired(rows: Rows, others: Rows, figure: str, confidence: float) -> IntervalRecord:
    return _interval([a[figure] - b[figure] for a, b in zip(rows, others, strict=True)], confidence)


def _interval(values: Sequence[float], confidence: float) -> IntervalRecord:
    """Return the mean over seeds and its t interval."""
    low, high = t_interval(np.asarray(values), confidence=confidence)
    return IntervalRecord(value=float(np.mean(values)), low=low, high=high)


def _trainings(made: Made, stage: str) -> dict[str, TrainingRecord]:
    curves = {seed: entries[stage].read_json(CURVE) for (_, seed), entries in made.items()}
    return {f"seed {seed}": cast(TrainingRecord, curve) for seed, curve in curves.items()}


def next_sample_figures(record: NextSampleRecord, made: Made) -> Iterator[Figure]:
    """Give the scores, sizes and speeds of all models, and the differences in accuracy."""
    keys = " ".join(entries[SCORED].key for entries in made.values())
    shared: dict[str, Any] = {"stage": NEXT_SAMPLE, "artifact": keys, "seeds": record["seeds"], "split": "test"}
    for row in record["models"]:
        yield Figure(name="accuracy", of=row["of"], **row["accuracy"], **shared)
        if bits := row["bits_per_sample"]:
            yield Figure(name="bits_per_sample", of=row["of"], **bits, **shared)
        sizes = {"parameters": row["parameters"], "multiply_adds": row["multiply_adds"], "history": row["history"]}
        if speed := row["speed"]:
            sizes["samples_per_second"] = speed["samples_per_second"]
        for name, value in sizes.items():
            yield Figure(stage=NEXT_SAMPLE, name=name, of=row["of"], value=value, artifact=keys)
    for one in record["differences"]:
        yield Figure(name="difference", of=one["of"], against=one["against"], **one["accuracy"], **shared)
