"""Griffin-Lim: sound from a log-mel spectrogram without learning, the baseline beside the WaveNet.

Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").
"""

import math

import torch
from torch import Tensor

from audio.errors import InputError
from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.code_blocks import log_mel_of
from vocoder.mel_inversion import linear_power
from vocoder.short_time import analyse, synthesise

MOMENTUM = 0.99


@torch.inference_mode()
def decode(codes: Codes, tokenizer: CodeMeanings, *, iterations: int = 32, seed: int = 0) -> Waveform:
    """The sound of codes, ``codes.num_samples`` long.

    Raises:
        InputError: the codes are of another codebook.
    """
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    log_mel = log_mel_of(codes.values, tokenizer)
    return griffin_lim(log_mel, tokenizer.front_end, num_samples=codes.num_samples, iterations=iterations, seed=seed)


@torch.inference_mode()
def griffin_lim(
    log_mel: Tensor, config: SpectrogramConfig, *, num_samples: int, iterations: int = 32, seed: int = 0
) -> Waveform:
    """Sound whose log-mel spectrogram comes close to ``log_mel (frames, mels)``, unnormalised as `LogMel` gives it.

    Raises:
        InputError: more samples are asked for than the frames cover.
    """
    if num_samples > len(log_mel) * config.hop_length:
        raise InputError(
            f"num_samples is {num_samples}; {len(log_mel)} frames of {config.hop_length} samples cover "
            f"{len(log_mel) * config.hop_length}: ask for no more"
        )
    magnitude = linear_power(log_mel.float().cpu(), config).sqrt()
    samples = _fit_phase(magnitude, config, iterations, seed)[:num_samples] if num_samples else torch.zeros(0)
    return Waveform(samples=samples.contiguous().numpy(), sample_rate=config.sample_rate)


def _fit_phase(magnitude: Tensor, config: SpectrogramConfig, iterations: int, seed: int) -> Tensor:
    """``(frames, bins)`` -> ``(frames * hop_length,)``: alternate these magnitudes and real spectra."""
    draws = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(seed))
    spectrum = magnitude * torch.exp(2j * math.pi * draws)
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = analyse(synthesise(spectrum, config), config)
        ahead = consistent + MOMENTUM * (consistent - before)
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-12)
        before = consistent
    return synthesise(spectrum, config)
