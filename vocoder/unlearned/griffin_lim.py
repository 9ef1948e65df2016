"""Griffin-Lim: sound from a log-mel spectrogram without learning, the baseline beside the WaveNet.

Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").

An iteration changes a frame only through frames whose windows overlap its own. So the samples of a frame depend on
``iterations`` times as many frames on each side. Long sounds are made in blocks with that context, in constant memory;
the samples are those of the whole spectrogram.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from foundation.errors import InputError
from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.short_time import analyse, synthesise
from vocoder.unlearned.frame_blocks import CodeFrames, FrameBlock, frame_blocks, overlapping_frames, whole_sound
from vocoder.unlearned.mel_inversion import linear_power

MOMENTUM = 0.99
ITERATIONS = 32


def stream(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, in constant memory."""
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    frames = CodeFrames(codes, tokenizer)
    return _stream(frames, tokenizer.front_end, num_samples=codes.num_samples, iterations=ITERATIONS, seed=seed)


def griffin_lim(
    log_mel: Tensor, config: SpectrogramConfig, *, num_samples: int, iterations: int = ITERATIONS, seed: int = 0
) -> Waveform:
    """Estimate sound with the log-mel spectrogram ``log_mel (frames, mels)``, unnormalised as of `LogMel`."""
    if num_samples > len(log_mel) * config.hop_length:
        raise InputError(
            f"num_samples is {num_samples}; {len(log_mel)} frames of {config.hop_length} samples cover "
            f"{len(log_mel) * config.hop_length}: ask for no more"
        )
    pieces = _stream(log_mel.float().cpu(), config, num_samples=num_samples, iterations=iterations, seed=seed)
    return whole_sound(pieces, config.sample_rate)


def _stream(
    log_mel: Tensor | CodeFrames, config: SpectrogramConfig, *, num_samples: int, iterations: int, seed: int
) -> Iterator[Tensor]:
    reach = overlapping_frames(config)
    draws = _Draws(config.window_length // 2 + 1, seed)
    for block in frame_blocks(len(log_mel), before=iterations * reach, after=(iterations + 1) * reach):
        samples = _block(log_mel[block.first : block.last], draws.of(block), config, iterations)
        yield block.inner(samples, config.hop_length, num_samples)


@torch.inference_mode()
def _block(log_mel: Tensor, draws: Tensor, config: SpectrogramConfig, iterations: int) -> Tensor:
    """``(frames, mels)`` -> ``(frames * hop_length,)``: alternate these magnitudes and real spectra."""
    magnitude = linear_power(log_mel, config).sqrt()
    spectrum = magnitude * torch.exp(2j * math.pi * draws)
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = analyse(synthesise(spectrum, config), config)
        ahead = consistent + MOMENTUM * (consistent - before)
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-12)
        before = consistent
    return synthesise(spectrum, config)


class _Draws:
    """The initial phases of all frames, drawn frame after frame; the values are those of one draw of all frames."""

    def __init__(self, bins: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.rows = torch.zeros(0, bins)  # of the frames from `first` on
        self.first = 0

    def of(self, block: FrameBlock) -> Tensor:
        """Return the phases ``(frames, bins)`` of a block and its context; blocks come in their order."""
        kept = self.rows[block.first - self.first :]
        missing = block.last - block.first - len(kept)
        fresh = torch.rand((missing, self.rows.shape[1]), generator=self.generator)
        self.rows, self.first = torch.cat([kept, fresh]), block.first
        return self.rows
