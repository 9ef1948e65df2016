"""The decoder-only transformer of fairseq2 that language models of codes and of samples are built on.

Pre-norm, rotary positions and SwiGLU (Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023,
arXiv:2302.13971). fairseq2 is imported inside the function, because the import takes seconds, which commands save that
only check their options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairseq2.models.transformer_lm import TransformerLM


def create_causal_transformer(
    *,
    model_dim: int,
    layers: int,
    heads: int,
    ffn_dim: int,
    positions: int,
    tokens: int,
    pad: int | None,
    tied: bool,
    dropout: float,
    rope_theta: float,
    init_std: float,
) -> TransformerLM:
    """Build a transformer with random weights from PyTorch's generator.

    Args:
        model_dim: width of the residual stream.
        layers: number of layers.
        heads: attention heads of each layer.
        ffn_dim: width inside the feed-forward networks.
        positions: longest sequence.
        tokens: size of the vocabulary.
        pad: token of padding, whose embedding stays zero; None: there is none.
        tied: the output projection is the embedding.
        dropout: of the embeddings and of the output of each sub-layer.
        rope_theta: base of the rotary frequencies.
        init_std: standard deviation of the initial weights.
    """
    import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
    from fairseq2.models.llama import LLaMAConfig, create_llama_model

    return create_llama_model(
        LLaMAConfig(
            model_dim=model_dim,
            max_seq_len=positions,
            vocab_size=tokens,
            pad_idx=pad,
            tied_embeddings=tied,
            shard_embed_dim=False,  # required by tied embeddings
            num_layers=layers,
            num_attn_heads=heads,
            num_key_value_heads=heads,
            ffn_inner_dim=ffn_dim,
            ffn_inner_dim_scale=1.0,
            ffn_inner_dim_multiple_of=1,
            rope_theta=rope_theta,
            dropout_p=dropout,
            init_std=init_std,
            init_std_scale="none",  # the other choices shrink the query and key projections as well
        )
    )
