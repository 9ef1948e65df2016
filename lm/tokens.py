"""What a GPT reads: the tokens of codes, windows of long recordings, and batches for the training loop.

There is a token for every code of every stream, begin-of-sequence and padding. A recording is read time-major,
stream-minor, so that the position determines the stream::

    codes     (0, stream 0)  (0, stream 1)  (1, stream 0)  (1, stream 1)  ...
    position        0              1              2              3

Windows of a recording longer than the context overlap by half, and each code is counted once. ``W`` is the capacity of
a window in time steps::

    time steps   0                 W        3W/2       2W
    window 0     [  0    counted  W)
    window 1              [W/2  seen  W | counted 3W/2)
    window 2                          [W  seen  3W/2 | counted 2W)

So every code after the first window is predicted from at least half a window. The start of a window depends only on the
position: scoring and continuing a recording use the same past, and other rows of a batch do not matter.

The batch of a training step is a function of (seed, step): the same examples for any number of processes, each of which
takes a share. Random choices of an example come from a generator seeded by (seed, epoch, example).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tokenizer.codes import CodesFormat
from wordless.base.arrays import IndexArray, IntArray
from wordless.base.devices import Batch
from wordless.base.messages import InputError, require
from wordless.base.options import BatchSize, option


@dataclass(frozen=True, kw_only=True)
class BatchConfig(BatchSize):
    """Options of training batches of windows."""

    random_inputs: float = option(0.1, "share of input codes that are replaced by random codes", least=0, below=1)
    # number of batches whose examples are sorted by length together, which saves padding; 1: no sorting
    pool_batches: int = 16
    seed: int = 0  # seed of the order of examples


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The numbering of tokens: stream * per_stream + code, then begin-of-sequence and padding."""

    per_stream: int  # codes of each stream
    streams: int

    def __post_init__(self) -> None:
        rule = "a language model needs at least 2 codes to choose from and 1 stream"
        require(self.per_stream >= 2, "per_stream", self.per_stream, rule)
        require(self.streams >= 1, "streams", self.streams, rule)

    @classmethod
    def of(cls, codes_format: CodesFormat) -> "Vocabulary":
        """Return the vocabulary of a codebook's codes."""
        return cls(per_stream=codes_format.codebook_size, streams=codes_format.streams)

    @property
    def codes(self) -> int:
        """Number of tokens that stand for codes; they come first."""
        return self.per_stream * self.streams

    @property
    def bos(self) -> int:
        """Begin-of-sequence: the input before the first code of every window."""
        return self.codes

    @property
    def pad(self) -> int:
        """Padding: fills the rows of a batch to one length."""
        return self.codes + 1

    @property
    def size(self) -> int:
        return self.codes + 2

    def first_token(self, positions: IndexArray) -> IndexArray:
        """Return the token of code 0 at each position, counted in codes from the start of the recording."""
        return positions % self.streams * self.per_stream

    def sequences(self, codes: Tensor) -> Tensor:
        """Convert codes ``(batch, time, streams)`` to begin-of-sequence and tokens ``(batch, 1 + time * streams)``."""
        self._require_streams(codes.shape, 3)
        tokens = (codes + torch.arange(self.streams, device=codes.device) * self.per_stream).flatten(1)
        return torch.cat([torch.full_like(tokens[:, :1], self.bos), tokens], dim=1)

    def tokens(self, values: IntArray) -> IndexArray:
        """Convert ``(time, streams)`` codes to ``(time * streams,)`` tokens."""
        self._require_streams(values.shape, 2)
        return values.reshape(-1) + self.first_token(np.arange(values.size))

    def _require_streams(self, shape: Sequence[int], dimensions: int) -> None:
        """Refuse codes of other streams, such as a side stream: its numbers would be read as those of other codes."""
        if len(shape) != dimensions or shape[-1] != self.streams:
            wanted = f"({'batch, ' if dimensions == 3 else ''}time, {self.streams})"
            rule = f"it must be {wanted}: codes of the spectrum, without side streams (codes.spectral.values)"
            raise InputError(option="shape of the codes", value=tuple(shape), rule=rule)

    def steps(self, tokens: Tensor) -> Tensor:
        """Group ``(batch, positions)`` to ``(batch, 1 + whole time steps, streams)``; begin-of-sequence is padded."""
        begin = pad(tokens[:, :1], (0, self.streams - 1), value=self.pad)  # (N, 1) -> (N, S)
        whole = tokens[:, 1 : 1 + (tokens.shape[1] - 1) // self.streams * self.streams]
        return torch.cat([begin.unsqueeze(1), whole.reshape(whole.shape[0], -1, self.streams)], dim=1)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Time steps ``[start, stop)`` of a window, of which ``[counted, stop)`` are counted."""

    start: int
    counted: int
    stop: int


def window_start(step: int, capacity: int) -> int:
    """Return the first time step that is visible when time step ``step`` is predicted."""
    stride = max(capacity // 2, 1)
    return 0 if step < capacity else ((step - capacity) // stride + 1) * stride


def windows(steps: int, capacity: int) -> list[Window]:
    """Return the windows of a recording of ``steps`` time steps; together they count each step exactly once."""
    first = [Window(start=0, counted=0, stop=min(steps, capacity))] if steps else []
    stride = max(capacity // 2, 1)
    later = range(capacity, steps, stride)
    return first + [
        Window(start=window_start(step, capacity), counted=step, stop=min(steps, step + stride)) for step in later
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeSequences:
    """Clips with one or more sequences of codes each: their views, none of which may be empty.

    Views are the same sound cut into patches from other offsets, or warped. The first view is the original clip. A view
    is ``(time, streams)``; further columns are not predicted, but read at the positions that predict the time step.
    """

    views: Sequence[Sequence[IntArray]]  # of each clip

    def __post_init__(self) -> None:
        if not self.views:
            raise InputError("there are 0 clips; a language model needs one: look at the manifest and its splits")
        empty = sum(not views or not all(map(len, views)) for views in self.views)
        if empty:
            problem = f"{empty} of {len(self.views)} clips have no view, or a view without a code"
            raise InputError(f"{problem}; leave recordings out that are shorter than one code")

    @cached_property
    def lengths(self) -> IndexArray:
        """Time steps of each clip's first view ``(clips,)``."""
        return np.array([len(views[0]) for views in self.views])


MIN_WINDOWS = 4  # per step, for windows of any length
UNCOUNTED = -100  # target of a position that is not counted: torch's cross entropy ignores it
_ORDER, EXAMPLE = 0, 1  # second words of the seeds: the purpose of a generator


# a window: tokens and targets (codes,), and the further columns of each code (codes, columns)
TokenRow = tuple[IndexArray, IndexArray, IndexArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeBatch(Batch):
    """Windows of recordings as inputs, with the next codes as targets; or log-mel of clips, with their codes."""

    # (batch, positions) int64: begin-of-sequence, the window's tokens except the last, padding; with further columns,
    # (batch, positions, 1 + columns)
    inputs: Tensor
    targets: Tensor  # (batch, positions, ...) int64 codes, or UNCOUNTED
    codes: int  # of all counted targets; known on the host, which saves a query to the GPU


def loss(model: nn.Module, batch: CodeBatch) -> tuple[Tensor, int]:
    """Compute the summed cross entropy in nats over the codes of the batch, and their number."""
    flat = model(batch.inputs).float().flatten(0, -2)  # such as (N, T, K) -> (N * T, K)
    nats = nn.functional.cross_entropy(flat, batch.targets.flatten(), ignore_index=UNCOUNTED, reduction="sum")
    return nats, batch.codes


def fitting_batches(
    config: BatchConfig,
    sequences: CodeSequences,
    capacity: int,
    *,
    batch_tokens: int,
    positions_per_step: int,
    least: int,
    processes: int,
) -> BatchConfig:
    """Reduce the batch size so that a batch holds at most about ``batch_tokens`` positions.

    The result does not depend on the number of processes, but a batch that they cannot share equally is refused.
    ``least`` is the smallest number of windows per process.
    """
    tokens = float(np.minimum(sequences.lengths, capacity).mean()) * positions_per_step
    windows = max(batch_tokens / tokens, MIN_WINDOWS)
    if config.batch_size <= windows:
        return config
    size = least * 2 ** max(math.floor(math.log2(windows / least)), 0)
    if size % (processes * least):
        raise InputError(
            f"lm.batch_tokens is {batch_tokens}, which makes {size} windows of about {tokens:.0f} tokens a "
            f"step, and {processes} processes cannot share them equally; use a power of two of processes, "
            f"or raise it to {math.ceil(config.batch_size * tokens)} for lm.batches.batch_size={config.batch_size}"
        )
    return replace(config, batch_size=size)


class TrainingBatches:
    """Endless shuffled epochs. A clip appears once for each window it fills, each time with a random crop."""

    def __init__(self, sequences: CodeSequences, vocabulary: Vocabulary, config: BatchConfig, *, capacity: int) -> None:
        self._sequences = sequences
        self._vocabulary = vocabulary
        self._config = config
        self._capacity = capacity
        crops = -(-sequences.lengths // capacity)
        self._clips = np.repeat(np.arange(len(crops)), crops)  # (examples,) the clip of each example
        self._order = lru_cache(maxsize=2)(self._shuffle)  # a batch may reach into the next epoch

    def batch(self, step: int, part: int, parts: int) -> CodeBatch:
        """Return share ``part`` of ``parts`` of the batch of a step; refuse a batch that cannot be divided equally."""
        size = self._config.batch_size
        if size % parts:
            problem = f"lm.batches.batch_size is {size}, to be shared by {parts} (processes times accumulation steps)"
            raise InputError(f"{problem}; choose a multiple of {parts}")
        places = range(step * size + part, (step + 1) * size, parts)
        rows = [self._example(*divmod(place, len(self._clips))) for place in places]
        return _collate(rows, self._vocabulary)

    def _example(self, epoch: int, place: int) -> TokenRow:
        """Return a window of one of a clip's views, with random codes in the place of some inputs."""
        example = int(self._order(epoch)[place])
        rng = np.random.default_rng([self._config.seed, EXAMPLE, epoch, example])
        views = self._sequences.views[int(self._clips[example])]
        steps = views[int(rng.integers(len(views)))]
        start = int(rng.integers(max(len(steps) - self._capacity, 0) + 1))
        crop, columns = _divided(steps[start : start + self._capacity], self._vocabulary)
        replaced = rng.random(crop.shape) < self._config.random_inputs
        read = np.where(replaced, rng.integers(self._vocabulary.per_stream, size=crop.shape, dtype=np.int32), crop)
        return self._vocabulary.tokens(read), crop.reshape(-1).astype(np.int64), columns

    def _shuffle(self, epoch: int) -> IndexArray:
        """Return the order of the examples in an epoch ``(examples,)``."""
        rng = np.random.default_rng([self._config.seed, _ORDER, epoch])
        lengths = np.minimum(self._sequences.lengths, self._capacity)[self._clips]
        return shuffled_batches(lengths, rng, size=self._config.batch_size, pool_batches=self._config.pool_batches)


def shuffled_batches(lengths: IndexArray, rng: np.random.Generator, *, size: int, pool_batches: int) -> IndexArray:
    """Order examples ``(examples,)`` in batches of similar length, in random order; pools of 1 batch sort nothing."""
    order = rng.permutation(len(lengths))
    pools = np.array_split(order, range(size * pool_batches, len(order), size * pool_batches))
    if pool_batches > 1:
        pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    batches = np.array_split(np.concatenate(pools), range(size, len(order), size))
    return np.concatenate([batches[number] for number in rng.permutation(len(batches))])


def validation_batches(
    sequences: CodeSequences, vocabulary: Vocabulary, *, batch_size: int, capacity: int, at_most: int | None = None
) -> Iterator[CodeBatch]:
    """Give every code of the clips' first views, exactly once, in windows of the context, or ``at_most`` windows."""
    steps = sequences.lengths.tolist()
    passages = [(clip, window) for clip, length in enumerate(steps) for window in windows(length, capacity)]
    if at_most is not None and len(passages) > at_most:
        passages = [passages[number * len(passages) // at_most] for number in range(at_most)]
    passages.sort(key=lambda passage: passage[1].stop - passage[1].start)
    for first in range(0, len(passages), batch_size):
        rows = passages[first : first + batch_size]
        yield _collate([_row(sequences.views[clip][0], window, vocabulary) for clip, window in rows], vocabulary)


def _row(codes: IntArray, window: Window, vocabulary: Vocabulary) -> TokenRow:
    """Return a window of ``codes (time, streams)``; its uncounted codes are no targets."""
    read, columns = _divided(codes[window.start : window.stop], vocabulary)
    targets = read.astype(np.int64)
    targets[: window.counted - window.start] = UNCOUNTED
    return vocabulary.tokens(read), targets.reshape(-1), columns


def _divided(steps: IntArray, vocabulary: Vocabulary) -> tuple[IntArray, IndexArray]:
    """Divide time steps ``(time, streams + columns)`` into codes, and the further columns of each code."""
    codes, columns = steps[:, : vocabulary.streams], steps[:, vocabulary.streams :]
    return codes, np.repeat(columns, vocabulary.streams, axis=0).astype(np.int64)


def _collate(rows: list[TokenRow], vocabulary: Vocabulary) -> CodeBatch:
    """Collate windows; every row begins with begin-of-sequence."""
    size = len(rows), max(len(tokens) for tokens, _, _ in rows)
    inputs, targets = np.full(size, vocabulary.pad, np.int64), np.full(size, UNCOUNTED, np.int64)
    inputs[:, 0] = vocabulary.bos
    columns = np.zeros((*size, rows[0][2].shape[1]), np.int64)
    for index, (tokens, wanted, read) in enumerate(rows):
        inputs[index, 1 : len(tokens)] = tokens[:-1]
        targets[index, : len(wanted)] = wanted
        columns[index, : len(read)] = read
    return CodeBatch(
        inputs=torch.from_numpy(np.concatenate([inputs[..., None], columns], axis=2) if columns.size else inputs),
        targets=torch.from_numpy(targets),
        codes=int((targets != UNCOUNTED).sum()),
    )
