"""Masked spans of frames, as wav2vec 2.0 hides them; drawn by `transformers` from a seed."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wordless.base.ranges import require, require_least
from wordless.base.seeds import MAX_SEED, numpy_seed

FrameCounts = npt.NDArray[np.int64]  # (batch,)
Masks = npt.NDArray[np.bool_]  # (batch, frames)


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Options of masked spans of frames."""

    share: float = 0.65  # of the frames, if spans did not overlap; 0: none
    length: int = 10  # frames of a span

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, "masking.share", self.share, "choose 0 (none) or a share below 1")
        require_least(self, "masking", "length", least=1)


NO_MASKS = MaskConfig(share=0.0)


def draw_masks(
    frames: npt.NDArray[np.int64], config: MaskConfig, *, seed: int, least: int = 0
) -> npt.NDArray[np.bool_]:
    """Draw masked frames ``(batch, longest)`` of clips with so many ``frames (batch,)``.

    Each clip has at least ``least`` spans, if it is longer than a span. Spans are shorter where no clip is as long as
    one.
    """
    from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

    longest = int(frames.max())
    inside = torch.arange(longest) < torch.from_numpy(frames)[:, None]
    with numpy_seed(seed):
        masked = _compute_mask_indices(
            (len(frames), longest),
            mask_prob=config.share,
            mask_length=min(config.length, longest),
            attention_mask=cast(torch.LongTensor, inside.long()),
            min_masks=least,
        )
    return np.asarray(masked & inside.numpy())


def training_masks(frames: Tensor, config: MaskConfig) -> Tensor | None:
    """Draw masked frames ``(batch, longest)`` from PyTorch's generator, as dropout is; None: no frame is masked."""
    if not config.share:
        return None
    seed = int(torch.randint(MAX_SEED, (1,)))
    return torch.from_numpy(draw_masks(frames.cpu().numpy(), config, seed=seed)).to(frames.device)


def draw_negatives(masked: Masks, count: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Draw ``count`` other masked frames of the same clip for each masked frame: ``(batch, frames, count)``.

    The values are numbers of frames within the clip. Each clip must have two masked frames or more.
    """
    from transformers.models.wav2vec2.modeling_wav2vec2 import _sample_negative_indices

    with numpy_seed(seed):
        drawn = _sample_negative_indices(masked.shape, count, masked)
    first = np.arange(len(masked))[:, None, None] * masked.shape[1]
    return np.where(masked[..., None], drawn - first, 0).astype(np.int64)
