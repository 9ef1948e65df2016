"""Training and validation clips of which something is known: what a classifier is trained end to end on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from lm.baselines.augmentation import AugmentationConfig
from lm.baselines.spectrograms import SpectrogramBatchConfig, Spectrograms
from lm.baselines.supervised import Label, LabelledBatch, LabelledBatches, class_targets, validation_clips


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSplit:
    """Clips of one split that have a label, and what they are, by name in the order of the clips."""

    clips: Spectrograms
    labels: Mapping[str, Label]

    @classmethod
    def of(cls, clips: Spectrograms, names: Sequence[str], labels: Mapping[str, Label | None]) -> "LabelledSplit":
        """Those of a split's clips that ``labels`` says something of; None and names that it lacks are left out."""
        known = {name: label for name in names if (label := labels.get(name)) is not None}
        return cls(clips=clips.of_rows([row for row, name in enumerate(names) if name in known]), labels=known)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledClips:
    """What is learned and what is validated, as classes."""

    train: LabelledSplit
    validation: LabelledSplit
    classes: Sequence[str]
    multi_label: bool  # whether a clip may be of several classes

    def batches(
        self,
        config: SpectrogramBatchConfig,
        augmentation: AugmentationConfig,
        *,
        std: Tensor,
        label_smoothing: float,
    ) -> LabelledBatches:
        """Training batches of disturbed clips; ``std (mels,)`` is what the spectrograms were divided by.

        Raises:
            InputError: there are no clips, or a label is no class.
        """
        targets = self._targets(self.train)
        return LabelledBatches(
            self.train.clips, targets, config, augmentation, std=std, label_smoothing=label_smoothing
        )

    def held_out(self, config: SpectrogramBatchConfig) -> list[LabelledBatch]:
        """Validation clips as they are.

        Raises:
            InputError: there are no clips, or a label is no class.
        """
        return validation_clips(self.validation.clips, self._targets(self.validation), batch_size=config.batch_size)

    def _targets(self, split: LabelledSplit) -> Tensor:
        return class_targets(list(split.labels.values()), self.classes, multi_label=self.multi_label)
