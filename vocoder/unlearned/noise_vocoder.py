"""Noise vocoder: noise with the spectrum of the codes, a whisper, and the simplest sound of codes.

Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues", Science
270). So recognition of a vocoder's sound says little about its voice unless it exceeds that of noise.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes
from vocoder.limiter import limited
from vocoder.short_time import analyse, hann, synthesise
from vocoder.unlearned.frame_blocks import CodeFrames, FrameNumbers, frame_blocks, overlapping_frames
from vocoder.unlearned.mel_inversion import linear_power
from wordless.audio.options import SpectrogramConfig


def stream(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, in constant memory."""
    log_mel, config = CodeFrames(codes, tokenizer), tokenizer.front_end
    noise = FrameNumbers(torch.randn, len(log_mel), config.hop_length, seed=seed)
    reach = overlapping_frames(config)
    # The first windows of a block reach back to the noise before it, and its last samples lie in the windows after it.
    for block in frame_blocks(len(log_mel), before=reach, after=reach):
        samples = _block(log_mel[block.first : block.last], noise.of(block).flatten(), config)
        yield limited(block.inner(samples, config.hop_length, codes.num_samples))


@torch.inference_mode()
def _block(log_mel: Tensor, noise: Tensor, config: SpectrogramConfig) -> Tensor:
    """``(frames, mels)`` and ``(frames * hop_length,)`` -> ``(frames * hop_length,)``."""
    own = hann(config).square().sum()  # mean power of its spectrum
    return synthesise(analyse(noise, config) * (linear_power(log_mel, config) / own).sqrt(), config)
