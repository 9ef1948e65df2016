"""Linear probes of all representations, on the same clips and splits, with equally many penalties."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from lm.options import ProbeConfig
from lm.probing.linear import VERSION, tolerance_options
from lm.probing.probe import last_point, learning_curve, method_record, noise_points, probe_method, scored_method
from lm.probing.task import ProbeTask, require_equal_counts, with_parts
from lm.probing.vectors import CLASS_SCORES
from pipelines.store.session import Session
from pipelines.store.store import METHOD, Entry, Recipe, other_options, text_hash, write_json
from pipelines.store.stored_features import FEATURES, PROBE, SCORES, features_by_method, natural
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import compared_views
from wordless.base.errors import InputError
from wordless.base.values import list_hash


def probe_methods(
    session: Session,
    manifest: Clips,
    features: Mapping[str, Entry],
    config: ProbeConfig,
    *,
    only: Collection[str] | None = None,
    labelled: Collection[str],
    inputs: Mapping[str, str] | None = None,
    folds_by: str | None = None,
    noise_snr: Sequence[float] = (),
) -> dict[str, Entry]:
    """Probe every method, one at a time, with equally many penalties; an entry for each.

    The key of an entry depends on its method alone, so a sweep or a larger comparison probes only new methods.

    Args:
        features: by method, the entry that has its ``features.safetensors``: a row for each clip, then for each test
            clip with noise.
        only: the methods to probe; None: all.
        labelled: methods that were trained on all training labels. A learning curve means nothing for them, and their
            features know the labels of every training group, so validation clips choose, and never cross-validation.
        inputs: by method, the one whose features are the input of its network; all layers side by side include it.
        folds_by: the basis of the folds, if the clips are divided into folds.
        noise_snr: ratios in dB of test clips with noise, which have more rows.
    """
    task = probe_task(manifest, config, folds_by=folds_by, device=session.gang.device, noise_snr=noise_snr)
    probed = dict[str, Entry]()
    for of in sorted(features if only is None else only, key=natural):
        own_input = (inputs or {}).get(of)
        read = [features[name] for name in (of, own_input) if name is not None]
        judged = replace(task, parts=None) if of in labelled else task
        labels = _labels(manifest, judged)
        probed[of] = _probe(session, judged, config, of, own_input, read, labels, labelled=of in labelled)
    return probed


def _probe(
    session: Session,
    task: ProbeTask,
    config: ProbeConfig,
    of: str,
    own_input: str | None,
    features: Sequence[Entry],
    labels: Mapping[str, str | None],
    *,
    labelled: bool,
) -> Entry:
    """Probe one method, with a learning curve over shares of the labels; of a ``labelled`` one, its last point.

    ``features`` are the entries of the method and of its ``own_input``, if it has one.
    """
    solver = tolerance_options(len(task.rows["train"]), logistic=config.classifier == "logistic")
    solver |= {"version of the classifiers": VERSION, **({"device": "cuda"} if task.device else {})}
    inputs = {"features": features, **labels, "input of the network": own_input}
    recipe = Recipe("probed", 6, config={**_options(config), **solver, METHOD: of}, inputs=inputs)

    def make(folder: Path) -> None:
        by_method = features_by_method([*dict.fromkeys(entry.folder / FEATURES for entry in features)])
        if of not in by_method:
            keys = ", ".join(by_method) or "no method"
            problem = f"the features of the method {of} have the keys of {keys}"
            raise InputError(f"{problem}: begin the keys with the method's own name, as in {of}:mean")
        candidates = by_method[of] if own_input is None else by_method[of].with_input(by_method[own_input])
        # Each fit has one thread: the matrices are small, and with other work on the cores several threads were ten
        # times as slow. Several fits run side by side.
        threads = torch.get_num_threads() if task.device is None else 1  # a GPU has memory for one fit
        with threadpool_limits(1):
            result = probe_method(candidates, task, config, of=of, threads=threads)
            winner, chosen = result.winner, candidates[result.winner.of]
            curve = (
                last_point(winner, task, config) if labelled else learning_curve(chosen, task, config, threads=threads)
            )
            noise = noise_points(chosen, task, winner, config)
        write_json(folder / PROBE, method_record(result, curve, task, noise))

    title = f"{of}: linear probes of {len(task.classes)} classes"
    return session.obtain(recipe, title, make, files=[PROBE])


def collect_probes(
    session: Session,
    manifest: Clips,
    probed: Mapping[str, Entry],
    config: ProbeConfig,
    *,
    scores: Mapping[str, Entry] | None = None,
    folds_by: str | None = None,
    noise_snr: Sequence[float] = (),
) -> Entry:
    """Collect the entries of `probe_methods` in ``probe.json``.

    ``scores`` has, by method, entries with ``scores.safetensors``: class probabilities ``scores (clips, classes)`` of a
    classifier's own, classes in the order of their names. Different numbers of penalties are refused.
    """
    task = probe_task(manifest, config, folds_by=folds_by, noise_snr=noise_snr)
    heads = sorted((scores or {}).items())
    inputs = {
        "compared methods": [*probed.values()],
        "scores of the classifiers": [entry for _, entry in heads],
        **_labels(manifest, task),
    }
    recipe = Recipe("probe", 8, config=_options(config), inputs=inputs)

    def make(folder: Path) -> None:
        rows = [entry.read_json(PROBE) for entry in probed.values()]
        for of, entry in heads:
            own_scores = load_file(entry.folder / SCORES)[CLASS_SCORES]
            result = scored_method(own_scores, task, config, of=of)
            rows.append(method_record(result, (), task, noise_points(own_scores, task, result.winner, config)))
        for step in ("layer_penalties", "penalties"):
            require_equal_counts({str(row["of"]): cast(int, row[step]) for row in rows})
        write_json(folder / PROBE, {**_describe(task, manifest, config), "methods": rows})

    return session.obtain(recipe, f"{len(probed) + len(heads)} methods side by side", make, files=[PROBE])


def _options(config: ProbeConfig) -> dict[str, object]:
    """Return the recipe's options; what chooses is among `_labels`."""
    return {"probe": other_options(config, "choose_by")}


def _labels(manifest: Clips, task: ProbeTask) -> dict[str, str | None]:
    """Hash the clips' paths, labels, splits and groups, and the parts of cross-validation."""
    labels = list_hash([clip.name, clip.split, clip.label, clip.group] for clip in manifest.clips)
    return {
        "labels": labels,
        "parts of cross-validation": None if task.parts is None else text_hash(json.dumps(task.parts)),
    }


def _describe(task: ProbeTask, manifest: Clips, config: ProbeConfig) -> dict[str, object]:
    test, validation = task.rows["test"], task.rows["validation"]
    clips = [manifest.clips[row] for row in test]
    return {
        "classes": task.classes,
        "multi_label": task.multi_label,
        "clips": [clip.name for clip in clips],
        "groups": [clip.group for clip in clips],
        "truth": task.names(task.targets[test]),
        "validation_groups": [manifest.clips[row].group for row in validation],
        "validation_truth": task.names(task.targets[validation]),
        "unlabelled": task.unlabelled,
        "notices": task.notices,
        # what `auto` has become
        "choose_by": "validation" if task.parts is None else "fold" if config.choose_by == "fold" else "group",
    }


def probe_task(
    manifest: Clips,
    config: ProbeConfig,
    *,
    folds_by: str | None = None,
    device: torch.device | None = None,
    noise_snr: Sequence[float] = (),
) -> ProbeTask:
    """Build the task of the probes; ``folds_by`` names the basis of the folds, if the clips are divided into folds.

    Large fits are computed on the ``device``, if it is a GPU.

    As in the comparison of methods, intervals are over groups on a single split alone. The parts of cross-validation
    are those that ``config.choose_by`` asks for.
    """
    views = compared_views(manifest, noise_snr=noise_snr)
    clips, noise = [view.clip for view in views], [view.change.noise_snr for view in views]
    labels, splits = [clip.label for clip in clips], [clip.split for clip in clips]
    separator, remedy = config.label_separator, "change corpus.split so that each has any"
    groups, folds = [clip.group for clip in clips], [clip.fold for clip in clips]
    if folds_by is not None:
        remedy = f"record clips with these labels in at least 3 {folds_by}s, of which two are held out at once"
    task = ProbeTask.of(labels, splits, label_separator=separator, remedy=remedy, groups=groups, noise=noise)
    fitted = replace(task, device=device if device is not None and device.type == "cuda" else None)
    return with_parts(fitted, config, groups=groups, folds=folds)


def require_probeable(folds: Sequence[Clips], config: ProbeConfig, *, by: str | None) -> list[str]:
    """Refuse folds of which one lacks the labels of a class or a split, before any model is trained.

    ``by`` is the basis of the folds, "group" or "fold", or None for the corpus's own split. The result is notices about
    the figures, a line each, with their folds if they do not apply to all.
    """
    notices: dict[str, list[str]] = {}
    for fold in folds:
        try:
            task = probe_task(fold, config, folds_by=by)
        except InputError as error:
            if by is None:
                raise
            raise InputError(f"with {fold.name!r} held out for test, {error}") from error
        for notice in task.notices:
            notices.setdefault(notice, []).append(fold.name)
    return [
        notice if len(names) == len(folds) else f"{notice} (with {', '.join(names)} held out for test)"
        for notice, names in notices.items()
    ]
