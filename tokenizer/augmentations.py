"""Augmented copies of training clips: their options, and what is drawn for each clip.

The autoencoder, networks of log-mel and language models are trained on such copies; `wordless.audio.views` makes their
sound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from wordless.audio.recordings.manifest import Clip
from wordless.audio.views import Change, View
from wordless.base.options import Options, option
from wordless.base.seeds import named_seed

MOST_SNR = 100.0  # dB, of either sign


@dataclass(frozen=True, kw_only=True)
class SoundChanges(Options):
    """Options of sounds of clips on which codes should not depend. Every amount is drawn anew for each clip."""

    changed: float = option(
        0.0,
        "share of training clips, or of warped copies of lm.views, with noise; 0: none",
        least=0,
        most=1,
    )
    noise_snr: tuple[float, float] | None = option(
        (0.0, 40.0),
        "lowest and highest signal-to-noise ratio of these clips in dB; the noise is white, sloped or of any shape; "
        "null: no noise",
        least=-MOST_SNR,
        most=MOST_SNR,
    )
    dynamic_ranges: tuple[float, float] | None = option(
        None,
        "such as [22, 50]: each clip or warped copy has one of these dynamic ranges in dB; null: audio.dynamic_range",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, example in (("noise_snr", "[0, 40]"), ("dynamic_ranges", "[22, 50]")):
            ends = getattr(self, name)
            rule = f"give the lowest and the highest in dB, such as {example}, or null"
            self.refuse_if(ends is not None and ends[0] > ends[1], name, rule)

    @property
    def change_inputs(self) -> bool:
        """Whether there is any change."""
        return self.changed > 0 or self.dynamic_ranges is not None

    def input_of(self, clip: Clip, seed: int) -> View:
        """Draw the view of a clip that training reads, whatever other clips there are."""

        rng = np.random.default_rng([seed, named_seed(clip.name)])
        return View(clip, self.with_sound(Change(dynamic_range=self.draw_range(rng)), rng))

    def draw_range(self, rng: np.random.Generator) -> float | None:
        """Draw the dynamic range of a clip in dB; None: the front end's own."""
        return None if self.dynamic_ranges is None else float(rng.uniform(*self.dynamic_ranges))

    def with_sound(self, change: Change, rng: np.random.Generator) -> Change:
        """Draw whether a clip has noise, and which."""
        if rng.random() >= self.changed:
            return change
        return replace(
            change,
            noise_snr=None if self.noise_snr is None else float(rng.uniform(*self.noise_snr)),
            seed=int(rng.integers(2**32)),
        )


@dataclass(frozen=True, kw_only=True)
class InputAugmentationConfig(SoundChanges):
    """Options of sounds of training clips that networks of log-mel hear: a draw of a clip is often a changed copy."""

    copies: ClassVar[int] = 4  # changed copies of each training clip, of which a draw takes one

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "only changed copies have another range: choose null, or a larger `changed`"
        self.refuse_if(self.dynamic_ranges is not None and not self.changed, "dynamic_ranges", rule)

    @property
    def of_copies(self) -> SoundChanges:
        """The options of the copies alone, all of which are changed."""
        own = {each.name: getattr(self, each.name) for each in fields(SoundChanges)}
        return SoundChanges(**own | {"changed": 1.0})


MOST_WARPS = 1000  # copies of each training clip; training sees no use in more, and their encoding takes hours


@dataclass(frozen=True, kw_only=True)
class ViewsConfig(SoundChanges):
    """Options of augmented views of training clips; only the warped ones have another range or sound."""

    offsets: bool = option(
        True, "whether there are also copies whose first patch begins at each other frame of a patch"
    )
    warps: int = option(
        0, "number of copies of each clip with another speed and other formants", least=0, most=MOST_WARPS
    )
    max_speed: float = 0.15  # largest change of speed: 0.15 is 15 % faster or slower
    max_formants: float = option(0.15, "largest shift of the mel bands: 0.15 is 15 % higher or lower", least=0, below=1)
    seed: int = 0  # seed of the copies

    def of(self, clip: Clip, patch_frames: int) -> list[View]:
        """Return the views of a clip, whatever others there are; ``patch_frames`` are those of the coarsest rate."""

        shifted = [Change(offset_frames=offset) for offset in range(1, patch_frames if self.offsets else 1)]
        # The order of the draws stays. A further draw comes last, or the same seed would give all clips other copies.
        rng = np.random.default_rng([self.seed, named_seed(clip.name)])
        spread = np.log1p([self.max_speed, self.max_formants])
        ratios = np.exp(rng.uniform(-1, 1, (self.warps, 2)) * spread)
        offsets = rng.integers(patch_frames if self.offsets else 1, size=self.warps)
        ranges = [self.draw_range(rng) for _ in offsets]
        warped = [
            Change(
                offset_frames=int(offset),
                speed=float(speed),
                formants=float(formants),
                dynamic_range=decibels,
                patch_frames=patch_frames,
            )
            for offset, (speed, formants), decibels in zip(offsets, ratios, ranges, strict=True)
        ]
        return [View(clip, change) for change in (*shifted, *(self.with_sound(each, rng) for each in warped))]
