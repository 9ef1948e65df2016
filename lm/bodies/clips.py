"""Clips that are read in place from disk, and training batches of them, with or without labels."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lm.batches import IndexArray, shuffled_batches
from lm.bodies.options import ClipBatchConfig
from wordless.base.errors import InputError
from wordless.base.machine import Batch, copy_to

FrameArray = npt.NDArray[np.float16 | np.float32 | np.int16 | np.int32]
# frames of clips (batch, time, ...), their lengths (batch,), and a generator of all random choices -> a view of each
MakeView = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]

CPU = torch.device("cpu")
ORDER, EXAMPLES = 0, 1  # second words of the seeds: the purpose of a generator


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredClips:
    """Normalised log-mel of clips, samples in 16 bits, or codes. Sources may be `numpy.memmap`s, of which only what is
    read is loaded.

    Frames are ``(mels,)`` or ``(streams,)``; a frame of a waveform is a single sample.
    """

    sources: tuple[FrameArray, ...]  # (frames, ...) each, the clips one after the other
    places: IndexArray  # (clips, 3): source, first frame, end

    @classmethod
    def of(cls, frames: FrameArray, offsets: IndexArray) -> "StoredClips":
        """Build from frames in which clip ``i`` has ``offsets[i]:offsets[i + 1]``.

        Raises:
            InputError: the offsets do not cover the frames.
        """
        if int(offsets[-1]) != len(frames):
            problem = f"offsets end at frame {offsets[-1]} of {len(frames)}"
            raise InputError(f"{problem}; they must cover all: make the spectrograms again")
        places = np.stack([np.zeros(len(offsets) - 1, np.int64), offsets[:-1], offsets[1:]], axis=1)
        return cls(sources=(frames,), places=places)

    @classmethod
    def together(cls, clips: Sequence[FrameArray]) -> "StoredClips":
        """Build from the frames ``(time, ...)`` of each clip."""
        return cls.of(np.concatenate(clips), np.cumsum([0, *map(len, clips)]))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> IndexArray:
        """Frames of each clip ``(clips,)``."""
        lengths: IndexArray = self.places[:, 2] - self.places[:, 1]
        return lengths

    @property
    def width(self) -> int:
        """Values of a frame."""
        return math.prod(self.sources[0].shape[1:])

    def of_rows(self, rows: Sequence[int] | IndexArray) -> "StoredClips":
        return StoredClips(sources=self.sources, places=self.places[np.asarray(rows, np.int64)])

    def followed_by(self, others: "StoredClips") -> "StoredClips":
        shifted = others.places + np.array([len(self.sources), 0, 0])
        return StoredClips(sources=self.sources + others.sources, places=np.concatenate([self.places, shifted]))

    def clip(self, row: int) -> FrameArray:
        """Read the frames ``(time, ...)`` of one clip, as they are stored."""
        source, begin, end = self.places[row].tolist()
        frames: FrameArray = self.sources[source][begin:end]
        return frames

    def read(
        self, clips: IndexArray, *, at_most: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read clips ``(batch, time, ...)``, zeros beyond their ends, and their lengths ``(batch,)``.

        Samples are scaled to [-1, 1), and codes stay whole numbers.

        Clips longer than ``at_most`` frames are cropped at a random place from ``generator``, or at their start without
        one.
        """
        whole = torch.from_numpy(self.lengths[clips])
        lengths = whole.clamp(max=at_most)
        draws = torch.rand(len(clips), generator=generator, dtype=torch.float64) if generator else torch.zeros(1)
        starts = (draws * (whole - lengths + 1)).long().tolist()
        kind = np.int64 if self.sources[0].dtype == np.int32 else np.float32
        filled = torch.from_numpy(np.zeros((len(clips), int(lengths.max()), *self.sources[0].shape[1:]), kind))
        for row, (clip, start, length) in enumerate(zip(clips, starts, lengths.tolist(), strict=True)):
            filled[row, :length] = torch.from_numpy(self.clip(clip)[start : start + length].astype(kind))
        return filled / 32768 if self.sources[0].dtype == np.int16 else filled, lengths


class Order:
    """Endless shuffled epochs of clips in batches of similar length; the clips of a step follow from step and seed."""

    def __init__(self, lengths: IndexArray, config: ClipBatchConfig) -> None:
        self._lengths = np.minimum(lengths, config.max_frames)
        self._config = config
        self._epoch = lru_cache(maxsize=2)(self._shuffle)  # a batch may reach into the next epoch

    def clips(self, step: int) -> IndexArray:
        """Return the clips of a step ``(batch_size,)``."""
        size = self._config.batch_size
        places = [divmod(place, len(self._lengths)) for place in range(step * size, (step + 1) * size)]
        return np.array([self._epoch(epoch)[place] for epoch, place in places])

    def generator(self, step: int) -> torch.Generator:
        """Return the generator of all other random choices of a step."""
        state = np.random.SeedSequence([self._config.seed, EXAMPLES, step]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))

    def _shuffle(self, epoch: int) -> IndexArray:
        rng = np.random.default_rng([self._config.seed, ORDER, epoch])
        size, pool_batches = self._config.batch_size, self._config.pool_batches
        if pool_batches == 1:
            return rng.permutation(len(self._lengths))
        return shuffled_batches(self._lengths, rng, size=size, pool_batches=pool_batches)


class ClipViews:
    """Training clips and how views of them are made. As clips may be mixed, every process makes the whole batch.

    Clips are read on the host, and their views are made on ``device``; lengths stay on the host.
    """

    def __init__(
        self, clips: StoredClips, config: ClipBatchConfig, make_view: MakeView, *, device: torch.device = CPU
    ) -> None:
        self.clips = clips
        self._config = config
        self._make_view = make_view
        self._device = device
        self._order = Order(clips.lengths, config)

    def batch(self, step: int, part: int, parts: int, *, views: int) -> tuple[IndexArray, list[tuple[Tensor, Tensor]]]:
        """Return share ``part`` of ``parts`` of the clips of a step ``(clips,)``, and each view with its lengths."""
        own = self._config.share(part, parts)
        clips, generator = self._order.clips(step), self._order.generator(step)
        frames, lengths = self.clips.read(clips, at_most=self._config.max_frames, generator=generator)
        frames = copy_to(frames, self._device)
        made = (self._make_view(frames, lengths, generator) for _ in range(views))
        return clips[own], [trim_rows(*view, own) for view in made]


def trim_rows(frames: Tensor, lengths: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Select rows of a batch, without the frames that only other rows need."""
    own = lengths[rows]
    return frames[rows, : int(own.max())], own


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatch(Batch):
    """Inputs and targets of clips."""

    on_host = ("lengths",)  # where groups of clips are formed

    inputs: Tensor  # (batch, time, ...)
    lengths: Tensor  # (batch,) number of inputs of each clip
    targets: Tensor  # (batch,) classes, (batch, classes) of 0 and 1, or as a fine-tuning task gives them


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledBatches:
    """Training batches of views of clips, with one target for each clip."""

    views: ClipViews
    targets: Tensor  # (clips, ...)

    def __post_init__(self) -> None:
        _require_targets(self.views.clips, self.targets, "train")

    def batch(self, step: int, part: int, parts: int) -> LabelledBatch:
        clips, [(inputs, lengths)] = self.views.batch(step, part, parts, views=1)
        return LabelledBatch(inputs=inputs, lengths=lengths, targets=self.targets[torch.from_numpy(clips)])


def batches_by_length(
    clips: StoredClips, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> Iterator[tuple[IndexArray, Tensor, Tensor]]:
    """Give all clips in batches of similar length, the short ones first: rows, inputs and lengths.

    Only the first ``at_most`` inputs of each clip are read; None reads all. With ``most_inputs``, a batch of several
    clips has at most so many inputs, padding included: one long recording among short ones does not fill the memory.
    """
    order = np.argsort(clips.lengths, kind="stable")
    lengths = clips.lengths if at_most is None else np.minimum(clips.lengths, at_most)
    begin = 0
    while begin < len(order):
        rows = order[begin : begin + batch_size]
        if most_inputs is not None:
            padded = lengths[rows] * np.arange(1, len(rows) + 1)  # inputs of the first 1, 2, ... rows
            rows = rows[: max(int(np.searchsorted(padded, most_inputs, side="right")), 1)]
        yield rows, *clips.read(rows, at_most=int(lengths[rows].max()))
        begin += len(rows)


def validation_batches(
    clips: StoredClips, targets: Tensor, *, batch_size: int, at_most: int | None = None, most_inputs: int | None = None
) -> list[LabelledBatch]:
    """Return batches of every clip once and unchanged; the other options are those of `batches_by_length`."""
    _require_targets(clips, targets, "validation")
    batches = batches_by_length(clips, batch_size=batch_size, at_most=at_most, most_inputs=most_inputs)
    return [
        LabelledBatch(inputs=inputs, lengths=lengths, targets=targets[torch.from_numpy(rows)])
        for rows, inputs, lengths in batches
    ]


def _require_targets(clips: StoredClips, targets: Tensor, split: str) -> None:
    if not len(clips) or len(clips) != len(targets):
        raise InputError(
            f"there are {len(clips)} {split} clips and {len(targets)} labels of them; training needs at least one "
            "clip, and one label for each clip: label more recordings"
        )
