"""SimCLR: contrastive learning of spectrograms from two views of each clip.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations", 2020
(arXiv:2002.05709). Each process contrasts within its share of a batch, so more processes see the same clips with fewer
negatives. Batch normalisation is over the share on CPUs, and over the whole batch on GPUs.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lm.bodies.clips import ClipViews, MakeView, StoredClips
from lm.bodies.convolutional import ConvEncoder, create_encoder
from lm.bodies.options import ClipBatchConfig, ContrastConfig, ConvEncoderConfig
from lm.probing.vectors import pool_batch, pooling_parts
from wordless.base.errors import InputError
from wordless.base.machine import Batch


def nt_xent(vectors: Tensor, clips: Tensor, *, temperature: float) -> tuple[Tensor, int]:
    """Compute the NT-Xent loss: cross entropy of finding each view's other view, by cosine; its sum and view count.

    Rows i and i + clips of the unit vectors ``(2 * clips, dim)`` are views of one clip, whose index is in ``clips
    (clips,)``. If a clip is in the batch twice, its two occurrences are not negatives of each other. A smaller
    ``temperature`` gives the nearest negatives more weight.
    """
    views = len(vectors)
    other = (torch.arange(views, device=vectors.device) + len(clips)) % views
    same = clips.repeat(2)[:, None] == clips.repeat(2)[None]
    same[torch.arange(views, device=vectors.device), other] = False
    similarity = (vectors @ vectors.T / temperature).masked_fill(same, -torch.inf)
    return nn.functional.cross_entropy(similarity, other, reduction="sum"), views


class SimCLR(nn.Module):
    """An encoder and a projection head."""

    def __init__(self, encoder: ConvEncoder, config: ContrastConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.projection = nn.Sequential(  # of pooled frames; only training needs it
            nn.Linear(len(pooling_parts(1, config.pooling)) * encoder.config.dim, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.dim),
        )

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Tensor:
        """Map ``(batch, time, mels)`` to unit vectors ``(batch, dim)``."""
        frames, steps = self.encoder(spectrograms, lengths)
        pooled = pool_batch(frames, steps, self.config.pooling)
        return nn.functional.normalize(self.projection(pooled).float(), dim=1)


def create_simclr(encoder: ConvEncoderConfig, config: ContrastConfig, *, seed: int) -> SimCLR:
    """Create a model whose weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SimCLR(create_encoder(encoder, seed=seed), config)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBatch(Batch):
    """Two views of each clip: the first views of all clips, then their second views in the same order."""

    on_host = ("lengths",)

    spectrograms: Tensor  # (2 * clips, time, mels)
    lengths: Tensor  # (2 * clips,)
    clips: Tensor  # (clips,) the index of each clip
    temperature: float


def loss(model: nn.Module, batch: PairBatch) -> tuple[Tensor, int]:
    """Compute the summed NT-Xent over the views of the batch in nats, and their number."""
    return nt_xent(model(batch.spectrograms, batch.lengths), batch.clips, temperature=batch.temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBatches:
    """Training batches of two views of each clip. There must be at least two clips."""

    views: ClipViews
    temperature: float

    def __post_init__(self) -> None:
        if (count := len(self.views.clips)) < 2:
            raise InputError(f"there are {count} clips to contrast; SimCLR needs 2 or more: add recordings")

    def batch(self, step: int, part: int, parts: int) -> PairBatch:
        """Return share ``part`` of ``parts`` of the batch of a step."""
        clips, views = self.views.batch(step, part, parts, views=2)
        longest = max(view.shape[1] for view, _ in views)
        frames = torch.cat([nn.functional.pad(view, (0, 0, 0, longest - view.shape[1])) for view, _ in views])
        lengths, numbers = torch.cat([lengths for _, lengths in views]), torch.from_numpy(clips)
        return PairBatch(spectrograms=frames, lengths=lengths, clips=numbers, temperature=self.temperature)


def validation_pairs(
    clips: StoredClips, config: ClipBatchConfig, make_view: MakeView, *, temperature: float
) -> list[PairBatch]:
    """Make fixed views of validation clips, each clip at most once, in batches as large as in training if possible."""
    fixed = replace(config, batch_size=max(min(config.batch_size, len(clips)), 2), pool_batches=1)
    batches = PairBatches(views=ClipViews(clips, fixed, make_view), temperature=temperature)
    return [batches.batch(step, 0, 1) for step in range(len(clips) // fixed.batch_size)]
