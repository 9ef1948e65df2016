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

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lm.samples.context import ContextConfig, ContextNetwork
from vocoder.wavenet.mu_law import LEVELS, companded_scale
from wordless.base.causal_transformer import create_causal_transformer
from wordless.base.ranges import require, require_positive

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.nn import VocabShardedEmbedding

POSITIONS = 1 << 16  # of one sequence; far positions round the rotary angles more coarsely
MOST_CONTEXT = POSITIONS // 4  # samples, so that a sequence has room for what follows
ROPE_THETA = 10_000.0  # base of the rotary frequencies
INIT_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a transformer over samples."""

    sample_rate: int
    context_ms: float = 100.0  # milliseconds of sound that all layers together see
    model_dim: int = 64
    layers: int = 4
    heads: int = 2
    ffn_dim: int = 184  # width inside the SwiGLU feed-forward network
    context: ContextConfig | None = None  # network that reads a longer past

    def __post_init__(self) -> None:
        sizes = ("sample_rate", "context_ms", "model_dim", "layers", "heads", "ffn_dim")
        require_positive(self, "transformer", *sizes)
        given, pair = f"{self.model_dim} and transformer.heads {self.heads}", 2 * self.heads
        rule = f"rotary positions turn pairs: choose a model_dim that is a multiple of 2 * heads = {pair}"
        require(self.model_dim % pair == 0, "transformer.model_dim", given, rule)

    def require_room(self, option: str) -> None:
        """Refuse a context of too few samples, or too many for the positions; ``option`` is the config's name.

        A config alone may have such a context, because every run has a config, and its default context of 100 ms is too
        long at high sample rates, and too short below 100 Hz.
        """
        given = f"{self.context_ms}, {self.window} samples for each of {self.layers} layers"
        rule = "each layer sees 2 samples or more: choose a longer context"
        require(self.window >= 2, f"{option}.context_ms", given, rule)
        given = f"{self.context_ms}, {self.receptive_field} samples"
        rule = f"at most {MOST_CONTEXT} fit: choose a shorter context"
        require(self.receptive_field <= MOST_CONTEXT, f"{option}.context_ms", given, rule)

    @property
    def window(self) -> int:
        """Samples that each layer attends to."""
        return round(self.context_ms / 1000 * self.sample_rate) // self.layers

    @property
    def receptive_field(self) -> int:
        """Number of previous samples that the layers see."""
        return 1 + self.layers * (self.window - 1)

    @property
    def history(self) -> int:
        """Number of levels before the first target's own input that the model reads; whole frames of the context."""
        return self.receptive_field - 1 + (self.context.past if self.context else 0)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        dim = self.model_dim
        layer = 4 * dim**2 + 3 * dim * self.ffn_dim + 2 * dim
        context = self.context.parameters(dim) if self.context else 0
        return 2 * LEVELS * dim + self.layers * layer + dim + context

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds per generated sample, with the keys and values of earlier samples at hand."""
        dim = self.model_dim
        layer = 4 * dim**2 + 3 * dim * self.ffn_dim + 2 * self.window * dim
        context = self.context.multiply_adds(dim) if self.context else 0.0
        return self.layers * layer + dim * LEVELS + context


class SampleTransformer(nn.Module):
    """Distribution of each sample's level given the levels before it."""

    def __init__(self, config: TransformerConfig) -> None:
        from lm.samples.local_attention import limit_attention

        super().__init__()
        config.require_room("transformer")
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
