"""Features of a convolutional encoder: states of each block on a recording, pooled over time as it is read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audio.recordings.heard_frames import HeardFrames
from audio.recordings.manifest import Clip
from foundation.saved_models import CONFIG, WEIGHTS
from lm.baselines.encoder import ConvEncoder, ConvEncoderConfig, create_encoder
from lm.baselines.spectrogram_reader import PIECE_FRAMES, SpectrogramReader
from lm.baselines.supervised import class_scores
from lm.pooling import FloatArray, Pooling, RunningPools
from lm.vectors import ONE_HEARING, VectorConfig, average


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
def block_features(
    loader: EncoderLoader,
    reader: SpectrogramReader,
    clip: Clip,
    vectors: VectorConfig = ONE_HEARING,
    heard: HeardFrames | None = None,
) -> dict[str, FloatArray]:
    """Compute each block's frames under each pooling, ``block_1:mean`` and so on, and those of all blocks side by side.

    A recording is read in pieces of `PIECE_FRAMES` frames from its start, so memory does not grow with its length; the
    log-mel of its stored hearings is in memory as a whole. The encoder does not see the previous piece: some frames at
    each border see silence instead. The clip and its stored hearings share a batch, and their vectors are averaged.
    """
    encoder, others = _load(loader), [] if heard is None else [reader.normalised(each) for each in heard.of(clip)]
    lengths = [reader.num_frames(clip), *map(len, others)]
    pools = [_pools(encoder.config, frames, vectors.poolings) for frames in lengths]
    for pieces in zip_longest(reader.pieces(clip), *(torch.split(each, PIECE_FRAMES) for each in others)):
        present = [number for number, piece in enumerate(pieces) if piece is not None]
        for name, number, states in _blocks(encoder, [pieces[number] for number in present], loader.device):
            pools[present[number]].add(name, states)
    features = average(each.pooled for each in pools)
    return {key: vector for pooling in vectors.poolings for key, vector in _wanted(features, pooling, vectors).items()}


def _wanted(features: Mapping[str, FloatArray], pooling: Pooling, vectors: VectorConfig) -> dict[str, FloatArray]:
    """Select the wanted blocks of one pooling, and join all."""
    blocks = [vector for key, vector in features.items() if key.endswith(f":{pooling}")]
    found = {f"block_{number}:{pooling}": blocks[number - 1] for number in vectors.numbers(len(blocks))}
    if "together" in vectors.layers:
        found[f"all_blocks:{pooling}"] = np.concatenate(blocks)
    return found


def _names(config: ConvEncoderConfig) -> list[str]:
    return [f"block_{number}" for number in range(1, len(config.hops) + 1)]


def _pools(config: ConvEncoderConfig, frames: int, poolings: Sequence[Pooling]) -> RunningPools:
    steps = {name: -(-frames // hop) for name, hop in zip(_names(config), config.hops, strict=True)}
    return RunningPools(steps, poolings)


def _blocks(
    encoder: ConvEncoder, pieces: Sequence[Tensor], device: str
) -> Iterator[tuple[str, int, npt.NDArray[np.float32]]]:
    """Give the frames of each block ``(time, channels * bands)`` of each piece ``(time, mels)``, by its number."""
    lengths = torch.tensor([len(piece) for piece in pieces], device=device)
    batch = nn.utils.rnn.pad_sequence(list(pieces), batch_first=True).to(device)
    for name, (states, ends) in zip(_names(encoder.config), encoder.blocks(batch, lengths), strict=True):
        for number, (frames, end) in enumerate(zip(states.cpu().numpy(), ends.tolist(), strict=True)):
            yield name, number, frames[:end]


def head_scores(folder: Path, features: Mapping[str, FloatArray]) -> FloatArray:
    """Compute probabilities ``(clips, classes)`` from the last block's pooled frames with a supervised head."""
    about = json.loads((folder / CONFIG).read_text())
    head = _part(folder, "head")
    logits = nn.functional.linear(torch.from_numpy(features[about["head"]["pooling"]]), head["weight"], head["bias"])
    scores: FloatArray = class_scores(logits, multi_label=about["multi_label"]).numpy()
    return scores
