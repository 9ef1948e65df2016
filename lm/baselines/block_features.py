"""Features of a convolutional encoder: states of each block on a recording, pooled over time as it is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audio.recordings.manifest import Clip
from foundation.saved_models import CONFIG, WEIGHTS
from lm.baselines.encoder import ConvEncoder, ConvEncoderConfig, create_encoder
from lm.baselines.spectrogram_reader import SpectrogramReader
from lm.baselines.supervised import class_scores
from lm.pooling import POOLINGS, FloatArray, Pooling, RunningPools


@dataclass(frozen=True, kw_only=True)
class EncoderLoader:
    """An encoder that any process can load: from an entry's folder, or untrained from its config."""

    folder: Path | None
    config: ConvEncoderConfig
    seed: int
    device: str = "cpu"


@lru_cache(maxsize=1)
def _load(loader: EncoderLoader) -> ConvEncoder:
    """Load the encoder onto its device, in evaluation mode; once in each process."""
    encoder = create_encoder(loader.config, seed=loader.seed)
    if loader.folder is not None:
        encoder.load_state_dict(_part(loader.folder, "encoder"))
    return encoder.eval().to(loader.device)


def _part(folder: Path, name: str) -> dict[str, Tensor]:
    weights = load_file(folder / WEIGHTS)
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


@torch.inference_mode()
def block_features(loader: EncoderLoader, reader: SpectrogramReader, clip: Clip) -> dict[str, FloatArray]:
    """Compute each block's frames under each pooling, ``block_1:mean`` and so on, and those of all blocks side by side.

    A recording is read in pieces of `PIECE_FRAMES` frames from its start, so memory does not grow with its length. The
    encoder does not see the previous piece: some frames at each border see silence instead.
    """
    encoder, frames = _load(loader), reader.num_frames(clip)
    names = [f"block_{number}" for number in range(1, len(encoder.config.hops) + 1)]
    pools = RunningPools({name: -(-frames // hop) for name, hop in zip(names, encoder.config.hops, strict=True)})
    for piece in reader.pieces(clip):
        lengths = torch.tensor([len(piece)], device=loader.device)
        blocks = encoder.blocks(piece[None].to(loader.device), lengths)
        for name, (states, _) in zip(names, blocks, strict=True):
            pools.add(name, states[0].cpu().numpy())
    features = pools.pooled
    for pooling in POOLINGS:
        features[f"all_blocks:{pooling}"] = np.concatenate([features[f"{name}:{pooling}"] for name in names])
    return features


def head_scores(folder: Path, features: Mapping[Pooling, FloatArray]) -> FloatArray:
    """Compute probabilities ``(clips, classes)`` from the last block's pooled frames with a supervised head."""
    about = json.loads((folder / CONFIG).read_text())
    head = _part(folder, "head")
    logits = nn.functional.linear(torch.from_numpy(features[about["head"]["pooling"]]), head["weight"], head["bias"])
    scores: FloatArray = class_scores(logits, multi_label=about["multi_label"]).numpy()
    return scores
