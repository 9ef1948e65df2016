"""Baseline encoders of spectrograms: training (SimCLR, supervised) and features of recordings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import nn

from lm.bodies import simclr as contrasting
from lm.bodies.augmentation import augment
from lm.bodies.clips import ClipViews
from lm.bodies.convolutional import (
    BlockReader,
    SpectrogramReader,
    clips_together,
    create_classifier,
    head_scores,
)
from lm.bodies.options import ConvEncoderConfig
from lm.bodies.simclr import PairBatches, create_simclr, validation_pairs
from lm.probing.vectors import FloatArray
from pipelines.stages.features import Reading, network_features
from pipelines.stages.labels import LabelledTraining, Labels, train_classifier
from pipelines.stages.options import BaselineSettings
from pipelines.stages.stored_arrays import TRAINED_ON, stored_spectrograms, stored_std
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, some_options, write_json
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clip
from wordless.base.saved_models import CONFIG, WEIGHTS, write_tensors


def simclr(session: Session, spectrograms: Entry, extra: Sequence[Entry], settings: BaselineSettings) -> Entry:
    """Train SimCLR on the training clips and on each ``extra`` source of clips; the entry holds its weights."""
    own = settings.simclr
    config = {"baselines": some_options(settings, "encoder", "simclr")}
    recipe = Recipe("simclr", 3, config=config, inputs={"spectrograms": spectrograms, "unlabelled": extra})

    def make(folder: Path) -> None:
        train, held_out = (stored_spectrograms(spectrograms, split)[0] for split in TRAINED_ON)
        for source in extra:
            train = train.followed_by(stored_spectrograms(source, "train")[0])
        make_view = partial(augment, config=own.augmentation, std=stored_std(spectrograms))
        temperature = own.contrast.temperature
        views = ClipViews(train, own.batches, make_view, device=session.gang.device)
        batches = PairBatches(views=views, temperature=temperature)
        pairs = validation_pairs(held_out, own.batches, make_view, temperature=temperature)
        model = create_simclr(settings.encoder, own.contrast, seed=own.fit.seed)
        session.train("simclr", "baselines.simclr.fit", model, batches, pairs, contrasting.loss, own.fit, folder)
        if session.gang.rank == 0:
            save_network(model, folder, {"encoder": asdict(settings.encoder), "contrast": asdict(own.contrast)})

    return session.obtain(recipe, f"SimCLR, {own.fit.summary}", make, files=TRAINED, together=True)


def supervised(session: Session, spectrograms: Entry, labels: Labels, settings: BaselineSettings) -> Entry:
    """Train encoder and head on the training clips that have a label; the entry holds their weights.

    Only labels of training and validation clips are used.
    """
    own = settings.supervised
    config = {"baselines": some_options(settings, "encoder", "supervised")}
    about = {"encoder": asdict(settings.encoder), "head": asdict(own.head), **labels.options}
    return train_classifier(
        session,
        "supervised encoder",
        Recipe("supervised", 4, config=config, inputs={"spectrograms": spectrograms}),
        labels,
        [stored_spectrograms(spectrograms, split) for split in TRAINED_ON],
        LabelledTraining(
            option="baselines.supervised.fit",
            batches=own.batches,
            make_view=partial(augment, config=own.augmentation, std=stored_std(spectrograms)),
            device=session.gang.device,
            label_smoothing=own.head.label_smoothing,
            fit=own.fit,
        ),
        create=lambda _: create_classifier(settings.encoder, len(labels.classes), own.head, seed=own.fit.seed),
        save=lambda model, folder: save_network(model, folder, about),
    )


def save_network(model: nn.Module, folder: Path, about: Mapping[str, object]) -> None:
    """Write the weights of a network, and ``about`` as its config."""
    write_tensors(folder / WEIGHTS, model.state_dict())
    write_json(folder / CONFIG, about)


def baseline_features(
    reading: Reading, sample: Entry, method: str, encoder: Entry | None, settings: BaselineSettings
) -> Entry:
    """Compute the pooled features of every block of an encoder, and of all blocks side by side, from the recordings.

    A supervised encoder also gives its class probabilities: ``scores (clips, classes)``.
    """
    session, vectors = reading.session, reading.vectors
    classifier = encoder if method == "supervised" else None
    reader = SpectrogramReader(root=reading.manifest.root, audio=reading.audio, sample=sample.folder)
    pooled = settings.supervised.head.reads(vectors) if classifier else vectors
    work = BlockReader(
        frames=reader,
        device=str(session.gang.device),
        vectors=pooled,
        heard=reading.heard,
        folder=encoder.folder if encoder else None,
        config=settings.encoder,
        seed=settings.seed,
    )
    network = some_options(settings, "encoder", *([] if encoder else ["seed"]))
    return network_features(
        reading,
        method,
        2,
        {"compare": vectors.network_key, "audio": reading.audio, "baselines": network},
        {"encoder": encoder, "sample": sample, **reading.frames},
        lambda: session.each_together(method, work, clips_together(reader, reading.manifest.clips, pooled)),
        keys=vectors.keys(len(settings.encoder.channels), layer="block", together="all_blocks"),
        head=partial(score_last_block, classifier, settings.encoder) if classifier else None,
    )


def create_block_reader(
    root: Path, audio: SpectrogramConfig, sample: Entry, config: ConvEncoderConfig, encoder: Entry, *, device: str
) -> Callable[[Clip], dict[str, FloatArray]]:
    """Return a function that pools the blocks of an encoder for a clip below ``root``, in any process."""
    reader = SpectrogramReader(root=root, audio=audio, sample=sample.folder)
    blocks = BlockReader(frames=reader, device=device, folder=encoder.folder, config=config, seed=0)
    return partial(_features_of_clip, blocks)


def _features_of_clip(blocks: BlockReader, clip: Clip) -> dict[str, FloatArray]:
    [features] = blocks([clip])
    return features


def score_last_block(classifier: Entry, config: ConvEncoderConfig, pooled: Mapping[str, FloatArray]) -> FloatArray:
    """Apply a supervised head to the last of the pooled blocks: probabilities ``(clips, classes)``."""
    return head_scores(classifier.folder, pooled, last=f"block_{len(config.channels)}")
