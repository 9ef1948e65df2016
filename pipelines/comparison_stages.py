"""The representations that a run compares: which are made, from what, and the probes of all of them.

All that is trained here is trained on the same training clips, those without a label included; validation clips choose
weights, layers and penalties; test clips are only ever described by what is finished.
"""

from dataclasses import replace

import numpy as np

from audio.manifest import Manifest
from lm.probe_task import ProbeTask
from pipelines.ast_stage import ast, ast_features
from pipelines.baseline_stage import Baseline, baseline_features, simclr, supervised
from pipelines.features_stage import code_features, gpt_features, random_gpt_features, signal_features
from pipelines.filter_bank_stage import filter_banks
from pipelines.probe_stage import probe_task, probes
from pipelines.session import Session
from pipelines.settings import RunSettings
from pipelines.spectrogram_stage import spectrograms
from pipelines.store import Entry


def compared(
    session: Session,
    manifest: Manifest,
    settings: RunSettings,
    sample: Entry,
    trained_autoencoder: Entry,
    tokens: Entry,
    coded: Entry,
    model: Entry | None,
    *,
    unlabelled: Manifest | None,
) -> list[Entry]:
    """Trained baselines, the features of every wanted method, and their probes, in the order of making.

    ``model`` is the language model where the GPT is compared; ``unlabelled`` is heard by SimCLR as it was by the GPT.
    """
    wanted = set(settings.compare.methods)
    trained, features, scores = [], [], {}
    if signals := wanted & {"log_mel", "bottleneck"}:
        features.append(
            signal_features(session, manifest, tokens, coded, autoencoder=trained_autoencoder.key, methods=signals)
        )
    if "bag_of_codes" in wanted:
        features.append(code_features(session, coded))
    if model is not None and "gpt" in wanted:
        own = settings.compare
        features.append(gpt_features(session, coded, model, attentive=own.attentive, surprise=own.surprise))
    if "random_gpt" in wanted:
        features.append(random_gpt_features(session, coded, settings.lm.gpt, seed=settings.lm.fit.seed))
    if wanted & {"simclr", "supervised"}:
        heard = spectrograms(session, manifest, settings.audio, sample)
    if "simclr" in wanted:
        extra = spectrograms(session, unlabelled, settings.audio, sample) if unlabelled else None
        trained.append(simclr(session, heard, extra, settings.baselines))
        features.append(_baseline(session, manifest, settings, sample, "simclr", trained[-1]))
    if "supervised" in wanted:
        task = probe_task(manifest, settings.probe.label_separator)
        trained.append(
            supervised(
                session,
                heard,
                _labels(manifest, task),
                task.classes,
                settings.baselines,
                multi_label=task.multi_label,
            )
        )
        features.append(_baseline(session, manifest, settings, sample, "supervised", trained[-1]))
        scores["supervised_head"] = features[-1]
    if "random_conv" in wanted:
        features.append(_baseline(session, manifest, settings, sample, "random_conv", None))
    if "ast" in wanted:
        task = probe_task(manifest, settings.probe.label_separator)
        labels = _labels(manifest, task)
        banks = filter_banks(session, manifest)
        trained.append(ast(session, manifest, banks, labels, task.classes, settings.ast, multi_label=task.multi_label))
        features.append(ast_features(session, manifest, trained[-1], settings.ast.model))
        scores["ast_head"] = features[-1]
    if "random_ast" in wanted:
        untrained = replace(settings.ast.model, weights=None)
        features.append(ast_features(session, manifest, None, untrained, seed=settings.ast.fit.seed))
    return [*trained, *features, probes(session, manifest, features, settings.probe, scores=scores)]


def _baseline(
    session: Session, manifest: Manifest, settings: RunSettings, sample: Entry, method: Baseline, encoder: Entry | None
) -> Entry:
    return baseline_features(session, manifest, settings.audio, sample, method, encoder, settings.baselines)


def _labels(manifest: Manifest, task: ProbeTask) -> dict[str, str | tuple[str, ...] | None]:
    """The class of each clip by path, or its classes where there may be several; None where nothing is known."""
    several = [
        tuple(task.classes[number] for number in np.flatnonzero(targets)) for targets in task.targets
    ]  # (clips, classes) -> names
    return {
        clip.path: (names if task.multi_label else names[0]) if names else None
        for clip, names in zip(manifest.clips, several, strict=True)
    }
