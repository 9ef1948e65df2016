"""The GPT's architecture in plain PyTorch: pre-norm, rotary positions, SwiGLU, tied embeddings (LLaMA)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from lm.options import GPTConfig


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
