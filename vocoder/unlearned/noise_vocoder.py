"""Noise vocoder: noise with the spectrum of the codes, a whisper, and the simplest sound of codes.

Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues", Science
270). So recognition of a vocoder's sound says little about its voice unless it exceeds that of noise.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from audio.spectrogram import SpectrogramConfig
from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.short_time import analyse, hann, synthesise
from vocoder.unlearned.frame_blocks import CodeFrames, FrameBlock, frame_blocks, overlapping_frames
from vocoder.unlearned.mel_inversion import linear_power

DRAWN_TOGETHER = 16  # PyTorch draws normal values in groups of 16; parts of a draw must be cut there


def stream(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, in constant memory."""
    config = tokenizer.front_end
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    log_mel, reach, hop = CodeFrames(codes, tokenizer), overlapping_frames(config), config.hop_length
    noise = _Noise(len(log_mel) * hop, seed)
    # The first windows of a block reach back to the noise before it, and its last samples lie in the windows after it.
    for block in frame_blocks(len(log_mel), before=reach, after=reach):
        samples = _block(log_mel[block.first : block.last], noise.of(block, hop), config)
        yield block.inner(samples, hop, codes.num_samples).clamp(-1, 1)


@torch.inference_mode()
def _block(log_mel: Tensor, noise: Tensor, config: SpectrogramConfig) -> Tensor:
    """``(frames, mels)`` and ``(frames * hop_length,)`` -> ``(frames * hop_length,)``."""
    own = hann(config).square().sum()  # mean power of its spectrum
    return synthesise(analyse(noise, config) * (linear_power(log_mel, config) / own).sqrt(), config)


class _Noise:
    """Normal noise, drawn part by part: the values of one draw of the whole."""

    def __init__(self, samples: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.left = samples  # to be drawn
        self.drawn = torch.zeros(0)  # from sample `first` on
        self.first = 0

    def of(self, block: FrameBlock, hop: int) -> Tensor:
        """Return the noise of a block's frames and its context; blocks come in their order."""
        first, last = block.first * hop, block.last * hop
        kept = self.drawn[first - self.first :]
        missing = max(last - first - len(kept), 0)
        count = -(-missing // DRAWN_TOGETHER) * DRAWN_TOGETHER
        count = self.left if self.left - count < DRAWN_TOGETHER else count
        self.left -= count
        self.drawn, self.first = torch.cat([kept, torch.randn(count, generator=self.generator)]), first
        return self.drawn[: last - first]
