"""A WaveNet as a textbook has it: `Conv1d`, one tanh and one sigmoid per layer, PyTorch's own backward pass."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vocoder.options import WaveNetConfig


class PlainWaveNet(nn.Module):
    """The layers and widths of `vocoder.wavenet.network.WaveNet`."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        residual, gates, half = config.residual_channels, config.gate_channels, config.gate_channels // 2
        self.embedding = nn.Embedding(config.levels, residual)
        self.frames = nn.Sequential(
            nn.Conv1d(config.condition_inputs, config.condition_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(config.condition_channels, config.condition_channels, 3, padding=1),
            nn.ReLU(),
        )
        self.dilated = nn.ModuleList(
            nn.Conv1d(residual, gates, config.kernel_size, dilation=dilation) for dilation in config.dilations
        )
        self.conditions = nn.ModuleList(nn.Conv1d(config.condition_channels, gates, 1) for _ in config.dilations)
        self.residual = nn.ModuleList(nn.Conv1d(half, residual, 1) for _ in config.dilations)
        self.skip = nn.ModuleList(nn.Conv1d(half, config.skip_channels, 1) for _ in config.dilations)
        self.ends = nn.Sequential(
            nn.ReLU(),
            nn.Conv1d(config.skip_channels, config.skip_channels, 1),
            nn.ReLU(),
            nn.Conv1d(config.skip_channels, config.levels, 1),
        )

    def forward(self, previous: Tensor, spectrogram: Tensor, groups: Tensor) -> Tensor:
        """Map levels ``(batch, time)`` and frames ``(batch, frames, inputs)`` to logits ``(batch, levels, time)``."""
        hidden = self.embedding(previous).transpose(1, 2)  # (N, T, R) -> (N, R, T)
        frames = self.frames(spectrogram.transpose(1, 2)).repeat_interleave(self.config.hop_length, dim=2)
        total = hidden.new_zeros(())
        layers = zip(self.dilated, self.conditions, self.residual, self.skip, self.config.dilations, strict=True)
        for dilated, condition, residual, skip, dilation in layers:
            delayed = pad(hidden, (dilation * (self.config.kernel_size - 1), 0))
            a, b = (dilated(delayed) + condition(frames)).chunk(2, dim=1)
            gated = torch.tanh(a) * torch.sigmoid(b)
            total = total + skip(gated)
            hidden = hidden + residual(gated)
        logits: Tensor = self.ends(total)
        return logits
