"""The decoder-only transformer of fairseq2 that language models of codes and of samples are built on.

Pre-norm, rotary positions and SwiGLU (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023,
arXiv:2302.13971). fairseq2 is imported inside the function, because the import takes seconds, which commands save that
only check their options.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from wordless.base.options import CausalSizes

if TYPE_CHECKING:
    from fairseq2.models.transformer import GLUFeedForwardNetwork
    from fairseq2.models.transformer_lm import StandardTransformerLMDecoderLayer, TransformerLM, TransformerLMDecoder
    from fairseq2.nn import BatchLayout, Linear, StandardEmbedding

# `torch.compiler.disable` without its import: the compiler is imported at the first call, which takes a second.
not_compiled = _disable_dynamo


def create_causal_transformer(
    sizes: CausalSizes, *, positions: int, tokens: int, pad: int | None = None, tied: bool = False
) -> TransformerLM:
    """Build a transformer with random weights from PyTorch's generator.

    It is fairseq2's LLaMA, made of its parts, because fairseq2's own factory is imported together with text tokenizers.

    Args:
        sizes: of its layers.
        positions: longest sequence.
        tokens: size of the vocabulary.
        pad: token of padding, whose embedding stays zero; None: there is none.
        tied: the output projection is the embedding.
    """
    import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
    from fairseq2.gang import create_fake_gangs
    from fairseq2.models.transformer import (
        CausalAttentionBias,
        GLUFeedForwardNetwork,
        StandardMultiheadAttention,
        TransformerEmbeddingFrontend,
        TransformerNormOrder,
        create_default_sdpa,
    )
    from fairseq2.models.transformer_lm import (
        StandardTransformerLMDecoder,
        StandardTransformerLMDecoderLayer,
        TransformerLM,
    )
    from fairseq2.nn import Linear, RMSNorm, RotaryEncoder, StandardEmbedding, TiedProjection

    dim, initialise = sizes.model_dim, partial(_initialise, std=sizes.init_std)
    # Layers that are given no device and no gangs look them up in fairseq2's registry. It imports all its models and
    # text tokenizers, which takes 2 seconds. A fake gang has one process: no layer is divided among several.
    device = torch.get_default_device()
    gangs = create_fake_gangs(torch.device("cpu") if device.type == "meta" else device)
    embedding = StandardEmbedding(tokens, dim, pad, init_fn=initialise, device=device)
    rotary = RotaryEncoder(dim // sizes.heads, positions, theta=sizes.rope_theta, device=device)
    layers = [
        StandardTransformerLMDecoderLayer(
            StandardMultiheadAttention(
                dim,
                sizes.heads,
                create_default_sdpa(CausalAttentionBias()),
                qkv_proj_init_fn=initialise,
                pos_encoder=rotary,
                output_proj_init_fn=initialise,
                bias=False,
                gangs=gangs,
                device=device,
            ),
            RMSNorm(dim, bias=False, device=device),
            GLUFeedForwardNetwork(
                dim,
                sizes.ffn_dim,
                bias=False,
                inner_dim_scale=1.0,
                inner_dim_to_multiple=1,
                proj_init_fn=initialise,
                gangs=gangs,
                device=device,
            ),
            RMSNorm(dim, bias=False, device=device),
            norm_order=TransformerNormOrder.PRE,
            dropout_p=sizes.dropout,
        )
        for _ in range(sizes.layers)
    ]
    frontend = TransformerEmbeddingFrontend(dim, embedding, pos_encoder=None, no_scale=True, dropout_p=sizes.dropout)
    decoder = StandardTransformerLMDecoder(layers, RMSNorm(dim, bias=False, device=device))
    output = (
        TiedProjection(embedding.weight, bias=None)
        if tied
        else Linear(dim, tokens, bias=False, init_fn=initialise, device=device)
    )
    model = TransformerLM(dim, frontend, decoder, output, pad, positions)
    return model.float()  # whatever PyTorch's default type is


def _initialise(layer: Linear | StandardEmbedding, std: float) -> None:
    """Draw weights from a normal distribution cut at three standard deviations, as fairseq2's LLaMA does.

    This function is at the module's level because layers keep it, and models with it are pickled.
    """
    torch.nn.init.trunc_normal_(layer.weight, std=std, a=-3 * std, b=3 * std)


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
