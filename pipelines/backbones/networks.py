"""Networks of the comparison: their inputs on disk, their layers as features, and how they learn labels.

A backbone with a head learns labels in the same way in ``wordless finetune``. The arrays of inputs are those that
`pipelines.stages.stored_arrays` draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lm.backbones.backbone import Backbone, BackboneSource
from lm.backbones.clips import (
    CPU,
    AugmentationConfig,
    ClipBatchConfig,
    ClipViews,
    LabelledBatches,
    StoredClips,
    augment,
    validation_batches,
)
from lm.backbones.convolutional import log_mel_pieces, num_frames
from lm.backbones.spectrogram_transformer import (
    AUDIOSET_STATISTICS,
    N_MELS,
    SAMPLE_RATE,
    SpectrogramStatistics,
    patches_along,
    spectrogram_frames_of,
    stored_filter_banks,
)
from lm.finetuned import FineTunedModel, create_network, freeze, task_loss
from lm.finetuning import ClassificationOptions, FrozenLayers, HeadConfig
from lm.heads import ClassificationTask, Task
from lm.layer_reader import LayerReader, head_scores
from lm.probing.vectors import Pooling
from pipelines.stages.features import ClipReading
from pipelines.stages.stored_arrays import TRAINED_ON, VALUES, read_clips, rows_of, write_clips
from pipelines.store.stage import Session, StageRun, stage
from pipelines.store.store import CachedArtifact, write_json
from pipelines.store.stored_features import write_features
from tokenizer.augmentations import SoundChanges
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.spectrogram import frame_statistics
from wordless.audio.views import View
from wordless.base.arrays import Array, fill, write_array
from wordless.base.files import list_hash
from wordless.base.options import NO_RESULT
from wordless.training import Examples, FitConfig

STD, _STATISTICS = "std.npy", "statistics.json"  # beside the values


def frame_seconds(artifact: CachedArtifact) -> float:
    """Return the seconds of a frame in an artifact of `spectrograms`."""
    audio = artifact.arguments["audio"]
    return float(audio["hop_length"]) / float(audio["sample_rate"])


def examples_of(clips: StoredClips, config: ClipBatchConfig, unit_seconds: float) -> Examples:
    """Describe what a training reads of clips, whose inputs last ``unit_seconds``."""
    mean, total = np.minimum(clips.lengths, config.max_frames).mean(), clips.lengths.sum()
    hours = float(total) * unit_seconds / 3600
    return Examples(batch_size=config.batch_size, seconds=float(mean) * unit_seconds, hours=hours)


def stored_clips(artifact: CachedArtifact, split: Split) -> StoredClips:
    """Return the clips of a split in an artifact of arrays, read in place."""
    return StoredClips.of(*read_clips(artifact.folder / VALUES)).of_rows(rows_of(artifact, split))


@dataclass(frozen=True, kw_only=True)
class AugmentedInputs:
    """The stored inputs of clips, and those of copies of the training clips with changed sound."""

    artifact: CachedArtifact
    copies: tuple[CachedArtifact, ...] = ()
    changed: float = 0.0  # share of draws of training clips in which a copy is heard

    def of(self, split: Split) -> StoredClips:
        copies = [stored_clips(each, split) for each in self.copies] if split == "train" else []
        return stored_clips(self.artifact, split).with_copies(copies, self.changed)


@stage("spectrograms", title="spectrograms of {clips} clips", splits=TRAINED_ON)
def spectrograms(run: StageRun, clips: Clips, audio: SpectrogramConfig, sample: CachedArtifact) -> None:
    """Write normalised log-mel, 16 bits, for SimCLR, denoising and the supervised encoder."""
    _write_spectrograms(run, clips, audio, sample, View)


@stage("changed_spectrograms", title="spectrograms of {clips} clips of changed sound", splits=("train",))
def changed_spectrograms(
    run: StageRun, clips: Clips, audio: SpectrogramConfig, sample: CachedArtifact, views: SoundChanges, number: int
) -> None:
    """Write the same of a copy of each clip with changed sound; ``number`` is that of the copy, and its seed."""
    _write_spectrograms(run, clips, audio, sample, partial(views.input_of, seed=number))


def _write_spectrograms(
    run: StageRun, clips: Clips, audio: SpectrogramConfig, sample: CachedArtifact, view_of: Callable[[Clip], View]
) -> None:
    lengths, file = [num_frames(View(clip), audio) for clip in clips.clips], run.folder / VALUES
    write, width = partial(_write_spectrogram, clips.root, audio, sample.folder, view_of), (audio.n_mels,)
    write_clips(run, "spectrograms", file, clips.clips, lengths, write, dtype=np.float16, width=width)
    write_array(run.folder / STD, frame_statistics(sample.folder)[1].numpy())


def _write_spectrogram(
    root: Path, audio: SpectrogramConfig, sample: Path, view_of: Callable[[Clip], View], frames: Array, clip: Clip
) -> None:
    pieces = [piece.numpy() for piece in log_mel_pieces(view_of(clip), root, audio, sample)]
    fill(frames, pieces)
    if left := len(frames) - sum(map(len, pieces)):  # a view of another dynamic range lacks a begun hop
        frames[-left:] = np.concatenate([piece.numpy() for piece in log_mel_pieces(View(clip), root, audio, sample)])[
            -left:
        ]


def stored_std(artifact: CachedArtifact) -> Tensor:
    """Read the divisor ``(mels,)`` of the log-mel in an artifact of `spectrograms`."""
    return torch.from_numpy(np.load(artifact.folder / STD))


@stage("filter_banks", title="filter banks of {clips} clips", splits=TRAINED_ON)
def filter_banks(run: StageRun, clips: Clips) -> None:
    """Write filter banks, 16 bits, for the fine-tuning of AST, and their statistics over the training clips."""
    lengths, file = [spectrogram_frames_of(patches_along(View(clip))) for clip in clips.clips], run.folder / VALUES
    write = partial(_write_filter_bank, clips.root)
    sums = write_clips(run, "filter banks", file, clips.clips, lengths, write, dtype=np.float16, width=(N_MELS,))
    training = len(clips.of("train"))
    total, squares, values = sum(map(np.array, sums[:training]), np.zeros(3))
    mean = total / max(values, 1)
    std = max(squares / max(values, 1) - mean**2, 1e-8) ** 0.5
    given = AUDIOSET_STATISTICS
    write_json(run.folder / _STATISTICS, {"mean": mean * given.std + given.mean, "std": std * given.std})


def _write_filter_bank(root: Path, frames: Array, clip: Clip) -> tuple[float, float, int]:
    """Write a clip's place ``(time, 128)``; return the sum of its values, of their squares, and their number."""
    sums, written = np.zeros(2), 0
    for piece in stored_filter_banks(read_blocks(root / clip.path, SAMPLE_RATE, part=clip.part)):
        frames[written : written + len(piece)] = piece
        sums += (piece.sum(dtype=np.float64), np.square(piece).sum(dtype=np.float64))
        written += len(piece)
    return float(sums[0]), float(sums[1]), written * N_MELS


def measured_statistics(artifact: CachedArtifact) -> SpectrogramStatistics:
    """Read the statistics of the training clips' filter banks before their normalisation."""
    return SpectrogramStatistics(**artifact.read_json(_STATISTICS))


def layer_reader(
    reading: ClipReading, backbone: Backbone, *, sample: CachedArtifact | None = None, **more: Any
) -> LayerReader:
    """Return what reads the layers of a network, whose weights ``more`` says; ``sample`` normalises log-mel."""
    about: dict[str, Any] = {"device": str(reading.device), "poolings": reading.vectors.poolings, **more}
    statistics = Path() if sample is None else sample.place
    return LayerReader(backbone=backbone, root=reading.manifest.root, statistics=statistics, **about)


@stage("{method}_features", title="{method} of {reading.title}", keys={"reader": lambda reader: None})
def network_features(
    run: StageRun,
    reading: ClipReading,
    method: str,
    reader: LayerReader,
    decides: object,
    *,
    classifier: CachedArtifact | None = None,
) -> None:
    """Compute the vectors of each clip by a network, under the keys ``method/layer:pooling``.

    ``decides`` says what beside the recordings decides them. With a ``classifier``, the network with its head, the
    artifact also has the class probabilities ``scores (clips, classes)`` of the head.
    """
    rows = run.each_together(method, reader, reader.backbone.groups(reading.views))
    if classifier is None:  # only the candidates of each clip take memory
        candidates, scores = reading.stacked(reader.backbone.candidates(row, reading.vectors) for row in rows), None
    else:
        pooled = reading.stacked(rows)
        candidates = reader.backbone.candidates(pooled, reading.vectors)
        scores = head_scores(classifier.folder, pooled, type(reader.backbone))
    write_features(run.folder, candidates, of=method, scores=scores)


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
    option: str = field(metadata=NO_RESULT)  # the group of the fit's options, for messages
    batches: ClipBatchConfig  # counted in inputs
    fit: FitConfig
    frozen: FrozenLayers = 0
    at_most: int | None = None  # inputs of a validation clip, from its beginning; None: all


def learn_labels(
    run: StageRun,
    source: BackboneSource,
    task: Task,
    train: LabelledInputs,
    validation: LabelledInputs,
    training: LabelTraining,
) -> FineTunedModel:
    """Train a backbone with a head in a stage; its artifact becomes a folder of `FineTunedModel`."""
    fit, device = training.fit, run.gang.device if source.changes_on_device else CPU
    views = ClipViews(train.clips, training.batches, source.change, device=device)
    batches = LabelledBatches(views=views, targets=task.targets(train.labels))
    size, targets = training.batches.batch_size, task.targets(validation.labels)
    most = size // fit.accumulation * training.batches.max_frames  # no more than a part of a training batch
    held_out = validation_batches(
        validation.clips, targets, batch_size=size, at_most=training.at_most, most_inputs=most
    )
    network = create_network(source.backbone, source.create(seed=fit.seed), task, seed=fit.seed)
    freeze(network.backbone, training.frozen)
    examples = examples_of(train.clips, training.batches, 1 / source.backbone.reading.inputs_per_second)
    run.fit(training.option, network, batches, held_out, partial(task_loss, task=task), fit, examples)
    model = FineTunedModel(network, source.backbone, task)
    if run.gang.rank == 0:
        model.write(run.folder)
    return model


def augmented(backbone: Backbone, config: AugmentationConfig) -> Callable[[AugmentedInputs, int], BackboneSource]:
    """Return the `Network.source` of a backbone with random weights that reads changed log-mel."""
    return partial(_augmented, backbone, config)


def whatever_the_inputs(source: BackboneSource, data: AugmentedInputs, longest: int) -> BackboneSource:
    """Return a source that is the same for all stored inputs, as of `Network.source`."""
    return source


def _augmented(backbone: Backbone, config: AugmentationConfig, data: AugmentedInputs, longest: int) -> BackboneSource:
    change = partial(augment, config=config, std=stored_std(data.artifact))
    return BackboneSource(backbone=backbone, weights=None, fingerprint="", change=change, changes_on_device=True)


VALIDATION_FRAMES, VALIDATION_SECONDS = 3000, 30  # of a validation clip, from its beginning, at most


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the comparison, and how it learns labels."""

    name: str  # of the stage that trains it
    reader: LayerReader  # of recordings and layers, with the weights that the network has before it learns labels
    decides: Mapping[str, object]  # options and weights that decide the layers before that
    learns: object  # the same that decide the training, beside those below
    # Of the stored inputs of the clips, and the longest training clip. Trainings may run in other processes, so it is a
    # function of a module, a method, or a `partial` of these.
    source: Callable[[AugmentedInputs, int], BackboneSource]
    training: LabelTraining
    head: HeadConfig
    normalised: bool = False  # see `ClassificationTask`
    projected: int | None = None

    @property
    def key(self) -> list[object]:
        return [self.learns, self.training, self.head, self.normalised, self.projected]

    def train(
        self,
        session: Session,
        reading: ClipReading,
        data: AugmentedInputs,
        classes: Sequence[str],
        separator: str | None = None,
        *,
        title: str = "",
    ) -> CachedArtifact:
        """Train backbone and head on the stored inputs ``data`` of clips with a label; validation chooses the step.

        ``separator`` stands between several classes of one clip. ``title`` names the training on the terminal.
        """
        session = session.named(title or session.training)
        return _train(session, self, reading.manifest, data, classes, separator)

    def features(
        self, session: Session, reading: ClipReading, method: str, trained: CachedArtifact | None = None
    ) -> CachedArtifact:
        """Pool the states of the layers; a network that was ``trained`` on labels also gives its class scores."""
        reader = self.reader if trained is None else self.reader_of(trained, reading.vectors.poolings)
        decides = self.decides if trained is None else {**self.decides, "weights": trained}
        return network_features(session, reading, method, reader, decides, classifier=trained)

    def reader_of(self, trained: CachedArtifact, poolings: Sequence[Pooling]) -> LayerReader:
        """Return the reader of the trained network, which also gives the vectors that its head reads."""
        needed = tuple(dict.fromkeys([*poolings, self.head.pooling]))
        return replace(self.reader, trained=trained.place, poolings=needed)


@stage(
    "{network.name}",
    title="{network.name}, {network.training.fit.summary}",
    splits=TRAINED_ON,
    keys={"clips": lambda clips: [[clip.name, clip.label] for clip in clips]},
    together=True,
)
def _train(
    run: StageRun, network: Network, clips: Clips, data: AugmentedInputs, classes: Sequence[str], separator: str | None
) -> None:
    options = ClassificationOptions(**asdict(network.head), label_separator=separator)
    task = ClassificationTask(
        options=options, classes=tuple(classes), normalised=network.normalised, projected=network.projected
    )
    train, validation = (_labelled(data, clips, split, task) for split in TRAINED_ON)
    longest = min(int(train.clips.lengths.max(initial=1)), network.training.batches.max_frames)
    learn_labels(run, network.source(data, longest), task, train, validation, network.training)


def _labelled(data: AugmentedInputs, manifest: Clips, split: Split, task: ClassificationTask) -> LabelledInputs:
    """Return the stored inputs of the clips of a split whose label has classes of the task alone."""
    clips, known = manifest.of(split), {*task.classes}
    names = [{*task.options.names(clip.label)} if clip.label else set[str]() for clip in clips]
    rows = [row for row, own in enumerate(names) if own and own <= known]
    return LabelledInputs(
        clips=data.of(split).of_rows(rows),
        names=[clips[row].name for row in rows],
        labels=[clips[row].label or "" for row in rows],
    )
