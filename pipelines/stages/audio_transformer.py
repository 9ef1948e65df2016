"""The Audio Transformer: end-to-end training on labelled waveforms, and features of its layers for probes.

Verma and Berger, 2021 (arXiv:2105.00335); see `lm.bodies.audio_transformer`. It is trained as the supervised encoder
of spectrograms is, by the one training loop.
"""

from functools import partial
from pathlib import Path

from lm.bodies.audio_transformer import (
    SavedAudioTransformer,
    WaveformReader,
    create_classifier,
    save_classifier,
)
from lm.bodies.augmentation import augment_waveforms
from lm.bodies.convolutional import head_scores
from lm.options import ONE_HEARING, VectorConfig
from pipelines.stages.baselines import TRAINED
from pipelines.stages.features import hearings_hash
from pipelines.stages.labels import LabelledTraining, Labels, train_classifier
from pipelines.stages.options import AudioTransformerSettings
from pipelines.stages.stored_arrays import TRAINED_ON, split_waveforms
from pipelines.store.session import Session
from pipelines.store.store import METHOD, Entry, Recipe
from pipelines.store.stored_features import FEATURES, SCORES, stacked_rows, write_features
from wordless.audio.recordings.manifest import Manifest, recordings_hash

VALIDATION_SECONDS = 30  # of a validation clip, from its beginning, at most


def audio_transformer(
    session: Session,
    manifest: Manifest,
    sounds: Entry,
    sample_rate: int,
    labels: Labels,
    settings: AudioTransformerSettings,
    *,
    method: str = "audio_transformer",
) -> Entry:
    """Train an encoder of waveforms and its head on the training clips that have a label.

    ``sounds`` are the `waveforms` of the manifest at ``sample_rate``. The entry is a folder for `load_classifier`. Only
    labels of training and validation clips are used. ``method`` names the training on the terminal.
    """
    fit, head = settings.fit, settings.head
    saved = SavedAudioTransformer(
        audio_transformer=settings.model,
        sample_rate=sample_rate,
        head=head,
        classes=tuple(labels.classes),
        multi_label=labels.multi_label,
    )
    config = {"audio_transformer": settings, "audio": {"sample_rate": sample_rate}}
    return train_classifier(
        session,
        f"Audio Transformer, {settings.model.variant}",
        Recipe("audio_transformer", 2, config=config, inputs={"waveforms": sounds}),
        labels,
        [split_waveforms(sounds, manifest, split) for split in TRAINED_ON],
        LabelledTraining(
            option="audio_transformer.fit",
            batches=settings.batches.at_rate(sample_rate),
            make_view=partial(augment_waveforms, config=settings.augmentation),
            label_smoothing=head.label_smoothing,
            fit=fit,
            at_most=VALIDATION_SECONDS * sample_rate,
        ),
        create=lambda _: create_classifier(saved, seed=fit.seed),
        save=lambda model, folder: save_classifier(model, saved, folder),
        files=TRAINED,
        method=method,
    )


def audio_transformer_features(
    session: Session,
    manifest: Manifest,
    method: str,
    trained: Entry | None,
    settings: AudioTransformerSettings,
    sample_rate: int,
    vectors: VectorConfig = ONE_HEARING,
) -> Entry:
    """Compute pooled states of every layer, and of all layers side by side, from the recordings.

    A trained encoder also gives its class probabilities: ``scores (clips, classes)``. Without ``trained`` nothing is
    fitted, so all folds of a corpus share the entry.
    """
    model = settings.model
    own = {"model": model} if trained else {"model": model, "fit": {"seed": settings.fit.seed}}
    options = {METHOD: method, "audio_transformer": own, "audio": {"sample_rate": sample_rate}}
    options |= {"compare": vectors.network_key}
    inputs = {"recordings": recordings_hash(manifest), "hearings": hearings_hash(vectors), "encoder": trained}
    recipe = Recipe(f"{method}_features", 1, config=options, inputs=inputs)
    reader = WaveformReader(
        root=manifest.root,
        config=model,
        sample_rate=sample_rate,
        classifier=trained.folder if trained else None,
        seed=settings.fit.seed,
        device=str(session.gang.device),
        vectors=settings.head.reads(vectors) if trained else vectors,
    )

    def make(folder: Path) -> None:
        rows = stacked_rows(session.each(method, reader, manifest.clips))
        scores = head_scores(trained.folder, rows, last=f"layer_{model.layers}") if trained else None
        wanted = vectors.keys(model.layers, layer="layer", together="all_layers")
        write_features(folder, {key: rows[key] for key in wanted}, of=method, scores=scores)

    files = [FEATURES, SCORES] if trained else [FEATURES]
    return session.obtain(recipe, f"{method} representations of {len(manifest.clips)} clips", make, files=files)
