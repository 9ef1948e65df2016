"""A causal transformer over samples, with or without a context vector of a longer past.

Verma and Chafe, "A Generative Model for Raw Audio Using Transformer Architectures", 2021 (arXiv:2106.16036). Every
layer attends to a window of samples; the windows of all layers together reach back as far as the model's context::

    previous      | s-1 s0 s1 ... |        levels, one sample late
    layer 2               <-window->
    layer 1       <-window-><-window->     receptive field: 1 + layers * (window - 1)
    logits        | s0  s1 s2 ... |

Positions are rotary, and so relative: the model has no beginning, and generates sounds of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lm.samples.context import ContextNetwork
from lm.samples.options import POSITIONS, TransformerConfig
from vocoder.options import LEVELS
from vocoder.wavenet.mu_law import companded_scale
from wordless.base.causal_transformer import create_causal_transformer

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.nn import VocabShardedEmbedding

ROPE_THETA = 10_000.0  # base of the rotary frequencies
INIT_STD = 0.02


class SampleTransformer(nn.Module):
    """Distribution of each sample's level given the levels before it."""

    def __init__(self, config: TransformerConfig) -> None:
        from lm.samples.local_attention import limit_attention

        super().__init__()
        config.require_room()
        self.config = config
        self.transformer = create_causal_transformer(
            model_dim=config.model_dim,
            layers=config.layers,
            heads=config.heads,
            ffn_dim=config.ffn_dim,
            positions=POSITIONS,
            tokens=LEVELS,
            pad=None,
            tied=False,
            dropout=0.0,
            rope_theta=ROPE_THETA,
            init_std=INIT_STD,
        )
        limit_attention(self.transformer, config.window)
        self._initialise()
        # Last, so that both transformers begin with the same weights.
        self.context = ContextNetwork(config.context, model_dim=config.model_dim) if config.context else None

    def _initialise(self) -> None:
        """Initialise embeddings that vary smoothly with the level, as those of WaveNet do."""
        scale = companded_scale(torch.arange(LEVELS))  # (K,)
        with torch.no_grad():
            direction = torch.randn(self.config.model_dim)
            self.embedding.weight.normal_(std=0.05).add_(torch.outer(scale, direction))

    @property
    def embedding(self) -> VocabShardedEmbedding:
        """The embedding of the levels; its ``weight`` is ``(levels, model_dim)``."""
        frontend = cast("TransformerEmbeddingFrontend", self.transformer.decoder_frontend)
        return cast("VocabShardedEmbedding", frontend.embed)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Compute the logits of the last samples ``(batch, last, levels)``.

        Args:
            previous: levels of the sample before each one, ``(batch, history + last)`` int64.
            last: number of samples at the end whose logits are wanted.
        """
        from fairseq2.nn import BatchLayout

        reads = last + self.config.receptive_field - 1
        embedded = self.embedded(previous[:, -reads:], self.context_vectors(previous, reads))
        states = self.transformer.decoder(embedded, BatchLayout.of(embedded))
        return self.logits(states[:, -last:])

    def context_vectors(self, previous: Tensor, last: int) -> Tensor | None:
        """Compute the context vectors of the last samples ``(batch, last, model_dim)``; None without a context.

        Frames are counted from the first of the levels ``previous (batch, time)``.
        """
        if self.context is None:
            return None
        time, length = previous.shape[1], self.context.config.frame_length
        after = self.context(previous[:, : time // length * length])
        vectors = pad(after, (0, 0, 1, 0)).repeat_interleave(length, dim=1)  # each frame has the vector after the last
        return vectors[:, time - last : time]

    def embedded(self, levels: Tensor, vectors: Tensor | None) -> Tensor:
        """Embed levels ``(batch, time)``, and add their context vectors ``(batch, time, model_dim)``."""
        embedded = self.embedding(levels)
        return embedded if vectors is None else embedded + vectors

    def logits(self, states: Tensor) -> Tensor:
        """Compute logits from the decoder's states."""
        logits: Tensor = self.transformer.final_proj(states)
        return logits


def create_transformer(config: TransformerConfig, *, seed: int) -> SampleTransformer:
    """Create an untrained network whose weights depend on the config and the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleTransformer(config)
