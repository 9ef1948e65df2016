"""Small checkpoints of every kind of speech model, written as transformers writes large ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, Wav2Vec2FeatureExtractor

SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": [16, 16, 16], "conv_kernel": [10, 3, 3], "conv_stride": [5, 4, 4], "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
STRIDE, FIELD = 80, 60  # samples: 5 * 4 * 4, and 10 + 2 * 5 + 2 * 5 * 4
LARGE = {**SIZES, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
DATA2VEC = {**SIZES, "num_conv_pos_embeddings": 3}
TARGETS = {"codevector_dim": 16, "proj_codevector_dim": 16, "num_codevectors_per_group": 8}
KINDS: dict[str, tuple[Any, Any]] = {  # the larger and the smaller variant of each kind: what creates it, its config
    "wav2vec2": (AutoModelForPreTraining, partial(AutoConfig.for_model, "wav2vec2", **LARGE, **TARGETS)),
    "wav2vec2-base": (AutoModel, partial(AutoConfig.for_model, "wav2vec2", **SIZES)),
    "hubert": (AutoModel, partial(AutoConfig.for_model, "hubert", **LARGE)),
    "hubert-base": (AutoModel, partial(AutoConfig.for_model, "hubert", **SIZES)),
    "wavlm": (AutoModel, partial(AutoConfig.for_model, "wavlm", **LARGE)),
    "wavlm-base": (AutoModel, partial(AutoConfig.for_model, "wavlm", **SIZES)),
    "data2vec-audio": (AutoModel, partial(AutoConfig.for_model, "data2vec-audio", **DATA2VEC)),
}


def save_checkpoint(
    folder: Path,
    kind: str = "wav2vec2",
    *,
    sample_rate: int = 16_000,
    normalises: bool = True,
    strides: Sequence[int] = (5, 4, 4),
) -> Any:
    create, config = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create.from_config(config(conv_stride=[*strides]))
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=sample_rate, do_normalize=normalises).save_pretrained(folder)
    return model.eval()
