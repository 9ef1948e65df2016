"""The networks that predict each sample from the samples before it: a WaveNet, and a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from lm.samples.options import POSITIONS, ContextConfig, SampleWaveNetConfig, TransformerConfig
from vocoder.options import LEVELS
from vocoder.wavenet.mu_law import companded_scale
from vocoder.wavenet.network import WaveNet
from wordless.base.causal_transformer import create_causal_transformer, full_rows

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.nn import VocabShardedEmbedding

ROPE_THETA = 10_000.0  # base of the rotary frequencies
INIT_STD = 0.02


class SampleWaveNet(nn.Module):
    """The vocoder's WaveNet without codes: distribution of each sample's level given the levels before it."""

    def __init__(self, config: SampleWaveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.network = WaveNet(config.network)

    def forward(self, previous: Tensor, last: int) -> Tensor:
        """Compute the logits of the last samples ``(batch, last, levels)``.

        Args:
            previous: levels of the sample before each one, ``(batch, history + last)`` int64.
            last: number of samples at the end whose logits are wanted.
        """
        reads = previous[:, -(last + self.config.history) :]
        one_frame = torch.zeros(len(reads), 1, 0, device=reads.device)
        logits: Tensor = self.network(reads, one_frame, last=last)
        return logits.transpose(1, 2)


class Framing(nn.Conv1d):
    """A convolution whose stride is its width: ``(batch, width, time)`` -> ``(batch, channels, frames)``.

    It is a matrix product: PyTorch's own convolution in bfloat16 gives wrong results for some sizes on CPUs with AMX
    (`wordless.training.precision`), such as 24 channels and a stride of 4.
    """

    def forward(self, sound: Tensor) -> Tensor:
        batch, width, time = sound.shape
        (stride,) = self.stride
        whole = sound[..., : time // stride * stride]
        frames = whole.reshape(batch, width, time // stride, stride).transpose(1, 2)  # -> (N, F, W, S)
        return linear(frames.flatten(2), self.weight.flatten(1), self.bias).transpose(1, 2)


class ContextNetwork(nn.Module):
    """A context vector for each frame of samples, from a convolutional network over a longer past.

    Levels ``(batch, frames * frame_length)`` -> ``(batch, frames, model_dim)``. Convolutions whose stride is their
    width turn samples into frames. Dilated convolutions over frames double the past with each layer. The vector of a
    frame has read whole frames before it, and no sample of its own, so it is computed once per frame in training and
    in generation::

        samples   [   frame 0   ][   frame 1   ][   frame 2   ]     frame_length samples each
        frames          f0 ───────────── f1 ──────────── f2
        vectors   zeros          of f0           of f0, f1          added to the embeddings of the frame's samples
    """

    def __init__(self, config: ContextConfig, *, model_dim: int) -> None:
        super().__init__()
        self.config = config
        widths = (1, *(config.channels for _ in config.strides[1:]))
        self.framing = nn.ModuleList(
            Framing(width, config.channels, stride, stride)
            for width, stride in zip(widths, config.strides, strict=True)
        )
        self.dilated = nn.ModuleList(
            nn.Conv1d(config.channels, config.channels, 2, dilation=1 << layer) for layer in range(config.layers)
        )
        self.output = nn.Linear(config.channels, model_dim)

    def forward(self, levels: Tensor) -> Tensor:
        """Compute the vectors that are known after each frame: those of the frames that follow."""
        frames = companded_scale(levels).unsqueeze(1)  # (N, 1, T)
        for convolution in self.framing:
            frames = torch.relu(convolution(frames))
        for layer, convolution in enumerate(self.dilated):
            frames = frames + torch.relu(convolution(pad(frames, (1 << layer, 0))))
        vectors: Tensor = self.output(frames.transpose(1, 2))  # (N, C, F) -> (N, F, M)
        return vectors


class SampleTransformer(nn.Module):
    """A causal transformer: distribution of each sample's level given the levels before it.

    Verma and Chafe, "A Generative Model for Raw Audio Using Transformer Architectures", 2021 (arXiv:2106.16036). Every
    layer attends to a window of samples; the windows of all layers together reach back as far as the model's context::

        previous      | s-1 s0 s1 ... |        levels, one sample late
        layer 2               <-window->
        layer 1       <-window-><-window->     receptive field: 1 + layers * (window - 1)
        logits        | s0  s1 s2 ... |

    Positions are rotary, and so relative: the model has no beginning, and generates sounds of any length.
    """

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
        # Embeddings vary smoothly with the level, as those of WaveNet do.
        scale = companded_scale(torch.arange(LEVELS))  # (K,)
        with torch.no_grad():
            direction = torch.randn(config.model_dim)
            self.embedding.weight.normal_(std=0.05).add_(torch.outer(scale, direction))
        # Last, so that both transformers begin with the same weights.
        self.context = ContextNetwork(config.context, model_dim=config.model_dim) if config.context else None

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
        reads = last + self.config.receptive_field - 1
        embedded = self.embedded(previous[:, -reads:], self.context_vectors(previous, reads))
        states = self.transformer.decoder(embedded, full_rows(embedded))
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


SampleConfig = SampleWaveNetConfig | TransformerConfig
SampleModel = SampleWaveNet | SampleTransformer


def create_sample_model(config: SampleConfig, *, seed: int) -> SampleModel:
    """Create an untrained network whose weights depend on the config and the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleWaveNet(config) if isinstance(config, SampleWaveNetConfig) else SampleTransformer(config)
