"""``results.json``: one row per figure, the provenance of a run, and the other content of the report."""

import json
import math
import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import save

from pipelines.commandline.run_folders import SWEEP_WORDS
from pipelines.extras.work import works
from pipelines.methods.methods_table import METHODS
from pipelines.results.comparison import Comparison
from pipelines.results.figures import CODEBOOK
from pipelines.results.probes import Probed, Probes
from pipelines.results.rows import FoldSeed, Made, Row, frame, parameters, where
from pipelines.results.run_record import RESAMPLES, Resamples, Section
from pipelines.results.sound_figures import listening_record, sound_figures
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import HEALTH, KMEANS
from pipelines.stages.language_model import PERPLEXITY
from pipelines.store.run_folder import RESULTS
from pipelines.store.store import CURVE, ENTRY, Entry, write_json
from pipelines.store.stored_features import GPT
from pipelines.store.tracking import TrackedRun
from tokenizer.tokenizer import SavedTokenizer
from vocoder.kinds import WAVENET
from wordless.audio.recordings.manifest import SPLITS, Clips
from wordless.base.files import write_aside
from wordless.base.machine import cores, installed_version, library_versions, machine_memory
from wordless.base.saved_models import CONFIG
from wordless.base.values import read_object
from wordless.training.gangs import Gang

TRAINED = ("autoencoder", "lm", "vocoder")  # stages with a training curve


def write_results(
    folder: Path,
    manifest: Clips,
    settings: RunSettings,
    made: Made,
    probes: Mapping[FoldSeed, Probed],
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
    figures: list[Row] = []
    for extra, work in zip(settings.chosen, works(settings.stages), strict=True):
        section, rows = work.rows(made, manifest, settings)
        content |= {extra.name: section} if section else {}
        figures += rows
    if probes:
        compared, draws = _comparison(probes, made, settings)
        content["comparison"] = compared.as_section()
        figures += where(compared.figures)
        write_aside(folder / RESAMPLES, save(draws))
    for only in made.values() if len(made) == 1 else ():
        content |= _of_one_run(only, manifest)
        figures += sound_figures(only, manifest, settings.probe, protocol=protocol)
    figures += _on_validation(made, protocol)
    for stage, entry in (each for entries in made.values() for each in entries.items()):
        figures += [Row(stage=stage, name=name, value=cost, artifact=entry.key) for name, cost in entry.costs.items()]
    write_json(folder / RESULTS, {**content, "figures": frame(figures).to_dict("records")})


def _of_one_run(entries: Mapping[str, Entry], manifest: Clips) -> dict[str, object]:
    curves = {stage: entry.read_json(CURVE) for stage, entry in entries.items() if stage in TRAINED}
    # A training that took no step has no curve.
    content: dict[str, object] = {"curves": {stage: record for stage, record in curves.items() if record["curve"]}}
    if "tokenizer" in entries:
        health, tokenizer = entries["health"].read_json(HEALTH), entries["tokenizer"]
        codebook = {key: health[key] for key in ("counts", "verdict")}
        if (tokenizer.folder / KMEANS).is_file():  # a tokenizer of another run has no record of its k-means
            codebook["kmeans"] = tokenizer.read_json(KMEANS)
        content["codebook"] = codebook
    if "listening" in entries:
        content["listening"] = listening_record(entries, entries["listening"], manifest)
    return content


def _on_validation(made: Made, protocol: str) -> Iterator[Row]:
    rows = {place: [*_of_training(entries, protocol)] for place, entries in made.items()}
    folds, seeds = ({place[number] for place in made} for number in (0, 1))
    for several in zip(*rows.values(), strict=True):
        keys, mean = " ".join(dict.fromkeys(row.artifact for row in several)), np.mean([row.value for row in several])
        yield replace(several[0], value=float(mean), artifact=keys, seeds=len(seeds))
    for (fold, seed), own in rows.items() if len(rows) > 1 else ():
        yield from (replace(row, fold=fold if len(folds) > 1 else None, seed=seed) for row in own)


def _of_training(entries: Mapping[str, Entry], protocol: str) -> Iterator[Row]:
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
        config = read_object(SavedTokenizer, tokenizer.folder / CONFIG).config
        rate = config.audio.sample_rate / config.samples_per_code * config.bands
        yield Row(stage="tokenizer", name="codes_per_second", value=rate, artifact=tokenizer.key)
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


def _comparison(probes: Mapping[FoldSeed, Probed], made: Made, settings: RunSettings) -> tuple[Comparison, Resamples]:
    compared = Probes(probes, settings.probe, by=settings.compare.by)
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
    return replace(compared.comparison(settings.compare.references or (GPT,)), **about), compared.paired_draws


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


CHECKOUT = Path(__file__).parents[2]


def provenance(command: str, config: Mapping[str, object], gang: Gang, entries: Mapping[str, Entry]) -> Section:
    """Describe software, machine and options of a run, none of which enters the store; ``entries`` hold the models."""
    import torch  # options are checked before it is loaded

    name = torch.cuda.get_device_name(gang.device) if gang.device.type == "cuda" else platform.machine()
    return {
        "version": installed_version(),
        "commit": commit_of(CHECKOUT),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": _without_home(command),
        "machine": {"cpu": _cpu(), "cores": cores(), "memory": machine_memory()},
        "system": platform.platform(),
        "python": platform.python_version(),
        "device": f"{gang.device.type} ({name})",
        "threads": torch.get_num_threads(),
        "ranks": gang.size,
        "parameters": {
            name: parameters(each.folder) for name, each in entries.items() if (each.folder / CURVE).is_file()
        },
        "libraries": library_versions(),
        "config": _without_home(config),
    }


def commit_of(checkout: Path) -> str | None:
    """Return the git commit of a checkout, with "+changes" if tracked files differ; None without a checkout or git."""
    if not (checkout / ".git").exists():  # an installed package may lie in the checkout of another project
        return None
    git = ("git", "--no-optional-locks", "-C", str(checkout))
    words = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes")
    try:
        return subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def tracked_run(folder: Path, command: str, config: Mapping[str, object]) -> TrackedRun:
    """Describe a run for trackers. A job of a sweep has the sweep's name before its own, and is in its group."""
    above, name = folder.absolute().parent, folder.absolute().name
    sweep = above.name if (above / SWEEP_WORDS).is_file() else None
    return TrackedRun(
        name=f"{sweep}/{name}" if sweep else name,
        group=sweep,
        folder=folder,
        command=_without_home(command),
        config=_without_home(config),
        version=installed_version(),
        commit=commit_of(CHECKOUT),
    )


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


Named = TypeVar("Named")  # a command, or options


def _without_home(value: Named) -> Named:
    """Replace the user's home folder by ``~``: reports and trackers may be public."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path raises without a home
    begin = r"(?<![^\s='\"\[,:])" + re.escape(json.dumps(home)[1:-1]) + r"(?=[/\s'\"\],]|$)"  # of a value
    found: Named = json.loads(re.sub(begin, "~", json.dumps(value))) if home not in ("", "/") else value
    return found
