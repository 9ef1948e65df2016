"""States of networks as vectors of recordings, for probes: of the layers of any network, and of the language model.

Any process creates or loads a network, reads recordings piece by piece, and pools the states of each layer over time,
so memory does not grow with the length of a recording. A network does not see the previous piece. Hidden states of the
language model are pooled for many recordings at once, or given per time step.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, zip_longest
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lm.bodies.audio_transformer import AudioTransformerBody
from lm.bodies.body import Body, BodyNetwork
from lm.bodies.convolutional import ConvBody, SpectrogramReader
from lm.bodies.options import PIECE_FRAMES
from lm.bodies.sound_gpt import SoundGPT, load_sound_gpt
from lm.bodies.spectrogram_transformer import SAMPLE_RATE, AstBody, filter_bank_stream, patches_along
from lm.bodies.wav2vec2 import Wav2vec2Body
from lm.finetuned import FineTunedModel
from lm.heads import ClassificationTask, ClipHead
from lm.model import GPTInput, LanguageModel
from lm.options import PARTS, POOLINGS, RESIDUAL, VECTORS, Pooling, States, VectorConfig
from lm.probing.vectors import FloatArray, RunningPools, assemble, means_of, pooling_weights, takes_max
from lm.tokens import Window, windows
from tokenizer.codes import Codes, SoftCodes
from wordless.audio.recordings.inspection import require_finite
from wordless.audio.views import View
from wordless.audio.waveform import equal_blocks
from wordless.base.machine import copy_to

FRAMES_AT_ONCE = 8192  # of the views that share a batch, padding included
LAYER, TOGETHER = "layer", "all_layers"  # names of the vectors of a layer, and of all layers side by side
TOKEN = "class_token"  # of AST


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What a network reads of a view."""

    steps: Sequence[int]  # states of each layer
    pieces: Iterable[Tensor]  # inputs of the network (time, ...)


@dataclass(frozen=True, kw_only=True)
class LayerReader:
    """A network that any process can create or load, and the recordings of which it pools the layers."""

    body: Body | None = None  # None: a GPT that reads sound, whose folder ``weights`` says its sizes
    trained: Path | None = None  # folder of a model that was trained on labels
    weights: Path | None = None  # pre-trained ones otherwise; None: random ones
    seed: int = 0  # of random weights
    root: Path = Path()  # of the recordings
    frames: SpectrogramReader | None = None  # of the recordings, for a network of normalised log-mel
    device: str
    vectors: VectorConfig = VECTORS

    def pieces_of(self, view: View) -> Pieces:
        """Return what the network reads of a view."""
        network = loaded(self)
        match self.body:
            case AstBody(ast=config):
                banks = filter_bank_stream(view.blocks(self.root, SAMPLE_RATE), patches=config.patches)
                return Pieces(steps=[patches_along(view)] * (len(config.layers) + 1), pieces=banks)
            case AudioTransformerBody(sample_rate=rate, audio_transformer=config):
                blocks = equal_blocks(view.blocks(self.root, rate), config.patches * config.patch(rate))
                steps = [-(-view.num_samples(rate) // hop) for hop in network.hops]
                return Pieces(steps=steps, pieces=map(torch.from_numpy, blocks))
            case Wav2vec2Body(architecture=architecture):  # a clip is in memory, and its samples are normalised, whole
                samples, encoder = view.samples(self.root, architecture.sample_rate), network.encoder
                count = encoder.convolutions.frames(len(samples))
                return Pieces(steps=[count] * encoder.layers, pieces=encoder.prepared_pieces(samples, count))
        # About `PIECE_FRAMES` frames at a time; some frames at each border see silence instead.
        assert self.frames is not None, "all other networks read log-mel"
        whole, length = math.lcm(*network.hops), self.frames.num_frames(view)
        pieces = self.frames.pieces(view, max(PIECE_FRAMES // whole, 1) * whole)
        return Pieces(steps=[-(-length // hop) for hop in network.hops], pieces=pieces)

    def groups(self, views: Sequence[View]) -> list[list[View]]:
        """Divide views into groups of neighbours, each of which is computed at once: those of one clip.

        A group of log-mel, padded to its longest, has at most `FRAMES_AT_ONCE` frames, unless it is a single view. A
        recording that is read in several pieces is a group of its own: several long recordings at once take more
        memory, and several parts of one compressed file decode the file from its beginning again and again.
        """
        if self.frames is None:
            return [[*group] for _, group in groupby(views, attrgetter("clip.name"))]
        groups, longest = list[list[View]](), 0
        for view in views:
            frames = self.frames.num_frames(view)
            longest = max(longest, frames)
            if not groups or longest > PIECE_FRAMES or longest * (len(groups[-1]) + 1) > FRAMES_AT_ONCE:
                groups.append([])
                longest = frames
            groups[-1].append(view)
        return groups

    def names(self, count: int) -> list[str]:
        """Name what the network gives for each piece: ``layer_1`` and so on.

        After the layers of AST comes its clip vector: the mean over the patches of all pieces. A short last piece
        counts less in this mean than in training, where each piece counts once.
        """
        if isinstance(self.body, AstBody):
            return [*(f"{LAYER}_{number}" for number in self.body.ast.layers), TOKEN]
        return [f"{self._named[0]}_{number}" for number in range(1, count + 1)]

    def keys(self, vectors: VectorConfig, count: int) -> list[str]:
        """Name the vectors that are candidates of probes with the options ``vectors``."""
        if isinstance(self.body, AstBody):
            layers = self.names(count)[:-1]
            return [*(f"{layer}:{pooling}" for layer in layers for pooling in vectors.poolings), f"{TOKEN}:mean"]
        return vectors.keys(count, layer=self._named[0], together=self._named[1])

    @property
    def _named(self) -> tuple[str, str]:
        """Return what a layer is called, and all layers side by side."""
        return ("block", "all_blocks") if isinstance(self.body, ConvBody) else (LAYER, TOGETHER)

    @torch.inference_mode()
    def __call__(self, views: Sequence[View]) -> list[dict[str, FloatArray]]:
        """Compute each layer's states of views under each pooling, ``layer_1:mean`` and so on, and all side by side."""
        read, found = [*map(self.pieces_of, views)], list[dict[str, FloatArray]]()
        count, (layer, together) = len(read[0].steps), self._named
        pooled = pool_layers(loaded(self), read, self.names(count), self.vectors.poolings, device=self.device)
        for view, own in zip(views, pooled, strict=True):
            if isinstance(self.body, AstBody):
                found.append({key: own[key] for key in self.keys(self.vectors, count)})
            else:
                found.append(self.vectors.select(own, count, layer=layer, together=together))
            for vector in found[-1].values():
                require_finite(vector, view.clip, "states of a network")
        return found


def pool_layers(
    network: BodyNetwork | SoundGPT,
    read: Sequence[Pieces],
    names: Sequence[str],
    poolings: Sequence[Pooling],
    *,
    device: str,
) -> list[dict[str, FloatArray]]:
    """Pool every layer over the pieces of each view: ``layer_1:mean`` and so on. The views share a batch."""
    pools = [RunningPools(dict(zip(names, each.steps, strict=True)), poolings) for each in read]
    for pieces in zip_longest(*(each.pieces for each in read)):
        present = {number: piece for number, piece in enumerate(pieces) if piece is not None}
        lengths = torch.tensor([*map(len, present.values())])  # on the host, where it is used
        batch = copy_to(pad_sequence([*present.values()], batch_first=True), torch.device(device))
        for name, (states, ends) in zip(names, network.blocks(batch, lengths), strict=True):
            for number, own, end in zip(present, states.cpu().numpy(), ends.tolist(), strict=True):
                pools[number].add(name, own[:end])
    return [each.pooled for each in pools]


@lru_cache(maxsize=1)
def loaded(reader: LayerReader) -> Any:
    """Create or load the network of a reader on its device, in evaluation mode, once in each process."""
    if reader.trained is not None:
        return FineTunedModel.from_pretrained(reader.trained, device=reader.device).network.body
    if reader.body is not None:
        return reader.body.create(seed=reader.seed, weights=reader.weights).eval().to(reader.device)
    assert reader.weights is not None, "such a GPT lies in a folder"
    return load_sound_gpt(reader.weights).eval().to(reader.device)


def head_scores(folder: Path, pooled: Mapping[str, FloatArray], *, last: str) -> FloatArray:
    """Compute class probabilities ``(clips, classes)`` with a head, from the pooled states of the layer ``last``."""
    model = FineTunedModel.from_pretrained(folder)
    head, task = cast(ClipHead, model.network.head), cast(ClassificationTask, model.task)
    with torch.inference_mode():
        return task.scores(head.of_pooled(torch.from_numpy(pooled[f"{last}:{head.pooling}"])))


Recordings = Sequence[Codes | SoftCodes]
Passage = tuple[int, Window]  # the index of a clip, and one of its windows


@torch.no_grad()
def embed(
    model: LanguageModel,
    clips: Recordings,
    *,
    poolings: Sequence[Pooling] = POOLINGS,
    batch_tokens: int = 8192,
    inner: bool = False,
) -> dict[Pooling, FloatArray]:
    """Compute each pooling ``(1 + layers, clips, parts * model_dim)``, embeddings first, without begin-of-sequence.

    Soft codes and ``inner`` are those of `GPT.hidden_states`; inner activations have no embeddings, and are ``ffn_dim``
    wide. Windows of similar length share a batch of at most ``batch_tokens`` tokens (or one window), so memory does not
    grow with a recording's length.
    """
    gpt, config, means = model.gpt, model.gpt.config, means_of(poolings)
    readings = [model.reading(codes) for codes in clips]
    per_step = config.positions_per_step(model.predicted.streams)
    weights = list[FloatArray]()  # of each position of a recording in each part of all means (parts, positions)
    for steps in (len(reading.values) for reading in readings):
        of_steps = [np.zeros((0, steps), np.float32), *(pooling_weights(steps, each) for each in means)]
        weights.append(np.repeat(np.concatenate(of_steps) / per_step, per_step, axis=1))
    layers, dim = (config.layers, config.ffn_dim) if inner else (1 + config.layers, config.model_dim)
    sums = np.zeros((layers, len(clips), sum(PARTS[each] for each in means), dim), np.float32)
    peaks, largest = np.zeros((layers, len(clips), 1, dim), np.float32), any(map(takes_max, poolings))
    for batch in _batches(readings, gpt.capacity, batch_tokens):
        inputs = [model.inputs(readings[index], window) for index, window in batch]
        tokens = [tokens for tokens, _ in inputs]
        states = gpt.hidden_states(
            pad_sequence(tokens, batch_first=True, padding_value=gpt.vocabulary.pad),
            _padded(conditions for _, conditions in inputs),
            _padded(model.shares(readings[index], window) for index, window in batch),
            inner=inner,
        )  # (layers, batch, positions, dim)
        pooled, tops = list[Tensor](), list[Tensor]()
        for row, (index, window) in enumerate(batch):
            first, count = 1 + (window.counted - window.start) * per_step, (window.stop - window.counted) * per_step
            own = states[:, row, first : first + count]
            counted = torch.from_numpy(weights[index][:, window.counted * per_step : window.stop * per_step])
            pooled.append(copy_to(counted, own.device) @ own)  # (layers, parts, dim)
            tops += [own.abs().amax(1)] if largest else []
        # A recording may fill several rows, so each row is added by itself.
        for (index, _), each in zip(batch, torch.stack(pooled).cpu().numpy(), strict=True):
            sums[:, index] += each
        for (index, _), top in zip(batch, torch.stack(tops).cpu().numpy() if largest else (), strict=largest):
            peaks[:, index, 0] = np.maximum(peaks[:, index, 0], top)
    ends = np.cumsum([0, *(PARTS[each] for each in means)])
    parts = {each: sums[:, :, ends[place] : ends[place + 1]] for place, each in enumerate(means)}
    found = {pooling: assemble(pooling, parts, peaks) for pooling in poolings}
    # (layers, clips, parts, dim) -> (layers, clips, parts * dim)
    return {pooling: each.reshape(*each.shape[:2], -1) for pooling, each in found.items()}


def layer_features(
    model: LanguageModel, clips: Recordings, *, of: Collection[States] = RESIDUAL, vectors: VectorConfig = VECTORS
) -> dict[str, FloatArray]:
    """Compute ``(clips, dim)`` of each layer and pooling.

    ``of`` names the states to pool: ``residual``, the states between layers (``layer_1:mean``, and ``all_layers:mean``
    side by side), and ``inner``, the inner activations (``inner_1:mean``, ``all_inner:mean``). Embeddings are left
    out, because pooled embeddings are equivalent to a bag of codes. ``vectors`` has the poolings and layers.
    """
    tensors: dict[str, FloatArray] = {}
    for states, layer, together in (("residual", "layer", "all_layers"), ("inner", "inner", "all_inner")):
        if states in of:
            inner = states == "inner"
            pooled = embed(model, clips, poolings=vectors.poolings, inner=inner)
            rows = {f"{layer}_{n}:{key}": own for key, each in pooled.items() for n, own in enumerate(each, int(inner))}
            tensors |= vectors.select(rows, model.gpt.config.layers, layer=layer, together=together)
    return tensors


def _padded(rows: Iterable[Tensor | None]) -> Tensor | None:
    """Join the rows ``(positions, columns)`` that are given to ``(batch, most positions, columns)``, or None."""
    given = [row for row in rows if row is not None]
    return pad_sequence(given, batch_first=True) if given else None


def states_over_time(model: LanguageModel, codes: Codes, layers: Sequence[int]) -> Tensor:
    """Concatenate states of some layers (0: embeddings) to ``(time, len(layers) * model_dim)``, mean over streams."""
    states = model.hidden_states(codes, layers)  # (layers, time * streams, model_dim)
    by_step = states.reshape(len(layers), len(codes.values), model.predicted.streams, states.shape[2])
    return by_step.mean(2).transpose(0, 1).flatten(1)


def _batches(clips: Sequence[GPTInput], capacity: int, batch_tokens: int) -> Iterator[list[Passage]]:
    passages = [(index, window) for index, clip in enumerate(clips) for window in windows(len(clip.values), capacity)]
    passages.sort(key=lambda passage: passage[1].stop - passage[1].start)
    batch: list[Passage] = []
    for index, window in passages:
        row_tokens = 1 + (window.stop - window.start) * clips[index].values.shape[1]
        if batch and (len(batch) + 1) * row_tokens > batch_tokens:
            yield batch
            batch = []
        batch.append((index, window))
    if batch:
        yield batch
