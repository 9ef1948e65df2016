"""Features of the Audio Transformer: states of its layers on recordings, pooled over time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from lm.baselines.audio_transformer import (
    AudioTransformer,
    AudioTransformerConfig,
    create_audio_transformer,
    load_encoder,
)
from lm.baselines.block_features import pool_blocks
from lm.vectors import ONE_HEARING, VectorConfig, average
from wordless.audio.recordings.hearings import Hearing, hearings
from wordless.audio.recordings.manifest import Clip
from wordless.audio.waveform import FloatArray, equal_blocks


@dataclass(frozen=True, kw_only=True)
class WaveformReader:
    """An Audio Transformer that any process can create or load, and the recordings that it reads."""

    root: Path
    config: AudioTransformerConfig
    sample_rate: int
    classifier: Path | None  # folder of a trained model; None: the untrained model of the config
    seed: int
    device: str
    vectors: VectorConfig = ONE_HEARING

    def pieces(self, clip: Clip, hearing: Hearing) -> Iterator[Tensor]:
        """Give the samples of a hearing of a clip, ``config.patches`` patches at a time."""
        size = self.config.patches * self.config.patch(self.sample_rate)
        blocks = hearing.blocks(self.root, clip, self.sample_rate)
        return (torch.from_numpy(piece) for piece in equal_blocks(blocks, size))


@lru_cache(maxsize=1)
def _load(reader: WaveformReader) -> AudioTransformer:
    """Load the encoder, once in each process."""
    if reader.classifier is None:
        encoder = create_audio_transformer(reader.config, reader.sample_rate, seed=reader.seed)
        return encoder.eval().to(reader.device)
    return load_encoder(reader.classifier, device=reader.device)


@torch.inference_mode()
def waveform_features(reader: WaveformReader, clip: Clip) -> dict[str, FloatArray]:
    """Compute each layer's states of a clip under each pooling, ``layer_1:mean`` and so on, and all layers together.

    The vectors are averaged over the hearings. Pieces of a recording do not attend to each other.
    """
    encoder, own = _load(reader), reader.vectors
    heard = hearings(own.hearings, spread=own.hearing_rates)
    lengths = [hearing.num_samples(clip, reader.sample_rate) for hearing in heard]
    sources = [reader.pieces(clip, hearing) for hearing in heard]
    pooled = average(pool_blocks(encoder, lengths, sources, own.poolings, layer="layer", device=reader.device))
    return own.select(pooled, len(encoder.hops), layer="layer", together="all_layers")
