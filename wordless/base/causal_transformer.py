"""The decoder-only transformer of fairseq2 that language models of codes and of samples are built on.

Pre-norm, rotary positions and SwiGLU (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023,
arXiv:2302.13971). fairseq2 is imported inside the function, because the import takes seconds, which commands save that
only check their options.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wordless.base.options import CausalSizes

if TYPE_CHECKING:
    from fairseq2.models.transformer_lm import TransformerLM
    from fairseq2.nn import BatchLayout


def create_causal_transformer(
    sizes: CausalSizes, *, positions: int, tokens: int, pad: int | None = None, tied: bool = False
) -> TransformerLM:
    """Build a transformer with random weights from PyTorch's generator.

    Args:
        sizes: of its layers.
        positions: longest sequence.
        tokens: size of the vocabulary.
        pad: token of padding, whose embedding stays zero; None: there is none.
        tied: the output projection is the embedding.
    """
    import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
    from fairseq2.models.llama import LLaMAConfig, create_llama_model

    model: TransformerLM = create_llama_model(
        LLaMAConfig(
            model_dim=sizes.model_dim,
            max_seq_len=positions,
            vocab_size=tokens,
            pad_idx=pad,
            tied_embeddings=tied,
            shard_embed_dim=False,  # required by tied embeddings
            num_layers=sizes.layers,
            num_attn_heads=sizes.heads,
            num_key_value_heads=sizes.heads,
            ffn_inner_dim=sizes.ffn_dim,
            ffn_inner_dim_scale=1.0,
            ffn_inner_dim_multiple_of=1,
            rope_theta=sizes.rope_theta,
            dropout_p=sizes.dropout,
            init_std=sizes.init_std,
            init_std_scale="none",  # the other choices shrink the query and key projections as well
        )
    )
    for module in model.modules():
        if "init_fn" in vars(module):  # a function inside one of fairseq2: no model with it can be pickled
            vars(module)["init_fn"] = None
    return model.float()  # whatever PyTorch's default type is


def full_rows(rows: Tensor) -> BatchLayout:
    """Return the layout of a batch ``(batch, positions, ...)`` whose rows are all full.

    fairseq2 makes a layout row by row, which takes two operators for each row of a batch; so the last ones are kept.
    """
    layout: BatchLayout = _full_rows(*rows.shape[:2], rows.device)
    return layout


# fairseq2 asks the compiler about a new layout, which it does not allow while it compiles.
@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's own
@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a kept layout may be made in inference and read in training
def _full_rows(batch: int, positions: int, device: torch.device) -> BatchLayout:
    from fairseq2.nn import BatchLayout

    return BatchLayout((batch, positions), None, device=device)


@torch.no_grad()
def inner_activations(decoder: nn.Module, embedded: Tensor, layout: BatchLayout) -> list[Tensor]:
    """Map inputs of the first layer ``(batch, positions, model_dim)`` to each layer's ``(batch, positions, ffn_dim)``.

    The inner activations are the inputs of each feed-forward network's output projection: the SiLU of the gate times
    the inner projection. Each activation detects a pattern in the past (Geva et al., "Transformer Feed-Forward Layers
    Are Key-Value Memories", 2021, arXiv:2012.14913).
    """
    activations: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        activations.append(inputs[0])

    with ExitStack() as hooks:
        for name, projection in decoder.named_modules():
            if name.endswith("ffn.output_proj"):
                hooks.callback(projection.register_forward_pre_hook(keep).remove)
        decoder(embedded, layout)
    return activations


def make_exportable(model: nn.Module) -> None:
    """Replace the parts of fairseq2's layers within a model that no exported file can express.

    Rotary positions are complex numbers there, and attention asks whether the rows have one length, which is not known
    in an exported model. Its layers then ignore the layout of a batch, and read full rows from the first position.
    """
    from fairseq2.models.transformer import SDPA
    from fairseq2.nn import RotaryEncoder

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, RotaryEncoder):
                setattr(module, name, _RealRotation(child.freqs[1:].detach().clone()))  # the first row is of padding
            elif isinstance(child, SDPA):
                setattr(module, name, _CausalAttention())


class _RealRotation(nn.Module):
    """Rotary positions in real numbers: pairs ``(a, b)`` are turned by the angle of their position."""

    turns: Tensor

    def __init__(self, turns: Tensor) -> None:
        super().__init__()
        self.register_buffer("turns", turns, persistent=False)  # cosine and sine (positions, dim / 2, 2)

    def forward(self, seqs: Tensor, seqs_layout: object, *, state_bag: object = None) -> Tensor:
        """Turn ``(batch, positions, heads, dim)``."""
        cosine, sine = self.turns[: seqs.shape[1], None].unbind(-1)  # (T, 1, dim / 2)
        first, second = seqs[..., 0::2], seqs[..., 1::2]  # (N, T, H, dim / 2)
        return torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1).flatten(-2)


class _CausalAttention(nn.Module):
    """Attention of each position to those up to it."""

    def forward(
        self,
        q: Tensor,
        q_layout: object,
        k: Tensor,
        k_layout: object,
        v: Tensor,
        bias_cache: object,
        *,
        needs_weights: bool = False,
    ) -> tuple[Tensor, None]:
        """Attend: queries, keys and values ``(batch, positions, heads, dim)`` -> the same shape."""
        query, key, value = (each.transpose(1, 2) for each in (q, k, v))  # (N, T, H, D) -> (N, H, T, D)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return attended.transpose(1, 2), None
