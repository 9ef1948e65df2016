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
from pipelines.methods.table import METHODS
from pipelines.results.comparison import Comparison
from pipelines.results.figures import Figure
from pipelines.results.next_sample import next_sample_figures, next_sample_record
from pipelines.results.next_sample_record import SpeedRecord
from pipelines.results.probed_folds import Probed, ProbedFolds, compare
from pipelines.results.rates import rates_figures, rates_record
from pipelines.results.run_record import RESAMPLES, RESULTS, Provenance, Resamples
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.results.zerospeech import zerospeech_figures, zerospeech_record
from pipelines.settings.run import RunSettings
from pipelines.stages.code_table import CODE_TABLE
from pipelines.store.store import Entry, write_json
from pipelines.store.stored_features import GPT, PROBE
from pipelines.store.training_curve import CURVE
from tokenizer.config import SavedTokenizer
from vocoder.kinds.wavenet import WAVENET
from wordless.audio.recordings.manifest import SPLITS, Manifest, Rejected
from wordless.base.files import write_aside
from wordless.base.json_values import read_object
from wordless.base.saved_models import CONFIG
from wordless.training.record import TrainingRecord

KMEANS = "kmeans.json"
FoldSeed = tuple[str, int]  # the test fold, and the seed

TRAINED = ("autoencoder", "lm", "vocoder")  # stages with a training curve
CODEBOOK_FIGURES = ("perplexity", "used_codes", "dead_codes", "bits_per_second", "reconstruction_mse", "quantised_mse")


def write_results(
    folder: Path,
    *,
    manifest: Manifest,
    rejected: Sequence[Rejected],
    name: str,
    settings: RunSettings,
    made: Mapping[FoldSeed, Mapping[str, Entry]],
    source: Provenance,
    notices: Sequence[str] = (),
    speeds: Mapping[str, SpeedRecord] | None = None,
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
    only = next(iter(made.values())) if len(made) == 1 else {}
    if only:
        content |= _of_one_run(only, manifest)
        of_sounds = sound_figures(only, manifest, settings.probe, protocol=protocol)
        figures = [*_on_validation(only, settings, protocol), *of_sounds, *figures]
    if only and (rates := rates_record(only, manifest, settings.rates, settings.probe)):
        content["rates"] = rates
        figures = [*rates_figures(rates, only, protocol=protocol), *figures]
    if all("probe" in entries for entries in made.values()):
        probed = {place: entries["probe"].read_json(PROBE) for place, entries in made.items()}
        compared, draws = _comparison(probed, made, settings)
        content["comparison"] = compared.as_section()
        figures = [*compared.figures, *figures]
        write_aside(folder / RESAMPLES, save({of: np.ascontiguousarray(each) for of, each in draws.items()}))
    if tests := zerospeech_record(made, settings.probe):
        content["zerospeech"] = tests
        figures = [*zerospeech_figures(tests, made), *figures]
    if "next_sample" in settings.stages:
        samples = next_sample_record(made, manifest, settings, speeds or {})
        content["next_sample"] = samples
        figures = [*next_sample_figures(samples, made), *figures]
    write_json(folder / RESULTS, {**content, "figures": [figure.as_row() for figure in figures]})


def _stages(made: Mapping[FoldSeed, Mapping[str, Entry]]) -> Iterator[dict[str, object]]:
    """Describe the entry of each stage, with its fold and seed if there are several."""
    for (fold, seed), entries in made.items():
        place = {"fold": fold, "seed": seed} if len(made) > 1 else {}
        for entry in entries.values():
            yield {"stage": entry.stage, "key": entry.key, "reused": entry.reused, **entry.costs, **place}


def _costs(made: Mapping[FoldSeed, Mapping[str, Entry]]) -> Iterator[Figure]:
    """Give what each entry cost."""
    for entries in made.values():
        for entry in entries.values():
            for name, value in entry.costs.items():
                yield Figure(stage=entry.stage, name=name, value=value, artifact=entry.key)


def _of_one_run(entries: Mapping[str, Entry], manifest: Manifest) -> dict[str, object]:
    """Collect the figures that exist once if everything was trained once."""
    curves = {stage: entry.read_json(CURVE) for stage, entry in entries.items() if stage in TRAINED}
    # A training that took no step has no curve.
    content: dict[str, object] = {"curves": {stage: record for stage, record in curves.items() if record["curve"]}}
    if "health" in entries:
        health = entries["health"].read_json("health.json")
        codebook = {key: health[key] for key in ("counts", "stability", "verdict")}
        if (entries["tokenizer"].folder / KMEANS).is_file():  # a tokenizer of another run has no record of its k-means
            codebook["kmeans"] = entries["tokenizer"].read_json(KMEANS)
        content["codebook"] = codebook
    if "code_table" in entries:
        content["codes"] = entries["code_table"].read_json(CODE_TABLE)
    if "listening" in entries:
        content["listening"] = listening_record(entries, manifest)
    return content


def _on_validation(entries: Mapping[str, Entry], settings: RunSettings, protocol: str) -> Iterator[Figure]:
    """Collect the figures of a run's parts on validation clips, and the codes per second."""
    shared: dict[str, Any] = {"protocol": protocol, "split": "validation"}
    # Validation clips of a vocoder for several codebooks use a mix of them, not the run's own.
    if "vocoder" in entries and settings.vocoder.codebook_sizes is None:
        yield from _bits_per_sample(entries["vocoder"], shared)
    if tokenizer := entries.get("tokenizer"):
        yield Figure(stage="tokenizer", name="codes_per_second", value=_rate(tokenizer), artifact=tokenizer.key)
    if health := entries.get("health"):
        of_tokenizer: dict[str, Any] = {**shared, "stage": "tokenizer", "artifact": health.key}
        record: Mapping[str, Any] = health.read_json("health.json")
        for name in CODEBOOK_FIGURES:
            yield Figure(name=name, value=record[name], **of_tokenizer)
        for change, share in record["stability"].items():
            yield Figure(name="stability", of=change, value=share, **of_tokenizer)
    if lm := entries.get("lm"):
        perplexities: Mapping[str, Any] = lm.read_json("perplexity.json")
        for name, value in perplexities.items():
            yield Figure(stage="lm", name=name, value=value, artifact=lm.key, **shared)


def _comparison(
    probed: Mapping[FoldSeed, Probed], made: Mapping[FoldSeed, Mapping[str, Entry]], settings: RunSettings
) -> tuple[Comparison, Resamples]:
    """Compare the methods over folds and seeds, with the trainings of their models, and resample their figures."""
    keys = {place: entries["probe"].key for place, entries in made.items()}
    folds = ProbedFolds(probes=probed, keys=keys, config=settings.probe, by=settings.compare.folds or "split")
    first = min(seed for _, seed in made)
    trainings = {
        stage: {
            fold if seed == first else f"{fold}, seed {seed}": cast(TrainingRecord, entries[stage].read_json(CURVE))
            for (fold, seed), entries in made.items()
        }
        for stage in ("lm", *(name for name, method in METHODS.items() if method.training))
        if all(stage in entries for entries in made.values())
    }
    pictures = list(_pictures(next(iter(made.values()))))
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
