"""Griffin-Lim and the harmonics of the codes: the controls beside the WaveNet, which learn nothing.

Long sounds are made in blocks of frames, in constant memory. Each block has the neighbouring frames that its samples
depend on, so the samples are those of the whole spectrogram::

    frames   [ .......... block .......... ][ .......... block .......... ][ .. block .. ]
    block 2                      [ context ][ start                  stop ][ context ]
                                 ^ first                                            ^ last
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import CodeDecoder, Codes, require_same_codebook
from vocoder.filters import analyse, hann, limited, overlapping, synthesise
from vocoder.frames import (
    HIGHEST_HARMONIC,
    HarmonicVoice,
    code_part_of,
    frequencies,
    log_mel_of,
    pitch_inputs,
    pitch_of,
    synthetic_phase,
    voice_bands,
)
from wordless.audio.audio_options import SpectrogramConfig
from wordless.base.devices import exact

BLOCK_FRAMES = 2048  # 20 s at hops of 10 ms; shorter sounds are one block
DRAWN_TOGETHER = 16  # PyTorch draws normal values in groups of 16; parts of a draw must be cut there
MEL_STEPS = 50  # 200 changed the distance on real digits by 0.004 dB, 20 by 0.03
MOMENTUM = 0.99  # of Griffin-Lim
ITERATIONS = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameBlock:
    """The frames ``[start, stop)`` of a sound, and the frames ``[first, last)`` that determine their samples."""

    first: int
    start: int
    last: int
    log_mel: Tensor  # of the frames [first, last), with the make-up gain, unnormalised (last - first, mels)
    inner: slice  # of the samples of all frames: those of [start, stop), up to the sound's end


def frame_blocks(codes: Codes, tokenizer: CodeDecoder, *, before: int = 0, after: int = 0) -> Iterator[FrameBlock]:
    """Give blocks that cover all frames once, with up to ``before`` and ``after`` frames of context."""
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    patch, hop = tokenizer.patch_frames, tokenizer.front_end.hop_length
    frames = len(codes.values) * patch
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        first, last = max(start - before, 0), min(stop + after, frames)
        part = code_part_of(codes.values, first // patch, -(-last // patch), tokenizer)
        log_mel = log_mel_of(part, tokenizer).float().cpu()
        begin = first // patch - part.skipped  # the first code of the log-mel
        end = max(min(stop * hop, codes.num_samples), start * hop)
        yield FrameBlock(
            first=first,
            start=start,
            last=last,
            log_mel=log_mel[first - begin * patch : last - begin * patch],
            inner=slice((start - first) * hop, end - first * hop),
        )


class FrameNumbers:
    """Random numbers for all frames, drawn block after block: their values are those of one draw of the whole."""

    def __init__(self, draw: Callable[..., Tensor], frames: int, per_frame: int, *, seed: int) -> None:
        self.draw, self.generator = draw, torch.Generator().manual_seed(seed)
        self.per_frame, self.left = per_frame, frames * per_frame  # left: numbers to be drawn
        self.recent, self.first = torch.zeros(0, dtype=torch.float32), 0  # numbers of the frames from `first` on

    def of(self, block: FrameBlock) -> Tensor:
        """Return the numbers ``(frames, per_frame)`` of a block and its context; blocks come in their order."""
        needed = (block.last - block.first) * self.per_frame
        kept = self.recent[(block.first - self.first) * self.per_frame :]
        count = -(-max(needed - len(kept), 0) // DRAWN_TOGETHER) * DRAWN_TOGETHER
        count = self.left if self.left - count < DRAWN_TOGETHER else count
        self.left -= count
        drawn = self.draw(count, generator=self.generator, dtype=torch.float32)
        self.recent, self.first = torch.cat([kept, drawn]), block.first
        return self.recent[:needed].view(-1, self.per_frame)


def linear_power(log_mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Estimate power spectra ``(frames, bins)`` of log-mel by multiplicative updates (NNLS; Lee and Seung 2001)."""
    filters = config.mel_filters()
    mel = (log_mel.exp() - config.floor).clamp(min=config.floor * 1e-3)
    wanted = mel @ filters.T
    power: Tensor = wanted / filters.sum(dim=1).clamp(min=1e-3)
    gram = filters @ filters.T
    for _ in range(MEL_STEPS):
        power = power * wanted / (power @ gram).clamp(min=1e-12)
    return power


@exact
def griffin_lim(codes: Codes, tokenizer: CodeDecoder, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, by Griffin-Lim.

    Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").
    An iteration changes a frame only through frames whose windows overlap its own. So the samples of a frame depend on
    `ITERATIONS` times as many frames on each side.
    """
    config, frames = tokenizer.front_end, len(codes.values) * tokenizer.patch_frames
    cycles = FrameNumbers(torch.rand, frames, config.window_length // 2 + 1, seed=seed)  # initial phases
    reach = overlapping(config)
    for block in frame_blocks(codes, tokenizer, before=ITERATIONS * reach, after=(ITERATIONS + 1) * reach):
        yield limited(_griffin_lim_block(block.log_mel, cycles.of(block), config)[block.inner])


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


@exact
def noise(codes: Codes, tokenizer: CodeDecoder, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to noise ``(time,)`` with their spectrum, a whisper, ``codes.num_samples`` long, block by block.

    Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues",
    Science 270), so a vocoder that is recognised may still have no voice.
    """
    config, frames = tokenizer.front_end, len(codes.values) * tokenizer.patch_frames
    numbers = FrameNumbers(torch.randn, frames, config.hop_length, seed=seed)
    own = hann(config).square().sum()  # mean power of the noise's spectrum
    reach = overlapping(config)
    # The first windows of a block reach back to the noise before it, and its last samples lie in the windows after it.
    for block in frame_blocks(codes, tokenizer, before=reach, after=reach):
        with torch.inference_mode():
            spectrum = analyse(numbers.of(block).flatten(), config)
            samples = synthesise(spectrum * (linear_power(block.log_mel, config) / own).sqrt(), config)
        yield limited(samples[block.inner])


@exact
def harmonics(codes: Codes, tokenizer: CodeDecoder, *, seed: int = 0, shift: float = 0.0) -> Iterator[Tensor]:
    """Decode codes to harmonics at their pitch, and noise without a voice and above the harmonics, block by block.

    The harmonics are those that WaveNet reads (`vocoder.frames.HarmonicVoice`). Codes without a pitch become noise. The
    pitch is raised by ``shift`` octaves.
    """
    config, hop, phase = tokenizer.front_end, tokenizer.front_end.hop_length, 0.0
    octaves, silence = pitch_of(codes.values, tokenizer), torch.zeros(config.n_mels, dtype=torch.float32)
    bands = voice_bands(config, silence, silence + 1)
    above = torch.fft.rfftfreq(config.window_length, 1 / config.sample_rate) > HIGHEST_HARMONIC
    for block, whisper in zip(frame_blocks(codes, tokenizer), noise(codes, tokenizer, seed=seed), strict=True):
        if octaves is None:
            yield whisper
            continue
        # A neighbour on each side, which at the ends of the sound is no voice.
        near = np.pad(octaves, 1, constant_values=np.nan)[block.start : block.last + 2]
        inputs = pitch_inputs(torch.from_numpy(near) + shift)
        turns, amplitude = frequencies(inputs, hop_length=hop, sample_rate=config.sample_rate)
        voice = HarmonicVoice(block.log_mel, bands, turns, sample_rate=config.sample_rate)
        turned, phase = synthetic_phase(turns, start=phase)
        with torch.inference_mode():
            whole = pad(whisper, (0, len(turns) - len(whisper)))
            high = synthesise(analyse(whole, config) * above, config)
            voiced = voice.sound(turned).sum(dim=1) + high
            yield (amplitude * voiced + (1 - amplitude) * whole).float()[: len(whisper)]
