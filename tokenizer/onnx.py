"""The tokenizer as a module that ONNX can express: a whole recording in, its codes out."""

import math

import torch
from torch import Tensor, nn

from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import mel_filters


class SoundToCodes(nn.Module):
    """Samples ``(batch, samples)`` at the tokenizer's rate -> codes ``(batch, time, streams)``, int64.

    All recordings of a batch have one length. Each gets the codes that `Tokenizer.encode` gives it by itself, without
    their stream of pitch.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.front_end = Spectrum(tokenizer.config.audio)
        self.codes = LogMelToCodes(tokenizer)
        self.step, self.context = tokenizer.config.samples_per_code, tokenizer.config.audio.left_context
        self.patch_frames = tokenizer.patch_frames
        self.remove_mean = tokenizer.config.audio.remove_mean

    def forward(self, samples: Tensor) -> Tensor:
        """Encode recordings of one length."""
        # the exporter derives lengths from a fixed padding only; frames beyond the last patch are left out by number
        padded = nn.functional.pad(samples, (self.context, self.step - 1))
        steps = (samples.shape[1] + self.step - 1) // self.step
        frames = self.front_end(padded).index_select(1, torch.arange(steps * self.patch_frames))
        match self.remove_mean:
            case "clip":
                frames = frames - frames.mean(1, keepdim=True)
            case "running":
                counts = torch.arange(1, frames.shape[1] + 1, dtype=torch.float64)
                frames = frames - (frames.double().cumsum(1) / counts[:, None]).float()
            case "none":
                pass
        codes: Tensor = self.codes(frames)
        return codes


class Spectrum(nn.Module):
    """`LogMel.frames` in real numbers: a convolution with the cosine and sine of each frequency."""

    waves: Tensor
    filters: Tensor

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        time = torch.arange(config.window_length, dtype=torch.float64)
        bins = torch.arange(config.window_length // 2 + 1, dtype=torch.float64)
        window = torch.hann_window(config.window_length, dtype=torch.float64)
        # whole turns are taken off before the angle, so that long windows keep their precision
        angles = 2 * math.pi * ((bins[:, None] * time) % config.window_length) / config.window_length
        waves = torch.cat([angles.cos(), angles.sin()]) * window  # (2 * bins, window)
        self.register_buffer("waves", waves[:, None].float(), persistent=False)
        self.register_buffer("filters", mel_filters(config), persistent=False)
        self.hop, self.floor = config.hop_length, config.floor

    def forward(self, samples: Tensor) -> Tensor:
        """``(batch, left_context + time * hop_length)`` -> log-mel ``(batch, time, mels)``."""
        parts = nn.functional.conv1d(samples[:, None], self.waves, stride=self.hop)  # (N, 2 * bins, T)
        real, imaginary = parts.chunk(2, dim=1)
        power = real.square() + imaginary.square()  # (N, bins, T)
        return torch.log(power.transpose(1, 2) @ self.filters + self.floor)


class LogMelToCodes(nn.Module):
    """Log-mel of whole patches ``(batch, time * patch_frames, mels)`` -> codes ``(batch, time, streams)``, int64."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, log_mel: Tensor) -> Tensor:
        """Encode log-mel, after its range was limited and its mean removed as the front end says."""
        return self.tokenizer.nearest(self.tokenizer.bottlenecks(self.tokenizer.normalise(log_mel)))
