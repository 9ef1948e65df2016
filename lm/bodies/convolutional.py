"""A small convolutional encoder of log-mel spectrograms; every block can be probed.

Blocks of two 3 x 3 convolutions, as in VGG (Simonyan and Zisserman, arXiv:1409.1556) and in the CNNs of PANNs (Kong et
al., arXiv:1912.10211). Frames beyond a clip's end are set to zero before each convolution and left out of the batch
statistics, so a clip's frames do not depend on the other clips of the batch. Lengths on the host save a GPU from being
asked for them in each block. Recordings are
read piece by piece, in any process.
"""

import json
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lm.bodies.options import PIECE_FRAMES, ConvEncoderConfig, HeadConfig
from lm.heads.classification import class_scores
from lm.heads.head import ClipHead
from lm.options import ONE_HEARING, Pooling, VectorConfig
from lm.probing.vectors import FloatArray, RunningPools, average
from wordless.audio.options import SpectrogramConfig
from wordless.audio.padding import inside, join_groups
from wordless.audio.reading import read_blocks, resampled_length
from wordless.audio.recordings.hearings import HeardFrames, Hearing, hearings
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, log_mel_stream, subtract_mean
from wordless.base.devices import copy_to
from wordless.base.saved_models import CONFIG, WEIGHTS


@dataclass(frozen=True, kw_only=True)
class SpectrogramReader:
    """Everything a process needs to compute normalised log-mel of recordings."""

    root: Path  # of the recordings
    audio: SpectrogramConfig
    sample: Path  # folder of the statistics

    def num_frames(self, clip: Clip) -> int:
        """Count the frames of a recording: the last hop is padded with silence, so there is at least one."""
        return -(-self._num_samples(clip) // self.audio.hop_length)

    def pieces(self, clip: Clip) -> Iterator[Tensor]:
        """Give normalised log-mel ``(time, mels)`` of a recording, `PIECE_FRAMES` frames at a time."""
        log_mel, mean, std = _front_end(self.audio, self.sample)
        silence = np.zeros(-self._num_samples(clip) % self.audio.hop_length, np.float32)
        blocks = chain(read_blocks(self.root / clip.path, self.audio.sample_rate, part=clip.part), [silence])
        for piece in log_mel_stream(log_mel, blocks, frames=PIECE_FRAMES):
            yield (piece - mean) / std

    def normalised(self, frames: Tensor) -> Tensor:
        """Normalise a recording's log-mel ``(time, mels)`` of this front end, from which no mean was removed."""
        _, mean, std = _front_end(self.audio, self.sample)
        return (torch.cat([*subtract_mean([frames], self.audio.remove_mean)]) - mean) / std

    def _num_samples(self, clip: Clip) -> int:
        return resampled_length(clip.num_samples, clip.sample_rate, self.audio.sample_rate)


@lru_cache(maxsize=1)
def _front_end(audio: SpectrogramConfig, sample: Path) -> tuple[LogMel, Tensor, Tensor]:
    """Return the front end, the mean and the standard deviation; computed once in each process."""
    return LogMel(audio), *statistics(sample)


SAMPLE = "sample.safetensors"


def statistics(sample: Path) -> tuple[Tensor, Tensor]:
    """Load mean and standard deviation ``(mels,)`` of the training frames' log-mel from the folder of a sample."""
    tensors = load_file(sample / SAMPLE)
    return tensors["mean"], tensors["std"]


Frames = tuple[Tensor, Tensor]  # (batch, time, dim), and the number of frames of each clip (batch,)
CLIPS_AT_ONCE = 24  # in one convolution on a CPU; a larger number pads short clips with more silence


@dataclass(frozen=True, kw_only=True)
class LayerReader(ABC):
    """A network that any process can create or load, and the recordings of which it pools the layers."""

    root: Path  # of the recordings
    device: str
    vectors: VectorConfig = ONE_HEARING

    @abstractmethod
    def network(self) -> Any:
        """Create or load the network on its device, in evaluation mode; `loaded` calls this once in each process."""

    @abstractmethod
    def pooled(self, clip: Clip, heard: Sequence[Hearing]) -> Iterator[Mapping[str, FloatArray]]:
        """Give the pooled layers of a clip in each hearing, and `CLASS_SCORES` if the network has a head."""

    @torch.inference_mode()
    def __call__(self, clip: Clip) -> dict[str, FloatArray]:
        """Average what `pooled` gives over the hearings."""
        heard = hearings(self.vectors.hearings, spread=self.vectors.hearing_rates)
        return average(self.pooled(clip, heard))


@lru_cache(maxsize=1)
def loaded(reader: "LayerReader | SpectrogramLayers") -> Any:
    """Load the network of a reader, once in each process."""
    return reader.network()


class BlockEncoder(Protocol):
    """An encoder of spectrograms or waveforms, each of whose blocks or layers can be probed."""

    @property
    def hops(self) -> tuple[int, ...]:
        """Input frames, or samples, between two frames of each block."""

    @property
    def dim(self) -> int:
        """Features per frame of the last block."""

    def blocks(self, inputs: Tensor, lengths: Tensor) -> list[Frames]:
        """Compute the frames of each block: ``ceil(length / hop)`` of a clip, followed by zeros."""

    def __call__(self, inputs: Tensor, lengths: Tensor) -> Frames:
        """Compute the frames of the last block."""


class ConvEncoder(nn.Module):
    """A convolutional encoder: ``(batch, time, mels)`` -> frames of each block."""

    def __init__(self, config: ConvEncoderConfig) -> None:
        super().__init__()
        self.config = config
        strides = zip(config.time_strides, config.mel_strides, strict=True)
        widths = zip((1, *config.channels), config.channels, strict=False)
        self.stages = nn.ModuleList(
            ConvBlock(before, after, stride, strided=not number)
            for number, ((before, after), stride) in enumerate(zip(widths, strides, strict=True))
        )

    @property
    def hops(self) -> tuple[int, ...]:
        """Spectrogram frames between two frames of each block."""
        return self.config.hops

    @property
    def dim(self) -> int:
        """Features per frame of the last block."""
        return self.config.dim

    def blocks(self, spectrograms: Tensor, lengths: Tensor) -> list[Frames]:
        """Compute the frames ``(batch, time, channels * bands)`` of each block: means over parts of the mel axis.

        A block of hop h has ``ceil(length / h)`` frames of a clip, followed by zeros.
        """
        order = _shortest_first(lengths)
        return [self._frames(images, order) for images in self._images(spectrograms, lengths, order)]

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Frames:
        """Compute the frames of the last block."""
        order = _shortest_first(lengths)
        [last] = deque(self._images(spectrograms, lengths, order), maxlen=1)
        return self._frames(last, order)

    def _images(self, spectrograms: Tensor, lengths: Tensor, order: Tensor) -> Iterator[list[Frames]]:
        """Give the images ``(clips, channels, time, mels)`` of each block, and their lengths, in groups of clips."""
        size = len(order) if spectrograms.is_cuda else CLIPS_AT_ONCE  # a GPU is faster with one large convolution
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
        """Map groups ``(clips, before, time, mels)`` to ``(clips, after, time / stride, mels / stride)``.

        Quotients are rounded up.
        """
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
        encoder = ConvEncoder(config)
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                # Channels last: several times as fast on CPUs.
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return encoder


def _shortest_first(lengths: Tensor) -> Tensor:
    """Return the clips' places in the order of their lengths, so that clips of similar length are computed together."""
    return lengths.argsort(stable=True)


def _normalise(norm: nn.BatchNorm2d, images: Sequence[Tensor], lengths: Sequence[Tensor]) -> list[Tensor]:
    """Apply batch normalisation and ReLU inside the clips, with statistics over all groups; zeros beyond."""
    full = len(images) == 1 and bool((lengths[0] >= images[0].shape[2]).all())
    if not norm.training or full:
        return [torch.relu(norm(each)) * _inside(each, own) for each, own in zip(images, lengths, strict=True)]
    rows = [each.permute(0, 2, 3, 1) for each in images]  # (N, C, T, M) -> (N, T, M, C)
    places = [_places(each, own) for each, own in zip(rows, lengths, strict=True)]
    # One image of all frames inside. Its strides are those of channels last, also that of the batch's single row, which
    # `squeeze` and `unsqueeze` keep and an index does not: otherwise the norm's backward pass takes ten times as long.
    kept = torch.cat([each[place] for each, place in zip(rows, places, strict=True)]).unsqueeze(0)
    kept = torch.relu(norm(kept.permute(0, 3, 1, 2))).permute(0, 2, 3, 1).squeeze(0)  # (frames of all clips, M, C)
    parts = torch.split(kept, [len(clips) for clips, _ in places])
    return [
        torch.zeros_like(each, dtype=part.dtype).index_put_(place, part).permute(0, 3, 1, 2)
        for each, place, part in zip(rows, places, parts, strict=True)
    ]


def _places(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clip and the time of each frame of ``(clips, time, ...)`` that belongs to its clip."""
    own = torch.arange(rows.shape[1], device=lengths.device) < lengths[:, None]  # on the host: a GPU's `nonzero` waits
    clips, times = own.nonzero(as_tuple=True)
    return copy_to(clips, rows.device), copy_to(times, rows.device)


def _inside(images: Tensor, lengths: Tensor) -> Tensor:
    """Return which frames of ``(batch, channels, time, mels)`` belong to their clip ``(batch, 1, time, 1)``."""
    return inside(images[:, 0], lengths)[:, None, :, None]


FRAMES_AT_ONCE = 8192  # of the clips that share a batch, in all of their hearings, padding included


def _part(folder: Path, name: str) -> dict[str, Tensor]:
    weights = load_file(folder / WEIGHTS)
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def clips_together(reader: SpectrogramReader, clips: Sequence[Clip], vectors: VectorConfig) -> list[list[Clip]]:
    """Divide clips into groups of neighbours, which a reader of layers computes at once.

    All hearings of a group, padded to its longest, have at most `FRAMES_AT_ONCE` frames, unless it is a single clip. A
    recording that is read in several pieces is a group of its own: several long recordings at once take more memory,
    and several parts of one compressed file decode the file from its beginning again and again.
    """
    groups, longest = list[list[Clip]](), 0
    slowest = 1 + vectors.hearing_rates * (vectors.hearings > 1)
    for clip in clips:
        frames = math.ceil(slowest * reader.num_frames(clip))
        longest = max(longest, frames)
        alone = longest > PIECE_FRAMES or not groups
        if alone or vectors.hearings * longest * (len(groups[-1]) + 1) > FRAMES_AT_ONCE:
            groups.append([])
            longest = frames
        groups[-1].append(clip)
    return groups


@dataclass(frozen=True, kw_only=True)
class SpectrogramLayers(ABC):
    """A network of spectrograms that any process can load, and the recordings of which it pools the layers."""

    layer: ClassVar[str]  # names of the vectors of a layer, and of all layers side by side
    together: ClassVar[str]

    frames: SpectrogramReader
    device: str
    vectors: VectorConfig = ONE_HEARING
    heard: HeardFrames | None = None

    @abstractmethod
    def network(self) -> Any:
        """Create or load the network, as `LayerReader.network` does."""

    @torch.inference_mode()
    def __call__(self, clips: Sequence[Clip]) -> list[dict[str, FloatArray]]:
        """Compute each layer's frames of clips under each pooling, ``block_1:mean`` and so on, and of all side by side.

        The result has a dict for each clip. A recording is read in pieces of `PIECE_FRAMES` frames from its start, so
        memory does not grow with its length; the log-mel of its stored hearings is in memory as a whole. The encoder
        does not see the previous piece: some frames at each border see silence instead. The clips and their stored
        hearings share a batch, and the vectors of a clip are averaged.
        """
        encoder, reader, heard = loaded(self), self.frames, self.heard
        poolings, layer = self.vectors.poolings, self.layer
        lengths, sources, counts = list[int](), list[Iterable[Tensor]](), list[int]()
        whole = math.lcm(*encoder.hops)
        size = max(PIECE_FRAMES // whole, 1) * whole
        for clip in clips:
            others = [] if heard is None else [reader.normalised(each) for each in heard.of(clip)]
            lengths += [reader.num_frames(clip), *map(len, others)]
            pieces = reader.pieces(clip)
            sources += [pieces if size == PIECE_FRAMES else _cut_again(pieces, size)]
            sources += [torch.split(each, size) for each in others]
            counts.append(1 + len(others))
        pooled = iter(pool_blocks(encoder, lengths, sources, poolings, layer=layer, device=self.device))
        averages = [average(islice(pooled, count)) for count in counts]
        return [self.vectors.select(each, len(encoder.hops), layer=layer, together=self.together) for each in averages]


@dataclass(frozen=True, kw_only=True)
class BlockReader(SpectrogramLayers):
    """A convolutional encoder, from an entry's folder or untrained from its config, whose blocks are pooled."""

    layer = "block"
    together = "all_blocks"

    folder: Path | None
    config: ConvEncoderConfig
    seed: int

    def network(self) -> ConvEncoder:
        """Create or load the encoder."""
        encoder = create_encoder(self.config, seed=self.seed)
        if self.folder is not None:
            encoder.load_state_dict(_part(self.folder, "encoder"))
        return encoder.eval().to(self.device)


def _cut_again(pieces: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Give the frames of pieces ``(time, mels)`` in pieces of ``size`` frames; the last one may be shorter."""
    rest = list[Tensor]()
    for piece in pieces:
        *full, last = torch.split(torch.cat([*rest, piece]), size)
        yield from full
        rest = [last]
    yield from rest


def pool_blocks(
    encoder: BlockEncoder,
    lengths: Sequence[int],
    sources: Sequence[Iterable[Tensor]],
    poolings: Sequence[Pooling],
    *,
    layer: str,
    device: str,
) -> list[dict[str, FloatArray]]:
    """Pool every block over the pieces of each source: ``layer_1:mean`` and so on.

    ``lengths`` are the frames, or samples, of the sources, which give their pieces ``(time, ...)``. Pieces are
    multiples of the encoder's hops, except for the last one of a source. The sources share a batch.
    """
    names = [f"{layer}_{number}" for number in range(1, len(encoder.hops) + 1)]
    steps = [{name: -(-length // hop) for name, hop in zip(names, encoder.hops, strict=True)} for length in lengths]
    pools = [RunningPools(each, poolings) for each in steps]
    for pieces in zip_longest(*sources):
        present = [number for number, piece in enumerate(pieces) if piece is not None]
        for name, number, states in _blocks(encoder, names, [pieces[number] for number in present], device):
            pools[present[number]].add(name, states)
    return [each.pooled for each in pools]


def _blocks(
    encoder: BlockEncoder, names: Sequence[str], pieces: Sequence[Tensor], device: str
) -> Iterator[tuple[str, int, FloatArray]]:
    """Give the frames of each block ``(time, features)`` of each piece ``(time, ...)``, by its number."""
    lengths = torch.tensor([len(piece) for piece in pieces])  # on the host, where it is used
    batch = copy_to(nn.utils.rnn.pad_sequence(list(pieces), batch_first=True), torch.device(device))
    for name, (states, ends) in zip(names, encoder.blocks(batch, lengths), strict=True):
        for number, (frames, end) in enumerate(zip(states.cpu().numpy(), ends.tolist(), strict=True)):
            yield name, number, frames[:end]


def head_scores(folder: Path, pooled: Mapping[str, FloatArray], *, last: str) -> FloatArray:
    """Compute probabilities ``(clips, classes)`` with a supervised head, from pooled frames of the block ``last``."""
    about = json.loads((folder / CONFIG).read_text())
    head, features = _part(folder, "head"), pooled[f"{last}:{about['head']['pooling']}"]
    logits = nn.functional.linear(torch.from_numpy(features), head["linear.weight"], head["linear.bias"])
    scores: FloatArray = class_scores(logits, multi_label=about["multi_label"]).numpy()
    return scores


class Classifier(nn.Module):
    """An encoder and a head that reads a clip as a whole."""

    def __init__(self, encoder: BlockEncoder, classes: int, config: HeadConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ClipHead(encoder.dim, classes, pooling=config.pooling, dropout=config.dropout)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map the encoder's inputs ``(batch, time, ...)`` to logits ``(batch, classes)``."""
        outputs, _ = self.head(*self.encoder(inputs, lengths))  # (batch, 1, classes)
        logits: Tensor = outputs.squeeze(1)
        return logits


def create_classifier(encoder: ConvEncoderConfig, classes: int, config: HeadConfig, *, seed: int) -> Classifier:
    """Create a convolutional model whose weights follow from the seed."""
    return attach_head(create_encoder(encoder, seed=seed), classes, config, seed=seed)


def attach_head(encoder: BlockEncoder, classes: int, config: HeadConfig, *, seed: int) -> Classifier:
    """Put a head, whose weights follow from the seed, behind an encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(encoder, classes, config)
