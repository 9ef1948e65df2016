"""Small checkpoints of every kind of speech model, written as transformers writes large ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": [16, 16, 16], "conv_kernel": [10, 3, 3], "conv_stride": [5, 4, 4], "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
STRIDE, FIELD = 80, 60  # samples: 5 * 4 * 4, and 10 + 2 * 5 + 2 * 5 * 4
LAYERS = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
TARGETS = {"codevector_dim": 16, "proj_codevector_dim": 16, "num_codevectors_per_group": 8}
# name -> class and config: the larger and the smaller variant of each kind
KINDS: dict[str, tuple[Any, Any]] = {
    "wav2vec2": (Wav2Vec2ForPreTraining, lambda: Wav2Vec2Config(**SIZES, **LAYERS, **TARGETS)),
    "wav2vec2-base": (Wav2Vec2Model, lambda: Wav2Vec2Config(**SIZES)),
    "hubert": (HubertModel, lambda: HubertConfig(**SIZES, **LAYERS)),
    "hubert-base": (HubertModel, lambda: HubertConfig(**SIZES)),
    "wavlm": (WavLMModel, lambda: WavLMConfig(**SIZES, **LAYERS)),
    "wavlm-base": (WavLMModel, lambda: WavLMConfig(**SIZES)),
    "data2vec-audio": (Data2VecAudioModel, lambda: Data2VecAudioConfig(**{**SIZES, "num_conv_pos_embeddings": 3})),
}


def save_checkpoint(
    folder: Path,
    kind: str = "wav2vec2",
    *,
    sample_rate: int = 16_000,
    normalises: bool = True,
    strides: Sequence[int] = (5, 4, 4),
) -> Any:
    create, sizes = KINDS[kind]
    config = sizes()
    config.conv_stride = list(strides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create(config)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=sample_rate, do_normalize=normalises).save_pretrained(folder)
    return model.eval()
