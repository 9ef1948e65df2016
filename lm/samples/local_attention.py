"""Causal attention over a window of the past, block by block.

Each position attends to itself and the ``window - 1`` positions before it. fairseq2's own attention computes the scores
of all pairs of positions and masks most of them. Here a block of queries meets the keys of its own and of a few earlier
blocks, so that the cost grows with the length of a sequence, and not with its square (Beltagy et al., "Longformer: The
Long-Document Transformer", 2020, arXiv:2004.05150)::

    keys      [ before ][block 0][block 1][block 2]      before: masked
    block 0     ....qqqq
    block 1              ....qqqq                        with one earlier block each
    block 2                       ....qqqq

With windows of 400 samples a training step took 0.6 of the CPU time of PyTorch's fused attention over the same blocks,
and a tenth of that over the whole sequence (bf16, one thread). A CPU computes a few blocks at a time, so that their
scores stay in its cache. Attention and its gradient then take 0.6 of the time of all blocks at once. On a GPU PyTorch's
fused attention over the blocks keeps no scores.

This module imports fairseq2, which takes seconds: import it inside functions.
"""

from typing import cast

import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
import torch
from fairseq2.models.transformer import (
    AttentionBiasCache,
    CausalAttentionBias,
    LocalAttentionStateFactory,
    StandardMultiheadAttention,
)
from fairseq2.models.transformer.sdpa.base import SDPA
from fairseq2.models.transformer_lm import TransformerLM
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

CACHED_SCORES = 1 << 21  # computed at once on a CPU: 4 MB in bfloat16, 8 MB in float32
EARLIER_BLOCKS = 4  # that hold a window; more make the masked share of the scores smaller, and the products narrower


class LocalAttention(SDPA):
    """Scaled dot-product attention of each position to the last ``window`` positions, its own included."""

    def __init__(self, window: int, *, fused: bool | None = None) -> None:
        """``fused`` takes PyTorch's fused attention, which keeps no scores; None: on GPUs."""
        super().__init__()
        self.window = window
        self.fused = fused
        self.block = -(-window // EARLIER_BLOCKS)
        self.bias = CausalAttentionBias(attn_window_len=window)

    def forward(
        self,
        q: Tensor,
        q_layout: BatchLayout,
        k: Tensor,
        k_layout: BatchLayout,
        v: Tensor,
        bias_cache: AttentionBiasCache,
        *,
        needs_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``q (batch, positions, heads, size)``; a query alone attends to all keys that it is given."""
        if q.shape[1] == 1:
            query, keys, values = (each.transpose(1, 2) for each in (q, k, v))  # (N, H, 1 or S, K)
            return scaled_dot_product_attention(query, keys, values).transpose(1, 2), None
        queries = self._blocks(q)  # (B, N * H, Q, K)
        # Each block of keys with the earlier blocks before it: (B, N * H, (EARLIER_BLOCKS + 1) * Q, K)
        padded = (pad(self._blocks(each), (0, 0, 0, 0, 0, 0, EARLIER_BLOCKS, 0)) for each in (k, v))
        places = [slice(first, first + len(queries)) for first in range(EARLIER_BLOCKS + 1)]
        keys, values = (torch.cat([each[place] for place in places], dim=2) for each in padded)
        mask = self._mask(len(queries), bias_cache, q)
        inputs = queries, keys, values, mask
        if self.fused or (self.fused is None and q.device.type != "cpu"):
            attended = scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        elif (at_once := max(CACHED_SCORES // (queries.shape[1] * mask.shape[2] * mask.shape[3]), 1)) < len(queries):
            parts = zip(*(torch.split(each, at_once) for each in inputs), strict=True)
            attended = torch.cat([_attend(*part) for part in parts])
        else:
            attended = _attend(*inputs)
        by_clip = attended.view(len(queries), *q.shape[::2], self.block, -1).permute(1, 0, 3, 2, 4)  # (N, B, Q, H, K)
        return by_clip.flatten(1, 2)[:, : q.shape[1]], None

    def _blocks(self, sequence: Tensor) -> Tensor:
        """Cut ``(batch, positions, heads, size)`` into ``(blocks, batch * heads, block, size)``, padded at the end."""
        batch, positions, heads, size = sequence.shape
        padded = pad(sequence, (0, 0, 0, 0, 0, -positions % self.block))
        return padded.view(batch, -1, self.block, heads, size).permute(1, 0, 3, 2, 4).flatten(1, 2)

    def _mask(self, blocks: int, bias_cache: AttentionBiasCache, like: Tensor) -> Tensor:
        """Return 0 for keys in the window, -inf for others: ``(blocks, 1, block, keys)``, made once for all layers."""
        known = bias_cache.maybe_get(self.bias, "blocks", Tensor)
        if known is not None:
            return known
        before, size = EARLIER_BLOCKS * self.block, self.block
        places = torch.arange(before + size, device=like.device)
        age = before + places[:size].unsqueeze(1) - places  # of each key for each query
        first = torch.arange(blocks, device=like.device).view(-1, 1, 1) * size - before  # position of its first key
        seen = (age >= 0) & (age < self.window) & (first + places >= 0)
        mask = like.new_zeros(seen.shape).masked_fill_(~seen, float("-inf")).unsqueeze(1)
        bias_cache.set(self.bias, "blocks", mask)
        return mask


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Compute attention for ``(blocks, matrices, positions, size)`` with a mask ``(blocks, 1, queries, keys)``."""
    masks = mask.expand(-1, queries.shape[1], -1, -1).flatten(0, 1)
    queries, keys, values = (each.flatten(0, 1) for each in (queries, keys, values))
    scores = torch.baddbmm(masks, queries, keys.transpose(1, 2), alpha=queries.shape[2] ** -0.5)
    return torch.bmm(scores.softmax(dim=2).to(values.dtype), values)


def limit_attention(transformer: TransformerLM, window: int) -> None:
    """Limit the attention of every layer to a window, also where it reads a sequence step by step."""
    for layer in transformer.decoder.get_submodule("layers").children():
        attention = cast(StandardMultiheadAttention, layer.get_submodule("self_attn"))
        attention.sdpa = LocalAttention(window)
        attention.state_factory = LocalAttentionStateFactory(window)
