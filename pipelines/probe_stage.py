"""Representations -> linear probes: what can be read off each, on the same clips, splits, poolings and tries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from audio.errors import InputError
from audio.manifest import SPLITS, Manifest, audio_hash
from lm.embeddings import embed
from lm.model import LanguageModel
from lm.pooling import POOLINGS, FloatArray, bag_of_codes
from lm.probe import ProbeConfig, ProbeResult, ProbeTask, chosen, probe
from pipelines.audio_features import audio_features
from pipelines.encoding import Encoder, encoding_pool, in_order
from pipelines.session import Session
from pipelines.store import Entry, Recipe, text_hash, write_json
from tokenizer.parquet import CodedClip, read_codes

GPT = "gpt"  # the layer that validation chose


def require_labels(labels: Sequence[str | None]) -> None:
    """Refuse what no probe can predict, as far as names tell: before any recording is decoded.

    Raises:
        InputError: a recording has no label, or all have the same one.
    """
    classes = {label for label in labels if label is not None}
    without = sum(label is None for label in labels)
    remedy = (
        "put each class into its own sub-folder, set corpus.pattern, or leave probes out: "
        "stages=[tokenizer,lm,vocoder,report]"
    )
    if without:
        raise InputError(f"{without} of {len(labels)} recordings have no label, which a probe predicts; {remedy}")
    if len(classes) < 2:
        raise InputError(
            f"all {len(labels)} recordings have the label {min(classes)!r}, and a probe tells at least 2 apart; "
            f"{remedy}"
        )


def features(
    session: Session, manifest: Manifest, tokenizer_entry: Entry, codes_entry: Entry, model_entry: Entry
) -> Entry:
    """Every representation of every clip, pooled: one tensor ``(clips, dim)`` for each representation and pooling."""
    recipe = Recipe(
        stage="features",
        version=2,
        config={"poolings": POOLINGS},
        inputs={"lm": model_entry.key, "codes": codes_entry.key, "manifest": audio_hash(manifest, SPLITS)},
    )

    def make(folder: Path) -> None:
        coded = list(read_codes(codes_entry.folder)[1])  # in the order of the manifest
        pooled = _audio_features(session, manifest, tokenizer_entry, coded)
        pooled |= _code_features(coded)
        pooled |= _gpt_features(
            LanguageModel.from_pretrained(model_entry.folder, device=str(session.gang.device)), coded
        )
        save_file(pooled, folder / "features.safetensors")

    return session.obtain(recipe, f"representations of {len(manifest.clips)} clips", make)


def probes(session: Session, manifest: Manifest, features_entry: Entry, config: ProbeConfig) -> Entry:
    """Probe every representation; pooling, penalty and the GPT's layer are chosen on validation."""
    task = probe_task(manifest)
    labels = {clip.path: clip.label for clip in manifest.clips}
    recipe = Recipe(
        stage="probe",
        version=1,
        config=asdict(config),
        inputs={"features": features_entry.key, "labels": text_hash(json.dumps(labels, sort_keys=True))},
    )

    def make(folder: Path) -> None:
        tensors = load_file(features_entry.folder / "features.safetensors")
        names = sorted({name.rpartition(":")[0] for name in tensors})
        results = []
        with session.terminal.working("probes", len(names), "representations") as progress:
            for done, name in enumerate(names, 1):
                results.append(_best_pooling(name, tensors, task, config))
                progress.advance_to(done)
        layers = [result for result in results if result.of.startswith(f"{GPT}/")]
        rows = [_row(result.of.rpartition(":")[0], result) for result in results] + [_row(GPT, chosen(layers))]
        truth = [task.classes[number] for number in task.labels[task.rows["test"]]]
        write_json(folder / "probe.json", {"probes": rows, "classes": task.classes, "truth": truth})

    return session.obtain(recipe, f"linear probes of {len(task.classes)} classes", make)


def probe_task(manifest: Manifest) -> ProbeTask:
    """What probes predict.

    Raises:
        InputError: a clip has no label, a split has no clip, or train lacks a class.
    """
    return ProbeTask.of([clip.label for clip in manifest.clips], [clip.split for clip in manifest.clips])


def _best_pooling(name: str, tensors: Mapping[str, FloatArray], task: ProbeTask, config: ProbeConfig) -> ProbeResult:
    keys = [f"{name}:{pooling}" for pooling in POOLINGS]
    return chosen([probe(tensors[key], task, config, of=key) for key in keys])


def _row(name: str, result: ProbeResult) -> dict[str, object]:
    row = asdict(result)
    return {**row, "of": name, "chosen": row["of"]}


def _audio_features(
    session: Session, manifest: Manifest, tokenizer_entry: Entry, coded: list[CodedClip]
) -> dict[str, FloatArray]:
    """Mean log-mel and mean bottleneck."""
    encoder = Encoder(folder=tokenizer_entry.folder, root=manifest.root, device=str(session.gang.device))
    jobs = [(clip.path, clip.codes.num_samples) for clip in coded]
    rows: dict[str, list[FloatArray]] = {}
    with (
        session.terminal.working("log-mel and bottlenecks", len(jobs), "clips") as progress,
        encoding_pool(session.workers) as pool,
    ):
        for done, pooled in enumerate(in_order(partial(audio_features, encoder), jobs, pool), 1):
            for name, values in pooled.items():
                rows.setdefault(name, []).append(values)
            progress.advance_to(done)
    return {name: np.stack(values) for name, values in rows.items()}


def _code_features(clips: list[CodedClip]) -> dict[str, FloatArray]:
    return {
        f"bag_of_codes:{pooling}": np.stack([bag_of_codes(clip.codes, pooling) for clip in clips])
        for pooling in POOLINGS
    }


def _gpt_features(model: LanguageModel, clips: list[CodedClip]) -> dict[str, FloatArray]:
    """Each layer from the first on, and all of them side by side; the embeddings are a bag of codes by another name."""
    tensors = {}
    for pooling, states in embed(model, [clip.codes for clip in clips]).items():  # (1 + layers, clips, dim)
        for layer in range(1, len(states)):
            tensors[f"{GPT}/layer_{layer}:{pooling}"] = np.ascontiguousarray(states[layer])
        tensors[f"{GPT}/all_layers:{pooling}"] = np.concatenate(list(states[1:]), axis=1)
    return tensors
