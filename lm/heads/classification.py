"""Classification: one label for each clip, or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from lm.batches import IndexArray
from lm.heads.head import ClipHead, Figure, Groups, PooledTask, Probed, Row, figure
from lm.heads.options import ClassificationOptions, FigureConfig
from lm.options import FEWEST_RESAMPLES, ProbeConfig
from lm.probing.comparison import Decisions, Hits, Rankings
from lm.probing.probe import probe_method
from lm.probing.task import BoolArray, ProbeTask
from lm.probing.vectors import FloatArray
from wordless.base.errors import require

SHOWN = 10  # classes in a summary
LEAST_SHARE = 1e-6  # of a class, whose logarithm must be finite


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(PooledTask):
    """The classes, and how they are learned. Outputs are logits ``(1, classes)``."""

    options: ClassificationOptions
    classes: tuple[str, ...]  # sorted
    normalised: bool = False  # whether the head normalises pooled states, as that of AST does
    projected: int | None = None  # width to which the head projects pooled states, as those of speech models; None: not

    def __post_init__(self) -> None:
        require(len({*self.classes}) >= 2, "classes", list(self.classes), "there must be at least 2 different ones")

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several classes."""
        return self.options.label_separator is not None

    @property
    def summary(self) -> str:
        """The first classes by name, and their number."""
        more = ", ..." if len(self.classes) > SHOWN else ""
        return f"{len(self.classes)} classes: {', '.join(self.classes[:SHOWN])}{more}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        """Create the module."""
        return ClipHead(
            dim,
            len(self.classes),
            pooling=self.options.pooling,
            dropout=self.options.dropout,
            normalised=self.normalised,
            projected=self.projected,
        )

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert labels to classes ``(clips,)``, or to 0 and 1 ``(clips, classes)`` if several are allowed."""
        truth = torch.from_numpy(self._truth(labels)).float()
        return truth if self.multi_label else truth.argmax(1)

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the cross entropy in nats over the clips of a batch; for several labels, their mean over the classes."""
        logits = outputs.float().squeeze(1)
        if self.multi_label:
            each = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            return each.mean(1).sum(), len(logits)
        smoothing = self.options.label_smoothing if training else 0.0
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
        return loss, len(logits)

    def strata(self, labels: Sequence[str]) -> BoolArray:
        """Return the classes of each clip."""
        truth: BoolArray = self._truth(labels)
        return truth

    def rows(self, outputs: Sequence[FloatArray]) -> list[Row]:
        """Give the most probable class of each clip and its probability; of several labels, all above 0.5.

        The probabilities of all classes follow.
        """
        return [self._row(scores) for scores in self._scores(outputs)]

    def figures(
        self,
        outputs: Sequence[FloatArray],
        labels: Sequence[str],
        config: FigureConfig,
        groups: Groups | None = None,
    ) -> tuple[Figure, ...]:
        """Measure accuracy, or mean average precision for several labels; and the mean F1 score over classes."""
        scores, truth = self._scores(outputs), self._truth(labels)
        answers = scores > 0.5 if self.multi_label else np.eye(len(self.classes), dtype=bool)[scores.argmax(1)]
        macro = figure("macro F1", Decisions(truth=truth, chosen=answers[None]), config, groups)
        if self.multi_label:
            ranking = Rankings(truth=truth, scores=scores[None, None])
            return figure("mean average precision", ranking, config, groups, percent=True), macro
        hits = truth[np.arange(len(truth)), scores.argmax(1)].astype(np.float64)
        return figure("accuracy", Hits(hits=hits[None]), config, groups, percent=True), macro

    def probe(
        self,
        candidates: Mapping[str, FloatArray],
        labels: Sequence[str],
        rows: Mapping[str, IndexArray],
        config: ProbeConfig,
        *,
        threads: int,
    ) -> Probed:
        """Fit linear classifiers on the rows of train; validation chooses layer, pooling and penalty."""
        truth = self._truth(labels)
        task = ProbeTask(
            classes=self.classes, targets=truth, rows=rows, multi_label=self.multi_label, unlabelled=0, notices=()
        )
        winner = probe_method(
            candidates, task, replace(config, resamples=FEWEST_RESAMPLES), of="probe", threads=threads
        ).winner
        # Values of ridge regression are no probabilities; to cut them off at 0 and 1 would make the surest ones equal.
        values = winner.scores - (0.5 if self.multi_label else 0)
        outputs = values.astype(np.float32) if config.classifier == "ridge" else self._logits(winner.scores)
        return Probed(outputs=list(outputs[:, None]), chosen=winner.of)

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return the share of each class as logits."""
        return self._logits(self._truth(labels).mean(0, dtype=np.float32))[None]

    def _logits(self, scores: FloatArray) -> FloatArray:
        """Return the logits ``(..., classes)`` of probabilities."""
        shares = scores.clip(LEAST_SHARE, 1 - LEAST_SHARE)
        return np.asarray(np.log(shares) - (np.log1p(-shares) if self.multi_label else 0), np.float32)

    def scores(self, logits: Tensor) -> FloatArray:
        """Convert logits to probabilities ``(clips, classes)``: of exclusive classes, or of each class separately."""
        return np.asarray(logits.sigmoid() if self.multi_label else logits.softmax(-1), np.float32)

    def _scores(self, outputs: Sequence[FloatArray]) -> FloatArray:
        return self.scores(torch.from_numpy(np.concatenate(outputs)))

    def _truth(self, labels: Sequence[str]) -> BoolArray:
        """Return the classes of each clip ``(clips, classes)``; classes that were not learned are left out."""
        named = [{*self.options.names(label)} for label in labels]
        truth = np.array([[name in names for name in self.classes] for names in named], bool)
        return truth.reshape(len(labels), len(self.classes))

    def _row(self, scores: FloatArray) -> Row:
        best = int(scores.argmax())
        several = [name for name, score in zip(self.classes, scores, strict=True) if score > 0.5]
        label = (self.options.label_separator or "").join(several) if self.multi_label else self.classes[best]
        each = {f"probability of {name}": float(score) for name, score in zip(self.classes, scores, strict=True)}
        return {"label": label, "probability": float(scores[best]), **each}
