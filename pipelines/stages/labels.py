"""Training on labels: the labels of clips, and the stage that trains a network end to end to name them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lm.bodies.clips import CPU, ClipViews, LabelledBatch, LabelledBatches, MakeView, StoredClips, validation_batches
from lm.bodies.options import ClipBatchConfig
from lm.heads.classification import ClassLoss, Label, class_targets
from lm.probing.task import ProbeTask
from pipelines.store.session import Session
from pipelines.store.store import TRAINED, Entry, Recipe, text_hash
from wordless.audio.recordings.manifest import Manifest
from wordless.training.options import FitConfig

VALIDATION_FRAMES = 3000  # of a clip, from its beginning, at most
M = TypeVar("M", bound=nn.Module)
Clips = tuple[StoredClips, Sequence[str]]  # of a split, and their names


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of clips."""

    by_clip: Mapping[str, Label | None]  # a class, or several with `multi_label`; None: unknown
    classes: Sequence[str]
    multi_label: bool = False

    @classmethod
    def of(cls, manifest: Manifest, task: ProbeTask) -> "Labels":
        """Return the labels of a probe's task."""
        several = [tuple(task.classes[number] for number in np.flatnonzero(targets)) for targets in task.targets]
        by_clip = {
            clip.name: (names if task.multi_label else names[0]) if names else None
            for clip, names in zip(manifest.clips, several, strict=True)
        }
        return cls(by_clip=by_clip, classes=task.classes, multi_label=task.multi_label)

    @property
    def options(self) -> dict[str, object]:
        """The classes, and whether a clip may have several: part of a recipe and of a saved model."""
        return {"classes": list(self.classes), "multi_label": self.multi_label}

    def known(self, names: Sequence[str]) -> dict[str, Label]:
        """Return the labels of the clips that have one."""
        return {name: label for name in names if (label := self.by_clip.get(name)) is not None}

    def labelled(self, clips: StoredClips, names: Sequence[str]) -> tuple[StoredClips, Tensor]:
        """Select the clips that have a label, and convert their labels to targets."""
        known = self.known(names)
        targets = class_targets(list(known.values()), self.classes, multi_label=self.multi_label)
        return clips.of_rows([row for row, name in enumerate(names) if name in known]), targets


@dataclass(frozen=True, kw_only=True)
class LabelledTraining:
    """How a network learns labels, beside the network itself."""

    option: str  # the group of the fit's options
    batches: ClipBatchConfig
    make_view: MakeView  # of training clips
    label_smoothing: float
    fit: FitConfig
    device: torch.device = CPU  # on which `make_view` makes views
    at_most: int = VALIDATION_FRAMES  # frames, or samples, of a validation clip, from its beginning

    def batches_of(
        self, labels: Labels, train: Clips, validation: Clips
    ) -> tuple[LabelledBatches, list[LabelledBatch]]:
        """Return batches of views of the labelled training clips, and all labelled validation clips as they are."""
        clips, targets = labels.labelled(*train)
        views = ClipViews(clips, self.batches, self.make_view, device=self.device)
        batches = LabelledBatches(views=views, targets=targets)
        size = self.batches.batch_size
        return batches, validation_batches(*labels.labelled(*validation), batch_size=size, at_most=self.at_most)


def train_classifier(
    session: Session,
    title: str,
    recipe: Recipe,
    labels: Labels,
    clips: Sequence[Clips],
    training: LabelledTraining,
    *,
    create: Callable[[StoredClips], M],
    save: Callable[[M, Path], None],
    files: Sequence[str] = TRAINED,
    method: str | None = None,
) -> Entry:
    """Train a network end to end on the labelled clips of ``clips``, those of the training and the validation split.

    ``recipe`` gets the classes and the known labels. ``create`` makes the network for the
    training clips, and ``save`` writes it into a folder. ``method`` names the training on the terminal, if it is not
    the recipe's stage.
    """
    fit, hashed = training.fit, text_hash(json.dumps([labels.known(names) for _, names in clips]))
    config, inputs = {**recipe.config, **labels.options}, {**recipe.inputs, "labels": hashed}
    recipe = replace(recipe, config=config, inputs=inputs)

    def make(folder: Path) -> None:
        train, validation = clips
        batches, held_out = training.batches_of(labels, train, validation)
        model, loss = create(batches.views.clips), ClassLoss(label_smoothing=training.label_smoothing)
        session.train(method or recipe.stage, training.option, model, batches, held_out, loss, fit, folder)
        if session.gang.rank == 0:
            save(model, folder)

    return session.obtain(recipe, f"{title}, {fit.summary}", make, files=files, together=True, training=method)
