"""What a GPT reads of coarser codes while it predicts codes of a finer rate: the codes that cover each of them.

Such a GPT is an upsampler (Dhariwal et al., "Jukebox: A Generative Model for Music", 2020, arXiv:2005.00341). With two
coarser rates and a look-ahead of one code::

    rate 1          [               a0                  ][               a1                  ]
    rate 2          [       b0       ][       b1        ][       b2       ][       b3        ]
    rate 3          [  c0   ][  c1   ][   c2   ][  c3   ][  c4   ][  c5   ] ...

    input           begin     c0        c1        c2       c3
    reads, rate 1   a0 a1     a0 a1     a0 a1     a0 a1    a1 -        the code that covers the predicted code, and
    reads, rate 2   b0 b1     b0 b1     b1 b2     b1 b2    b2 b3       the codes after it (-: beyond the recording)
    place           0         1         2         3        0           of the predicted code in the code of rate 1
    predicts        c0        c1        c2        c3       c4

The embeddings of all that is read are added to the embedding of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tokenizer.codes import CodesFormat, IntArray
from wordless.base.ranges import require

LOOK_AHEAD = 1  # code
MOST_AHEAD = 64  # codes; each is an embedding table of the codebook


@dataclass(frozen=True, kw_only=True)
class CoarserRate:
    """A rate that an upsampler reads."""

    share: int  # predicted time steps that one of its codes covers
    streams: int


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The columns that an upsampler reads at each time step: codes of coarser rates, and the place within the coarsest.

    A column of codes holds ``codebook_size`` where there is no code, beyond the recording.
    """

    codebook_size: int
    coarser: tuple[CoarserRate, ...]  # coarse to fine
    look_ahead: int  # codes of each rate after the covering one

    def __post_init__(self) -> None:
        require_look_ahead(self.look_ahead, "look_ahead")

    @classmethod
    def of(cls, codes_format: CodesFormat, *, look_ahead: int) -> "Conditions | None":
        """Return the conditions of the finest of several rates; None for a single rate."""
        *coarser, own = codes_format.formats
        rates = [
            CoarserRate(share=each.samples_per_code // own.samples_per_code, streams=each.streams) for each in coarser
        ]
        if not rates:
            return None
        return cls(codebook_size=codes_format.codebook_size, coarser=tuple(rates), look_ahead=look_ahead)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of different values of each column."""
        codes = sum(rate.streams for rate in self.coarser) * (1 + self.look_ahead)
        return (*[self.codebook_size + 1] * codes, self.coarser[0].share)

    def align(self, coarser: Sequence[IntArray], steps: int) -> IntArray:
        """Return what is read at each of ``steps`` time steps ``(steps, columns)``.

        ``coarser`` are the codes ``(time, streams)`` of each coarser rate.
        """
        time = np.arange(steps)
        columns: list[IntArray] = []
        for rate, codes in zip(self.coarser, coarser, strict=True):
            nothing = np.full((1, rate.streams), self.codebook_size, np.int32)
            known = np.concatenate([codes, nothing])
            places = (np.minimum(time // rate.share + ahead, len(codes)) for ahead in range(1 + self.look_ahead))
            columns += [known[each] for each in places]
        place = (time % self.coarser[0].share).astype(np.int32)
        return np.concatenate([*columns, place[:, None]], axis=1)


class ConditionEmbedding(nn.Module):
    """The sum of an embedding of each column: ``(..., columns)`` -> ``(..., dim)``."""

    first: Tensor

    def __init__(self, conditions: Conditions, dim: int, *, std: float) -> None:
        super().__init__()
        sizes = conditions.sizes
        self.embed = nn.Embedding(sum(sizes), dim)
        nn.init.normal_(self.embed.weight, std=std)
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)  # row of value 0 of each column
        self.register_buffer("first", first, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Embed the values of all columns."""
        embedded: Tensor = self.embed(values + self.first).sum(-2)
        return embedded


def require_look_ahead(codes: int, option: str) -> None:
    """Refuse a number of codes to look ahead for which there is no use or no memory."""
    require(0 <= codes <= MOST_AHEAD, option, codes, f"choose 0 (only the covering code) to {MOST_AHEAD} codes")
