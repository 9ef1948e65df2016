"""What a GPT reads: the tokens of codes, and windows of long recordings.

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
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import CodesFormat
from wordless.base.arrays import IndexArray, IntArray
from wordless.base.messages import require


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
        tokens = (codes + torch.arange(self.streams, device=codes.device) * self.per_stream).flatten(1)
        return torch.cat([torch.full_like(tokens[:, :1], self.bos), tokens], dim=1)

    def tokens(self, values: IntArray) -> IndexArray:
        """Convert ``(time, streams)`` codes to ``(time * streams,)`` tokens."""
        return values.reshape(-1) + self.first_token(np.arange(values.size))

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
