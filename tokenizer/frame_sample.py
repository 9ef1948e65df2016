"""Statistics of all frames of a corpus, and a bounded, seeded sample of its patches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import tee
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import SpeechLayerConfig
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.recordings.inspection import require_finite_samples
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, follow_level, frames_stream, log_mel_stream
from wordless.audio.views import View
from wordless.base.arrays import FloatArray
from wordless.base.pools import Pool, in_order

WHOLE_BYTES = 2**20  # of log-mel that a worker may send back: that of a clip of 40 s by default


class Reservoir:
    """A uniform sample of at most ``capacity`` rows of a stream of unknown length (Vitter 1985, algorithm R)."""

    def __init__(self, capacity: int, width: int, seed: int) -> None:
        self.rows: FloatArray = np.zeros((capacity, width), dtype=np.float32)
        self.seen, self._random = 0, np.random.default_rng(seed)

    def add(self, rows: FloatArray) -> None:
        """Offer rows ``(n, ...)`` of ``width`` values, in order; only those that are kept are copied."""
        room = max(len(self.rows) - self.seen, 0)
        first, late = rows[:room], rows[room:]
        self.rows[self.seen : self.seen + len(first)] = first.reshape(len(first), self.rows.shape[1])
        if len(late):
            # Row n replaces one of the kept rows with probability capacity / n, so all rows are kept equally often.
            place = self._random.integers(0, self.seen + room + np.arange(len(late)) + 1)
            kept = place < len(self.rows)
            self.rows[place[kept]] = late[kept].reshape(int(kept.sum()), self.rows.shape[1])
        self.seen += len(rows)

    @property
    def sample(self) -> FloatArray:
        """Return the rows kept so far, ``(n, width)``."""
        return self.rows[: min(self.seen, len(self.rows))]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSample:
    """Statistics of every frame, and a sample of short runs of frames."""

    mean: Tensor  # (mels,) of log-mel
    std: Tensor  # (mels,)
    columns: Tensor  # (n, frames, mels) log-mel; a column is a run of frames as long as a patch
    seen: int  # number of columns the sample was drawn from
    states: Tensor | None = None  # (n, width) of another network, for the same time as the columns


class OpenVectors(Protocol):
    """A loaded model that gives vectors over time; `VectorSource.open` returns one."""

    @property
    def width(self) -> int:
        """Dimensions of a vector."""

    @property
    def stride(self) -> int:
        """Samples from one vector to the next."""

    def read_clips(
        self, root: Path, clips: Sequence[Clip], audio: SpectrogramConfig, *, progress: Callable[[int], None]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Give log-mel ``(time, mels)`` and vectors ``(time, width)`` of clips below ``root``, for `draw_sample`."""

    @property
    def constructor(self) -> Callable[..., Tokenizer]:
        """What takes the arguments of `Tokenizer`, for codes that are the nearest centroids of these vectors."""


class VectorSource(Protocol):
    """What k-means clusters in the place of an autoencoder's bottlenecks, such as a layer of a speech model.

    `tokenizer.speech_layer.ChosenLayer` is one: it is passed in, so that no stage of the codebook loads a speech model.
    """

    @property
    def width(self) -> int:
        """Dimensions of a vector."""

    @property
    def config(self) -> SpeechLayerConfig:
        """What the tokenizer's config says of the vectors."""

    def open(self, device: str = "cpu") -> OpenVectors:
        """Load the model."""


@dataclass(frozen=True, kw_only=True)
class LogMelReader:
    """Reads the log-mel of clips below ``root``, or of a view of each clip."""

    root: Path
    audio: SpectrogramConfig
    views: Callable[[Clip], View] = View
    whole_bytes: int = WHOLE_BYTES  # longer clips are not sent from process to process
    beside_absolute: bool = False  # whether the log-mel as loud as recorded follows that at the reference level

    def pieces(self, clip: Clip) -> Iterator[Tensor]:
        """Give the log-mel ``(time, mels)`` of a clip, or both ``(time, 2 * mels)``, as `log_mel_stream` does."""
        view, log_mel = self.views(clip), _log_mel(self.audio)
        blocks = view.blocks(self.root, self.audio.sample_rate)
        pieces = log_mel_stream(log_mel, blocks, dynamic_range=view.change.dynamic_range)
        if self.beside_absolute:
            frames, absolute = tee(frames_stream(log_mel, blocks, frames=1000))
            both = zip(follow_level(frames, self.audio), absolute, strict=True)
            pieces = (torch.cat([levelled, own], dim=1) for (levelled, _), own in both)
        for piece in pieces:
            require_finite_samples(piece.numpy(), clip, "log-mel frames")
            yield piece

    def __call__(self, clip: Clip) -> list[FloatArray] | None:
        """Return all pieces of a clip; None if they are more than ``whole_bytes``."""
        frames = clip.seconds * self.audio.sample_rate / self.audio.hop_length
        if 4 * frames * self.audio.n_mels > self.whole_bytes:
            return None
        return [piece.numpy() for piece in self.pieces(clip)]


@lru_cache(maxsize=1)
def _log_mel(audio: SpectrogramConfig) -> LogMel:
    return LogMel(audio)


def read_log_mel(
    reader: LogMelReader, clips: Sequence[Clip], pool: Pool, *, progress: Callable[[int], None]
) -> Iterator[Tensor]:
    """Read the log-mel ``(time, mels)`` of clips in order: the pool reads short ones, this process long ones."""
    for done, (clip, whole) in enumerate(zip(clips, in_order(reader, clips, pool, large=True), strict=True), 1):
        yield from reader.pieces(clip) if whole is None else map(torch.tensor, whole)
        progress(done)


def draw_sample(
    recordings: Iterable[tuple[Tensor, Tensor | None]],
    *,
    frames: int,
    n_mels: int,
    capacity: int,
    seed: int,
    width: int = 0,
) -> FrameSample:
    """Compute statistics and draw a seeded sample of columns, in one pass and bounded memory.

    ``recordings`` are log-mel ``(time, mels)``, in a fixed order, each with None, or with the states ``(steps, width)``
    of another network. Without states, columns begin at every frame; else at those of a state::

        log-mel   [  f0  ][  f1  ][  f2  ][  f3  ]  f4
        columns   [      c0      ][      c2      ]               2 frames for each column
                          [      c1      ][      c3      ]       without states alone
        states    [      s0      ][      s1      ]               a rest belongs to none
    """
    reservoir = Reservoir(capacity, width + frames * n_mels, seed)
    total, squares, count = np.zeros(n_mels), np.zeros(n_mels), 0
    for spectrogram, states in recordings:
        values = spectrogram.numpy().astype(np.float64)  # float32 would round the variance of hours of frames away
        total += values.sum(0)
        squares += (values**2).sum(0)
        count += len(values)
        if states is not None:
            columns = spectrogram[: len(states) * frames].reshape(len(states), frames * n_mels)
            reservoir.add(torch.cat([states, columns], dim=1).numpy())
        elif len(spectrogram) >= frames:
            reservoir.add(spectrogram.unfold(0, frames, 1).transpose(1, 2).numpy())  # (T, M) -> (T', F, M)
    mean = total / max(count, 1)
    # A constant band (above the recordings' own bandwidth) must not be amplified to noise.
    std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 1e-2))
    drawn = torch.from_numpy(reservoir.sample)
    return FrameSample(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(std).float(),
        columns=drawn[:, width:].reshape(-1, frames, n_mels),
        seen=reservoir.seen,
        states=drawn[:, :width].contiguous() if width else None,
    )
