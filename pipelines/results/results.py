"""``results.json``: one row per figure, and the other content of the report."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save

from pipelines.methods.picture import PictureRecord
from pipelines.methods.table import METHODS
from pipelines.results.comparison import best_poolings, comparison_of
from pipelines.results.comparison_record import ComparisonRecord
from pipelines.results.figures import Figure
from pipelines.results.next_sample import next_sample_figures, next_sample_record
from pipelines.results.next_sample_record import SpeedRecord
from pipelines.results.probed_folds import ProbedFolds
from pipelines.results.rates import rates_figures, rates_record
from pipelines.results.run_record import RESAMPLES, RESULTS, Provenance
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.results.zerospeech import zerospeech_figures, zerospeech_record
from pipelines.settings.run import RunSettings
from pipelines.stages.code_table import CODE_TABLE
from pipelines.store.store import Entry, write_json
from pipelines.store.stored_features import GPT, PROBE
from pipelines.store.training_curve import CURVE
from tokenizer.config import SavedTokenizer
from vocoder.kinds import WAVENET
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
        folds = ProbedFolds(probes=probed, config=settings.probe, by=settings.compare.folds or "split")
        compared = _comparison(folds, made, settings)
        content["comparison"] = compared
        layers = _layers(only["probe"], compared["protocol"]) if only else ()
        figures = [*_compared(compared, made), *_each_probe(folds, compared, made), *layers, *figures]
        draws = dict(zip(folds.methods, folds.paired_draws.T.astype(np.float32), strict=True))
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
    folds: ProbedFolds, made: Mapping[FoldSeed, Mapping[str, Entry]], settings: RunSettings
) -> ComparisonRecord:
    """Build the comparison of the methods over folds and seeds, with the training curves of their models."""
    first = min(seed for _, seed in made)
    trainings = {
        stage: {
            fold if seed == first else f"{fold}, seed {seed}": cast(TrainingRecord, entries[stage].read_json(CURVE))
            for (fold, seed), entries in made.items()
        }
        for stage in ("lm", *(name for name, method in METHODS.items() if method.training))
        if all(stage in entries for entries in made.values())
    }
    compared = comparison_of(folds, references=settings.compare.references or (GPT,))
    return {**compared, "trainings": trainings, "pictures": list(_pictures(next(iter(made.values()))))}


def _pictures(entries: Mapping[str, Entry]) -> Iterator[PictureRecord]:
    """Give the pictures of the methods that were trained in one fold with one seed."""
    for name, method in METHODS.items():
        if method.pictures and name in entries:
            yield from method.pictures(entries[name])


def _compared(compared: ComparisonRecord, made: Mapping[FoldSeed, Mapping[str, Entry]]) -> Iterator[Figure]:
    """Give the methods' figures, means over the folds, and the references' differences to the other methods."""
    metric, keys = compared["metric"], " ".join(entries["probe"].key for entries in made.values())
    shared: dict[str, Any] = {"stage": "probe", "protocol": compared["protocol"], "split": "test"}
    shared |= {"artifact": keys, "seeds": len(compared["seeds"])}
    for row in compared["methods"]:
        own = {**shared, "of": row["of"], "count": compared["clips"]}
        yield Figure(name=metric, value=row["value"], low=row["low"], high=row["high"], **own)
        others = {"macro_f1": row["macro_f1"], "mean_average_precision": row["mean_average_precision"]}
        for name, value in others.items():
            if name != metric and value is not None:
                yield Figure(name=name, value=value, **own)
    for row in compared["methods"]:
        own = {**shared, "of": row["of"], "split": "validation", "count": row["validation_clips"]}
        low, high = row["validation_low"], row["validation_high"]
        yield Figure(name=metric, value=row["validation"], low=low, high=high, **own)
        if "gap" in row:
            own = {**shared, "of": row["of"], "split": "validation - test"}
            yield Figure(name="gap", value=row["gap"], low=row["gap_low"], high=row["gap_high"], **own)
    for one in compared["differences"]:
        of = f"{one['of']} - {one['against']}"
        own = {**shared, "of": of, "count": compared["clips"]}
        yield Figure(name="difference", value=one["value"], low=one["low"], high=one["high"], **own)


def _each_probe(
    folds: ProbedFolds, compared: ComparisonRecord, made: Mapping[FoldSeed, Mapping[str, Entry]]
) -> Iterator[Figure]:
    """Give the test and validation figure of each method in each fold with each seed, where there are several."""
    metric = compared["metric"]
    for of in folds.methods if len(made) > 1 else ():
        for (fold, seed), row in folds.rows(of).items():
            shared: dict[str, Any] = {"stage": "probe", "protocol": compared["protocol"], "seed": seed}
            shared |= {"fold": None if folds.by == "split" else fold}
            shared |= {"name": metric, "of": of, "artifact": made[fold, seed]["probe"].key}
            tested = len(folds.probes[fold, seed]["clips"])
            yield Figure(
                value=row["test_accuracy"], low=row["low"], high=row["high"], split="test", count=tested, **shared
            )
            judged = row["validation_clips"]
            yield Figure(value=row["validation_accuracy"], split="validation", count=judged, **shared)


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


def _layers(entry: Entry, protocol: str) -> Iterator[Figure]:
    """Give each layer of each method with its best pooling on validation."""
    probed: Mapping[str, Any] = entry.read_json(PROBE)
    metric = "mean_average_precision" if probed["multi_label"] else "accuracy"
    shared: dict[str, Any] = {"stage": "probe", "protocol": protocol, "split": "test", "artifact": entry.key}
    for row in probed["methods"]:
        for of, each in best_poolings(row["candidates"]).items():
            if "/" in of:
                low, high = each["low"], each["high"]
                own = {**shared, "of": of, "count": len(probed["clips"])}
                yield Figure(name=metric, value=each["test_accuracy"], low=low, high=high, **own)


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
