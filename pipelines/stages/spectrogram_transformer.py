"""AST: end-to-end fine-tuning on labelled clips, and features of its layers for probes.

AST is the Audio Spectrogram Transformer (Gong, Chung and Glass, 2021, arXiv:2104.01778): as it comes, with the weights
of a local folder or random ones, and trained by the one training loop.
"""

from functools import partial
from pathlib import Path

from lm.bodies.augmentation import augment
from lm.bodies.clips import StoredClips
from lm.bodies.options import AstConfig
from lm.bodies.spectrogram_transformer import (
    AstClassifier,
    AstEncoder,
    AstReader,
    create_classifier,
    frames_of,
    is_audio_model,
    patches_along,
    save_classifier,
    stored_deviation,
    weights_hash,
)
from pipelines.stages.features import Reading, network_features, own_scores
from pipelines.stages.labels import LabelledTraining, Labels, train_classifier
from pipelines.stages.options import AstSettings
from pipelines.stages.stored_arrays import TRAINED_ON, measured_statistics, split_filter_banks
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, other_options
from wordless.audio.recordings.manifest import Manifest


def ast(session: Session, manifest: Manifest, banks: Entry, labels: Labels, settings: AstSettings) -> Entry:
    """Fine-tune AST end to end on the training clips that have a label; the entry is a classifier's folder.

    Augmentation is that of the supervised encoder. ``banks`` are the `filter_banks` of the manifest.
    """
    config, fit, classes = settings.model, settings.fit, labels.classes
    options = {"ast": {**other_options(settings), "model": _sizes(config)}}

    def create(train: StoredClips) -> AstClassifier:
        longest = min(int(train.lengths.max()), settings.batches.max_frames)
        model = create_classifier(config, longest, len(classes), multi_label=labels.multi_label, seed=fit.seed)
        _normalise(model.encoder, config, banks)
        return model

    return train_classifier(
        session,
        f"AST {config.size}",
        Recipe("ast", 2, config=options, inputs={"filter banks": banks, "weights": weights_hash(config.weights)}),
        labels,
        [split_filter_banks(banks, manifest, split) for split in TRAINED_ON],
        LabelledTraining(
            option="ast.fit",
            batches=settings.batches,
            make_view=partial(augment, config=settings.augmentation, std=stored_deviation()),
            device=session.gang.device,
            label_smoothing=settings.label_smoothing,
            fit=fit,
        ),
        create=create,
        save=lambda model, folder: save_classifier(model, config, classes, folder),
    )


def _normalise(encoder: AstEncoder, config: AstConfig, banks: Entry) -> None:
    """Set the statistics of the training clips, unless AST's own weights come with theirs."""
    if config.weights is None or not is_audio_model(Path(config.weights)):
        measured = measured_statistics(banks)
        encoder.mean.fill_(measured.mean)
        encoder.std.fill_(measured.std)


def ast_features(reading: Reading, ast_entry: Entry | None, config: AstConfig, *, seed: int = 0) -> Entry:
    """Compute pooled states of some layers and the clip vector of every clip, under the keys of `features`.

    The method is ``ast``, with the fine-tuned model of ``ast_entry`` or the weights of ``config``, or ``random_ast``
    without either. Without ``ast_entry`` nothing is fitted, so all folds of a corpus share the entry. With it, the
    entry also has the head's ``scores (clips, classes)``.

    A clip is read in pieces of ``config.patches`` patches, which do not attend to each other; borders of pieces lie at
    multiples of ``config.patches`` times 100 ms.
    """
    method = "ast" if ast_entry or config.weights else "random_ast"
    clips, vectors = reading.manifest.clips, reading.vectors
    reader = AstReader(
        root=reading.manifest.root,
        config=config,
        classifier=ast_entry.folder if ast_entry else None,
        frames=frames_of(min(max(map(patches_along, clips), default=1), config.patches)),
        seed=seed,
        device=str(reading.session.gang.device),
        vectors=vectors,
    )
    return network_features(
        reading,
        method,
        1,
        {"ast": {"model": _sizes(config), "fit": {"seed": seed}}, "compare": vectors.key},
        {**reading.sound, "weights": ast_entry or weights_hash(config.weights)},
        lambda: reading.session.each(method, reader, clips),
        head=own_scores if ast_entry else None,
    )


def _sizes(config: AstConfig) -> dict[str, object]:
    """Return the options that decide the bytes, without the weights."""
    return other_options(config, "weights")
