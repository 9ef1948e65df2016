"""Language models of samples: trained and scored for each seed; sounds and speed are those of the first seed."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import cast

import torch

from lm.samples.model import SampleLanguageModel
from pipelines.chain.pairs import Pair, make_pairs
from pipelines.results.next_sample_record import SpeedRecord
from pipelines.results.results import FoldSeed
from pipelines.settings.run import RunSettings
from pipelines.stages.next_sample import NEXT_SAMPLE, score_sample_models, train_sample_model
from pipelines.stages.next_sample_sounds import generate_sample_sounds
from pipelines.stages.options import ModelName
from pipelines.stages.stored_arrays import waveforms, waveforms_for_test
from pipelines.store.session import Session
from pipelines.store.store import Entry
from vocoder.sampling import EngineChoice, Sampling
from wordless.audio.recordings.manifest import Manifest

Made = Mapping[str, Entry]  # by stage
LONG_ENOUGH = 0.1  # seconds that a measurement takes at least
SAMPLES, MOST_SAMPLES = 500, 50_000  # of the shortest and the longest measurement


def train_samples_first(session: Session, pairs: Mapping[FoldSeed, Pair], *, parallel: int) -> list[Entry]:
    """Train the models of all pairs at the same time, of each seed those with the most multiply-adds first.

    So all ``parallel`` processes have work, however few seeds there are, and the pairs reuse the models. All pairs have
    the same clips.
    """
    trainings = {(*key, part.training): part for key, pair in pairs.items() for part in _trainings(pair)}
    if min(parallel, len(trainings)) == 1:
        return []
    pair, *_ = pairs.values()
    sounds = waveforms(session, pair.manifest, pair.settings.audio.sample_rate)
    made = make_pairs(session, trainings, partial(_train_one, sounds), parallel=parallel, what="models of samples")
    return [sounds, *(entry for entries in made.values() for entry in entries.values())]


def _trainings(pair: Pair) -> Iterator[Pair]:
    options = pair.settings.next_sample
    for name in sorted(options.models, key=lambda name: options.config(name).multiply_adds, reverse=True):
        yield replace(pair, training=name)


def _train_one(sounds: Entry, session: Session, pair: Pair) -> dict[str, Entry]:
    name = cast(ModelName, pair.training)
    model = train_sample_model(session, pair.manifest, sounds, pair.settings.next_sample, name)
    return {model.stage: model}


def train_on_samples(session: Session, manifest: Manifest, settings: RunSettings) -> list[Entry]:
    """Train every wanted model on the same crops, and score all of them on the same test crops."""
    rate, options = settings.audio.sample_rate, settings.next_sample
    sounds = waveforms(session, manifest, rate), waveforms_for_test(session, manifest, rate)
    models = [(name, train_sample_model(session, manifest, sounds[0], options, name)) for name in options.models]
    scores = score_sample_models(session, manifest, sounds, models, options)
    return [*sounds, *(entry for _, entry in models), scores]


def add_sample_sounds(
    session: Session, manifest: Manifest, settings: RunSettings, made: dict[FoldSeed, dict[str, Entry]]
) -> None:
    """Add sounds to listen to, by the models of the first seed, to its entries."""
    entries, options = next(iter(made.values())), settings.next_sample.sounds
    models, rate = list(_trained(entries, settings)), settings.audio.sample_rate
    sounds = generate_sample_sounds(session, manifest, models, options, sample_rate=rate)
    entries[sounds.stage] = sounds


def measure_speed(settings: RunSettings, made: Made, device: torch.device) -> dict[str, SpeedRecord]:
    """Measure the samples per second that each model generates for one sound, on this machine as it is now."""
    engine = settings.next_sample.sounds.engine
    return {name: _measure(entry, device, engine) for name, entry in _trained(made, settings)}


def _trained(made: Made, settings: RunSettings) -> Iterator[tuple[ModelName, Entry]]:
    for name in settings.next_sample.models:
        yield name, made[f"{NEXT_SAMPLE}_{name}"]


def _measure(entry: Entry, device: torch.device, engine: EngineChoice) -> SpeedRecord:
    model = SampleLanguageModel.from_pretrained(entry.folder, device=str(device))

    def generate(samples: int) -> None:
        model.generate([None], seconds=samples / model.sample_rate, sampling=Sampling(temperature=1.0, engine=engine))

    samples = SAMPLES
    while (seconds := _seconds_more(generate, samples)) < LONG_ENOUGH and samples < MOST_SAMPLES:
        samples *= 10
    return SpeedRecord(samples_per_second=samples / max(seconds, 1e-9), engine=model.engine(engine))


def _seconds_more(generate: Callable[[int], None], samples: int) -> float:
    """Return the seconds that so many more samples take; reading the past, which takes as long for both, cancels."""
    generate(1)  # loads libraries and kernels
    begun = time.perf_counter()
    generate(1)
    between = time.perf_counter()
    generate(1 + samples)
    return time.perf_counter() - between - (between - begun)
