"""Writing ``results.json``: one row per figure, the provenance of a run, and the other content of the report.

Figures of sounds have intervals over clips: evaluated clips, or else those to listen to. Sounds of the language model
have separate figures: ``continuation`` and ``unconditional``, with ``@0.7`` if there are several temperatures.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from lm.probing.probe_options import ProbeConfig
from pipelines.methods.method import Method
from pipelines.methods.methods_table import METHODS, row_of
from pipelines.results.clip_figures import RIGHT, Record, clip_figures, means_of_clips
from pipelines.results.probes import Probes
from pipelines.results.run_record import (
    CODEBOOK,
    GROSS_ERROR_CENTS,
    RESAMPLES,
    Comparison,
    Made,
    MethodRecord,
    Row,
    Section,
    frame,
    parameters_of,
    records,
)
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import DRAWN_PATCHES, HEALTH, KMEANS
from pipelines.stages.language_model import PERPLEXITY
from pipelines.stages.listening import CLIPS, EVALUATED, EVALUATORS, GUARD, LABEL_ACCURACY, LISTENING
from pipelines.store.run_parts import RESULTS
from pipelines.store.store import CURVE, ENTRY, CachedArtifact, write_json
from vocoder.kinds import ORIGINAL, WAVENET, WAVENET_RECORDED
from wordless.audio.recordings.manifest import SPLITS, Clips
from wordless.base.files import write_aside
from wordless.base.saved_models import WEIGHTS

TRAINED = ("autoencoder", "code_decoder", "lm", "vocoder")  # stages with a training curve


def write_results(
    folder: Path,
    manifest: Clips,
    settings: RunSettings,
    made: Made,
    probes: Probes | None,
    source: Section,
) -> None:
    """Collect the figures of a run's artifacts in ``results.json``; of several folds or seeds means, then each."""
    protocol = settings.compare.by if settings.compare.folds else manifest.split_by
    content: dict[str, object] = {
        "corpus": corpus_section(manifest),
        "stages": [
            {"stage": stage, "key": artifact.key, "reused": artifact.reused, **artifact.costs}
            | ({"passes": artifact.read_json(CURVE)["passes"]} if (artifact.folder / CURVE).is_file() else {})
            | ({"fold": fold, "seed": seed} if len(made) > 1 else {})
            for (fold, seed), artifacts in made.items()
            for stage, artifact in artifacts.items()
        ],
        "provenance": source,
    }
    of_plugins, figures = list[Row](), list[Row]()
    for plugin in settings.chosen:
        section, rows = plugin.rows(made, manifest, settings)
        content |= {plugin.name: section} if section else {}
        of_plugins += rows
    frames = [frame(of_plugins)]
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
    for stage, artifact in (each for artifacts in made.values() for each in artifacts.items()):
        figures += [
            Row(stage=stage, name=name, value=cost, artifact=artifact.key) for name, cost in artifact.costs.items()
        ]
    listed = [record for each in (*frames, frame(figures)) for record in records(each)]
    write_json(folder / RESULTS, {**content, "figures": listed})


def _of_one_run(artifacts: Mapping[str, CachedArtifact]) -> dict[str, object]:
    # A training that took no step has an empty curve, and a copy of the code decoder of another run has none.
    trained = {stage: artifact for stage, artifact in artifacts.items() if stage in TRAINED}
    curves = {
        stage: artifact.read_json(CURVE) for stage, artifact in trained.items() if (artifact.folder / CURVE).is_file()
    }
    content: dict[str, object] = {"curves": {stage: record for stage, record in curves.items() if record["curve"]}}
    if "tokenizer" in artifacts:
        health, tokenizer = artifacts["health"].read_json(HEALTH), artifacts["tokenizer"]
        codebook = {key: health[key] for key in ("counts", "verdict")}
        if (tokenizer.folder / KMEANS).is_file():  # a tokenizer of another run has no record of its k-means
            codebook["kmeans"] = tokenizer.read_json(KMEANS)
            codebook["sample"] = artifacts["sample"].read_json(DRAWN_PATCHES)
        content["codebook"] = codebook
    return content


def _on_validation(made: Made, protocol: str, codes_per_second: float) -> Iterator[Row]:
    rows = {place: [*_of_training(artifacts, protocol, codes_per_second)] for place, artifacts in made.items()}
    folds, seeds = ({place[number] for place in made} for number in (0, 1))
    for several in zip(*rows.values(), strict=True):
        keys, mean = " ".join(dict.fromkeys(row.artifact for row in several)), np.mean([row.value for row in several])
        yield replace(several[0], value=float(mean), artifact=keys, seeds=len(seeds))
    for (fold, seed), own in rows.items() if len(rows) > 1 else ():
        yield from (replace(row, fold=fold if len(folds) > 1 else None, seed=seed) for row in own)


def _of_training(artifacts: Mapping[str, CachedArtifact], protocol: str, codes_per_second: float) -> Iterator[Row]:
    row = Row(stage="vocoder", name="bits_per_sample", value=math.nan, artifact="", protocol=protocol)
    row = replace(row, split="validation")
    # Bits per sample are the cross entropy of a sample's mu-law level, given earlier levels and codes. Validation clips
    # of a vocoder for several codebooks use a mix of them, not the run's own.
    if (vocoder := artifacts.get("vocoder")) is not None and not any(
        name.startswith("tokenizer_") for name in artifacts
    ):
        training: Section = vocoder.read_json(CURVE)
        for point in training["curve"]:
            if point["step"] == training["kept_step"]:
                value = point["validation_loss"] / math.log(2)
                yield replace(row, of=WAVENET.key, value=value, artifact=vocoder.key)
    if "tokenizer" in artifacts:
        tokenizer, health = artifacts["tokenizer"], artifacts["health"]
        yield Row(stage="tokenizer", name="codes_per_second", value=codes_per_second, artifact=tokenizer.key)
        of_tokenizer, record = replace(row, stage="tokenizer", artifact=health.key), health.read_json(HEALTH)
        for name in (
            measure.name for measure in CODEBOOK if measure.name in record
        ):  # an old artifact lacks new figures
            yield replace(of_tokenizer, name=name, value=record[name])
        for change, bands in record["total_variation"].items():
            moved = replace(of_tokenizer, name="total_variation", of=change)
            yield replace(moved, value=float(np.mean(bands)))
            for number, value in enumerate(bands if len(bands) > 1 else (), 1):  # from low to high
                yield replace(moved, of=f"{change}/band_{number}", value=value)
    if (lm := artifacts.get("lm")) is not None:
        for name, value in lm.read_json(PERPLEXITY).items():
            yield replace(row, stage="lm", name=name, value=value, artifact=lm.key)


def _comparison(probes: Probes, made: Made, settings: RunSettings) -> Comparison:
    first = min(seed for _, seed in made)
    own = {name: method for name, method in METHODS.items() if method.training}
    trained = [name for name in ("lm", *own) if all(name in artifacts for artifacts in made.values())]
    trainings: dict[str, dict[str, Any]] = {
        name: {
            fold if seed == first else f"{fold}, seed {seed}": artifacts[name].read_json(CURVE)
            for (fold, seed), artifacts in made.items()
        }
        for name in trained
    }
    named, rate = next(iter(made.values())), settings.audio.sample_rate
    drawn = [
        settings.backbone(method).pictures(named[name].folder, rate, title=method.title)
        for name, method in own.items()
        if name in trained
    ]
    costs = {name: training_costs(name, made) for name in trained}
    described = {of: _described(row_of(of), made, settings) for of in probes.methods}
    about: dict[str, Any] = {"trainings": trainings, "costs": costs, "described": described}
    about["noisy_copies"] = settings.compare.noisy_copies
    about["pictures"] = [*chain.from_iterable(drawn)]
    return replace(probes.comparison(settings.compare.rows_referred), **about)


def _described(row: Method, made: Made, settings: RunSettings) -> MethodRecord:
    """Say what a row reads, what its networks have learned, how many weights they have, and how long they trained."""
    named = next(iter(made.values()))
    weights, trained = list[int](), list[str]()
    for method in map(_network, row.singles):
        twin = next((each for each in METHODS.values() if method.name == each.untrained), method)
        for each in dict.fromkeys((method, twin)):  # an untrained network is as large as the trained one
            of_codes = {"lm": "lm", "rates": f"rate_{each.rate}_lm"}
            name = of_codes.get(each.reads, each.name)
            if name in named and (named[name].folder / WEIGHTS).is_file():
                weights.append(parameters_of(named[name].folder / WEIGHTS))
                trained += [name] if each is method and (named[name].folder / CURVE).is_file() else []
                break
        if method.reads_codes:
            trained.append("tokenizer")
    seconds = [sum(training_costs(each, made).values()) for each in dict.fromkeys(trained) if each in named]
    return MethodRecord(
        reads=row.reads_input,
        learns=settings.learned_by(row),
        weights=sum(weights) or None,
        training_seconds=max(seconds) / len(made) if seconds else None,
    )


def _network(row: Method) -> Method:
    """Return the row whose network a row reads, or whose own classifier it is."""
    return next((each for each in METHODS.values() if each.head and each.head.name == row.name), row)


def training_costs(training: str, made: Made) -> dict[str, float]:
    """Sum the processor seconds of a training, and of each stage whose artifact it reads, over all folds and seeds."""
    costs, counted_keys = dict[str, float](), set[str]()
    for artifacts in made.values():
        names, left = {artifact.key: name for name, artifact in artifacts.items()}, [artifacts[training].key]
        while left:
            if (key := left.pop()) not in counted_keys:  # folds and seeds may share an artifact
                counted_keys.add(key)
                artifact = artifacts[names[key]]
                costs[names[key]] = costs.get(names[key], 0.0) + artifact.costs["cpu_seconds"]
                cache_key = (artifact.folder / ENTRY).read_text()  # has the keys of what it reads
                left += [other for other in names if f'"{other}"' in cache_key]
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
        "summary": list(manifest.summary),
    }


MAX_LOST = 3  # clips that the report plays


def sound_figures(
    artifacts: Mapping[str, CachedArtifact], manifest: Clips, config: ProbeConfig, *, protocol: str
) -> list[Row]:
    """Collect all figures of a run's sounds; ``manifest`` has the present labels, which need no new sounds."""
    listening, decoded = artifacts["listening"], artifacts.get("decoded")
    row = Row(stage="vocoder", name="", value=np.nan, artifact="", protocol=protocol, split="test")
    figures = list[Row]()
    if (labelled := artifacts.get("label_accuracy")) is not None:
        right = [
            {"sounds": {kind: {RIGHT: float(name == label)} for kind, name in answers.items()}}
            for label, answers in read_labelled_rows(labelled, manifest)
        ]
        figures += clip_figures(right, config, replace(row, artifact=labelled.key))
    if decoded is not None and (decoded.folder / GUARD).exists():
        counts = decoded.read_json(GUARD)  # blocks that were drawn again, and those that stayed runaway
        for name, count in (("runaway_blocks", counts["found"]), ("runaway_blocks_left", counts["left"])):
            figures.append(replace(row, name=name, of=WAVENET.key, value=count, artifact=decoded.key))
    evaluated, file = (artifacts["evaluated"], EVALUATED) if "evaluated" in artifacts else (listening, LISTENING)
    figures += clip_figures(evaluated.read_rows(file, "clips"), config, replace(row, artifact=evaluated.key))
    return figures + _of_language(listening, config, replace(row, artifact=listening.key))


def listening_record(
    artifacts: Mapping[str, CachedArtifact], listening: CachedArtifact, manifest: Clips
) -> dict[str, object]:
    """Describe the clips to listen to, with the manifest's labels, and the language model's sounds."""
    described = zip(manifest.names, manifest.frame.label.tolist(), manifest.frame.group.tolist(), strict=True)
    known = {name: {"label": label, "group": group} for name, label, group in described}
    record: dict[str, object] = {
        "clips": [{**row, **known[row["path"]]} for row in listening.read_rows(LISTENING, "clips")],
        "generated": listening.read_rows(LISTENING, "generated"),
        "diversity": listening.read_rows(LISTENING, "diversity"),
        **{name: listening.read_json(LISTENING)[name] for name in ("postfilter", "pitch_comb")},
    }
    if (labelled := artifacts.get("label_accuracy")) is not None:
        record["generated_labels"] = labelled.read_rows(LABEL_ACCURACY, "generated")
        record["evaluator"] = name = labelled.read_json(LABEL_ACCURACY)["evaluator"]
        record["evaluator_title"] = EVALUATORS[name]
        record["warning"] = weak_evaluator(labelled, manifest)
    if "evaluated" in artifacts:
        evaluated = artifacts["evaluated"].read_rows(EVALUATED, "clips")
        record["evaluated_clips"] = len(evaluated)
        record["recorded_clips"] = sum(WAVENET_RECORDED in row["sounds"] for row in evaluated)
        record["excerpts"] = artifacts["decoded"].read_rows(CLIPS, "clips")
        errors = gross_pitch_error_clips(artifacts["evaluated"])
        record["gross_pitch_errors"] = [{**row, **known[row["path"]]} for row in errors]
    return record


def gross_pitch_error_clips(evaluated: CachedArtifact) -> list[dict[str, Any]]:
    """List at most `MAX_LOST` clips whose pitch WaveNet's sound misses, the worst first, with their numbers."""
    lost = list[dict[str, Any]]()
    for number, row in enumerate(evaluated.read_rows(EVALUATED, "clips")):
        figures = row["sounds"].get(WAVENET.key, {})
        if (error := figures.get("pitch_error")) is not None and error > GROSS_ERROR_CENTS:
            shown = {name: figures[name] for name in ("pitch_error", "voicing_error") if name in figures}
            lost.append({"number": number, "path": row["path"], "sounds": {ORIGINAL: {}, WAVENET.key: shown}})
    return sorted(lost, key=lambda row: -row["sounds"][WAVENET.key]["pitch_error"])[:MAX_LOST]


def _of_language(artifact: CachedArtifact, config: ProbeConfig, row: Row) -> list[Row]:
    generated_rows, figures, measured = dict[str, list[Record]](), list[Row](), list[tuple[Row, list[float]]]()
    for each in artifact.read_rows(LISTENING, "generated"):
        generated_rows.setdefault(f"{each['kind']}@{each['temperature']:g}", []).append(each)
    for of, rows in generated_rows.items():
        for name in dict.fromkeys(name for each in rows for name in each["figures"]):
            measured.append((replace(row, name=name, of=of), _clip_means(rows, name)))
    figures += means_of_clips(measured, config)
    record = artifact.read_json(LISTENING)
    varied = [(f"{each['of']}@{each['temperature']:g}", each) for each in artifact.read_rows(LISTENING, "diversity")]
    for of, each in (*varied, (ORIGINAL, record.get("originals", {}))):
        for name, value in each.items():
            if name not in ("of", "temperature", "sounds") and value is not None:
                figures.append(replace(row, name=name, of=of, value=value))
    return figures


def _clip_means(rows: Sequence[Record], name: str) -> list[float]:
    """Average a figure over the continuations of each clip; unprompted sounds stay separate."""
    values: dict[object, list[float]] = {}
    for number, row in enumerate(rows):
        if (value := row["figures"].get(name)) is not None:
            begun = ("sound", number) if row["clip"] is None else ("clip", row["clip"])
            values.setdefault(begun, []).append(value)
    return [float(np.mean(each)) for each in values.values()]


GOOD_ENOUGH = 0.95  # share of the recordings above which mistakes come from the sound rather than the classifier


def weak_evaluator(labelled: CachedArtifact, manifest: Clips) -> dict[str, object] | None:
    """Describe a classifier that recognises few recordings, or no more than one answer for all; else None."""
    known, evaluator = read_labelled_rows(labelled, manifest), labelled.read_json(LABEL_ACCURACY)["evaluator"]
    right = sum(label == answers[ORIGINAL] for label, answers in known)
    answer, always = Counter(label for label, _ in known).most_common(1)[0] if known else ("", -1)
    if right >= GOOD_ENOUGH * len(known) and right > always:
        return None
    about = {"evaluator_title": EVALUATORS[evaluator], "evaluator": evaluator, "clips": len(known)}
    return {**about, "right": right, "answer": answer, "always": always}


def read_labelled_rows(labelled: CachedArtifact, manifest: Clips) -> list[tuple[str, Mapping[str, str]]]:
    """List the label of each evaluated clip, and the classifier's answer to each kind of its sound."""
    labels = dict(zip(manifest.names, manifest.frame.label.tolist(), strict=True))
    rows = labelled.read_rows(LABEL_ACCURACY, "clips")
    return [(label, row["labels"]) for row in rows if (label := labels.get(row["path"])) is not None]
