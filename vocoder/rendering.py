"""The path of one sound from codes to samples.

::

    codes --even_blocks--> frames --generation--> levels --mu-law--> samples --post-filter--> sound
                  └------------------- target log-mel -------------------^
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes
from vocoder.code_blocks import even_blocks, frames_of, log_mel_of
from vocoder.generation import CHUNK_FRAMES
from vocoder.postfilter import PostFilter, in_force
from vocoder.wavenet import mu_law
from vocoder.wavenet.network import WaveNetConfig


class Rendering:
    """One sound; target frames go to its post-filter as the codes pass.

    Args:
        tokenizer: decodes the codes.
        config: of the network.
        postfilter: strength of the filter, if the tokenizer's front end keeps levels.
        prompt: samples at the beginning that are a recording.
    """

    def __init__(self, tokenizer: CodeMeanings, config: WaveNetConfig, *, postfilter: float, prompt: int) -> None:
        self.tokenizer, self.config = tokenizer, config
        strength = in_force(postfilter, tokenizer.front_end)
        self.filter = PostFilter(tokenizer.front_end, strength=strength, prompt=prompt) if strength else None

    def frames(self, blocks: Iterable[Codes]) -> Iterator[Tensor]:
        """Give the network's conditions ``(frames, inputs)``, block by block."""
        for values in even_blocks(blocks):
            if self.filter is not None:
                self.filter.expect(log_mel_of(values, self.tokenizer))
            yield frames_of(values, self.tokenizer, self.config)

    def samples(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Give samples ``(time,)`` for levels in whole frames, as soon as the filter returns them."""
        for each in levels:
            samples = mu_law.decode(each, levels=self.config.levels)
            yield samples if self.filter is None else self.filter.filter(samples)
        if self.filter is not None:
            yield self.filter.finish()

    def whole(self, levels: Tensor) -> Tensor:
        """Return all samples ``(time,)`` of all levels, computed in the same pieces as `samples` computes a stream."""
        chunk = CHUNK_FRAMES * self.config.hop_length
        return torch.cat([*self.samples(torch.split(levels, chunk))])
