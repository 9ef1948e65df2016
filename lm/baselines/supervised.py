"""An encoder trained end to end with labels: a supervised baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lm.baselines.clip_batches import StoredClips
from lm.baselines.encoder import BlockEncoder, ConvEncoderConfig, create_encoder
from lm.baselines.labelled_batches import LabelledBatch
from lm.pooling import Means, pool_batch, pooling_parts
from lm.vectors import VectorConfig
from wordless.base.errors import InputError
from wordless.base.ranges import require

Label = str | Sequence[str]  # a class, or any number of classes


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Options of the classification head."""

    pooling: Means = "thirds"  # of the last block's frames
    dropout: float = 0.3
    label_smoothing: float = 0.1  # share of the target that is spread over all classes; only for single labels

    def __post_init__(self) -> None:
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            require(0 <= value < 1, f"head.{name}", value, "choose 0 (none) or a share below 1")

    def reads(self, vectors: VectorConfig) -> VectorConfig:
        """Add the vectors that the head reads: the last block under its own pooling."""
        poolings = dict.fromkeys([*vectors.poolings, self.pooling])
        return replace(vectors, poolings=tuple(poolings), layers=("each", "together"))


class Classifier(nn.Module):
    """Encoder, pooling over time, and a linear head."""

    def __init__(self, encoder: BlockEncoder, classes: int, config: HeadConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        parts = len(pooling_parts(1, config.pooling))
        self.head = nn.Linear(parts * encoder.dim, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map the encoder's inputs ``(batch, time, ...)`` to logits ``(batch, classes)``."""
        frames, steps = self.encoder(inputs, lengths)
        logits: Tensor = self.head(self.dropout(pool_batch(frames, steps, self.config.pooling)))
        return logits


def create_classifier(encoder: ConvEncoderConfig, classes: int, config: HeadConfig, *, seed: int) -> Classifier:
    """Create a convolutional model whose weights follow from the seed."""
    return attach_head(create_encoder(encoder, seed=seed), classes, config, seed=seed)


def attach_head(encoder: BlockEncoder, classes: int, config: HeadConfig, *, seed: int) -> Classifier:
    """Put a head, whose weights follow from the seed, behind an encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(encoder, classes, config)


def class_targets(labels: Sequence[Label], classes: Sequence[str], *, multi_label: bool) -> Tensor:
    """Convert labels to targets: ``(clips,)`` int64, or ``(clips, classes)`` of 0 and 1 if several are allowed."""
    number = {name: index for index, name in enumerate(classes)}
    names = [(label,) if isinstance(label, str) else tuple(label) for label in labels]
    for unknown in sorted({name for each in names for name in each} - set(number)):
        raise InputError(f"the label {unknown!r} is none of {len(number)} classes; name it among the classes")
    targets = torch.zeros(len(names), max(len(classes), 1))
    for row, each in enumerate(names):
        if len(each) != 1 and not multi_label:
            raise InputError(f"a clip has {len(each)} labels; give each exactly one, or set multi_label")
        targets[row, [number[name] for name in each]] = 1
    return targets if multi_label else targets.argmax(1)


def class_scores(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Convert logits to probabilities: of exclusive classes, or of each class separately."""
    return logits.sigmoid() if multi_label else logits.softmax(-1)


def class_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float) -> Tensor:
    """Sum the cross entropy in nats over the clips; with several labels, that of a clip is the mean over the classes.

    ``label_smoothing`` is the share of the target that is spread over all classes; only for single labels.
    """
    if targets.ndim == 2:
        each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return each.mean(1).sum()
    return nn.functional.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="sum")


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """The loss of a classifier for the training loop."""

    label_smoothing: float  # in training alone

    def __call__(self, model: nn.Module, batch: LabelledBatch) -> tuple[Tensor, int]:
        """Sum the loss over the clips of the batch; also return the number of clips."""
        logits = model(batch.inputs, batch.lengths).float()
        smoothing = self.label_smoothing if model.training else 0.0
        return class_loss(logits, batch.targets, label_smoothing=smoothing), len(logits)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSplit:
    """The labelled clips of one split, and their labels by name in the order of the clips."""

    clips: StoredClips
    labels: Mapping[str, Label]

    @classmethod
    def of(cls, clips: StoredClips, names: Sequence[str], labels: Mapping[str, Label | None]) -> "LabelledSplit":
        """Select the clips that have a label in ``labels``; names with None or without an entry are left out."""
        known = {name: label for name in names if (label := labels.get(name)) is not None}
        return cls(clips=clips.of_rows([row for row, name in enumerate(names) if name in known]), labels=known)

    def targets(self, classes: Sequence[str], *, multi_label: bool) -> Tensor:
        """Convert the labels to targets, as `class_targets` does."""
        return class_targets(list(self.labels.values()), classes, multi_label=multi_label)
