"""``results.json``: one row per figure, and what the report draws beside them."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio.manifest import SPLITS, Manifest, Rejected
from lm.probe import ProbeConfig
from pipelines.comparison import best_poolings, comparison
from pipelines.configuration import build
from pipelines.run_record import RESULTS
from pipelines.store import ENTRY, TIMINGS, Entry, library_versions, write_json
from pipelines.training_curve import CURVE

# Stages with a training curve, and what they are called in figures.
TRAINED = {"autoencoder": "autoencoder", "lm": "lm", "vocoder": "vocoder"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: tidy data."""

    stage: str
    name: str
    value: float
    unit: str
    artifact: str  # store key of the entry that it is about
    of: str | None = None  # representation or kind of sound
    low: float | None = None  # 95 % interval
    high: float | None = None
    protocol: str | None = None  # how the clips were divided
    split: str | None = None
    seeds: int = 1


def write_results(
    folder: Path,
    *,
    manifest: Manifest,
    rejected: Sequence[Rejected],
    name: str,
    protocol: str,
    entries: Mapping[str, Entry],
) -> None:
    """Collect what the entries of a run, by stage, have to say, into ``results.json``."""
    figures = [
        figure
        for stage, collect in COLLECTORS.items()
        if stage in entries
        for figure in collect(entries[stage], protocol)
    ]
    figures += [figure for entry in entries.values() for figure in _costs(entry)]
    content: dict[str, object] = {
        "figures": [asdict(figure) for figure in figures],
        "corpus": _corpus(manifest, rejected, name),
        "curves": {TRAINED[stage]: entry.read_json(CURVE) for stage, entry in entries.items() if stage in TRAINED},
        "stages": [_stage(entry) for entry in entries.values()],
        "command": shlex.join(["wordless", "run", *sys.argv[1:]]),
        "versions": library_versions(),
    }
    if "health" in entries:
        health = entries["health"].read_json("health.json")
        kmeans = entries["tokenizer"].read_json("kmeans.json")
        content["codebook"] = {key: health[key] for key in ("counts", "stability", "verdict")} | {"kmeans": kmeans}
    if "probe" in entries:
        content["comparison"] = _comparison(entries["probe"])
    if "listening" in entries:
        content["listening"] = {"clips": _heard(entries["listening"], manifest)}
    write_json(folder / RESULTS, content)


def _tokenizer(entry: Entry, protocol: str) -> Iterator[Figure]:
    health = entry.read_json("health.json")
    units = {
        "perplexity": "codes",
        "used_codes": "codes",
        "dead_codes": "codes",
        "bits_per_second": "bit/s",
        "reconstruction_mse": "normalised log-mel squared",
        "quantised_mse": "normalised log-mel squared",
    }
    for name, unit in units.items():
        value = _number(health[name])
        yield Figure(
            stage="tokenizer",
            name=name,
            value=value,
            unit=unit,
            artifact=entry.key,
            protocol=protocol,
            split="validation",
        )
    stability = health["stability"]
    if isinstance(stability, Mapping):
        for name, share in stability.items():
            yield Figure(
                stage="tokenizer",
                name="stability",
                of=name,
                value=_number(share),
                unit="ratio",
                artifact=entry.key,
                protocol=protocol,
                split="validation",
            )


def _language_model(entry: Entry, protocol: str) -> Iterator[Figure]:
    units = {"perplexity": "codes", "unigram_perplexity": "codes", "bits_per_second": "bit/s"}
    for name, value in entry.read_json("perplexity.json").items():
        yield Figure(
            stage="lm",
            name=name,
            value=_number(value),
            unit=units[name],
            artifact=entry.key,
            protocol=protocol,
            split="validation",
        )


def _probe(entry: Entry, protocol: str) -> Iterator[Figure]:
    """Each method with the candidate that validation chose, and each of its layers with its best pooling."""
    probed: Mapping[str, Any] = entry.read_json("probe.json")
    metric = "mean_average_precision" if probed["multi_label"] else "accuracy"
    for row in probed["methods"]:
        layers = [(name, each) for name, each in best_poolings(row["candidates"]).items() if "/" in name]
        of_method = {name: row[name] for name in ("macro_f1", "mean_average_precision") if name != metric}
        for of, each, others in ((row["of"], row, of_method), *((name, each, {}) for name, each in layers)):
            shared = {
                "stage": "probe",
                "of": of,
                "unit": "ratio",
                "artifact": entry.key,
                "protocol": protocol,
                "split": "test",
            }
            yield Figure(name=metric, value=each["test_accuracy"], low=each["low"], high=each["high"], **shared)
            for name, value in others.items():
                yield Figure(name=name, value=value, **shared)


def _comparison(entry: Entry) -> dict[str, object]:
    """The comparison of the methods on the one division of the clips that a run has."""
    recorded: Mapping[str, Any] = entry.read_json(ENTRY)["config"]  # type: ignore[assignment]  # an object
    config = build(ProbeConfig, recorded, name="probe")
    return comparison({("test", config.seed): entry.read_json("probe.json")}, by="split", config=config)


def _listening(entry: Entry, protocol: str) -> Iterator[Figure]:
    """Means over the clips, for each kind of sound."""
    clips = entry.read_json("listening.json")["clips"]
    values: dict[tuple[str, str], list[float]] = {}
    for clip in clips if isinstance(clips, list) else []:
        for kind, figures in clip["sounds"].items():
            for name, value in figures.items():
                values.setdefault((kind, name), []).append(float(value))
    units = {"log_mel_distance": "dB", "rms": "dB re full scale", "peak": "full scale", "dc": "full scale"}
    for (kind, name), several in values.items():
        yield Figure(
            stage="vocoder",
            name=name,
            of=kind,
            value=float(np.mean(several)),
            unit=units.get(name, "ratio"),
            artifact=entry.key,
            protocol=protocol,
            split="test",
        )


def _heard(entry: Entry, manifest: Manifest) -> list[dict[str, object]]:
    """The clips to listen to, with what the manifest now says of them: a mended label makes no sound anew."""
    known = {clip.path: {"label": clip.label, "group": clip.group} for clip in manifest.clips}
    rows = entry.read_json("listening.json")["clips"]
    return [{**row, **known[row["path"]]} for row in rows] if isinstance(rows, list) else []


COLLECTORS = {"health": _tokenizer, "lm": _language_model, "probe": _probe, "listening": _listening}


def _costs(entry: Entry) -> Iterator[Figure]:
    timings = entry.read_json(TIMINGS)
    for name, unit in (("seconds", "s"), ("peak_memory", "bytes")):
        yield Figure(stage=entry.stage, name=name, value=_number(timings[name]), unit=unit, artifact=entry.key)


def _stage(entry: Entry) -> dict[str, object]:
    timings = entry.read_json(TIMINGS)
    cost = {name: timings[name] for name in ("seconds", "peak_memory")}
    return {"stage": entry.stage, "key": entry.key, "reused": entry.reused, **cost}


def _corpus(manifest: Manifest, rejected: Sequence[Rejected], name: str) -> dict[str, object]:
    return {
        "name": name,
        "clips": {split: len(manifest.of(split)) for split in SPLITS},
        "seconds": {split: sum(clip.seconds for clip in manifest.of(split)) for split in SPLITS},
        "rejected": [asdict(each) for each in rejected],
        "labels": Counter(clip.label for clip in manifest.clips if clip.label is not None),
        "groups": Counter(clip.group for clip in manifest.clips if clip.group is not None),
    }


def _number(value: object) -> float:
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return value
