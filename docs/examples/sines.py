"""Sines: one sine for each mel band, as loud as the codes say."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tokenizer.codes import CodeDecoder, Codes
from vocoder.unlearned import frame_blocks


def sines(codes: Codes, tokenizer: CodeDecoder, *, seed: int) -> Iterator[Tensor]:
    """Yield the samples ``(time,)`` block by block. The seed draws the phase of each sine."""
    config = tokenizer.front_end
    bins = config.mel_filters().argmax(dim=0)  # the centre of each mel band
    cycles = bins / config.window_length  # cycles per sample, (mels,)
    phases = torch.rand(config.n_mels, generator=torch.Generator().manual_seed(seed))
    for block in frame_blocks(codes, tokenizer):
        # a Hann window turns a sine of amplitude a into a peak of a * window_length / 4
        amplitude = 4 * (block.log_mel / 2).exp() / config.window_length  # (frames, mels)
        time = torch.arange(block.first * config.hop_length, block.last * config.hop_length, dtype=torch.float64)
        waves = torch.sin(2 * torch.pi * (time[:, None] * cycles + phases)).float()  # (samples, mels)
        samples = (waves * amplitude.repeat_interleave(config.hop_length, dim=0)).sum(dim=1)
        yield samples[block.inner].clamp(-1, 1)
