"""The tokens of the language model: one for every code of every stream, begin-of-sequence, padding and, of a model that
also reads backwards, the end from which it does so.

A recording is read time-major, stream-minor, so that the position determines the stream::

    codes     (0, stream 0)  (0, stream 1)  (1, stream 0)  (1, stream 1)  ...
    position        0              1              2              3
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import CodesFormat, IntArray
from wordless.base.errors import InputError

TokenArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The numbering of tokens: stream * codebook_size + code, then begin-of-sequence, padding and the end."""

    codebook_size: int
    streams: int
    backward: bool = False  # whether there is an end

    def __post_init__(self) -> None:
        if self.codebook_size < 2 or self.streams < 1:
            raise InputError(
                f"codebook_size is {self.codebook_size} and streams {self.streams}; a language model needs at least 2 "
                "codes to choose from and 1 stream: train the codebook with tokenizer.codebook_size=2 or more"
            )

    @classmethod
    def of(cls, codes_format: CodesFormat, *, backward: bool = False) -> "Vocabulary":
        """Return the vocabulary of one codebook's codes."""
        return cls(codebook_size=codes_format.codebook_size, streams=codes_format.streams, backward=backward)

    @property
    def codes(self) -> int:
        """Number of tokens that stand for codes; they come first."""
        return self.codebook_size * self.streams

    @property
    def bos(self) -> int:
        """Begin-of-sequence: the input before the first code of every window."""
        return self.codes

    @property
    def pad(self) -> int:
        """Padding: fills the rows of a batch to one length."""
        return self.codes + 1

    @property
    def end(self) -> int:
        """The input before the last code of a window that is read backwards."""
        return self.codes + 2

    @property
    def size(self) -> int:
        """Number of all tokens."""
        return self.codes + 2 + self.backward

    def first_token(self, positions: TokenArray) -> TokenArray:
        """Return the token of code 0 at each position, counted in codes from the start of the recording."""
        return positions % self.streams * self.codebook_size

    def tokens(self, values: IntArray) -> TokenArray:
        """Convert ``(time, streams)`` codes to ``(time * streams,)`` tokens."""
        return values.reshape(-1) + self.first_token(np.arange(values.size))

    def steps(self, tokens: Tensor) -> Tensor:
        """Group ``(batch, positions)`` after begin-of-sequence into ``(batch, 1 + whole time steps, streams)``.

        Begin-of-sequence is a time step of its own, filled up with padding; tokens of an incomplete last time step are
        dropped.
        """
        begin = pad(tokens[:, :1], (0, self.streams - 1), value=self.pad)  # (N, 1) -> (N, S)
        whole = tokens[:, 1 : 1 + (tokens.shape[1] - 1) // self.streams * self.streams]
        return torch.cat([begin.unsqueeze(1), whole.reshape(whole.shape[0], -1, self.streams)], dim=1)

    def over_codes(self, states: Tensor) -> Tensor:
        """Repeat states of begin-of-sequence and time steps ``(..., 1 + time, dim)`` for each of their codes."""
        return torch.cat([states[..., :1, :], states[..., 1:, :].repeat_interleave(self.streams, -2)], dim=-2)
