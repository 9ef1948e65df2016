"""Noise in the spectrum that codes mean: a whisper, and the simplest sound that codes can have.

Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues", Science
270): what is recognised of a vocoder's sound says little about its voice as long as noise is recognised as often.
"""

import torch

from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.code_blocks import log_mel_of
from vocoder.mel_inversion import linear_power
from vocoder.short_time import analyse, hann, synthesise


@torch.inference_mode()
def decode(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Waveform:
    """The sound of codes, ``codes.num_samples`` long.

    Raises:
        InputError: the codes are of another codebook.
    """
    config = tokenizer.front_end
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    power = linear_power(log_mel_of(codes.values, tokenizer).float().cpu(), config)
    noise = torch.randn(len(power) * config.hop_length, generator=torch.Generator().manual_seed(seed))
    if not len(noise):
        return Waveform(samples=noise.numpy(), sample_rate=config.sample_rate)
    own = hann(config).square().sum()  # mean power of its spectrum
    samples = synthesise(analyse(noise, config) * (power / own).sqrt(), config)
    return Waveform(
        samples=samples[: codes.num_samples].clamp(-1, 1).contiguous().numpy(), sample_rate=config.sample_rate
    )
