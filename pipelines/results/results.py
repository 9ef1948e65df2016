"""``results.json``: one row per figure, and the other content of the report."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from audio.recordings.manifest import SPLITS, Manifest, Rejected
from foundation.configuration import build
from pipelines.methods.table import METHODS
from pipelines.results.comparison import best_poolings, comparison
from pipelines.results.comparison_record import ComparisonRecord
from pipelines.results.figures import Figure
from pipelines.results.run_record import RESULTS, Provenance
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.settings.run import RunSettings
from pipelines.store.store import Entry, write_json
from pipelines.store.stored_features import PROBE
from pipelines.store.training_curve import CURVE
from tokenizer.tokenizer import TokenizerConfig
from training.record import TrainingRecord
from vocoder.kinds.wavenet import WAVENET

FoldSeed = tuple[str, int]  # the test fold, and the seed

TRAINED = ("autoencoder", "lm", "vocoder")  # stages with a training curve


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
) -> None:
    """Collect the figures and the provenance of a run's entries, by stage, in ``results.json``.

    For a run over several folds or seeds these are the comparison and the costs, because each fold has its own
    codebook.
    """
    protocol = settings.compare.folds or settings.corpus.split.by
    content: dict[str, object] = {
        "corpus": _corpus(manifest, rejected, name) | ({"notices": list(notices)} if notices else {}),
        "stages": [row for place, entries in made.items() for row in _stages(entries, place, several=len(made) > 1)],
        "command": source["command"],
        "versions": source["libraries"],
        "provenance": source,
    }
    figures = [figure for entries in made.values() for entry in entries.values() for figure in _costs(entry)]
    only = next(iter(made.values())) if len(made) == 1 else {}
    if only:
        content |= _of_one_run(only, manifest)
        heard = sound_figures(only, manifest, settings.probe, protocol=protocol)
        # Validation clips of a vocoder for several codebooks use a mix of them, not the run's own.
        own_codebook = settings.vocoder.codebook_sizes is None
        figures = [*_collected(only, protocol, vocoder=own_codebook), *heard, *figures]
    if all("probe" in entries for entries in made.values()):
        compared = _comparison(made, settings)
        content["comparison"] = compared
        layers = _layers(only["probe"], compared["protocol"]) if only else ()
        figures = [*_compared(compared, made), *layers, *figures]
    write_json(folder / RESULTS, {**content, "figures": [figure.as_row() for figure in figures]})


def _of_one_run(entries: Mapping[str, Entry], manifest: Manifest) -> dict[str, object]:
    """Collect the figures that exist once if everything was trained once."""
    content: dict[str, object] = {
        "curves": {stage: entry.read_json(CURVE) for stage, entry in entries.items() if stage in TRAINED}
    }
    if "health" in entries:
        health = entries["health"].read_json("health.json")
        kmeans = entries["tokenizer"].read_json("kmeans.json")
        content["codebook"] = {key: health[key] for key in ("counts", "stability", "verdict")} | {"kmeans": kmeans}
    if "listening" in entries:
        content["listening"] = listening_record(entries, manifest)
    return content


def _collected(entries: Mapping[str, Entry], protocol: str, *, vocoder: bool) -> Iterator[Figure]:
    """Collect the validation figures of a run's parts, and the rate of the codes."""
    collectors = {"vocoder": _vocoder} if vocoder else {}
    for stage, collect in {**collectors, "tokenizer": _rate, "health": _tokenizer, "lm": _language_model}.items():
        for figure in collect(entries[stage]) if stage in entries else ():
            yield figure if collect is _rate else replace(figure, protocol=protocol, split="validation")


def _comparison(made: Mapping[FoldSeed, Mapping[str, Entry]], settings: RunSettings) -> ComparisonRecord:
    """Build the comparison of the methods over folds and seeds, with the training curves of their models."""
    probed = {place: entries["probe"].read_json(PROBE) for place, entries in made.items()}
    first = min(seed for _, seed in made)
    trainings = {
        stage: {
            fold if seed == first else f"{fold}, seed {seed}": cast(TrainingRecord, entries[stage].read_json(CURVE))
            for (fold, seed), entries in made.items()
        }
        for stage in ("lm", *(name for name, method in METHODS.items() if method.training))
        if all(stage in entries for entries in made.values())
    }
    by = settings.compare.folds or "split"
    return {**comparison(probed, by=by, config=settings.probe), "trainings": trainings}


def _compared(compared: ComparisonRecord, made: Mapping[FoldSeed, Mapping[str, Entry]]) -> Iterator[Figure]:
    """Give the methods' figures, means over the folds, and the GPT's difference to each other method."""
    keys, metric, seeds = [entries["probe"].key for entries in made.values()], compared["metric"], compared["seeds"]
    shared: dict[str, Any] = {"stage": "probe", "artifact": " ".join(keys), "seeds": len(seeds), "split": "test"}
    shared["protocol"] = compared["protocol"]
    for row in compared["methods"]:
        yield Figure(name=metric, of=row["of"], value=row["value"], low=row["low"], high=row["high"], **shared)
        for name, value in (("macro_f1", row["macro_f1"]), ("mean_average_precision", row["mean_average_precision"])):
            if name != metric and value is not None:
                yield Figure(name=name, of=row["of"], value=value, **shared)
    for one in compared["differences"]:
        of = f"{one['of']} - {one['against']}"
        yield Figure(name="difference", of=of, value=one["value"], low=one["low"], high=one["high"], **shared)


def _rate(entry: Entry) -> Iterator[Figure]:
    """Give the codes per second over all streams, a property of the tokenizer."""
    values = entry.read_json("config.json")
    del values["fingerprints"]
    tokenizer = build(TokenizerConfig, values, name="tokenizer")
    rate = tokenizer.audio.sample_rate / tokenizer.samples_per_code * tokenizer.streams
    yield Figure(stage="tokenizer", name="codes_per_second", value=rate, artifact=entry.key)


def _tokenizer(entry: Entry) -> Iterator[Figure]:
    health: Mapping[str, Any] = entry.read_json("health.json")
    for name in ("perplexity", "used_codes", "dead_codes", "bits_per_second", "reconstruction_mse", "quantised_mse"):
        yield Figure(stage="tokenizer", name=name, value=health[name], artifact=entry.key)
    for change, share in health["stability"].items():
        yield Figure(stage="tokenizer", name="stability", of=change, value=share, artifact=entry.key)


def _language_model(entry: Entry) -> Iterator[Figure]:
    perplexities: Mapping[str, Any] = entry.read_json("perplexity.json")
    for name, value in perplexities.items():
        yield Figure(stage="lm", name=name, value=value, artifact=entry.key)


def _vocoder(entry: Entry) -> Iterator[Figure]:
    """Give the cross entropy of a sample's mu-law level, given earlier levels and codes, over validation crops.

    It is that of the kept weights, and comparable between vocoders of one sample rate, number of levels and set of
    crops.
    """
    curve: Mapping[str, Any] = entry.read_json(CURVE)
    shared: dict[str, Any] = {"stage": "vocoder", "name": "bits_per_sample", "of": WAVENET.key, "artifact": entry.key}
    for point in curve["curve"]:
        if point["step"] == curve["kept_step"]:
            yield Figure(value=point["validation_loss"] / math.log(2), **shared)


def _layers(entry: Entry, protocol: str) -> Iterator[Figure]:
    """Give each layer of each method with its best pooling on validation."""
    probed: Mapping[str, Any] = entry.read_json(PROBE)
    metric = "mean_average_precision" if probed["multi_label"] else "accuracy"
    shared: dict[str, Any] = {"stage": "probe", "name": metric, "artifact": entry.key}
    for row in probed["methods"]:
        for of, each in best_poolings(row["candidates"]).items():
            if "/" in of:
                values = {"value": each["test_accuracy"], "low": each["low"], "high": each["high"]}
                yield Figure(of=of, **values, protocol=protocol, split="test", **shared)


def _costs(entry: Entry) -> Iterator[Figure]:
    for name, value in entry.costs.items():
        yield Figure(stage=entry.stage, name=name, value=value, artifact=entry.key)


def _stages(entries: Mapping[str, Entry], place: FoldSeed, *, several: bool) -> Iterator[dict[str, object]]:
    for entry in entries.values():
        where = {"fold": place[0], "seed": place[1]} if several else {}
        yield {"stage": entry.stage, "key": entry.key, "reused": entry.reused, **entry.costs, **where}


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
