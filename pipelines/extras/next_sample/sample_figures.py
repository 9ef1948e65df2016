"""The figures of language models of samples, with intervals over seeds, and their part of the report."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lm.probing import comparison as intervals
from lm.samples.crops import BASELINES
from lm.samples.model import SampleLanguageModel
from pipelines.extras.next_sample.sample_options import SOUNDS, NextSampleSettings
from pipelines.pages.charts import Chart
from pipelines.pages.phrasing import heading
from pipelines.pages.report import training_chart
from pipelines.pages.sounds import Sound, clip_name, sound_spectrograms, sounds_among
from pipelines.results.figures import Figure
from pipelines.results.language_figures import Made
from pipelines.results.run_record import Results, Section, section_of
from pipelines.settings.run import RunSettings
from pipelines.store.store import CURVE, Entry
from vocoder.options import Sampling
from wordless.audio.recordings.manifest import Clips
from wordless.base.machine import choose_device

NEXT_SAMPLE = "next_sample"  # the stage; its entries of models are next_sample_<model>
SCORES, SAMPLE_SOUNDS = "scores.json", "sounds.json"
LONG_ENOUGH = 0.1  # seconds that a measurement of speed takes at least
SAMPLES, MOST_SAMPLES = 500, 50_000  # of the shortest and the longest measurement
Speeds = Mapping[str, tuple[float, str]]  # by model: samples per second of one sound, and the code that generates them
Rows = Sequence[Mapping[str, Any]]  # of one model, for each seed
ASKED = (  # model -> its rivals
    ("transformer", ("wavenet", "wavenet_large")),
    ("transformer_context", ("transformer", "wavenet", "wavenet_large")),
)


def measure_speed(config: NextSampleSettings, entries: Mapping[str, Entry], device: torch.device) -> Speeds:
    """Measure the samples per second that each model generates for one sound, on this machine as it is now."""
    engine, speeds = config.sounds.engine, dict[str, tuple[float, str]]()
    for name in config.models:
        folder = entries[f"{NEXT_SAMPLE}_{name}"].folder
        model = SampleLanguageModel.from_pretrained(folder, device=str(device))

        def seconds(samples: int, model: SampleLanguageModel = model) -> float:
            sampling, begun = Sampling(temperature=1.0, engine=engine), time.perf_counter()
            model.generate([None], seconds=samples / model.sample_rate, sampling=sampling)
            return time.perf_counter() - begun

        seconds(1)  # loads libraries and kernels
        samples = SAMPLES
        # Reading the past takes as long for 1 sample as for many, and cancels.
        while (more := seconds(1 + samples) - seconds(1)) < LONG_ENOUGH and samples < MOST_SAMPLES:
            samples *= 10
        speeds[name] = samples / max(more, 1e-9), model.engine(engine)
    return speeds


def sample_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Figure]]:
    """Describe the models, and give their figures over all seeds."""
    known = {clip.name: {"label": clip.label, "group": clip.group} for clip in manifest.clips}
    options, first = settings.of(NextSampleSettings), next(iter(made.values()))
    speeds = measure_speed(options, first, choose_device(settings.device))
    scores = [entries[f"{NEXT_SAMPLE}_scores"] for entries in made.values()]
    scored = [entry.read_json(SCORES)["rows"] for entry in scores]
    rows: dict[str, Rows] = {name: [each[name] for each in scored] for name in (*BASELINES, *options.models)}
    sounds = first[SOUNDS]
    models = Section(
        seeds=len(made),
        sample_rate=settings.audio.sample_rate,
        samples=next(iter(rows.values()))[0]["samples"],
        steps=options.fit.steps,
        crops=options.crops.batch_size,
        crop_samples=options.crops.samples,
        engines={name: engine for name, (_, engine) in speeds.items()},
        trainings={
            name: {f"seed {seed}": each[f"{NEXT_SAMPLE}_{name}"].read_json(CURVE) for (_, seed), each in made.items()}
            for name in options.models
        },
        sounds=sounds.read_rows(SAMPLE_SOUNDS, "sounds"),
        clips=[row | known[row["path"]] for row in sounds.read_rows(SAMPLE_SOUNDS, "clips")],
    )
    keys = " ".join(entry.key for entry in scores)
    row = Figure(stage=NEXT_SAMPLE, name="accuracy", value=np.nan, artifact=keys)
    return models, list(_of_models(rows, speeds, row, settings.probe.confidence))


def _of_models(rows: Mapping[str, Rows], speeds: Speeds, row: Figure, confidence: float) -> Iterator[Figure]:
    tested = replace(row, split="test", seeds=len(next(iter(rows.values()))))
    for name, own in rows.items():
        for figure in ("accuracy", "bits_per_sample"):
            if own[0][figure] is not None:  # None: a baseline without probabilities
                yield _mean_of_seeds(replace(tested, name=figure, of=name), [each[figure] for each in own], confidence)
        for size in ("parameters", "multiply_adds", "history"):
            yield replace(row, name=size, of=name, value=own[0][size])
        if name in speeds:
            yield replace(row, name="samples_per_second", of=name, value=speeds[name][0])
    for name, rivals in ASKED:
        for rival in rivals:
            if name in rows and rival in rows:
                pair = replace(tested, of=name, against=rival)
                for figure, called in (("accuracy", "difference"), ("bits_per_sample", "bits_per_sample_difference")):
                    paired = [a[figure] - b[figure] for a, b in zip(rows[name], rows[rival], strict=True)]
                    yield _mean_of_seeds(replace(pair, name=called), paired, confidence)


def _mean_of_seeds(row: Figure, values: Sequence[float], confidence: float) -> Figure:
    low, high = intervals.t_interval(np.asarray(values), confidence=confidence)
    return replace(row, value=float(np.mean(values)), low=low, high=high, over=None if low is None else "seeds")


def sample_sounds(results: Results) -> Iterator[Sound]:
    for row in section_of(results, NEXT_SAMPLE).get("sounds", []):
        yield Sound("samples", row["clip"], heading(row["of"]), f"{SOUNDS}/{row['file']}", row["figures"])


def sample_charts(folder: Path, results: Results) -> Iterator[Chart]:
    own, every = section_of(results, NEXT_SAMPLE), [*sample_sounds(results)]
    for of, records in own.get("trainings", {}).items():
        yield replace(training_chart(of, records, loss="nats per sample"), name=f"curve_next_sample_{of}")
    names = [clip_name(clip) for clip in own.get("clips", [])]
    for number, name in enumerate([*names, "Without a prompt"]):
        if sounds := sounds_among(every, "samples", number if number < len(names) else None):
            yield sound_spectrograms(folder, sounds, name=f"samples-{number}", title=name)
