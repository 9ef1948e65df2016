"""A small convolutional encoder of log-mel spectrograms, and its contrastive pre-training, SimCLR.

Blocks of two 3 x 3 convolutions, as in VGG (Simonyan and Zisserman, arXiv:1409.1556) and in the CNNs of PANNs (Kong et
al., arXiv:1912.10211). Frames beyond a clip's end are set to zero before each convolution and left out of the batch
statistics, so a clip's frames do not depend on the other clips of the batch. Lengths on the host save a GPU from being
asked for them in each block.

SimCLR contrasts two views of each clip: Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive
learning of visual representations", 2020 (arXiv:2002.05709). Each process contrasts within its share of a batch, so
more processes see the same clips with fewer negatives. Batch normalisation is over the share on CPUs, and over the
whole batch on GPUs.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from lm.backbones.backbone import (
    WEIGHTS_OPTION,
    Backbone,
    BackboneNetwork,
    BackboneReading,
    FrontEnd,
    MakeView,
    Pieces,
    load_part,
)
from lm.backbones.clips import (
    ClipBatchConfig,
    ClipViews,
    LabelledBatch,
    LabelledBatches,
    StoredClips,
)
from lm.probing.vectors import PARTS, Frames, Means, VectorConfig, pool_batch
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.padding import inside, join_groups
from wordless.audio.spectrogram import LogMel, frame_statistics, view_log_mel
from wordless.audio.views import View
from wordless.base.arrays import FloatArray
from wordless.base.devices import copy_to
from wordless.base.messages import InputError
from wordless.base.options import Options, option


@dataclass(frozen=True, kw_only=True)
class ConvEncoderConfig(Options):
    """Sizes of a convolutional encoder."""

    channels: tuple[int, ...] = option((32, 64, 128, 256), "channels of each block", least=1, filled=True)
    bands: int = 4  # number of parts of the mel axis that are pooled separately

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block: the first three halve the rate. All halve the bands."""
        return tuple(2 ** min(number, 3) for number in range(1, 1 + len(self.channels)))

    @property
    def dim(self) -> int:
        """Features per frame of the last block: each channel in each band."""
        return self.bands * self.channels[-1]


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(Options):
    """Options of the contrastive loss of SimCLR."""

    pooling: Means = "thirds"  # pooling over time before the projection head
    hidden: int = 256  # width of the projection head's hidden layer
    dim: int = 128  # width of the vectors that NT-Xent compares
    temperature: float = 0.1  # temperature of NT-Xent


CONVOLVED_FRAMES = 1024  # frames of a recording that are read at a time


def num_frames(view: View, audio: SpectrogramConfig) -> int:
    """Count the frames of a view: the last hop is padded with silence, so there is at least one."""
    return -(-view.num_samples(audio.sample_rate) // audio.hop_length)


def log_mel_pieces(
    view: View, root: Path, audio: SpectrogramConfig, sample: Path, *, frames: int = CONVOLVED_FRAMES
) -> Iterator[Tensor]:
    """Give the log-mel ``(time, mels)`` of a view, ``frames`` at a time, normalised with its `frame_statistics`."""
    mean, std = frame_statistics(sample)
    for piece in view_log_mel(_log_mel(audio), view, root, frames=frames):
        yield (piece - mean) / std


_log_mel = lru_cache(maxsize=1)(LogMel)  # once in each process


CONVOLVED_AT_ONCE = 24  # in one convolution on a CPU; a larger number pads short clips with more silence


class ConvEncoder(BackboneNetwork):
    """A convolutional encoder: ``(batch, time, mels)`` -> frames of each block."""

    def __init__(self, config: ConvEncoderConfig) -> None:
        super().__init__()
        self.config, self.hops = config, config.hops
        widths, hops = pairwise((1, *config.channels)), pairwise((1, *config.hops))
        self.stages = nn.ModuleList(
            ConvBlock(before, after, (hop // last, 2), strided=not number)
            for number, ((before, after), (last, hop)) in enumerate(zip(widths, hops, strict=True))
        )

    @property
    def stack(self) -> Sequence[nn.Module]:
        """Nothing that embeds the inputs, then each block."""
        return [nn.Identity(), *self.stages]

    def states(self, inputs: Tensor, lengths: Tensor) -> dict[str, Frames]:
        """Compute the frames ``(batch, time, channels * bands)`` of each block; zeros after ``ceil(length / hop)``."""
        order = lengths.argsort(stable=True)  # clips of similar length are computed together
        images = self._images(inputs, lengths, order)
        return {f"block_{number}": self._frames(each, order) for number, each in enumerate(images, 1)}

    def forward(self, inputs: Tensor, lengths: Tensor) -> Frames:
        order = lengths.argsort(stable=True)
        [last] = deque(self._images(inputs, lengths, order), maxlen=1)
        return self._frames(last, order)

    def _images(self, spectrograms: Tensor, lengths: Tensor, order: Tensor) -> Iterator[list[Frames]]:
        """Give the images ``(clips, channels, time, mels)`` of each block, and their lengths, in groups of clips."""
        size = len(order) if spectrograms.is_cuda else CONVOLVED_AT_ONCE  # a GPU is faster with one large convolution
        images = list[Frames]()
        for rows in torch.split(order, size):
            own = lengths[rows]
            group = spectrograms[copy_to(rows, spectrograms.device), : int(own.max())].unsqueeze(1)
            group = group * _inside(group, own)  # (N, 1, T, M)
            # The strides of channels last: otherwise the first block's images have another layout than its weights.
            images.append((group[:, 0, :, :, None].permute(0, 3, 1, 2), own))
        for block in self.stages:
            images = block(images)
            yield images

    def _frames(self, images: Sequence[Frames], order: Tensor) -> Frames:
        """Pool groups of images over parts of the mel axis, and bring their clips into the order of the batch."""
        pooled = [nn.functional.adaptive_avg_pool2d(each, (each.shape[2], self.config.bands)) for each, _ in images]
        frames = [each.permute(0, 2, 1, 3).flatten(2) for each in pooled]  # (N, C, T, B) -> (N, T, C * B)
        return join_groups(frames, order), torch.cat([lengths for _, lengths in images])[order.argsort()]


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and ReLU, twice; before them a stride of the first convolution or a maximum."""

    def __init__(self, before: int, after: int, stride: tuple[int, int], *, strided: bool) -> None:
        super().__init__()
        self.stride = stride
        self.strided = strided
        self.first = nn.Conv2d(before, after, 3, stride=stride if strided else 1, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(self, images: Sequence[Frames]) -> list[Frames]:
        """Map ``(clips, before, time, mels)`` to ``(clips, after, ceil(time / stride), ceil(mels / stride))``."""
        lengths = [-(-own // self.stride[0]) for _, own in images]
        entered = [each for each, _ in images]
        if not self.strided and self.stride != (1, 1):
            # Zeros beyond the end are never the maximum, because the inputs are not negative.
            entered = [nn.functional.max_pool2d(each, self.stride, ceil_mode=True) for each in entered]
        entered = _normalise(self.first_norm, [self.first(each) for each in entered], lengths)
        entered = _normalise(self.second_norm, [self.second(each) for each in entered], lengths)
        return [*zip(entered, lengths, strict=True)]


def create_encoder(config: ConvEncoderConfig, *, seed: int) -> ConvEncoder:
    """Build an encoder whose weights follow from the seed: He et al., arXiv:1502.01852."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ConvEncoder(config).float()  # whatever PyTorch's default type is
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                # Channels last: several times as fast on CPUs.
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return encoder


def _normalise(norm: nn.BatchNorm2d, images: Sequence[Tensor], lengths: Sequence[Tensor]) -> list[Tensor]:
    """Apply batch normalisation and ReLU inside the clips, with statistics over all groups; zeros beyond."""
    full = len(images) == 1 and bool((lengths[0] >= images[0].shape[2]).all())
    if not norm.training or full:
        return [torch.relu(norm(each)) * _inside(each, own) for each, own in zip(images, lengths, strict=True)]
    rows = [each.permute(0, 2, 3, 1) for each in images]  # (N, C, T, M) -> (N, T, M, C)
    places = []  # the clip and the time of each frame that belongs to its clip
    for each, own in zip(rows, lengths, strict=True):  # on the host: a GPU's `nonzero` waits
        clips, times = (torch.arange(each.shape[1], device=own.device) < own[:, None]).nonzero(as_tuple=True)
        places.append((copy_to(clips, each.device), copy_to(times, each.device)))
    # One image of all frames inside. Its strides are those of channels last, also that of the batch's single row, which
    # `squeeze` and `unsqueeze` keep and an index does not: otherwise the norm's backward pass takes ten times as long.
    kept = torch.cat([each[place] for each, place in zip(rows, places, strict=True)]).unsqueeze(0)
    kept = torch.relu(norm(kept.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).squeeze(0)  # (frames of all clips, M, C)
    parts = torch.split(kept, [len(clips) for clips, _ in places])
    return [
        torch.zeros_like(each, dtype=part.dtype).index_put_(place, part).permute(0, 3, 1, 2)
        for each, place, part in zip(rows, places, parts, strict=True)
    ]


def _inside(images: Tensor, lengths: Tensor) -> Tensor:
    """Return which frames of ``(batch, channels, time, mels)`` belong to their clip ``(batch, 1, time, 1)``."""
    return inside(images[:, 0], lengths)[:, None, :, None]


_FRAMES_AT_ONCE = 8192  # of the views that share a batch, padding included


class LogMelBackbone(Backbone):
    """A backbone that reads the log-mel of a run, whose statistics normalise it."""

    audio: SpectrogramConfig

    def reading_of(self, *, hop: int, dim: int) -> BackboneReading:
        """Describe a network of which a state of ``dim`` dimensions stands for ``hop`` frames of log-mel."""
        return BackboneReading(
            sample_rate=self.audio.sample_rate,
            dim=dim,
            samples_per_state=hop * self.audio.hop_length,
            window=CONVOLVED_FRAMES // hop,
            inputs_per_state=hop,
            least_samples=1,
            input_type="float16",
            input_width=(self.audio.n_mels,),
            key="log-mel of a run",
        )

    def front_end(self, folder: Path, *, device: str) -> FrontEnd:
        """Refuse to read sound: the statistics of log-mel are those of a run."""
        problem = "this network reads log-mel with the statistics of its run"
        raise InputError(problem, remedy="choose another backbone: wordless finetune backbone=ast")

    def pieces(self, view: View, root: Path, network: BackboneNetwork, statistics: Path) -> Pieces:
        """Return about `CONVOLVED_FRAMES` frames at a time; some frames at each border see silence instead."""
        whole, length = math.lcm(*network.hops), num_frames(view, self.audio)
        frames = max(CONVOLVED_FRAMES // whole, 1) * whole
        pieces = log_mel_pieces(view, root, self.audio, statistics, frames=frames)
        return Pieces(steps=[-(-length // hop) for hop in network.hops], pieces=pieces)

    def groups(self, views: Sequence[View]) -> list[list[View]]:
        """Divide views into groups, padded to the longest, of at most `_FRAMES_AT_ONCE` frames, or of a single view.

        A recording that is read in several pieces is a group of its own: it takes memory, and is decoded once.
        """
        groups, longest = list[list[View]](), 0
        for view in views:
            frames = num_frames(view, self.audio)
            longest = max(longest, frames)
            if not groups or longest > CONVOLVED_FRAMES or longest * (len(groups[-1]) + 1) > _FRAMES_AT_ONCE:
                groups.append([])
                longest = frames
            groups[-1].append(view)
        return groups


@dataclass(frozen=True, kw_only=True)
class ConvBackbone(LogMelBackbone):
    """The sizes of an encoder, and the log-mel that it reads."""

    encoder: ConvEncoderConfig
    audio: SpectrogramConfig

    name: ClassVar[str] = "convolutional"
    title: ClassVar[str] = "convolutional network"

    @property
    def reading(self) -> BackboneReading:
        return self.reading_of(hop=self.encoder.hops[-1], dim=self.encoder.dim)

    def create(self, *, seed: int, weights: Path | None = None, option: str = WEIGHTS_OPTION) -> ConvEncoder:
        """Create the network with the weights of a folder of SimCLR, or with random ones."""
        encoder = create_encoder(self.encoder, seed=seed)
        if weights is not None:
            load_part(encoder, weights, "encoder.")
        return encoder

    def candidates(self, pooled: Mapping[str, FloatArray], vectors: VectorConfig) -> dict[str, FloatArray]:
        return vectors.select(pooled, layer="block", together="all_blocks")


def nt_xent(vectors: Tensor, clips: Tensor, *, temperature: float) -> tuple[Tensor, int]:
    """Compute the NT-Xent loss: cross entropy of finding each view's other view, by cosine; its sum and view count.

    Rows i and i + clips of the unit vectors ``(2 * clips, dim)`` are views of one clip, whose index is in ``clips
    (clips,)``: the two occurrences of a clip are not negatives of each other.
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
            nn.Linear(PARTS[config.pooling] * encoder.config.dim, config.hidden),
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SimCLR(create_encoder(encoder, seed=seed), config).float()


def pair_loss(model: nn.Module, batch: LabelledBatch, *, temperature: float) -> tuple[Tensor, int]:
    """Compute the summed NT-Xent over the views of a batch of `view_pairs` in nats, and their number."""
    return nt_xent(model(batch.inputs, batch.lengths), batch.targets, temperature=temperature)


def view_pairs(views: ClipViews) -> LabelledBatches:
    """Make batches of two views of each clip, whose target is its number. There must be at least two clips."""
    if (count := len(views.clips)) < 2:
        raise InputError(f"there are {count} clips to contrast; SimCLR needs 2 or more: add recordings")
    return LabelledBatches(views=views, targets=torch.arange(count), of_each=2)


def validation_pairs(clips: StoredClips, config: ClipBatchConfig, make_view: MakeView) -> list[LabelledBatch]:
    """Make fixed views of validation clips, each clip at most once, in batches as large as in training if possible."""
    fixed = replace(config, batch_size=max(min(config.batch_size, len(clips)), 2), pool_batches=1)
    batches = view_pairs(ClipViews(clips, fixed, make_view))
    return [batches.batch(step, 0, 1) for step in range(len(clips) // fixed.batch_size)]
