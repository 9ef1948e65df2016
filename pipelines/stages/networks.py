"""Networks that learn labels: a body and a head, trained for the comparison and for ``wordless finetune``.

Probes read the layers of the body. SimCLR and wav2vec 2.0 train their bodies without labels before:
`stages.pretraining`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from lm.bodies.audio_transformer import AudioTransformerBody
from lm.bodies.body import Source, freeze
from lm.bodies.clips import CPU, ClipViews, LabelledBatches, StoredClips, augment, augment_waveforms, validation_batches
from lm.bodies.convolutional import ConvBody, SpectrogramReader
from lm.bodies.options import ClipBatchConfig, HeadConfig
from lm.bodies.spectrogram_transformer import OPTION, PATCH, STRIDE, AstBody, ast_source, is_audio_model, patches_along
from lm.bodies.wav2vec2 import Wav2vec2Body
from lm.finetuned import FineTunedModel, create_network, task_loss
from lm.finetuning import ClassificationOptions, FrozenLayers
from lm.heads import ClassificationTask, Task
from lm.layers import LayerReader
from lm.options import VectorConfig
from pipelines.stages.features import ClipReading, network_features
from pipelines.stages.options import AstSettings, AudioTransformerSettings, BaselineSettings, FinetuningSettings
from pipelines.stages.stored_arrays import TRAINED_ON, measured_statistics, stored_clips, stored_std
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, other_options, some_options, text_hash
from wordless.audio.recordings.manifest import Clips, Split
from wordless.audio.views import View
from wordless.training.options import FitConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    """The inputs of clips that have a label."""

    clips: StoredClips
    names: Sequence[str]
    labels: Sequence[str]

    @property
    def key(self) -> str:
        return text_hash(json.dumps([*zip(self.names, self.labels, strict=True)]))


@dataclass(frozen=True, kw_only=True)
class LabelTraining:
    """How a body and a head learn labels."""

    option: str  # the group of the fit's options
    batches: ClipBatchConfig  # counted in inputs
    fit: FitConfig
    frozen: FrozenLayers = 0
    at_most: int | None = None  # inputs of a validation clip, from its beginning; None: all


def train_on_labels(
    session: Session,
    recipe: Recipe,
    source: Source,
    task: Task,
    train: LabelledInputs,
    validation: LabelledInputs,
    training: LabelTraining,
    *,
    method: str | None = None,
    write: Callable[[FineTunedModel, Path], None] = lambda model, folder: None,
    files: Sequence[str] = (),
) -> Entry:
    """Train a body with a head; the entry is a folder of `FineTunedModel`.

    ``recipe`` gets the task, the labels and the weights that the training begins with. ``method`` names the training on
    the terminal, if it is not the recipe's stage. ``write`` writes other ``files`` into the entry.
    """
    fit = training.fit
    recipe = replace(
        recipe,
        config={**recipe.config, "head": task.name, "task": asdict(task)},
        inputs={**recipe.inputs, "train": train.key, "validation": validation.key, "weights": source.fingerprint},
    )

    def make(folder: Path) -> None:
        device, own = session.gang.device if source.changes_on_device else CPU, training.batches
        views = ClipViews(train.clips, own, source.change, device=device)
        batches = LabelledBatches(views=views, targets=task.targets(train.labels))
        held_out = validation_batches(
            validation.clips,
            task.targets(validation.labels),
            batch_size=own.batch_size,
            at_most=training.at_most,
            most_inputs=own.batch_size // fit.accumulation * own.max_frames,  # no more than a part of a training batch
        )
        network = create_network(source.body, source.create(seed=fit.seed), task, seed=fit.seed)
        freeze(network.body, training.frozen)
        stage = method or recipe.stage
        session.train(stage, training.option, network, batches, held_out, partial(task_loss, task=task), fit, folder)
        if session.gang.rank == 0:
            model = FineTunedModel(network, source.body, task)
            model.write(folder)
            write(model, folder)

    files = [*TRAINED, *files]
    title = f"{method or task.name}, {fit.summary}"
    return session.obtain(recipe, title, make, files=files, together=True, training=method)


VALIDATION_FRAMES, VALIDATION_SECONDS = 3000, 30  # of a validation clip, from its beginning, at most
PROJECTED = 256  # width to which heads of speech models project the mean over time, as in transformers


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the comparison, and how it learns labels."""

    reader: LayerReader  # of recordings and layers, with the weights that the network has before it learns labels
    layers: int  # that are read
    sizes: Mapping[str, object]  # options that decide the body
    inputs: Mapping[str, object]  # of a recipe of features: the recordings, and the weights
    stage: str  # of the training
    version: int  # of the stage
    options: Mapping[str, object]  # of the training
    source: Callable[[Entry, int], Source]  # of the stored inputs of the clips, and the longest training clip
    training: LabelTraining
    head: HeadConfig
    normalised: bool = False  # see `ClassificationTask`
    projected: int | None = None

    def train(
        self,
        reading: ClipReading,
        data: Entry,
        classes: Sequence[str],
        separator: str | None = None,
        *,
        method: str | None = None,
    ) -> Entry:
        """Train body and head on the training clips that have a label, and choose the step by those of validation.

        ``data`` are the stored inputs of the clips. ``separator`` stands between several classes of one clip; None:
        each clip has one. ``method`` names the training on the terminal.
        """
        options = ClassificationOptions(**asdict(self.head), label_separator=separator)
        task = ClassificationTask(
            options=options, classes=tuple(classes), normalised=self.normalised, projected=self.projected
        )
        train, validation = (_labelled(data, reading.manifest, split, options) for split in TRAINED_ON)
        longest = min(int(train.clips.lengths.max(initial=1)), self.training.batches.max_frames)
        return train_on_labels(
            reading.session,
            Recipe(self.stage, self.version, config=self.options, inputs={"data": data}),
            self.source(data, longest),
            task,
            train,
            validation,
            self.training,
            method=method,
        )

    def features(self, reading: ClipReading, method: str, trained: Entry | None = None) -> Entry:
        """Compute pooled states of the layers, and of all layers side by side, from the recordings.

        A network that was ``trained`` on labels also gives its class probabilities: ``scores (clips, classes)``.
        """
        reader = self.reader if trained is None else self.reader_of(trained, reading.vectors)
        return network_features(
            reading,
            method,
            3,
            reader,
            layers=self.layers,
            config={"compare": reading.vectors.network_key, **self.sizes},
            inputs=self.inputs if trained is None else {**self.inputs, "weights": trained},
            classifier=trained,
        )

    def reader_of(self, trained: Entry, vectors: VectorConfig) -> LayerReader:
        """Return the reader of the trained network, which also gives the vectors that its head reads."""
        return replace(self.reader, trained=trained.place, vectors=self.head.reads(vectors))


def _labelled(data: Entry, manifest: Clips, split: Split, options: ClassificationOptions) -> LabelledInputs:
    """Return the stored inputs of the clips of a split that have a label."""
    clips = manifest.of(split)
    rows = [row for row, clip in enumerate(clips) if clip.label and options.names(clip.label)]
    return LabelledInputs(
        clips=stored_clips(data, split).of_rows(rows),
        names=[clips[row].name for row in rows],
        labels=[clips[row].label or "" for row in rows],
    )


def _read_by(reading: ClipReading) -> dict[str, Any]:
    """Return the options that all readers have."""
    device = str(reading.session.gang.device)
    return {"root": reading.manifest.root, "device": device, "vectors": reading.vectors}


def convolutional(
    reading: ClipReading, sample: Entry, settings: BaselineSettings, *, simclr: Entry | None = None
) -> Network:
    """Describe the convolutional encoder of log-mel, which the statistics of ``sample`` normalise."""
    own, body = settings.supervised, ConvBody(encoder=settings.encoder, audio=reading.audio)

    def source(data: Entry, longest: int) -> Source:
        change = partial(augment, config=own.augmentation, std=stored_std(data))
        return Source(body=body, weights=None, fingerprint="", change=change, changes_on_device=True)

    return Network(
        reader=LayerReader(
            frames=SpectrogramReader(root=reading.manifest.root, audio=reading.audio, sample=sample.folder),
            body=body,
            weights=simclr.place if simclr else None,
            seed=settings.seed,
            **_read_by(reading),
        ),
        layers=len(settings.encoder.channels),
        sizes={"baselines": some_options(settings, "encoder"), "audio": reading.audio},
        inputs={**reading.sound, "sample": sample, "weights": simclr or f"random {settings.seed}"},
        stage="supervised",
        version=5,
        options={"baselines": some_options(settings, "encoder", "supervised")},
        source=source,
        training=LabelTraining(
            option="baselines.supervised.fit", batches=own.batches, fit=own.fit, at_most=VALIDATION_FRAMES
        ),
        head=own.head,
    )


def ast(reading: ClipReading, settings: AstSettings) -> Network:
    """Describe AST as it is fine-tuned (Gong, Chung and Glass, 2021): the head reads its normalised clip vector.

    Without AST's own weights, filter banks are normalised with the statistics of the training clips. A clip is read in
    pieces of ``patches`` patches, which do not attend to each other. Until AST is trained it has random weights.
    """
    config, sizes = settings.model, other_options(settings.model, "weights")
    folder = None if config.weights is None else Path(config.weights)
    head = HeadConfig(pooling="mean", dropout=0.0, label_smoothing=settings.label_smoothing)

    def source(data: Entry, longest: int) -> Source:
        body = AstBody.of(
            config,
            option=OPTION,
            clip_vector=True,
            positions=min(max(longest - PATCH, 0) // STRIDE + 1, config.patches),
            statistics=None if folder is not None and is_audio_model(folder) else measured_statistics(data),
        )
        return replace(ast_source(body, folder, settings.augmentation), option=OPTION)

    longest = max((patches_along(View(clip)) for clip in reading.manifest.clips), default=1)
    body = AstBody(ast=replace(config, weights=None), clip_vector=True, positions=min(longest, config.patches))
    return Network(
        reader=LayerReader(body=body, seed=settings.fit.seed, **_read_by(reading)),
        layers=len(config.layers),
        sizes={"ast": {"model": sizes}},
        inputs={**reading.sound, "weights": f"random {settings.fit.seed}"},
        stage="ast",
        version=3,
        options={"ast": {**other_options(settings), "model": sizes}},
        source=source,
        training=LabelTraining(option="ast.fit", batches=settings.batches, fit=settings.fit, at_most=VALIDATION_FRAMES),
        head=head,
        normalised=True,
    )


def audio_transformer(reading: ClipReading, settings: AudioTransformerSettings) -> Network:
    """Describe the Audio Transformer of waveforms (Verma and Berger, 2021): see `lm.bodies.audio_transformer`."""
    rate = reading.audio.sample_rate
    body, of_rate = AudioTransformerBody(audio_transformer=settings.model, sample_rate=rate), {"sample_rate": rate}
    change = partial(augment_waveforms, config=settings.augmentation)
    return Network(
        reader=LayerReader(body=body, seed=settings.fit.seed, **_read_by(reading)),
        layers=settings.model.layers,
        sizes={"audio_transformer": {"model": settings.model}, "audio": of_rate},
        inputs={**reading.sound, "weights": f"random {settings.fit.seed}"},
        stage="audio_transformer",
        version=3,
        options={"audio_transformer": settings, "audio": of_rate},
        source=lambda data, longest: Source(body=body, weights=None, fingerprint="", change=change),
        training=LabelTraining(
            option="audio_transformer.fit",
            batches=settings.batches.at_rate(rate),
            fit=settings.fit,
            at_most=VALIDATION_SECONDS * rate,
        ),
        head=settings.head,
    )


def speech(reading: ClipReading, pretrained: Source, settings: FinetuningSettings) -> Network:
    """Describe a pre-trained speech model. A clip is in memory as a whole.

    Models that were trained on no clip of the corpus give all folds the same entry.
    """
    rate, body = reading.audio.sample_rate, cast(Wav2vec2Body, pretrained.body)
    return Network(
        reader=LayerReader(body=body, weights=pretrained.weights, **_read_by(reading)),
        layers=body.architecture.layers,
        sizes={"audio": {"sample_rate": rate}},
        inputs={**reading.sound, "weights": pretrained.fingerprint},
        stage="wav2vec2_finetuned",
        version=6,
        options={"wav2vec2": {"finetuning": settings}, "audio": {"sample_rate": rate}},
        source=lambda data, longest: replace(pretrained, body=replace(body, masking=settings.masking)),
        training=LabelTraining(
            option="wav2vec2.finetuning.fit",
            batches=settings.batches.at_rate(rate),
            fit=settings.fit,
            frozen="inputs" if settings.freeze_convolutions else 0,
            at_most=VALIDATION_SECONDS * rate,
        ),
        head=HeadConfig(pooling="mean", dropout=0.0, label_smoothing=settings.label_smoothing),
        projected=PROJECTED,
    )
