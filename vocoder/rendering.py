"""One sound on its way from codes to samples: what the network is told, and what becomes of what it says.

::

    codes --even_blocks--> frames --generation--> levels --mu-law--> samples --post-filter--> sound
                  └------------------- what they mean -------------------^
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
    """One sound; its post-filter is told what the codes mean as they pass.

    Args:
        tokenizer: says what codes mean.
        config: of the network.
        postfilter: strength of the filter, where the tokenizer's front end has levels.
        prompt: samples at the beginning that are a recording.
    """

    def __init__(self, tokenizer: CodeMeanings, config: WaveNetConfig, *, postfilter: float, prompt: int) -> None:
        self.tokenizer, self.config = tokenizer, config
        strength = in_force(postfilter, tokenizer.front_end)
        self.filter = PostFilter(tokenizer.front_end, strength=strength, prompt=prompt) if strength else None

    def frames(self, blocks: Iterable[Codes]) -> Iterator[Tensor]:
        """What the network is told ``(frames, inputs)``, block by block."""
        for values in even_blocks(blocks):
            if self.filter is not None:
                self.filter.expect(log_mel_of(values, self.tokenizer))
            yield frames_of(values, self.tokenizer, self.config)

    def samples(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Samples ``(time,)`` of levels, which come in whole frames, as the filter lets them go."""
        for each in levels:
            samples = mu_law.decode(each, levels=self.config.levels)
            yield samples if self.filter is None else self.filter.filter(samples)
        if self.filter is not None:
            yield self.filter.finish()

    def whole(self, levels: Tensor) -> Tensor:
        """All samples of all levels ``(time,)``, in the pieces in which `samples` has them of a stream."""
        chunk = CHUNK_FRAMES * self.config.hop_length
        return torch.cat([*self.samples(torch.split(levels, chunk))])
