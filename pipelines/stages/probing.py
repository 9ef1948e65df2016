"""Linear probes of all representations, on the same clips and splits, with equally many regularisation strengths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from safetensors.numpy import load_file

from lm.probing.probe import FittedProbe, last_point, learning_curve, method_record, probe_method, scored_method
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import ProbeTask, with_parts
from lm.probing.vectors import CLASS_SCORES
from pipelines.store.stage import StageRun, labels_of, stage
from pipelines.store.store import CachedArtifact, write_json
from pipelines.store.stored_features import FEATURES, PROBE_RECORD, SCORES, StoredFeatures, side_by_side_features
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import Noise, compared_clips
from wordless.base.messages import InputError
from wordless.base.options import BESIDE
from wordless.base.threads import limit_pools

KEYS: Mapping[str, Callable[[Any], object]] = {"clips": labels_of}


@stage("probed", title="{of}: linear probes", keys=KEYS)
def probed(
    run: StageRun,
    clips: Clips,
    config: ProbeConfig,
    of: str,
    features: Mapping[str, CachedArtifact],
    *,
    labelled: bool = False,
    noises: Sequence[Noise] = (),
) -> None:
    """Probe one method, with a learning curve over shares of the labels; the artifact has the figures and the probe.

    ``features`` are its artifact and that of its network's input, by method: a row for each clip, then each test clip
    with noise. Methods side by side (``gpt+simclr``) have the artifacts and inputs of each. A ``labelled`` method
    was trained on all training labels: its curve has the last point alone, and validation clips choose, never
    cross-validation.
    """
    task = probe_task(clips, config, device=run.gang.device, noises=noises)
    task = replace(task, parts=None) if labelled else task
    stored = {name: StoredFeatures.of(artifact.folder / FEATURES, name) for name, artifact in sorted(features.items())}
    candidates = side_by_side_features(of, [stored.pop(name) for name in of.split(BESIDE)])
    if stored:
        candidates = candidates.with_input(side_by_side_features("input", [*stored.values()]))
    # Each fit has one thread: the matrices are small, and with other work on the cores several threads were ten
    # times as slow. Several fits run side by side.
    threads = torch.get_num_threads() if task.device is None else 1  # a GPU has memory for one fit
    with limit_pools(1):
        winner, tried = probe_method(candidates, task, config, threads=threads)
        chosen = candidates[winner.of]
        if labelled or winner.clipping is None:
            curve = last_point(winner, task, config)
        else:
            curve = learning_curve(chosen, task, config, clipping=winner.clipping, threads=threads)
        FittedProbe.of(winner, task, config).save_pretrained(run.folder)
    write_json(run.folder / PROBE_RECORD, method_record(of, winner, task, config, candidates=tried, curve=curve))


@stage("scored", title="{of}: its own classifier", keys=KEYS)
def scored(
    run: StageRun, clips: Clips, config: ProbeConfig, of: str, network: CachedArtifact, *, noises: Sequence[Noise] = ()
) -> None:
    """Measure a network's own classifier ``of``, whose class scores stand beside the network's features."""
    task, scores = probe_task(clips, config, noises=noises), load_file(network.folder / SCORES)[CLASS_SCORES]
    write_json(run.folder / PROBE_RECORD, method_record(of, scored_method(scores, task, config, of=of), task, config))


def probe_task(
    manifest: Clips,
    config: ProbeConfig,
    *,
    folds_by: str | None = None,
    device: torch.device | None = None,
    noises: Sequence[Noise] = (),
) -> ProbeTask:
    """Build the task of the probes, whose large fits are computed on the ``device`` if it is a GPU.

    ``folds_by`` names the basis of the folds, if clips are divided into folds: intervals are over groups on a single
    split alone.
    """
    clips, noise = zip(*compared_clips(manifest, noises), strict=True)
    labels, splits = [clip.label for clip in clips], [clip.split for clip in clips]
    separator, remedy = config.label_separator, "change corpus.split so that each has any"
    groups, folds = [clip.group for clip in clips], [clip.fold for clip in clips]
    if folds_by is not None:
        remedy = f"record clips with these labels in at least 3 {folds_by}s, of which two are held out at once"
    task = ProbeTask.of(
        labels,
        splits,
        label_separator=separator,
        remedy=remedy,
        groups=groups,
        noise=noise,
        all_learned=folds_by is not None,  # in folds each class is tested in turn
    )
    fitted = replace(task, device=device if device is not None and device.type == "cuda" else None)
    return with_parts(fitted, config, groups=groups, folds=folds)


def require_probeable(folds: Sequence[Clips], config: ProbeConfig, *, by: str | None) -> list[str]:
    """Refuse folds of which one lacks the labels of a class or a split, and return notices about the figures.

    ``by`` is the basis of the folds, "group" or "fold", or None for the corpus's own split.
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
