"""``results.json``: one row per figure, and the other content of the report."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save

from pipelines.methods.method import PictureRecord
from pipelines.methods.run_entries import RunEntries
from pipelines.methods.table import METHODS
from pipelines.results.comparison import Comparison, ProbedFolds, compare
from pipelines.results.figures import CODEBOOK, Figure
from pipelines.results.language_figures import Speed, language_tests, rates_of_run, sample_models
from pipelines.results.run_record import RESAMPLES, RESULTS, Provenance, Resamples
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.settings.run import RunSettings
from pipelines.stages.codes import CODE_TABLE
from pipelines.store.store import CURVE, Entry, write_json
from pipelines.store.stored_features import GPT, PROBE
from tokenizer.config import SavedTokenizer
from vocoder.kinds import WAVENET
from wordless.audio.recordings.manifest import SPLITS, Manifest, Rejected
from wordless.base.files import write_aside
from wordless.base.saved_models import CONFIG
from wordless.base.values import read_object
from wordless.training.options import TrainingRecord

KMEANS = "kmeans.json"
FoldSeed = tuple[str, int]  # the test fold, and the seed

TRAINED = ("autoencoder", "lm", "vocoder")  # stages with a training curve


def write_results(
    folder: Path,
    *,
    manifest: Manifest,
    rejected: Sequence[Rejected],
    name: str,
    settings: RunSettings,
    made: Mapping[FoldSeed, RunEntries],
    source: Provenance,
    notices: Sequence[str] = (),
    speeds: Mapping[str, Speed] | None = None,
) -> None:
    """Collect the figures and the provenance of a run's entries, by stage, in ``results.json``.

    For a run over several folds or seeds these are the comparison and the costs, because each fold has its own
    codebook. ``speeds`` are those of language models of samples, by name.
    """
    protocol = settings.compare.folds or settings.corpus.split.by
    content: dict[str, object] = {
        "corpus": _corpus(manifest, rejected, name) | ({"notices": list(notices)} if notices else {}),
        "stages": list(_stages(made)),
        "command": source["command"],
        "versions": source["libraries"],
        "provenance": source,
    }
    figures = list(_costs(made))
    only = next(iter(made.values())) if len(made) == 1 else None
    if only:
        content |= _of_one_run(only, manifest)
        of_sounds = sound_figures(only, manifest, settings.probe, protocol=protocol)
        figures = [*_on_validation(only, protocol), *of_sounds, *figures]
        rates, of_rates = rates_of_run(only, manifest, settings.rates, settings.probe, protocol=protocol)
        content |= {"rates": rates} if rates else {}
        figures = [*of_rates, *figures]
    probes = {place: entries.probe for place, entries in made.items() if entries.probe is not None}
    if probes:
        compared, draws = _comparison(probes, made, settings)
        content["comparison"] = compared.as_section()
        figures = [*compared.figures, *figures]
        write_aside(folder / RESAMPLES, save({of: np.ascontiguousarray(each) for of, each in draws.items()}))
    tests, of_tests = language_tests(made, settings.probe)
    if tests:
        content["zerospeech"] = tests
        figures = [*of_tests, *figures]
    if "next_sample" in settings.stages:
        content["next_sample"], of_models = sample_models(made, manifest, settings, speeds or {})
        figures = [*of_models, *figures]
    write_json(folder / RESULTS, {**content, "figures": [figure.as_row() for figure in figures]})


def _stages(made: Mapping[FoldSeed, RunEntries]) -> Iterator[dict[str, object]]:
    """Describe the entry of each stage, with its fold and seed if there are several."""
    for (fold, seed), entries in made.items():
        place = {"fold": fold, "seed": seed} if len(made) > 1 else {}
        for name, entry in entries.named.items():
            yield {"stage": name, "key": entry.key, "reused": entry.reused, **entry.costs, **place}


def _costs(made: Mapping[FoldSeed, RunEntries]) -> Iterator[Figure]:
    """Give what each entry cost."""
    for entries in made.values():
        for stage, entry in entries.named.items():
            for name, value in entry.costs.items():
                yield Figure(stage=stage, name=name, value=value, artifact=entry.key)


def _of_one_run(entries: RunEntries, manifest: Manifest) -> dict[str, object]:
    """Collect the figures that exist once if everything was trained once."""
    curves = {stage: entry.read_json(CURVE) for stage, entry in entries.named.items() if stage in TRAINED}
    # A training that took no step has no curve.
    content: dict[str, object] = {"curves": {stage: record for stage, record in curves.items() if record["curve"]}}
    if entries.codebooks:
        health, tokenizer = entries.finest.health.read_json("health.json"), entries.finest.tokenizer
        codebook = {key: health[key] for key in ("counts", "stability", "verdict")}
        if (tokenizer.folder / KMEANS).is_file():  # a tokenizer of another run has no record of its k-means
            codebook["kmeans"] = tokenizer.read_json(KMEANS)
        content["codebook"] = codebook
    if entries.code_table is not None:
        content["codes"] = entries.code_table.read_json(CODE_TABLE)
    if entries.listening is not None:
        content["listening"] = listening_record(entries, entries.listening, manifest)
    return content


def _on_validation(entries: RunEntries, protocol: str) -> Iterator[Figure]:
    """Collect the figures of a run's parts on validation clips, and the codes per second."""
    shared: dict[str, Any] = {"protocol": protocol, "split": "validation"}
    # Validation clips of a vocoder for several codebooks use a mix of them, not the run's own.
    if entries.vocoder is not None and not entries.sized:
        yield from _bits_per_sample(entries.vocoder, shared)
    if entries.codebooks:
        tokenizer, health = entries.finest.tokenizer, entries.finest.health
        yield Figure(stage="tokenizer", name="codes_per_second", value=_rate(tokenizer), artifact=tokenizer.key)
        of_tokenizer: dict[str, Any] = {**shared, "stage": "tokenizer", "artifact": health.key}
        record: Mapping[str, Any] = health.read_json("health.json")
        for measure in CODEBOOK:
            yield Figure(name=measure.name, value=record[measure.name], **of_tokenizer)
        for change, share in record["stability"].items():
            yield Figure(name="stability", of=change, value=share, **of_tokenizer)
    if (lm := entries.lm) is not None:
        perplexities: Mapping[str, Any] = lm.read_json("perplexity.json")
        for name, value in perplexities.items():
            yield Figure(stage="lm", name=name, value=value, artifact=lm.key, **shared)


def _comparison(
    probes: Mapping[FoldSeed, Entry], made: Mapping[FoldSeed, RunEntries], settings: RunSettings
) -> tuple[Comparison, Resamples]:
    """Compare the methods over folds and seeds, with the trainings of their models, and resample their figures."""
    probed = {place: entry.read_json(PROBE) for place, entry in probes.items()}
    keys = {place: entry.key for place, entry in probes.items()}
    folds = ProbedFolds(probes=probed, keys=keys, config=settings.probe, by=settings.compare.folds or "split")
    first = min(seed for _, seed in made)
    trainings = {
        stage: {
            fold if seed == first else f"{fold}, seed {seed}": cast(
                TrainingRecord, entries.named[stage].read_json(CURVE)
            )
            for (fold, seed), entries in made.items()
        }
        for stage in ("lm", *(name for name, method in METHODS.items() if method.training))
        if all(stage in entries.named for entries in made.values())
    }
    pictures = list(_pictures(next(iter(made.values())).named))
    compared = compare(folds, references=settings.compare.references or (GPT,))
    draws = dict(zip(folds.methods, folds.paired_draws.T.astype(np.float32), strict=True))
    return replace(compared, trainings=trainings, pictures=pictures), draws


def _pictures(entries: Mapping[str, Entry]) -> Iterator[PictureRecord]:
    """Give the pictures of the methods that were trained in one fold with one seed."""
    for name, method in METHODS.items():
        if method.pictures and name in entries:
            yield from method.pictures(entries[name])


def _rate(tokenizer: Entry) -> float:
    """Compute the codes per second over all streams."""
    config = read_object(SavedTokenizer, tokenizer.folder / CONFIG).config
    return config.audio.sample_rate / config.samples_per_code * config.streams


def _bits_per_sample(entry: Entry, shared: Mapping[str, Any]) -> Iterator[Figure]:
    """Give the cross entropy of a sample's mu-law level, given earlier levels and codes: the mean of groups' means.

    It is that of the kept weights, and comparable between vocoders of one sample rate, number of levels and set of
    crops.
    """
    record: Mapping[str, Any] = entry.read_json(CURVE)
    for point in record["curve"]:
        if point["step"] == record["kept_step"]:
            bits, of = point["validation_loss"] / math.log(2), WAVENET.key
            yield Figure(stage="vocoder", name="bits_per_sample", of=of, value=bits, artifact=entry.key, **shared)


def _corpus(manifest: Manifest, rejected: Sequence[Rejected], name: str) -> dict[str, object]:
    segments = {"recordings": len({clip.path for clip in manifest.clips})} if manifest.has_segments else {}
    return {
        "name": name,
        **segments,
        "clips": {split: len(manifest.of(split)) for split in SPLITS},
        "seconds": {split: sum(clip.seconds for clip in manifest.of(split)) for split in SPLITS},
        "trimmed_seconds": manifest.trimmed_seconds,
        "rejected": [
            {"path": each.path, "reason": each.reason} | ({"segments": each.segments} if each.segments else {})
            for each in rejected
        ],
        "labels": Counter(clip.label for clip in manifest.clips if clip.label is not None),
        "groups": Counter(clip.group for clip in manifest.clips if clip.group is not None),
    }
