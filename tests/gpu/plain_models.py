"""The GPT's architecture in plain PyTorch: pre-norm, rotary positions, SwiGLU, tied embeddings (LLaMA)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from lm.options import GPTConfig
from vocoder.options import WaveNetConfig


class PlainGPT(nn.Module):
    """The layers and widths of `lm.gpt.GPT`, without dropout."""

    def __init__(self, config: GPTConfig, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, config.model_dim)
        nn.init.normal_(self.embedding.weight, std=config.init_std)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.model_dim, eps=1e-5)
        head = config.model_dim // config.heads
        rates = config.rope_theta ** (-torch.arange(0, head, 2) / head)
        angles = torch.outer(torch.arange(config.context), rates)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(batch, positions)`` to logits ``(batch, positions, tokens)``."""
        hidden, positions = self.embedding(tokens), tokens.shape[1]
        for layer in self.layers:
            hidden = layer(hidden, self.cosines[:positions], self.sines[:positions])
        return self.norm(hidden) @ self.embedding.weight.T


class _Layer(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        dim, inner, self.heads = config.model_dim, config.ffn_dim, config.heads
        self.norms = nn.ModuleList(nn.RMSNorm(dim, eps=1e-5) for _ in range(2))
        self.query_key_value, self.mix = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.gate_and_inner, self.down = nn.Linear(dim, 2 * inner, bias=False), nn.Linear(inner, dim, bias=False)

    def forward(self, hidden: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        split = self.query_key_value(self.norms[0](hidden)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = split  # (N, heads, T, head)
        query, key = (_rotated(each, cosines, sines).to(value.dtype) for each in (query, key))
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.mix(attended.transpose(1, 2).flatten(2))
        gate, inner = self.gate_and_inner(self.norms[1](hidden)).chunk(2, dim=-1)
        return hidden + self.down(silu(gate) * inner)


def _rotated(vectors: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack([even * cosines - odd * sines, even * sines + odd * cosines], dim=-1).flatten(-2)


class PlainWaveNet(nn.Module):
    """The layers and widths of `vocoder.wavenet.WaveNet`."""

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

    def forward(self, previous: Tensor, spectrogram: Tensor, groups: Tensor, phase: Tensor | None = None) -> Tensor:
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
