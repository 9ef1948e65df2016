"""Spectrograms of many clips, read in place from disk, and the order of clips in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from foundation.errors import InputError
from foundation.ranges import require, require_least
from foundation.seeds import require_seed

HalfArray = npt.NDArray[np.float16]
IndexArray = npt.NDArray[np.int64]

ORDER, EXAMPLES = 0, 1  # second words of the seeds: the purpose of a generator


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrograms:
    """Normalised log-mel of clips. Sources may be `numpy.memmap`s: only requested frames are read."""

    sources: tuple[HalfArray, ...]  # (frames, mels) each, the clips one after the other
    places: IndexArray  # (clips, 3): source, first frame, end

    @classmethod
    def of(cls, frames: HalfArray, offsets: IndexArray) -> "Spectrograms":
        """Build from frames in which clip ``i`` has ``offsets[i]:offsets[i + 1]``.

        Raises:
            InputError: the offsets do not cover the frames.
        """
        if int(offsets[-1]) != len(frames):
            raise InputError(
                f"offsets end at frame {offsets[-1]} of {len(frames)}; they must cover all: make the spectrograms again"
            )
        places = np.stack([np.zeros(len(offsets) - 1, np.int64), offsets[:-1], offsets[1:]], axis=1)
        return cls(sources=(frames,), places=places)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> IndexArray:
        """Frames of each clip ``(clips,)``."""
        lengths: IndexArray = self.places[:, 2] - self.places[:, 1]
        return lengths

    def of_rows(self, rows: Sequence[int] | IndexArray) -> "Spectrograms":
        """Select some of the clips."""
        return Spectrograms(sources=self.sources, places=self.places[np.asarray(rows, np.int64)])

    def followed_by(self, others: "Spectrograms") -> "Spectrograms":
        """Append other clips to these."""
        shifted = others.places + np.array([len(self.sources), 0, 0])
        return Spectrograms(sources=self.sources + others.sources, places=np.concatenate([self.places, shifted]))

    def read(
        self, clips: IndexArray, *, at_most: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read clips ``(batch, time, mels)``, zeros beyond their ends, and their lengths ``(batch,)``.

        Clips longer than ``at_most`` frames are cropped at a random place from ``generator``, or at their start without
        one.
        """
        whole = torch.from_numpy(self.lengths[clips])
        lengths = whole.clamp(max=at_most)
        draws = torch.rand(len(clips), generator=generator, dtype=torch.float64) if generator else torch.zeros(1)
        starts = (draws * (whole - lengths + 1)).long().tolist()
        filled = torch.zeros(len(clips), int(lengths.max()), self.sources[0].shape[1])
        for row, (clip, start, length) in enumerate(zip(clips, starts, lengths.tolist(), strict=True)):
            source, begin, _ = self.places[clip].tolist()
            frames = self.sources[source][begin + start : begin + start + length]
            filled[row, :length] = torch.from_numpy(frames.astype(np.float32))
        return filled, lengths


@dataclass(frozen=True, kw_only=True)
class SpectrogramBatchConfig:
    """Options of training batches."""

    batch_size: int = 96  # clips per step, over all processes and accumulation steps
    max_frames: int = 300  # longest crop of a clip; longer clips are cropped anew each time
    pool_batches: int = 4  # batches whose clips are sorted by length together, which saves padding; 1 sorts nothing
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.batch_size >= 2, "batches.batch_size", self.batch_size, "clips are compared: choose 2 or more")
        require_least(self, "batches", "max_frames", "pool_batches", least=1)
        require_seed(self.seed, "batches.seed")

    def share(self, part: int, parts: int) -> slice:
        """Return part ``part`` of ``parts`` of a batch.

        Raises:
            InputError: the batch cannot be divided equally.
        """
        if self.batch_size % parts:
            raise InputError(
                f"batches.batch_size is {self.batch_size}, to be shared by {parts} (processes times accumulation "
                f"steps); choose a multiple of {parts}"
            )
        return slice(part, None, parts)


class Order:
    """Endless shuffled epochs of clips in batches of similar length; the clips of a step follow from step and seed."""

    def __init__(self, lengths: IndexArray, config: SpectrogramBatchConfig) -> None:
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
        order = rng.permutation(len(self._lengths))
        size = self._config.batch_size
        if self._config.pool_batches == 1:
            return order
        pool = size * self._config.pool_batches
        pools = np.array_split(order, range(pool, len(order), pool))
        pools = [clips[np.argsort(self._lengths[clips], kind="stable")] for clips in pools]
        batches = np.array_split(np.concatenate(pools), range(size, len(order), size))
        return np.concatenate([batches[number] for number in rng.permutation(len(batches))])


def trim_rows(spectrograms: Tensor, lengths: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Select rows of a batch, without the frames that only other rows need."""
    own = lengths[rows]
    return spectrograms[rows, : int(own.max())], own
