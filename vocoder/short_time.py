"""Short-time spectra in the frames of `wordless.audio.spectrogram`: not centred, so nothing is shifted in time.

::

    left_context zeros | signal
    [------ window 0 -----]
               [------ window 1 -----]
"""

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from wordless.audio.options import SpectrogramConfig

LEAST_WEIGHT = 0.1  # limit for the last samples, which only the fading end of one window covers


def hann(config: SpectrogramConfig) -> Tensor:
    """Return the window ``(window_length,)``."""
    return torch.hann_window(config.window_length)


def windows(sound: Tensor, config: SpectrogramConfig) -> Tensor:
    """Cut ``(left_context + frames * hop_length,)`` into ``(frames, window_length)``, without the Hann factors."""
    return sound.unfold(0, config.window_length, config.hop_length)


def overlap_add(pieces: Tensor, config: SpectrogramConfig) -> Tensor:
    """Add frames ``(frames, window_length)`` up to ``(left_context + frames * hop_length,)``."""
    length = config.left_context + len(pieces) * config.hop_length
    columns = pieces.T.unsqueeze(0)
    total: Tensor = fold(columns, (1, length), kernel_size=(1, config.window_length), stride=(1, config.hop_length))
    return total.flatten()


def analyse(samples: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute spectra: ``(frames * hop_length,)`` -> ``(frames, bins)``."""
    spectrum: Tensor = torch.fft.rfft(windows(pad(samples, (config.left_context, 0)), config) * hann(config))
    return spectrum


def synthesise(spectrum: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute ``(frames * hop_length,)``, the signal with the closest frames ``(frames, bins)`` (overlap-add)."""
    window = hann(config)
    pieces = torch.fft.irfft(spectrum, n=config.window_length) * window
    weight = overlap_add((window**2).expand_as(pieces), config)
    return (overlap_add(pieces, config) / weight.clamp(min=LEAST_WEIGHT))[config.left_context :]
