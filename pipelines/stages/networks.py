"""Networks that learn labels: a body and a head, trained for the comparison and for ``wordless finetune``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from lm.bodies.audio_transformer import AudioTransformerBody
from lm.bodies.body import Source, freeze
from lm.bodies.clips import CPU, ClipViews, LabelledBatches, StoredClips, augment, augment_waveforms, validation_batches
from lm.bodies.convolutional import ConvBody
from lm.bodies.options import ClipBatchConfig, HeadConfig
from lm.bodies.spectrogram_transformer import OPTION, PATCH, STRIDE, AstBody, ast_source, is_audio_model, patches_along
from lm.bodies.wav2vec2 import Wav2vec2Body
from lm.finetuned import FineTunedModel, create_network, task_loss
from lm.finetuning import ClassificationOptions, FrozenLayers
from lm.heads import ClassificationTask, Task
from lm.options import Pooling
from lm.pooled_states import LayerReader
from pipelines.stages.features import ClipReading, network_features
from pipelines.stages.options import AstSettings, AudioTransformerSettings, BaselineSettings, FinetuningSettings
from pipelines.stages.stored_arrays import TRAINED_ON, HeardClips, measured_statistics, stored_std
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry, other_options
from wordless.audio.recordings.manifest import Clips, Split
from wordless.audio.views import View
from wordless.base.saved_models import hugging_face_hash
from wordless.base.values import list_hash
from wordless.training.options import FitConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    clips: StoredClips
    names: Sequence[str]
    labels: Sequence[str]

    @property
    def key(self) -> str:
        return list_hash(zip(self.names, self.labels, strict=True))


@dataclass(frozen=True, kw_only=True)
class LabelTraining:
    option: str  # the group of the fit's options
    batches: ClipBatchConfig  # counted in inputs
    fit: FitConfig
    frozen: FrozenLayers = 0
    at_most: int | None = None  # inputs of a validation clip, from its beginning; None: all


def learn_labels(
    run: Run, source: Source, task: Task, train: LabelledInputs, validation: LabelledInputs, training: LabelTraining
) -> FineTunedModel:
    """Train a body with a head in a stage; its entry becomes a folder of `FineTunedModel`."""
    fit, device = training.fit, run.gang.device if source.changes_on_device else CPU
    views = ClipViews(train.clips, training.batches, source.change, device=device)
    batches = LabelledBatches(views=views, targets=task.targets(train.labels))
    size, targets = training.batches.batch_size, task.targets(validation.labels)
    most = size // fit.accumulation * training.batches.max_frames  # no more than a part of a training batch
    held_out = validation_batches(
        validation.clips, targets, batch_size=size, at_most=training.at_most, most_inputs=most
    )
    network = create_network(source.body, source.create(seed=fit.seed), task, seed=fit.seed)
    freeze(network.body, training.frozen)
    run.fit(training.option, network, batches, held_out, partial(task_loss, task=task), fit)
    model = FineTunedModel(network, source.body, task)
    if run.gang.rank == 0:
        model.write(run.folder)
    return model


VALIDATION_FRAMES, VALIDATION_SECONDS = 3000, 30  # of a validation clip, from its beginning, at most
PROJECTED = 256  # width to which heads of speech models project the mean over time, as in transformers


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the comparison, and how it learns labels."""

    name: str  # of the stage that trains it
    reader: LayerReader  # of recordings and layers, with the weights that the network has before it learns labels
    decides: Mapping[str, object]  # options and weights that decide the layers before that
    learns: object  # the same that decide the training, beside those below
    source: Callable[[HeardClips, int], Source]  # of the stored inputs of the clips, and the longest training clip
    training: LabelTraining
    head: HeadConfig
    normalised: bool = False  # see `ClassificationTask`
    projected: int | None = None

    @property
    def key(self) -> list[object]:
        return [self.learns, self.training, self.head, self.normalised, self.projected]

    def train(
        self,
        reading: ClipReading,
        data: HeardClips,
        classes: Sequence[str],
        separator: str | None = None,
        *,
        method: str = "",
    ) -> Entry:
        """Train body and head on the stored inputs ``data`` of clips with a label; validation chooses the step.

        ``separator`` stands between several classes of one clip. ``method`` names the training on the terminal.
        """
        session = replace(reading.session, training=method or reading.session.training)
        return _train(session, self, reading.manifest, data, classes, separator)

    def features(self, reading: ClipReading, method: str, trained: Entry | None = None) -> Entry:
        """Pool the states of the layers; a network that was ``trained`` on labels also gives its class scores."""
        reader = self.reader if trained is None else self.reader_of(trained, reading.vectors.poolings)
        decides = self.decides if trained is None else {**self.decides, "weights": trained}
        return network_features(reading.session, reading, method, reader, decides, classifier=trained)

    def reader_of(self, trained: Entry, poolings: Sequence[Pooling]) -> LayerReader:
        """Return the reader of the trained network, which also gives the vectors that its head reads."""
        needed = tuple(dict.fromkeys([*poolings, self.head.pooling]))
        return replace(self.reader, trained=trained.place, poolings=needed)


@stage(
    "{network.name}",
    version=7,
    title="{network.name}, {network.training.fit.summary}",
    splits=TRAINED_ON,
    keys={"clips": lambda clips: [[clip.name, clip.label] for clip in clips]},
    together=True,
)
def _train(
    run: Run, network: Network, clips: Clips, data: HeardClips, classes: Sequence[str], separator: str | None
) -> None:
    options = ClassificationOptions(**asdict(network.head), label_separator=separator)
    task = ClassificationTask(
        options=options, classes=tuple(classes), normalised=network.normalised, projected=network.projected
    )
    train, validation = (_labelled(data, clips, split, options) for split in TRAINED_ON)
    longest = min(int(train.clips.lengths.max(initial=1)), network.training.batches.max_frames)
    learn_labels(run, network.source(data, longest), task, train, validation, network.training)


def _labelled(data: HeardClips, manifest: Clips, split: Split, options: ClassificationOptions) -> LabelledInputs:
    """Return the stored inputs of the clips of a split that have a label."""
    clips = manifest.of(split)
    rows = [row for row, clip in enumerate(clips) if clip.label and options.names(clip.label)]
    return LabelledInputs(
        clips=data.of(split).of_rows(rows),
        names=[clips[row].name for row in rows],
        labels=[clips[row].label or "" for row in rows],
    )


def convolutional(
    reading: ClipReading, sample: Entry, settings: BaselineSettings, *, simclr: Entry | None = None
) -> Network:
    """Describe the convolutional encoder of log-mel, which the statistics of ``sample`` normalise."""
    own, body = settings.supervised, ConvBody(encoder=settings.encoder, audio=reading.audio)
    weights = simclr or f"random {settings.seed}"

    def source(data: HeardClips, longest: int) -> Source:
        change = partial(augment, config=own.augmentation, std=stored_std(data.entry))
        return Source(body=body, weights=None, fingerprint="", change=change, changes_on_device=True)

    return Network(
        name="supervised",
        reader=reading.reader(body, statistics=sample.place, weights=simclr and simclr.place, seed=settings.seed),
        decides={"encoder": settings.encoder, "audio": reading.audio, "sample": sample, "weights": weights},
        learns=[settings.encoder, other_options(own, "views")],
        source=source,
        training=LabelTraining(
            option="baselines.supervised.fit", batches=own.batches, fit=own.fit, at_most=VALIDATION_FRAMES
        ),
        head=own.head,
    )


def ast(reading: ClipReading, settings: AstSettings) -> Network:
    """Describe AST as it is fine-tuned (Gong, Chung and Glass, 2021): the head reads its normalised clip vector.

    Without AST's own weights, filter banks are normalised by the training clips. Pieces of ``patches`` patches do not
    attend to each other.
    """
    config, sizes = settings.model, other_options(settings.model, "weights")
    folder = None if config.weights is None else Path(config.weights)
    head = HeadConfig(pooling="mean", dropout=0.0, label_smoothing=settings.label_smoothing)

    def source(data: HeardClips, longest: int) -> Source:
        body = AstBody.of(
            config,
            option=OPTION,
            clip_vector=True,
            positions=min(max(longest - PATCH, 0) // STRIDE + 1, config.patches),
            statistics=None if folder is not None and is_audio_model(folder) else measured_statistics(data.entry),
        )
        return replace(ast_source(body, folder, settings.augmentation), option=OPTION)

    longest = max((patches_along(View(clip)) for clip in reading.manifest.clips), default=1)
    body = AstBody(ast=replace(config, weights=None), clip_vector=True, positions=min(longest, config.patches))
    return Network(
        name="ast",
        reader=reading.reader(body, seed=settings.fit.seed),
        decides={"ast": sizes, "weights": f"random {settings.fit.seed}"},
        learns=[sizes, settings.augmentation, folder and hugging_face_hash(folder)],
        source=source,
        training=LabelTraining(option="ast.fit", batches=settings.batches, fit=settings.fit, at_most=VALIDATION_FRAMES),
        head=head,
        normalised=True,
    )


def audio_transformer(reading: ClipReading, settings: AudioTransformerSettings) -> Network:
    """Describe the Audio Transformer of waveforms (Verma and Berger, 2021): see `lm.bodies.audio_transformer`."""
    rate = reading.audio.sample_rate
    body = AudioTransformerBody(audio_transformer=settings.model, sample_rate=rate)
    change = partial(augment_waveforms, config=settings.augmentation)
    return Network(
        name="audio_transformer",
        reader=reading.reader(body, seed=settings.fit.seed),
        decides={"model": settings.model, "sample_rate": rate, "weights": f"random {settings.fit.seed}"},
        learns=[settings.model, settings.augmentation, rate],
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
    """Describe a pre-trained speech model; one that heard no clip of the corpus gives all folds the same entry."""
    rate, body = reading.audio.sample_rate, cast(Wav2vec2Body, pretrained.body)
    return Network(
        name="wav2vec2_finetuned",
        reader=reading.reader(body, weights=pretrained.weights),
        decides={"sample_rate": rate, "weights": pretrained.fingerprint},
        learns=[settings.masking, rate, pretrained.fingerprint],
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
