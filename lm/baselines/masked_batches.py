"""Batches of the pre-training of wav2vec 2.0: clips with masked spans of frames, which follow from seed and step."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lm.baselines.clip_batches import ClipBatchConfig, ClipViews, StoredClips, trim_rows
from lm.baselines.masking import MaskConfig, draw_masks, draw_negatives
from wordless.audio.speech_models.description import Convolutions
from wordless.base.devices import copy_to
from wordless.base.ranges import require, require_least, require_positive

MASKS = 2  # second word of the seeds of masks: see `lm.baselines.clip_batches`
LEAST_FRAMES = 2  # of a masked span: each frame is told from others


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedBatch:
    """Clips with masked frames, and the other frames that each is told from."""

    samples: Tensor  # (batch, time)
    lengths: Tensor  # (batch,) in samples; stays on the host, where it is used
    masked: Tensor  # (batch, frames) bool
    places: Tensor  # (masked,) int64: numbers of the masked frames in (batch, frames), clip after clip
    negatives: Tensor  # (masked, count) int64: for each masked frame, numbers of masked frames of the same clip
    temperature: float  # of the Gumbel softmax

    def to(self, device: torch.device) -> "MaskedBatch":
        """Return the same batch on a device."""
        return replace(
            self,
            samples=copy_to(self.samples, device),
            masked=copy_to(self.masked, device),
            places=copy_to(self.places, device),
            negatives=copy_to(self.negatives, device),
        )


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """Options of masked frames and their targets."""

    masking: MaskConfig
    negatives: int = 50  # other masked frames of the clip, drawn for each masked frame
    diversity_weight: float = 0.5  # of the penalty for codes of targets that are not used
    temperature: float = 2.0  # of the Gumbel softmax at the first step
    final_temperature: float = 0.5  # at the last step; between them it falls by the same factor in each step

    def __post_init__(self) -> None:
        group = "targets"
        require(self.masking.share > 0, f"{group}.masking.share", self.masking.share, "something must be masked")
        rule = f"choose {LEAST_FRAMES} or more, so that a masked frame has others beside it"
        require(self.masking.length >= LEAST_FRAMES, f"{group}.masking.length", self.masking.length, rule)
        require_least(self, group, "negatives", least=1)
        require_least(self, group, "diversity_weight", least=0)
        require_positive(self, group, "temperature", "final_temperature")

    def temperature_at(self, progress: float) -> float:
        """Return the temperature of the Gumbel softmax after a share of the steps."""
        return float(self.temperature * (self.final_temperature / self.temperature) ** progress)

    @property
    def least_frames(self) -> int:
        """Frames of the shortest clip that can be used: a span, and a frame beside it."""
        return self.masking.length + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedBatches:
    """Training batches of clips with masked frames; each clip has at least ``targets.least_frames`` frames."""

    views: ClipViews
    batches: ClipBatchConfig  # of the views
    convolutions: Convolutions
    targets: TargetConfig
    steps: int

    def batch(self, step: int, part: int, parts: int) -> MaskedBatch:
        """Return share ``part`` of ``parts`` of the batch of a step."""
        _, [(samples, lengths)] = self.views.batch(step, 0, 1, views=1)
        own = self.batches.share(part, parts)
        frames, seed = self.convolutions.frames_of(lengths), self._seed(step)
        masked = draw_masks(frames.numpy(), self.targets.masking, seed=seed, least=1)
        negatives = draw_negatives(masked, self.targets.negatives, seed=seed)
        samples, lengths = trim_rows(samples, lengths, own)
        longest = int(frames[own].max())
        masked, negatives = masked[own, :longest], negatives[own, :longest]
        return MaskedBatch(
            samples=samples,
            lengths=lengths,
            masked=torch.from_numpy(masked),
            places=torch.from_numpy(np.flatnonzero(masked)),
            negatives=torch.from_numpy(negatives[masked]),
            temperature=self.targets.temperature_at(step / self.steps),
        )

    def _seed(self, step: int) -> int:
        return int(np.random.SeedSequence([self.batches.seed, MASKS, step]).generate_state(1)[0])


def as_read(samples: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return clips without a change, as a `MakeView`."""
    return samples, lengths


def masked_batches(
    clips: StoredClips, config: ClipBatchConfig, convolutions: Convolutions, targets: TargetConfig, *, steps: int
) -> MaskedBatches:
    """Make training batches of stored samples."""
    views = ClipViews(clips, config, as_read)
    return MaskedBatches(views=views, batches=config, convolutions=convolutions, targets=targets, steps=steps)


def validation_batches(
    clips: StoredClips, config: ClipBatchConfig, convolutions: Convolutions, targets: TargetConfig
) -> list[MaskedBatch]:
    """Make batches of validation clips with fixed masks, each clip at most once, as large as in training if possible.

    The temperature decides nothing: outside training the most probable code is the target.
    """
    fixed = replace(config, batch_size=max(min(config.batch_size, len(clips)), 2), pool_batches=1)
    batches = masked_batches(clips, fixed, convolutions, targets, steps=1)
    return [batches.batch(step, 0, 1) for step in range(len(clips) // fixed.batch_size)]


def long_enough(clips: StoredClips, convolutions: Convolutions, targets: TargetConfig) -> StoredClips:
    """Select the clips in which a span of frames can be masked."""
    return clips.of_rows(np.flatnonzero(clips.lengths >= convolutions.samples(targets.least_frames)))
