"""Hidden states of the language model for whole recordings, pooled over time or per time step."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lm.model import GPTInput, LanguageModel
from lm.options import ONE_HEARING, POOLINGS, RESIDUAL, Means, Pooling, States, VectorConfig
from lm.probing.vectors import FloatArray, assemble, means_of, pooling_weights, takes_max
from lm.tokens import Window, windows
from tokenizer.codes import Codes, SoftCodes
from wordless.base.machine import copy_to

Passage = tuple[int, Window]  # the index of a clip, and one of its windows


@torch.no_grad()
def embed(
    model: LanguageModel,
    clips: Sequence[Codes | SoftCodes],
    *,
    poolings: Sequence[Pooling] = POOLINGS,
    batch_tokens: int = 8192,
    inner: bool = False,
) -> dict[Pooling, FloatArray]:
    """Compute each pooling ``(1 + layers, clips, parts * model_dim)``, embeddings first, without begin-of-sequence.

    Soft codes are read as `GPT.hidden_states` describes. With ``inner`` the result is `GPT.inner_activations`, pooled
    to ``(layers, clips, parts * ffn_dim)``. A model that reads both ways has two states for a time step, that of what
    came before and that of what follows. They lie side by side, so a part has twice as many values.
    Windows of similar length share a batch of at most ``batch_tokens`` tokens (or one window), so memory does not grow
    with a recording's length.
    """
    means = means_of(poolings)
    readings = [model.reading(codes) for codes in clips]
    per_step = _positions_per_step(model)
    weights = [_weights(reading, means, per_step) for reading in readings]
    pool_states = partial(_pool, model, batch_tokens=batch_tokens, inner=inner, largest=any(map(takes_max, poolings)))
    sums, largest = pool_states(readings, weights)
    if model.gpt.vocabulary.backward:
        # the last time step is read first
        back = pool_states([each.backwards for each in readings], [np.flip(each, 1).copy() for each in weights])
        sums, largest = (np.concatenate(both, axis=-1) for both in zip((sums, largest), back, strict=True))
    ends = np.cumsum([0, *(len(pooling_weights(1, each)) for each in means)])
    places = zip(means, ends[:-1], ends[1:], strict=True)
    parts = {each: sums[:, :, begin:end] for each, begin, end in places}  # (layers, clips, parts, dim) of each
    pooled = {pooling: assemble(pooling, parts, largest) for pooling in poolings}
    # (layers, clips, parts, dim) -> (layers, clips, parts * dim)
    return {pooling: each.reshape(*each.shape[:2], -1) for pooling, each in pooled.items()}


def layer_features(
    model: LanguageModel,
    clips: Sequence[Codes | SoftCodes],
    *,
    of: Collection[States] = RESIDUAL,
    vectors: VectorConfig = ONE_HEARING,
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


def _pool(
    model: LanguageModel,
    clips: Sequence[GPTInput],
    weights: Sequence[FloatArray],
    batch_tokens: int,
    *,
    inner: bool = False,
    largest: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Compute ``(layers, clips, parts, dim)`` from each clip's weights ``(parts, positions)``; see `embed`.

    The second result has the largest magnitudes over time ``(layers, clips, 1, dim)``, zeros without ``largest``.
    """
    gpt, config = model.gpt, model.gpt.config
    per_step = _positions_per_step(model)
    layers, dim = (config.layers, config.ffn_dim) if inner else (1 + config.layers, config.model_dim)
    pooled = np.zeros((layers, len(clips), len(weights[0]), dim), np.float32)
    peaks = np.zeros((layers, len(clips) if largest else 0, 1, dim), np.float32)
    for batch in _batches(clips, model.gpt.capacity, batch_tokens):
        inputs = [model.inputs(clips[index], window) for index, window in batch]
        rows = [tokens for tokens, _ in inputs]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.gpt.vocabulary.pad)
        read = _padded(conditions for _, conditions in inputs)
        shares = _padded(model.shares(clips[index], window) for index, window in batch)
        # (layers, batch, positions, dim)
        states = (gpt.inner_activations if inner else gpt.hidden_states)(padded, read, shares)
        counted = [
            Counted(
                weights=torch.from_numpy(weights[index][:, window.counted * per_step : window.stop * per_step]),
                first=1 + (window.counted - window.start) * per_step,
            )
            for index, window in batch
        ]
        pool_rows = pool_by_row if states.device.type == "cpu" else pool_together
        sums, tops = pool_rows(states, counted, largest=largest)
        # A recording may fill several rows, so each row is added by itself.
        for (index, _), own in zip(batch, sums.cpu().numpy(), strict=True):
            pooled[:, index] += own
        for (index, _), own in zip(batch, () if tops is None else tops.cpu().numpy(), strict=largest):
            peaks[:, index, 0] = np.maximum(peaks[:, index, 0], own)
    return pooled, peaks


@dataclass(frozen=True, kw_only=True, eq=False)
class Counted:
    """The positions of a row of a batch that are counted, and what each weighs."""

    weights: Tensor  # (parts, positions)
    first: int  # of these positions in the row


def pool_by_row(states: Tensor, counted: Sequence[Counted], *, largest: bool) -> tuple[Tensor, Tensor | None]:
    """Sum the weighted states ``(layers, batch, positions, dim)`` of each row to ``(batch, layers, parts, dim)``.

    The second result has the largest magnitudes ``(batch, layers, dim)``, None without ``largest``.
    """
    rows = [states[:, row, each.first : each.first + each.weights.shape[1]] for row, each in enumerate(counted)]
    sums = torch.stack([each.weights @ own for own, each in zip(rows, counted, strict=True)])
    return sums, torch.stack([own.abs().amax(1) for own in rows]) if largest else None


def pool_together(states: Tensor, counted: Sequence[Counted], *, largest: bool) -> tuple[Tensor, Tensor | None]:
    """Compute `pool_by_row` with one product and one copy of the weights for all rows; sums differ by rounding."""
    weights = torch.zeros(len(counted), len(counted[0].weights), states.shape[2])
    inside = torch.zeros(len(counted), states.shape[2], 1, dtype=torch.bool)
    for row, each in enumerate(counted):
        last = each.first + each.weights.shape[1]
        weights[row, :, each.first : last] = each.weights
        inside[row, each.first : last] = True
    sums = (copy_to(weights, states.device) @ states).transpose(0, 1)  # (N, P, T) @ (L, N, T, D) -> (N, L, P, D)
    tops = (states.abs() * copy_to(inside, states.device)).amax(2).transpose(0, 1) if largest else None
    return sums, tops


def _padded(rows: Iterable[Tensor | None]) -> Tensor | None:
    """Join the rows ``(positions, columns)`` that are given to ``(batch, most positions, columns)``, or None."""
    given = [row for row in rows if row is not None]
    return torch.nn.utils.rnn.pad_sequence(given, batch_first=True) if given else None


def states_over_time(model: LanguageModel, codes: Codes, layers: Sequence[int]) -> Tensor:
    """Concatenate states of some layers (0: embeddings) to ``(time, len(layers) * model_dim)``, mean over streams."""
    states = model.hidden_states(codes, layers)  # (layers, time * streams, model_dim)
    by_step = states.reshape(len(layers), len(codes.values), codes.format.streams, states.shape[2])
    return by_step.mean(2).transpose(0, 1).flatten(1)


def _weights(reading: GPTInput, means: Sequence[Means], per_step: int) -> FloatArray:
    """Return the weight of each position of a recording in each part of all means ``(parts, positions)``.

    The weight of a token of merged codes is the sum of those of its codes.
    """
    lengths = reading.lengths
    steps = len(reading.values) if lengths is None else int(lengths.sum())
    weights = np.concatenate([np.zeros((0, steps), np.float32), *(pooling_weights(steps, each) for each in means)])
    if lengths is not None:
        return np.add.reduceat(weights, lengths.cumsum() - lengths, axis=1) if steps else weights
    return np.repeat(weights / per_step, per_step, axis=1)


def _positions_per_step(model: LanguageModel) -> int:
    return model.gpt.config.positions_per_step(model.predicted.streams)


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
