"""The gain of a tokenizer: how much decoded patches are too quiet."""

import math

import torch
from torch import Tensor

from tokenizer.tokenizer import MOST_GAIN, Tokenizer
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.spectrogram import mel_power
from wordless.base.threads import one_thread

PATCHES = 16_384  # whose power is measured
DECODED_TOGETHER = 1024  # patches that are decoded in one call
_LEAST_POWER = 1e-3  # of the front end's floor: quieter patches say nothing about levels


@one_thread()
@torch.inference_mode()
def measure_gain(
    tokenizer: Tokenizer, columns: Tensor, states: Tensor | None = None, power: Tensor | None = None
) -> float:
    """Measure the make-up gain of a codebook in dB: the true power of patches over their decoded power.

    A code decodes to the mean of the logarithms of its patches, and the logarithm of a mean is larger than the mean of
    logarithms (Jensen): 3.6 dB with the default codes of the built-in corpus. Factors for each band or for each code
    were measured, too: they are not better. ``columns (n, frames, mels)`` are training patches of all bands, ``states
    (n, width)`` the vectors of their codes if no autoencoder makes these. 0 if the front end keeps no levels, or if the
    patches are silent.

    Columns at the reference level have their ``power (n,)`` as recorded, so that soft ones count for less.
    """
    audio = tokenizer.front_end
    if not audio.keeps_levels or not len(columns):
        return 0.0
    every = -(-len(columns) // PATCHES)
    columns = columns[::every]  # from all over the sample, and not its first clips
    if states is None:
        codes = tokenizer.encode_spectrogram(columns.flatten(0, 1))
    else:
        codes = tokenizer.nearest(states[::every, None])  # (n, D) -> (n, 1, D), one band
    shares, true, decoded = torch.ones(len(columns), 1), 0.0, 0.0
    if power is not None:
        heard = mel_power(columns, audio).sum((1, 2)).clamp(min=_LEAST_POWER * audio.floor * columns[0].numel())
        shares = (power[::every] / heard)[:, None]
    parts = (torch.split(each, DECODED_TOGETHER) for each in (columns, codes, shares.double()))
    for own, meant, share in zip(*parts, strict=True):
        log_mel = tokenizer.denormalise(tokenizer.spectrogram(meant[None])[0])
        true += float((mel_power(own, audio).double().flatten(1) * share).sum())
        decoded += float((mel_power(log_mel, audio).double().reshape(len(own), -1) * share).sum())
    return bounded_gain(true, decoded, audio, values=columns.numel())


def bounded_gain(true: float, decoded: float, audio: SpectrogramConfig, *, values: int) -> float:
    """Return the gain in dB that brings a decoded power to the true one, both of ``values``; 0 of silent sound."""
    if min(true, decoded) < _LEAST_POWER * audio.floor * values:
        return 0.0
    return round(min(max(10 * math.log10(true / decoded), -MOST_GAIN), MOST_GAIN), 2)
