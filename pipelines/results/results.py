"""``results.json``: one row per figure, the provenance of a run, and the other content of the report."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from pipelines.extras.table import extras
from pipelines.extras.work import works
from pipelines.methods.methods_table import METHODS
from pipelines.results.probes import Probes
from pipelines.results.rows import CODEBOOK, Made, Row, frame
from pipelines.results.run_record import RESAMPLES, Comparison, Section
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import HEALTH, KMEANS
from pipelines.stages.language_model import PERPLEXITY
from pipelines.store.run_folder import RESULTS
from pipelines.store.store import CURVE, ENTRY, Entry, write_json
from pipelines.store.stored_features import GPT
from vocoder.kinds import WAVENET
from wordless.audio.recordings.manifest import SPLITS, Clips
from wordless.base.files import write_aside

TRAINED = ("autoencoder", "lm", "vocoder")  # stages with a training curve


def write_results(
    folder: Path,
    manifest: Clips,
    settings: RunSettings,
    made: Made,
    probes: Probes | None,
    source: Section,
) -> None:
    """Collect the figures of a run's entries in ``results.json``; of several folds or seeds means, then each."""
    protocol = settings.compare.by if settings.compare.folds else settings.corpus.split.by
    content: dict[str, object] = {
        "corpus": corpus_section(manifest),
        "stages": [
            {"stage": stage, "key": entry.key, "reused": entry.reused, **entry.costs}
            | ({"fold": fold, "seed": seed} if len(made) > 1 else {})
            for (fold, seed), entries in made.items()
            for stage, entry in entries.items()
        ],
        "provenance": source,
    }
    of_extras, figures = list[Row](), list[Row]()
    for extra, work in zip(extras(settings.stages), works(settings.stages), strict=True):
        section, rows = work.rows(made, manifest, settings)
        content |= {extra.name: section} if section else {}
        of_extras += rows
    frames = [frame(of_extras)]
    if probes is not None:
        compared = _comparison(probes, made, settings)
        content["comparison"] = compared.as_section()
        frames.append(compared.figures)
        write_aside(folder / RESAMPLES, save(probes.paired_draws))
    for only in made.values() if len(made) == 1 else ():
        content |= _of_one_run(only)
        if "listening" in only:
            content["listening"] = listening_record(only, only["listening"], manifest)
            figures += sound_figures(only, manifest, settings.probe, protocol=protocol)
    figures += _on_validation(made, protocol, settings.codes_per_second)
    for stage, entry in (each for entries in made.values() for each in entries.items()):
        figures += [Row(stage=stage, name=name, value=cost, artifact=entry.key) for name, cost in entry.costs.items()]
    records = [record for each in (*frames, frame(figures)) for record in each.to_dict("records")]
    write_json(folder / RESULTS, {**content, "figures": records})


def _of_one_run(entries: Mapping[str, Entry]) -> dict[str, object]:
    curves = {stage: entry.read_json(CURVE) for stage, entry in entries.items() if stage in TRAINED}
    # A training that took no step has no curve.
    content: dict[str, object] = {"curves": {stage: record for stage, record in curves.items() if record["curve"]}}
    if "tokenizer" in entries:
        health, tokenizer = entries["health"].read_json(HEALTH), entries["tokenizer"]
        codebook = {key: health[key] for key in ("counts", "verdict")}
        if (tokenizer.folder / KMEANS).is_file():  # a tokenizer of another run has no record of its k-means
            codebook["kmeans"] = tokenizer.read_json(KMEANS)
        content["codebook"] = codebook
    return content


def _on_validation(made: Made, protocol: str, codes_per_second: float) -> Iterator[Row]:
    rows = {place: [*_of_training(entries, protocol, codes_per_second)] for place, entries in made.items()}
    folds, seeds = ({place[number] for place in made} for number in (0, 1))
    for several in zip(*rows.values(), strict=True):
        keys, mean = " ".join(dict.fromkeys(row.artifact for row in several)), np.mean([row.value for row in several])
        yield replace(several[0], value=float(mean), artifact=keys, seeds=len(seeds))
    for (fold, seed), own in rows.items() if len(rows) > 1 else ():
        yield from (replace(row, fold=fold if len(folds) > 1 else None, seed=seed) for row in own)


def _of_training(entries: Mapping[str, Entry], protocol: str, codes_per_second: float) -> Iterator[Row]:
    row = Row(stage="vocoder", name="bits_per_sample", value=math.nan, artifact="", protocol=protocol)
    row = replace(row, split="validation")
    # Bits per sample are the cross entropy of a sample's mu-law level, given earlier levels and codes. Validation clips
    # of a vocoder for several codebooks use a mix of them, not the run's own.
    if (vocoder := entries.get("vocoder")) is not None and not any(name.startswith("tokenizer_") for name in entries):
        training: Section = vocoder.read_json(CURVE)
        for point in training["curve"]:
            if point["step"] == training["kept_step"]:
                value = point["validation_loss"] / math.log(2)
                yield replace(row, of=WAVENET.key, value=value, artifact=vocoder.key)
    if "tokenizer" in entries:
        tokenizer, health = entries["tokenizer"], entries["health"]
        yield Row(stage="tokenizer", name="codes_per_second", value=codes_per_second, artifact=tokenizer.key)
        of_tokenizer, record = replace(row, stage="tokenizer", artifact=health.key), health.read_json(HEALTH)
        for name in (measure.name for measure in CODEBOOK if measure.name in record):  # an old entry lacks new figures
            yield replace(of_tokenizer, name=name, value=record[name])
        for change, bands in record["total_variation"].items():
            moved = replace(of_tokenizer, name="total_variation", of=change)
            yield replace(moved, value=float(np.mean(bands)))
            for number, value in enumerate(bands if len(bands) > 1 else (), 1):  # from low to high
                yield replace(moved, of=f"{change}/band_{number}", value=value)
    if (lm := entries.get("lm")) is not None:
        for name, value in lm.read_json(PERPLEXITY).items():
            yield replace(row, stage="lm", name=name, value=value, artifact=lm.key)


def _comparison(probes: Probes, made: Made, settings: RunSettings) -> Comparison:
    first = min(seed for _, seed in made)
    trained = ("lm", *(name for name, method in METHODS.items() if method.training))
    trainings: dict[str, dict[str, Any]] = {
        stage: {
            fold if seed == first else f"{fold}, seed {seed}": entries[stage].read_json(CURVE)
            for (fold, seed), entries in made.items()
        }
        for stage in trained
        if all(stage in entries for entries in made.values())
    }
    named, rate = next(iter(made.values())), settings.audio.sample_rate
    own = [each for name, each in METHODS.items() if name in named]
    drawn = [settings.body(each).pictures(named[each.name].folder, rate, title=each.title) for each in own]
    costs = {training: training_costs(training, made) for training in trainings}
    about: dict[str, Any] = {"trainings": trainings, "costs": costs, "pictures": [*chain.from_iterable(drawn)]}
    return replace(probes.comparison(settings.compare.references or (GPT,)), **about)


def training_costs(training: str, made: Made) -> dict[str, float]:
    """Sum the processor seconds of a training, and of each stage whose entry it reads, over all folds and seeds."""
    costs, counted_keys = dict[str, float](), set[str]()
    for entries in made.values():
        names, left = {entry.key: name for name, entry in entries.items()}, [entries[training].key]
        while left:
            if (key := left.pop()) not in counted_keys:  # folds and seeds may share an entry
                counted_keys.add(key)
                entry = entries[names[key]]
                costs[names[key]] = costs.get(names[key], 0.0) + entry.costs["cpu_seconds"]
                recipe = (entry.folder / ENTRY).read_text()  # has the keys of what it reads
                left += [other for other in names if f'"{other}"' in recipe]
    return costs


def corpus_section(manifest: Clips) -> Section:
    """Describe the recordings of a run: the section "corpus" of ``results.json``."""
    segments = {"recordings": len({clip.path for clip in manifest.clips})} if manifest.has_segments else {}
    return {
        "name": manifest.name,
        **segments,
        "clips": {split: len(manifest.of(split)) for split in SPLITS},
        "seconds": {split: sum(clip.seconds for clip in manifest.of(split)) for split in SPLITS},
        "trimmed_seconds": manifest.trimmed_seconds,
        "rejected": [
            {"path": each.path, "reason": each.reason} | ({"segments": each.segments} if each.segments else {})
            for each in manifest.rejected
        ],
        "labels": Counter(clip.label for clip in manifest.clips if clip.label is not None),
        "groups": Counter(clip.group for clip in manifest.clips if clip.group is not None),
        **({"notices": list(manifest.notices)} if manifest.notices else {}),
    }
