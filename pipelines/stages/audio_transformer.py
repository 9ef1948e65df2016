"""The Audio Transformer: end-to-end training on labelled waveforms, and features of its layers for probes.

Verma and Berger, 2021 (arXiv:2105.00335); see `lm.bodies.audio_transformer`. It is trained as the supervised encoder
of spectrograms is, by the one training loop.
"""

from functools import partial

from lm.bodies.audio_transformer import (
    SavedAudioTransformer,
    WaveformReader,
    create_classifier,
    save_classifier,
)
from lm.bodies.augmentation import augment_waveforms
from lm.bodies.convolutional import head_scores
from pipelines.stages.features import Reading, network_features
from pipelines.stages.labels import LabelledTraining, Labels, train_classifier
from pipelines.stages.options import AudioTransformerSettings
from pipelines.stages.stored_arrays import TRAINED_ON, Sound
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe

VALIDATION_SECONDS = 30  # of a validation clip, from its beginning, at most


def audio_transformer(
    session: Session,
    sound: Sound,
    labels: Labels,
    settings: AudioTransformerSettings,
    *,
    method: str = "audio_transformer",
) -> Entry:
    """Train an encoder of waveforms and its head on the training clips that have a label.

    The entry is a folder for `load_classifier`. Only labels of training and validation clips are used. ``method`` names
    the training on the terminal.
    """
    fit, head, rate = settings.fit, settings.head, sound.sample_rate
    saved = SavedAudioTransformer(
        audio_transformer=settings.model,
        sample_rate=rate,
        head=head,
        classes=tuple(labels.classes),
        multi_label=labels.multi_label,
    )
    config = {"audio_transformer": settings, **sound.audio}
    return train_classifier(
        session,
        f"Audio Transformer, {settings.model.variant}",
        Recipe("audio_transformer", 2, config=config, inputs={"waveforms": sound.waveforms}),
        labels,
        [sound.of_split(split) for split in TRAINED_ON],
        LabelledTraining(
            option="audio_transformer.fit",
            batches=settings.batches.at_rate(rate),
            make_view=partial(augment_waveforms, config=settings.augmentation),
            label_smoothing=head.label_smoothing,
            fit=fit,
            at_most=VALIDATION_SECONDS * rate,
        ),
        create=lambda _: create_classifier(saved, seed=fit.seed),
        save=lambda model, folder: save_classifier(model, saved, folder),
        method=method,
    )


def audio_transformer_features(
    reading: Reading, method: str, trained: Entry | None, settings: AudioTransformerSettings
) -> Entry:
    """Compute pooled states of every layer, and of all layers side by side, from the recordings.

    A trained encoder also gives its class probabilities: ``scores (clips, classes)``. Without ``trained`` nothing is
    fitted, so all folds of a corpus share the entry.
    """
    model, vectors, rate = settings.model, reading.vectors, reading.audio.sample_rate
    own = {"model": model} if trained else {"model": model, "fit": {"seed": settings.fit.seed}}
    reader = WaveformReader(
        root=reading.manifest.root,
        config=model,
        sample_rate=rate,
        classifier=trained.folder if trained else None,
        seed=settings.fit.seed,
        device=str(reading.session.gang.device),
        vectors=settings.head.reads(vectors) if trained else vectors,
    )
    return network_features(
        reading,
        method,
        1,
        {"audio_transformer": own, "audio": {"sample_rate": rate}, "compare": vectors.network_key},
        {**reading.sound, "encoder": trained},
        lambda: reading.session.each(method, reader, reading.manifest.clips),
        keys=vectors.keys(model.layers, layer="layer", together="all_layers"),
        head=partial(head_scores, trained.folder, last=f"layer_{model.layers}") if trained else None,
    )
