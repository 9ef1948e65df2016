"""Representations -> linear probes: what can be read off each, on the same clips and splits, with as many tries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from audio.errors import InputError
from audio.folds import Fold
from audio.manifest import SPLITS, Manifest, audio_hash
from lm.embeddings import embed
from lm.learning_curve import LearningPoint, learning_curve
from lm.model import LanguageModel
from lm.pooling import POOLINGS, FloatArray, bag_of_codes
from lm.probe import MethodResult, ProbeConfig, probe_method, require_equal_tries, scored_method
from lm.probe_task import ProbeTask
from pipelines.audio_features import audio_features
from pipelines.encoding import Encoder, encoding_pool, in_order
from pipelines.session import Session
from pipelines.store import Entry, Recipe, text_hash, write_json
from pipelines.stored_features import features_by_method
from tokenizer.parquet import CodedClip, read_codes

GPT = "gpt"
FEATURES = "features.safetensors"
SCORES = "scores.safetensors"
PROBE = "probe.json"
FIGURES = ("penalty", "validation_accuracy", "test_accuracy", "low", "high")  # of a candidate


def require_labels(labels: Sequence[str | None]) -> None:
    """Refuse what no probe can predict, as far as names tell: before any recording is decoded.

    Recordings without a label are no obstacle as long as the others have two different ones.

    Raises:
        InputError: no recording has a label, or all that have one have the same.
    """
    classes = {label for label in labels if label is not None}
    labelled = sum(label is not None for label in labels)
    remedy = (
        "put each class into its own sub-folder, set corpus.pattern, or leave probes out: "
        "stages=[tokenizer,lm,vocoder,report]"
    )
    if not classes:
        raise InputError(f"{len(labels)} of {len(labels)} recordings have no label, which a probe predicts; {remedy}")
    if len(classes) < 2:
        those = f"{labelled} recordings" if labelled == len(labels) else f"{labelled} recordings with a label"
        raise InputError(f"all {those} have the label {min(classes)!r}, and a probe tells at least 2 apart; {remedy}")


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
        save_file(pooled, folder / FEATURES)

    return session.obtain(recipe, f"representations of {len(manifest.clips)} clips", make)


def probes(
    session: Session,
    manifest: Manifest,
    feature_entries: Sequence[Entry],
    config: ProbeConfig,
    *,
    scores: Mapping[str, Entry] | None = None,
) -> Entry:
    """Probe every method, one at a time, with equally many tries, and write ``probe.json``.

    Args:
        session: store and terminal.
        manifest: clips with labels, groups and splits.
        feature_entries: entries with ``features.safetensors``, a row for each clip of the manifest.
        config: tries, penalties, shares and intervals.
        scores: by method, entries with ``scores.safetensors``: class probabilities ``scores`` ``(clips, classes)`` of a
            classifier's own, classes in the order of their names.

    Raises:
        InputError: the labels cannot be probed, or two entries hold the same features.
    """
    task = probe_task(manifest, config.label_separator)
    given = scores or {}
    said = [[clip.path, clip.split, clip.label, clip.group] for clip in manifest.clips]
    recipe = Recipe(
        stage="probe",
        version=2,
        config=asdict(config),
        inputs={
            "features": " ".join(entry.key for entry in feature_entries),
            "scores": " ".join(f"{of}:{entry.key}" for of, entry in sorted(given.items())),
            "labels": text_hash(json.dumps(said)),
        },
    )

    def make(folder: Path) -> None:
        methods = features_by_method([entry.folder / FEATURES for entry in feature_entries])
        results, rows = [], []
        with session.terminal.working("probes", len(methods) + len(given), "methods") as progress:
            for of, candidates in methods.items():
                results.append(probe_method(candidates, task, config, of=of))
                winner = results[-1].winner
                curve = learning_curve(candidates[winner.of], task, winner, config)
                rows.append(_row(results[-1], curve, multi_label=task.multi_label))
                progress.advance_to(len(rows))
            for of, entry in sorted(given.items()):
                results.append(scored_method(load_file(entry.folder / SCORES)["scores"], task, config, of=of))
                rows.append(_row(results[-1], (), multi_label=task.multi_label))
                progress.advance_to(len(rows))
        require_equal_tries(results)
        write_json(folder / PROBE, {**_asked(task, manifest), "methods": rows})

    for notice in task.notices:
        session.terminal.say(f"probe     {notice}")
    return session.obtain(recipe, f"linear probes of {len(task.classes)} classes", make)


def probe_task(manifest: Manifest, label_separator: str | None = None) -> ProbeTask:
    """What probes predict.

    Raises:
        InputError: fewer than two classes are named, a split has no clip with a label, or train lacks a class.
    """
    return ProbeTask.of(
        [clip.label for clip in manifest.clips],
        [clip.split for clip in manifest.clips],
        label_separator=label_separator,
    )


def require_probeable(folds: Sequence[Fold], config: ProbeConfig) -> None:
    """Refuse folds of which one cannot be probed, before anything is trained on another.

    Raises:
        InputError: names the fold and what it lacks: a class all of whose clips are held out, a split without labels.
    """
    for fold in folds:
        try:
            probe_task(fold.manifest, config.label_separator)
        except InputError as error:
            raise InputError(
                f"with {fold.name!r} held out for test, {error}. A class needs clips in more groups (or folds) than "
                "are held out at once for validation and test"
            ) from error


def _asked(task: ProbeTask, manifest: Manifest) -> dict[str, object]:
    """What was asked, and of which test clips."""
    test = task.rows["test"]
    clips = [manifest.clips[row] for row in test]
    return {
        "classes": task.classes,
        "multi_label": task.multi_label,
        "clips": [clip.path for clip in clips],
        "groups": [clip.group for clip in clips],
        "truth": task.names(task.targets[test]),
        "unlabelled": task.unlabelled,
        "notices": task.notices,
    }


def _row(result: MethodResult, curve: Sequence[LearningPoint], *, multi_label: bool) -> dict[str, object]:
    winner = result.winner
    # Mean average precision of resampled clips is computed from scores; for accuracy the predictions do.
    scores = {"scores": np.round(winner.scores.astype(np.float64), 6).tolist()} if multi_label else {}
    return {
        "of": result.of,
        "chosen": winner.of,
        **{name: getattr(winner, name) for name in FIGURES},
        "macro_f1": winner.macro_f1,
        "mean_average_precision": winner.mean_average_precision,
        "predictions": winner.predictions,
        **scores,
        "tries": len(result.tries),
        "candidates": [
            {"of": candidate.of, **{name: getattr(candidate, name) for name in FIGURES}}
            for candidate in result.candidates
            if candidate.tries
        ],
        "learning_curve": [asdict(point) for point in curve],
    }


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
