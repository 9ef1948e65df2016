"""Make-up gain: decoded codes mean too little power, and sound of the codes gets it back.

A code decodes to the mean of the logarithms of its patches, and the logarithm of a mean is larger than the mean of
logarithms (Jensen). So the decoded power of training patches is some decibels below their true power: 3.6 dB with the
default codes of the built-in corpus. Log-mel and codes stay as they are; only sound is made louder, by the same factor
in each band and frame. Factors for each band or for each code were measured, too: they are not better.
"""

import math

import torch
from torch import Tensor

from tokenizer.tokenizer import MOST_GAIN, Tokenizer
from wordless.audio.spectrogram import mel_power
from wordless.base.threads import one_thread

PATCHES = 16_384  # that are measured
TOGETHER = 1024  # patches that are decoded in one call
LEAST_POWER = 1e-3  # of the front end's floor: quieter patches say nothing about levels


@one_thread()
@torch.inference_mode()
def measure_gain(tokenizer: Tokenizer, columns: Tensor, states: Tensor | None = None) -> float:
    """Measure the gain of a codebook in dB: the true power of patches over their decoded power.

    Args:
        tokenizer: encodes and decodes the patches.
        columns: training patches of all bands ``(n, frames, mels)``, log-mel as of `LogMel`.
        states: of a speech layer, for the same times ``(n, width)``; None: the autoencoder makes the codes.

    Returns:
        0 if the front end keeps no levels, or if the patches are silent.
    """
    audio = tokenizer.front_end
    if not audio.keeps_levels or not len(columns):
        return 0.0
    every = -(-len(columns) // PATCHES)
    columns = columns[::every]
    if states is None:
        codes = tokenizer.encode_spectrogram(columns.flatten(0, 1))
    else:
        codes = tokenizer.nearest(states[::every, None])  # (n, D) -> (n, 1, D), one band
    true = decoded = 0.0
    for own, meant in zip(torch.split(columns, TOGETHER), torch.split(codes, TOGETHER), strict=True):
        true += float(mel_power(own, audio).double().sum())
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(meant[None])[0])
        decoded += float(mel_power(log_mel, audio).double().sum())
    if min(true, decoded) < LEAST_POWER * audio.floor * columns.numel():
        return 0.0
    return round(min(max(10 * math.log10(true / decoded), -MOST_GAIN), MOST_GAIN), 2)
