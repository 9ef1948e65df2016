"""Denoising unit prediction, by causal networks that read augmented copies: options, and methods of the comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lm.backbones.clips import AugmentationConfig, ClipBatchConfig
from lm.backbones.denoising import DenoisingConfig
from pipelines.backbones.network_options import LogMelTraining
from pipelines.methods.method import FEW, OVER_CODES, WINDOW, BackboneSettings, Line, Method, untrained
from wordless.base.options import option
from wordless.training import FitConfig

# Augmentation that does not crop; the codes after a change of speed are those of the same sounds.
IN_PLACE = AugmentationConfig(
    crop=1.0, speed=0.2, formant=0.2, gain_db=0.0, mix=0.0, noise=0.3, time_masks=2, time_mask=0.1, mel_masks=2
)


@dataclass(frozen=True, kw_only=True)
class DenoisingSettings(LogMelTraining, BackboneSettings):
    methods = (
        Method(name="denoising", kind="denoising", title=f"denoising unit prediction {OVER_CODES}",
               untrained="random_denoising", features="denoising", of_sound=True, line=Line(marker="X"), places=FEW,
               input="bag_of_codes", reads_codes=True, training="denoising", loss="nats per code", target=WINDOW),
        untrained("denoising", f"denoising unit prediction {OVER_CODES}", marker="d", filled=True,
                  reads="bag_of_codes", reads_codes=True, features="denoising"),
    )  # fmt: skip
    parts = ("denoising",)

    model: DenoisingConfig = option(DenoisingConfig(), "the network")
    window_seconds: float = option(
        0.16, "length of the sound around each patch whose code is predicted, rounded to whole patches", above=0
    )
    augmentation: AugmentationConfig = IN_PLACE
    batches: ClipBatchConfig = ClipBatchConfig(batch_size=64)
    fit: FitConfig = FitConfig(steps=1500, lr=2e-3, warmup_steps=100, final_lr_ratio=0.02, validate_every=250)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "a clip that is reversed in time no longer has its codes in their order: choose 0"
        self.refuse_if(self.augmentation.time_flip, "augmentation.time_flip", rule)

    def window_patches(self, patch_seconds: float) -> int:
        """Round the length of the window to whole patches, at least one."""
        return max(round(self.window_seconds / patch_seconds), 1)

    @property
    def longest(self) -> int:
        """Frames of the longest copy."""
        return math.ceil(self.batches.max_frames * (1 + self.augmentation.speed)) + 1
