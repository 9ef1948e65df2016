"""Labels of clips, and batches of labelled clips for encoders that are trained with labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lm.bodies.clips import ClipViews, LabelledBatch, LabelledBatches, MakeView, validation_batches
from lm.bodies.options import ClipBatchConfig
from lm.heads.classification import Label, LabelledSplit
from lm.probing.task import ProbeTask
from wordless.audio.recordings.manifest import Manifest

VALIDATION_FRAMES = 3000  # of a clip, from its beginning, at most


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

    def batches(
        self,
        train: LabelledSplit,
        validation: LabelledSplit,
        config: ClipBatchConfig,
        make_view: MakeView,
        *,
        at_most: int = VALIDATION_FRAMES,
    ) -> tuple[LabelledBatches, list[LabelledBatch]]:
        """Return batches of views of the training clips, and ``at_most`` frames of all validation clips as they are."""
        targets, held_out = (split.targets(self.classes, multi_label=self.multi_label) for split in (train, validation))
        views = ClipViews(train.clips, config, make_view)
        batches = LabelledBatches(views=views, targets=targets)
        return batches, validation_batches(validation.clips, held_out, batch_size=config.batch_size, at_most=at_most)
