"""Labelled training and validation clips for classifiers that are trained end to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from lm.baselines.augmentation import AugmentationConfig
from lm.baselines.spectrograms import SpectrogramBatchConfig, Spectrograms
from lm.baselines.supervised import Label, LabelledBatch, LabelledBatches, class_targets, validation_clips


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSplit:
    """The labelled clips of one split, and their labels by name in the order of the clips."""

    clips: Spectrograms
    labels: Mapping[str, Label]

    @classmethod
    def of(cls, clips: Spectrograms, names: Sequence[str], labels: Mapping[str, Label | None]) -> "LabelledSplit":
        """Select the clips that have a label in ``labels``; names with None or without an entry are left out."""
        known = {name: label for name in names if (label := labels.get(name)) is not None}
        return cls(clips=clips.of_rows([row for row, name in enumerate(names) if name in known]), labels=known)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledClips:
    """Labelled clips for training and validation, and their classes."""

    train: LabelledSplit
    validation: LabelledSplit
    classes: Sequence[str]
    multi_label: bool  # whether a clip may have several classes

    def batches(
        self,
        config: SpectrogramBatchConfig,
        augmentation: AugmentationConfig,
        *,
        std: Tensor,
        label_smoothing: float,
    ) -> LabelledBatches:
        """Return training batches of augmented clips; ``std (mels,)`` is the divisor of the normalised spectrograms.

        Raises:
            InputError: there are no clips, or a label is not a class.
        """
        targets = self._targets(self.train)
        return LabelledBatches(
            self.train.clips, targets, config, augmentation, std=std, label_smoothing=label_smoothing
        )

    def held_out(self, config: SpectrogramBatchConfig) -> list[LabelledBatch]:
        """Return batches of validation clips without augmentation.

        Raises:
            InputError: there are no clips, or a label is not a class.
        """
        return validation_clips(self.validation.clips, self._targets(self.validation), batch_size=config.batch_size)

    def _targets(self, split: LabelledSplit) -> Tensor:
        return class_targets(list(split.labels.values()), self.classes, multi_label=self.multi_label)
