"""Griffin-Lim: sound from a log-mel spectrogram without learning, the baseline beside the WaveNet.

Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").

An iteration changes a frame only through frames whose windows overlap its own. So the samples of a frame depend on
`ITERATIONS` times as many frames on each side. Long sounds are made in blocks with that context, in constant memory;
the samples are those of the whole spectrogram.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes
from vocoder.limiter import limited
from vocoder.short_time import analyse, synthesise
from vocoder.unlearned.frame_blocks import CodeFrames, FrameNumbers, frame_blocks, overlapping_frames
from vocoder.unlearned.mel_inversion import linear_power
from wordless.audio.options import SpectrogramConfig

MOMENTUM = 0.99
ITERATIONS = 32


def stream(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, in constant memory."""
    log_mel, config = CodeFrames(codes, tokenizer), tokenizer.front_end
    cycles = FrameNumbers(torch.rand, len(log_mel), config.window_length // 2 + 1, seed=seed)  # initial phases
    reach = overlapping_frames(config)
    for block in frame_blocks(len(log_mel), before=ITERATIONS * reach, after=(ITERATIONS + 1) * reach):
        samples = _block(log_mel[block.first : block.last], cycles.of(block), config)
        yield limited(block.inner(samples, config.hop_length, codes.num_samples))


@torch.inference_mode()
def _block(log_mel: Tensor, cycles: Tensor, config: SpectrogramConfig) -> Tensor:
    """``(frames, mels)`` -> ``(frames * hop_length,)``: alternate these magnitudes and real spectra."""
    magnitude = linear_power(log_mel, config).sqrt()
    spectrum = magnitude * torch.exp(2j * math.pi * cycles)
    before = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        consistent = analyse(synthesise(spectrum, config), config)
        ahead = consistent + MOMENTUM * (consistent - before)
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-12)
        before = consistent
    return synthesise(spectrum, config)
