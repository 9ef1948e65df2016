"""The decoder-only transformer of fairseq2 that language models of codes and of samples are built on.

Pre-norm, rotary positions and SwiGLU (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023,
arXiv:2302.13971). fairseq2 is imported inside the function, because the import takes seconds, which commands save that
only check their options.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from wordless.base.options import CausalSizes

if TYPE_CHECKING:
    from fairseq2.models.transformer import GLUFeedForwardNetwork
    from fairseq2.models.transformer_lm import StandardTransformerLMDecoderLayer, TransformerLM, TransformerLMDecoder
    from fairseq2.nn import BatchLayout

# `torch.compiler.disable` without its import: the compiler is imported at the first call, which takes a second.
not_compiled = _disable_dynamo


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
@not_compiled
@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a kept layout may be made in inference and read in training
def _full_rows(batch: int, positions: int, device: torch.device) -> BatchLayout:
    from fairseq2.nn import BatchLayout

    return BatchLayout((batch, positions), None, device=device)


@torch.no_grad()
def layer_states(
    decoder: TransformerLMDecoder, embedded: Tensor, layout: BatchLayout
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give each layer's inner activations ``(batch, positions, ffn_dim)``, and its output ``(..., model_dim)``.

    The inner activations are the inputs of each feed-forward network's output projection: the SiLU of the gate times
    the inner projection. Each activation detects a pattern in the past (Geva et al., "Transformer Feed-Forward Layers
    Are Key-Value Memories", 2021, arXiv:2012.14913). There is no dropout.

    The layers of `create_causal_transformer` are computed here part by part. A hook would be simpler, but it belongs to
    the model, and so it receives the states of all threads that read with this model.
    """
    from fairseq2.models.transformer import AttentionBiasCache

    states, biases = embedded, AttentionBiasCache()
    for each in decoder.layers:
        layer = cast("StandardTransformerLMDecoderLayer", each)
        network = cast("GLUFeedForwardNetwork", layer.ffn)
        normed = layer.self_attn_layer_norm(states)
        attended = layer.self_attn(normed, layout, keys=normed, keys_layout=layout, values=normed, bias_cache=biases)
        states = states + attended
        normed = layer.ffn_layer_norm(states)
        inner = network.inner_proj(normed) * network.gate_activation(network.gate_proj(normed))
        states = states + network.output_proj(inner)
        yield inner, states
