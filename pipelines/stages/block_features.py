"""What each block of a convolutional encoder makes of one recording, pooled over time while it is heard."""

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
from lm.baselines.encoder import ConvEncoder, ConvEncoderConfig, create_encoder
from lm.baselines.supervised import class_scores
from lm.pooling import POOLINGS, FloatArray, Pooling, RunningPool
from pipelines.stages.spectrogram import SpectrogramReader

WEIGHTS, CONFIG = "model.safetensors", "config.json"  # of a trained encoder, in its entry


@dataclass(frozen=True, kw_only=True)
class EncoderLoader:
    """An encoder that any process can load: from an entry's folder, or untrained from its config."""

    folder: Path | None
    config: ConvEncoderConfig
    seed: int
    device: str = "cpu"

    @property
    def encoder(self) -> ConvEncoder:
        """Loaded once in each process, on its device, in evaluation mode."""
        return _loaded(self)


@lru_cache(maxsize=1)
def _loaded(loader: EncoderLoader) -> ConvEncoder:
    encoder = create_encoder(loader.config, seed=loader.seed)
    if loader.folder is not None:
        encoder.load_state_dict(_part(loader.folder, "encoder"))
    return encoder.eval().to(loader.device)


def _part(folder: Path, name: str) -> dict[str, Tensor]:
    """Weights of one part of a saved model."""
    weights = load_file(folder / WEIGHTS)
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


@torch.inference_mode()
def block_features(loader: EncoderLoader, reader: SpectrogramReader, clip: Clip) -> dict[str, FloatArray]:
    """Each block's frames under each pooling, ``block_1:mean`` and so on, and all blocks' side by side.

    A recording is heard in pieces of `PIECE_FRAMES` frames from its start, and the encoder knows nothing of the piece
    before: some frames beside each border see silence there. Memory does not grow with the recording's length.
    """
    encoder, frames = loader.encoder, reader.num_frames(clip)
    pools = [{pooling: RunningPool(-(-frames // hop), pooling) for pooling in POOLINGS} for hop in encoder.config.hops]
    for piece in reader.pieces(clip):
        lengths = torch.tensor([len(piece)], device=loader.device)
        found = encoder.blocks(piece[None].to(loader.device), lengths)
        for own, (states, _) in zip(pools, found, strict=True):
            for pool in own.values():
                pool.add(states[0].cpu().numpy())
    features = {
        f"block_{number}:{pooling}": pool.pooled for number, own in enumerate(pools, 1) for pooling, pool in own.items()
    }
    together = {f"all_blocks:{pooling}": np.concatenate([own[pooling].pooled for own in pools]) for pooling in POOLINGS}
    return {**features, **together}


def head_scores(folder: Path, features: Mapping[Pooling, FloatArray]) -> FloatArray:
    """Probabilities ``(clips, classes)`` by the head of a supervised encoder, of its last block's pooled frames."""
    about = json.loads((folder / CONFIG).read_text())
    head = _part(folder, "head")
    logits = nn.functional.linear(torch.from_numpy(features[about["head"]["pooling"]]), head["weight"], head["bias"])
    scores: FloatArray = class_scores(logits, multi_label=about["multi_label"]).numpy()
    return scores
