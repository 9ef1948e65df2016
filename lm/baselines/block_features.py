"""Features of an encoder: states of each block on a recording, pooled over time as the recording is read."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, zip_longest
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lm.baselines.encoder import BlockEncoder, ConvEncoder, ConvEncoderConfig, create_encoder
from lm.baselines.spectrogram_reader import PIECE_FRAMES, SpectrogramReader
from lm.baselines.supervised import class_scores
from lm.pooling import FloatArray, Pooling, RunningPools
from lm.vectors import ONE_HEARING, VectorConfig, average
from wordless.audio.recordings.hearings import HeardFrames
from wordless.audio.recordings.manifest import Clip
from wordless.base.devices import copy_to
from wordless.base.saved_models import CONFIG, WEIGHTS

FRAMES_AT_ONCE = 8192  # of the clips that share a batch, in all of their hearings, padding included


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


def clips_together(reader: SpectrogramReader, clips: Sequence[Clip], vectors: VectorConfig) -> list[list[Clip]]:
    """Divide clips into groups of neighbours, which `block_features` computes at once.

    All hearings of a group, padded to its longest, have at most `FRAMES_AT_ONCE` frames, unless it is a single clip. A
    recording that is read in several pieces is a group of its own: several long recordings at once take more memory,
    and several parts of one compressed file decode the file from its beginning again and again.
    """
    groups, longest = list[list[Clip]](), 0
    slowest = 1 + vectors.hearing_rates * (vectors.hearings > 1)
    for clip in clips:
        frames = math.ceil(slowest * reader.num_frames(clip))
        longest = max(longest, frames)
        alone = longest > PIECE_FRAMES or not groups
        if alone or vectors.hearings * longest * (len(groups[-1]) + 1) > FRAMES_AT_ONCE:
            groups.append([])
            longest = frames
        groups[-1].append(clip)
    return groups


@torch.inference_mode()
def block_features(
    loader: EncoderLoader,
    reader: SpectrogramReader,
    clips: Sequence[Clip],
    vectors: VectorConfig = ONE_HEARING,
    heard: HeardFrames | None = None,
) -> list[dict[str, FloatArray]]:
    """Compute each block's frames under each pooling, ``block_1:mean`` and so on, and those of all blocks side by side.

    The result has a dict for each clip. A recording is read in pieces of `PIECE_FRAMES` frames from its start, so
    memory does not grow with its length; the log-mel of its stored hearings is in memory as a whole. The encoder does
    not see the previous piece: some frames at each border see silence instead. The clips and their stored hearings
    share a batch, and the vectors of a clip are averaged.
    """
    encoder = _load(loader)
    lengths, sources, counts = list[int](), list[Iterable[Tensor]](), list[int]()
    for clip in clips:
        others = [] if heard is None else [reader.normalised(each) for each in heard.of(clip)]
        lengths += [reader.num_frames(clip), *map(len, others)]
        sources += [reader.pieces(clip), *(torch.split(each, PIECE_FRAMES) for each in others)]
        counts.append(1 + len(others))
    pooled = iter(pool_blocks(encoder, lengths, sources, vectors.poolings, layer="block", device=loader.device))
    averages = [average(islice(pooled, count)) for count in counts]
    return [vectors.select(each, len(encoder.hops), layer="block", together="all_blocks") for each in averages]


def pool_blocks(
    encoder: BlockEncoder,
    lengths: Sequence[int],
    sources: Sequence[Iterable[Tensor]],
    poolings: Sequence[Pooling],
    *,
    layer: str,
    device: str,
) -> list[dict[str, FloatArray]]:
    """Pool every block over the pieces of each source: ``layer_1:mean`` and so on.

    ``lengths`` are the frames, or samples, of the sources, which give their pieces ``(time, ...)``. Pieces are
    multiples of the encoder's hops, except for the last one of a source. The sources share a batch.
    """
    names = [f"{layer}_{number}" for number in range(1, len(encoder.hops) + 1)]
    steps = [{name: -(-length // hop) for name, hop in zip(names, encoder.hops, strict=True)} for length in lengths]
    pools = [RunningPools(each, poolings) for each in steps]
    for pieces in zip_longest(*sources):
        present = [number for number, piece in enumerate(pieces) if piece is not None]
        for name, number, states in _blocks(encoder, names, [pieces[number] for number in present], device):
            pools[present[number]].add(name, states)
    return [each.pooled for each in pools]


def _blocks(
    encoder: BlockEncoder, names: Sequence[str], pieces: Sequence[Tensor], device: str
) -> Iterator[tuple[str, int, FloatArray]]:
    """Give the frames of each block ``(time, features)`` of each piece ``(time, ...)``, by its number."""
    lengths = torch.tensor([len(piece) for piece in pieces])  # on the host, where it is used
    batch = copy_to(nn.utils.rnn.pad_sequence(list(pieces), batch_first=True), torch.device(device))
    for name, (states, ends) in zip(names, encoder.blocks(batch, lengths), strict=True):
        for number, (frames, end) in enumerate(zip(states.cpu().numpy(), ends.tolist(), strict=True)):
            yield name, number, frames[:end]


def head_scores(folder: Path, pooled: Mapping[str, FloatArray], *, last: str) -> FloatArray:
    """Compute probabilities ``(clips, classes)`` with a supervised head, from pooled frames of the block ``last``."""
    about = json.loads((folder / CONFIG).read_text())
    head, features = _part(folder, "head"), pooled[f"{last}:{about['head']['pooling']}"]
    logits = nn.functional.linear(torch.from_numpy(features), head["weight"], head["bias"])
    scores: FloatArray = class_scores(logits, multi_label=about["multi_label"]).numpy()
    return scores
