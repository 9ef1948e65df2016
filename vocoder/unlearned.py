"""Sound of codes without learning: Griffin-Lim and the noise vocoder, the baselines beside the WaveNet.

Long sounds are made in blocks of frames, in constant memory. Each block has the neighbouring frames that its samples
depend on, so the samples are those of the whole spectrogram::

    frames   [ .......... block .......... ][ .......... block .......... ][ .. block .. ]
    block 2                      [ context ][ start                  stop ][ context ]
                                 ^ first                                            ^ last
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.filters import analyse, hann, limited, synthesise
from vocoder.frames import log_mel_of
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import mel_filters

BLOCK_FRAMES = 2048  # 20 s at hops of 10 ms; shorter sounds are one block
DRAWN_TOGETHER = 16  # PyTorch draws normal values in groups of 16; parts of a draw must be cut there
MEL_STEPS = 50  # 200 changed the distance on real digits by 0.004 dB, 20 by 0.03
MOMENTUM = 0.99  # of Griffin-Lim
ITERATIONS = 32


@dataclass(frozen=True, kw_only=True)
class FrameBlock:
    """The frames ``[start, stop)``, and the frames ``[first, last)`` that determine their samples."""

    first: int
    start: int
    stop: int
    last: int

    def inner(self, samples: Tensor, hop_length: int, num_samples: int) -> Tensor:
        """Cut the samples of ``[start, stop)`` out of those of all frames, up to the sound's end, ``num_samples``."""
        begin, end = self.start * hop_length, min(self.stop * hop_length, num_samples)
        return samples[begin - self.first * hop_length :][: max(end - begin, 0)]


def frame_blocks(frames: int, *, before: int, after: int) -> Iterator[FrameBlock]:
    """Give blocks that cover ``frames`` frames once, with up to ``before`` and ``after`` frames of context."""
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        yield FrameBlock(first=max(start - before, 0), start=start, stop=stop, last=min(stop + after, frames))


def overlapping_frames(config: SpectrogramConfig) -> int:
    """Return the number of frames on each side of a frame whose windows overlap its own."""
    return -(-config.window_length // config.hop_length) - 1


class CodeFrames:
    """The decoded log-mel spectrogram of codes, computed when frames are requested.

    Raises:
        InputError: the codes are of another codebook than the tokenizer's.
    """

    def __init__(self, codes: Codes, tokenizer: CodeMeanings) -> None:
        require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
        self.codes, self.tokenizer = codes, tokenizer

    def __len__(self) -> int:
        return len(self.codes.values) * self.tokenizer.patch_frames

    def __getitem__(self, frames: slice) -> Tensor:
        """Decode ``(frames, mels)`` float32 on the CPU, unnormalised; all frames at once if all are requested."""
        first, last, _ = frames.indices(len(self))
        patch = self.tokenizer.patch_frames
        start = first // patch
        log_mel = log_mel_of(self.codes.values[start : -(-last // patch)], self.tokenizer)
        return log_mel.float().cpu()[first - start * patch : last - start * patch]


class FrameNumbers:
    """Random numbers for all frames, drawn block after block: their values are those of one draw of the whole."""

    def __init__(self, draw: Callable[..., Tensor], frames: int, per_frame: int, *, seed: int) -> None:
        self.draw, self.generator = draw, torch.Generator().manual_seed(seed)
        self.per_frame, self.left = per_frame, frames * per_frame  # left: numbers to be drawn
        self.recent, self.first = torch.zeros(0), 0  # numbers of the frames from `first` on

    def of(self, block: FrameBlock) -> Tensor:
        """Return the numbers ``(frames, per_frame)`` of a block and its context; blocks come in their order."""
        needed = (block.last - block.first) * self.per_frame
        kept = self.recent[(block.first - self.first) * self.per_frame :]
        count = -(-max(needed - len(kept), 0) // DRAWN_TOGETHER) * DRAWN_TOGETHER
        count = self.left if self.left - count < DRAWN_TOGETHER else count
        self.left -= count
        self.recent, self.first = torch.cat([kept, self.draw(count, generator=self.generator)]), block.first
        return self.recent[:needed].view(-1, self.per_frame)


def linear_power(log_mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Estimate the power spectrum of ``log_mel``: ``(frames, mels)`` -> ``(frames, bins)``.

    Non-negative least squares by multiplicative updates (Lee and Seung 2001).
    """
    filters = mel_filters(config)
    mel = (log_mel.exp() - config.floor).clamp(min=config.floor * 1e-3)
    wanted = mel @ filters.T
    power: Tensor = wanted / filters.sum(dim=1).clamp(min=1e-3)
    gram = filters @ filters.T
    for _ in range(MEL_STEPS):
        power = power * wanted / (power @ gram).clamp(min=1e-12)
    return power


def griffin_lim(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, by Griffin-Lim.

    Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").
    An iteration changes a frame only through frames whose windows overlap its own. So the samples of a frame depend on
    `ITERATIONS` times as many frames on each side.
    """
    log_mel, config = CodeFrames(codes, tokenizer), tokenizer.front_end
    cycles = FrameNumbers(torch.rand, len(log_mel), config.window_length // 2 + 1, seed=seed)  # initial phases
    reach = overlapping_frames(config)
    for block in frame_blocks(len(log_mel), before=ITERATIONS * reach, after=(ITERATIONS + 1) * reach):
        samples = _griffin_lim_block(log_mel[block.first : block.last], cycles.of(block), config)
        yield limited(block.inner(samples, config.hop_length, codes.num_samples))


@torch.inference_mode()
def _griffin_lim_block(log_mel: Tensor, cycles: Tensor, config: SpectrogramConfig) -> Tensor:
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


def noise_vocoder(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to noise ``(time,)`` with their spectrum, a whisper, ``codes.num_samples`` long, block by block.

    Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues",
    Science 270). So recognition of a vocoder's sound says little about its voice unless it exceeds that of noise.
    """
    log_mel, config = CodeFrames(codes, tokenizer), tokenizer.front_end
    noise = FrameNumbers(torch.randn, len(log_mel), config.hop_length, seed=seed)
    reach = overlapping_frames(config)
    # The first windows of a block reach back to the noise before it, and its last samples lie in the windows after it.
    for block in frame_blocks(len(log_mel), before=reach, after=reach):
        samples = _noise_block(log_mel[block.first : block.last], noise.of(block).flatten(), config)
        yield limited(block.inner(samples, config.hop_length, codes.num_samples))


@torch.inference_mode()
def _noise_block(log_mel: Tensor, noise: Tensor, config: SpectrogramConfig) -> Tensor:
    """``(frames, mels)`` and ``(frames * hop_length,)`` -> ``(frames * hop_length,)``."""
    own = hann(config).square().sum()  # mean power of its spectrum
    return synthesise(analyse(noise, config) * (linear_power(log_mel, config) / own).sqrt(), config)
