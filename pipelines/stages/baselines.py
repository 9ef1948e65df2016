"""Baseline encoders of spectrograms: training (SimCLR, supervised) and features of recordings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import nn

from audio.recordings.manifest import SPLITS, Manifest, audio_hash
from audio.spectrogram import SpectrogramConfig
from foundation.saved_models import CONFIG, WEIGHTS, write_tensors
from lm.baselines import simclr as contrasting
from lm.baselines import supervised as labelling
from lm.baselines.augmentation import AugmentationConfig
from lm.baselines.block_features import EncoderLoader, block_features, head_scores
from lm.baselines.encoder import ConvEncoderConfig
from lm.baselines.simclr import PairBatches, create_simclr, validation_pairs
from lm.baselines.spectrogram_reader import SpectrogramReader
from lm.baselines.spectrograms import AugmentedClips, SpectrogramBatchConfig
from lm.baselines.supervised import HeadConfig, Label, LabelledBatches, LabelledSplit, create_classifier
from lm.contrast import ContrastConfig
from lm.pooling import POOLINGS
from pipelines.stages.spectrogram import stored_spectrograms, stored_std
from pipelines.stages.stored_arrays import TRAINED_ON
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, text_hash, write_json
from pipelines.store.stored_features import FEATURES, SCORES, of_method, stacked_rows, write_features, write_scores
from pipelines.store.training_curve import CURVE, numeric
from training.state import FitConfig

TRAINED = (WEIGHTS, CONFIG, CURVE)  # files of a trained encoder


@dataclass(frozen=True, kw_only=True)
class SimclrSettings:
    """Options of the stage that trains SimCLR."""

    contrast: ContrastConfig
    augmentation: AugmentationConfig
    batches: SpectrogramBatchConfig
    fit: FitConfig


@dataclass(frozen=True, kw_only=True)
class SupervisedSettings:
    """Options of the stage that trains the supervised encoder."""

    head: HeadConfig
    augmentation: AugmentationConfig
    batches: SpectrogramBatchConfig
    fit: FitConfig


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """Options of the baseline encoders of spectrograms."""

    encoder: ConvEncoderConfig
    simclr: SimclrSettings
    supervised: SupervisedSettings
    seed: int  # of the untrained encoder


def simclr(
    session: Session, spectrograms: Entry, extra_spectrograms: Entry | None, settings: BaselineSettings
) -> Entry:
    """Train SimCLR on the training clips and on unlabelled clips; the entry holds its weights."""
    own = settings.simclr
    recipe = Recipe(
        stage="simclr",
        version=1,
        config={**asdict(own), "encoder": asdict(settings.encoder), "fit": numeric(own.fit)},
        inputs={"spectrograms": spectrograms.key, "extra": extra_spectrograms.key if extra_spectrograms else ""},
    )

    def make(folder: Path) -> None:
        train, held_out = (stored_spectrograms(spectrograms, split)[0] for split in ("train", "validation"))
        if extra_spectrograms:
            train = train.followed_by(stored_spectrograms(extra_spectrograms, "train")[0])
        std, temperature = stored_std(spectrograms), own.contrast.temperature
        views = AugmentedClips(train, own.batches, own.augmentation, std=std)
        batches = PairBatches(views=views, temperature=temperature)
        pairs = validation_pairs(held_out, own.batches, own.augmentation, std=std, temperature=temperature)
        model = create_simclr(settings.encoder, own.contrast, seed=own.fit.seed)
        session.train("SimCLR", "baselines.simclr.fit", model, batches, pairs, contrasting.loss, own.fit, folder)
        if session.gang.rank == 0:
            _save(folder, model, {"encoder": asdict(settings.encoder), "contrast": asdict(own.contrast)})

    return session.obtain(recipe, f"SimCLR, {own.fit.steps} steps", make, files=TRAINED, together=True)


def supervised(
    session: Session,
    spectrograms: Entry,
    labels: Mapping[str, Label | None],
    classes: Sequence[str],
    settings: BaselineSettings,
    *,
    multi_label: bool = False,
) -> Entry:
    """Train encoder and head on the training clips that have a label; the entry holds their weights.

    ``labels`` has each clip's class by name, or several classes with ``multi_label``; clips with None or without an
    entry are left out. Only labels of training and validation clips are used.
    """
    own = settings.supervised
    stored = [stored_spectrograms(spectrograms, split) for split in TRAINED_ON]
    train, held_out = (LabelledSplit.of(clips, names, labels) for clips, names in stored)
    # Clips without a label are in the key as None, because they decide the training set as the labels do.
    said = [[labels.get(name) for name in names] for _, names in stored]
    recipe = Recipe(
        stage="supervised",
        version=1,
        config={
            **asdict(own),
            "encoder": asdict(settings.encoder),
            "fit": numeric(own.fit),
            "classes": list(classes),
            "multi_label": multi_label,
        },
        inputs={"spectrograms": spectrograms.key, "labels": text_hash(json.dumps(said))},
    )

    def make(folder: Path) -> None:
        model = create_classifier(settings.encoder, len(classes), own.head, seed=own.fit.seed)
        targets, held_targets = (split.targets(classes, multi_label=multi_label) for split in (train, held_out))
        views = AugmentedClips(train.clips, own.batches, own.augmentation, std=stored_std(spectrograms))
        batches = LabelledBatches(views=views, targets=targets, label_smoothing=own.head.label_smoothing)
        validation = labelling.validation_clips(held_out.clips, held_targets, batch_size=own.batches.batch_size)
        option, loss = "baselines.supervised.fit", labelling.loss
        session.train("supervised encoder", option, model, batches, validation, loss, own.fit, folder)
        if session.gang.rank == 0:
            about = {"head": asdict(own.head), "classes": list(classes), "multi_label": multi_label}
            _save(folder, model, {"encoder": asdict(settings.encoder), **about})

    return session.obtain(recipe, f"supervised encoder, {own.fit.steps} steps", make, files=TRAINED, together=True)


def _save(folder: Path, model: nn.Module, about: Mapping[str, object]) -> None:
    write_tensors(folder / WEIGHTS, model.state_dict())
    write_json(folder / CONFIG, about)


def baseline_features(
    session: Session,
    manifest: Manifest,
    audio: SpectrogramConfig,
    sample: Entry,
    method: str,
    encoder_entry: Entry | None,
    settings: BaselineSettings,
) -> Entry:
    """Compute the pooled features of every block of an encoder, and of all blocks side by side, from the recordings.

    A supervised encoder also gives its class probabilities: ``scores (clips, classes)``.
    """
    recipe = Recipe(
        stage=f"{method}_features",
        version=1,
        config={
            "method": method,
            "poolings": POOLINGS,
            "audio": asdict(audio),
            "encoder": asdict(settings.encoder),
            "seed": None if encoder_entry else settings.seed,
        },
        inputs={
            "encoder": encoder_entry.key if encoder_entry else "",
            "sample": sample.key,
            "manifest": audio_hash(manifest, SPLITS),
        },
    )
    reader = SpectrogramReader(root=manifest.root, audio=audio, sample=sample.folder)
    folder_of_encoder = encoder_entry.folder if encoder_entry else None
    device = str(session.gang.device)
    loader = EncoderLoader(folder=folder_of_encoder, config=settings.encoder, seed=settings.seed, device=device)
    classifier = folder_of_encoder if method == "supervised" else None

    def make(folder: Path) -> None:
        rows = stacked_rows(session.each(method, partial(block_features, loader, reader), manifest.clips))
        tensors = of_method(method, rows)
        write_features(folder, tensors)
        if classifier:
            last = f"{method}/block_{len(settings.encoder.channels)}"
            pooled = {pooling: tensors[f"{last}:{pooling}"] for pooling in POOLINGS}
            write_scores(folder, head_scores(classifier, pooled))

    written = [FEATURES, SCORES] if classifier else [FEATURES]
    return session.obtain(recipe, f"{method} representations of {len(manifest.clips)} clips", make, files=written)
