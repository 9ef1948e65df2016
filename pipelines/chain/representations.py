"""The representations that a run compares: which are made, from what, and the probes of all of them.

All that is trained here is trained on the same training clips, those without a label included; validation clips choose
weights, layers and penalties; test clips are only ever described by what is finished.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audio.recordings.manifest import Manifest
from lm.baselines.supervised import Label
from lm.probe_task import ProbeTask
from pipelines.settings.run import RunSettings
from pipelines.stages.baselines import Baseline, baseline_features, simclr, supervised
from pipelines.stages.features import code_features, gpt_features, random_gpt_features, signal_features
from pipelines.stages.filter_bank import filter_banks
from pipelines.stages.probe import probe_task, probed, probes
from pipelines.stages.spectrogram import spectrograms
from pipelines.stages.spectrogram_transformer import ast, ast_features
from pipelines.store.session import Session
from pipelines.store.store import Entry
from pipelines.store.stored_features import GPT

SIGNALS = frozenset({"log_mel", "bottleneck"})  # methods that one entry of features holds


@dataclass(frozen=True, kw_only=True)
class Codec:
    """What a run has learned of its recordings before anything is compared."""

    sample: Entry
    autoencoder: Entry
    tokenizer: Entry
    codes: Entry
    lm: Entry | None  # the language model, where the GPT is compared


@dataclass(frozen=True, kw_only=True)
class Family:
    """What methods of one kind come to."""

    trained: tuple[Entry, ...] = ()  # and what they were trained on, in the order of making
    features: tuple[Entry, ...] = ()  # that probes read
    scores: Mapping[str, Entry] = field(default_factory=dict)  # by method, those features that hold class scores, too


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What all methods are made from."""

    session: Session
    manifest: Manifest
    settings: RunSettings
    codec: Codec
    unlabelled: Manifest | None  # heard by SimCLR as it was by the GPT
    task: ProbeTask
    labels: Mapping[str, Label | None]  # of each clip by name; None where nothing is known

    def wants(self, *methods: str) -> bool:
        """Whether one of the methods is compared."""
        return not self.wanted.isdisjoint(methods)

    @property
    def wanted(self) -> frozenset[str]:
        """The methods that are compared."""
        return frozenset(self.settings.compare.methods)


def compared(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, *, unlabelled: Manifest | None
) -> list[Entry]:
    """Trained baselines, the features of every wanted method, and their probes.

    ``unlabelled`` is heard by SimCLR as it was by the GPT.
    """
    task = probe_task(manifest, settings.probe.label_separator)
    study = Comparison(
        session=session,
        manifest=manifest,
        settings=settings,
        codec=codec,
        unlabelled=unlabelled,
        task=task,
        labels=labels_of(manifest, task),
    )
    all_of = _together([_of_codes(study), _of_spectrograms(study), _of_filter_banks(study)])
    methods = probed(session, manifest, all_of.features, settings.probe)
    together = probes(session, manifest, methods, settings.probe, scores=all_of.scores)
    return [*all_of.trained, *all_of.features, *methods, together]


def signal_entry(session: Session, manifest: Manifest, codec: Codec, methods: Collection[str]) -> Entry:
    """The pooled log-mel or bottlenecks of every clip, as far as ``methods`` names them."""
    return signal_features(session, manifest, codec.tokenizer, autoencoder=codec.autoencoder.key, methods=methods)


def _together(families: Sequence[Family]) -> Family:
    return Family(
        trained=tuple(entry for family in families for entry in family.trained),
        features=tuple(entry for family in families for entry in family.features),
        scores={of: entry for family in families for of, entry in family.scores.items()},
    )


def unlabelled_entry(entry: Entry) -> Entry:
    """The entry under a name of its own among a run's: what was made of unlabelled clips as it was of the corpus's."""
    return replace(entry, stage=f"unlabelled_{entry.stage}")


def _of_codes(study: Comparison) -> Family:
    """What the codec hears and gives, and the GPT."""
    session, codec, own = study.session, study.codec, study.settings.compare
    features = []
    if signals := study.wanted & SIGNALS:
        features.append(signal_entry(session, study.manifest, codec, signals))
    if study.wants("bag_of_codes"):
        features.append(code_features(session, codec.codes))
    if codec.lm is not None and study.wants(GPT):
        features.append(gpt_features(session, codec.codes, codec.lm, attentive=own.attentive, surprise=own.surprise))
    if study.wants("random_gpt"):
        config, seed = study.settings.lm.gpt, study.settings.lm.fit.seed
        features.append(random_gpt_features(session, codec.codes, config, seed=seed))
    return Family(features=tuple(features))


def _of_spectrograms(study: Comparison) -> Family:
    """The convolutional encoder: SimCLR, supervised, and untrained."""
    families = []
    if study.wants("simclr", "supervised"):
        heard = _spectrograms(study, study.manifest)
        families.append(Family(trained=(heard,)))
        if study.wants("simclr"):
            families.append(_simclr(study, heard))
        if study.wants("supervised"):
            families.append(_supervised(study, heard))
    if study.wants("random_conv"):
        families.append(Family(features=(_conv_features(study, "random_conv", None),)))
    return _together(families)


def _simclr(study: Comparison, heard: Entry) -> Family:
    extra = _spectrograms(study, study.unlabelled) if study.unlabelled else None
    trained = simclr(study.session, heard, extra, study.settings.baselines)
    return Family(
        trained=(*([unlabelled_entry(extra)] if extra else []), trained),
        features=(_conv_features(study, "simclr", trained),),
    )


def _supervised(study: Comparison, heard: Entry) -> Family:
    task, settings = study.task, study.settings.baselines
    trained = supervised(study.session, heard, study.labels, task.classes, settings, multi_label=task.multi_label)
    features = _conv_features(study, "supervised", trained)
    return Family(trained=(trained,), features=(features,), scores={"supervised_head": features})


def _of_filter_banks(study: Comparison) -> Family:
    """AST, fine-tuned and untrained."""
    families = []
    if study.wants("ast"):
        families.append(_ast(study))
    if study.wants("random_ast"):
        own = study.settings.ast
        untrained = replace(own.model, weights=None)
        features = ast_features(study.session, study.manifest, None, untrained, seed=own.fit.seed)
        families.append(Family(features=(features,)))
    return _together(families)


def _ast(study: Comparison) -> Family:
    session, manifest, task, settings = study.session, study.manifest, study.task, study.settings.ast
    banks = filter_banks(session, manifest)
    trained = ast(session, manifest, banks, study.labels, task.classes, settings, multi_label=task.multi_label)
    features = ast_features(session, manifest, trained, settings.model)
    return Family(trained=(banks, trained), features=(features,), scores={"ast_head": features})


def _spectrograms(study: Comparison, manifest: Manifest) -> Entry:
    return spectrograms(study.session, manifest, study.settings.audio, study.codec.sample)


def _conv_features(study: Comparison, method: Baseline, encoder: Entry | None) -> Entry:
    audio, settings = study.settings.audio, study.settings.baselines
    return baseline_features(study.session, study.manifest, audio, study.codec.sample, method, encoder, settings)


def labels_of(manifest: Manifest, task: ProbeTask) -> dict[str, Label | None]:
    """The class of each clip by name, or its classes where there may be several; None where nothing is known."""
    several = [
        tuple(task.classes[number] for number in np.flatnonzero(targets)) for targets in task.targets
    ]  # (clips, classes) -> names
    return {
        clip.name: (names if task.multi_label else names[0]) if names else None
        for clip, names in zip(manifest.clips, several, strict=True)
    }
