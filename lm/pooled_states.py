"""States of the language model as vectors of recordings, for probes: of hard codes or of soft ones.

It reads codes in windows that overlap (`lm.model`). The states of each layer are pooled over time.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lm.gpt import GPT, Embedded
from lm.lm_options import RESIDUAL, VECTORS, States, VectorConfig
from lm.model import LanguageModel
from lm.probing.vectors import StatesOfBatch, pool_states
from lm.tokens import Window
from tokenizer.codes import Codes, SoftCodes
from wordless.base.arrays import FloatArray
from wordless.base.causal_transformer import full_rows
from wordless.base.machine import copy_to
from wordless.base.messages import InputError


def layer_features(
    model: LanguageModel,
    clips: Sequence[Codes | SoftCodes],
    *,
    of: Collection[States] = RESIDUAL,
    vectors: VectorConfig = VECTORS,
    batch_tokens: int = 8192,
) -> dict[str, FloatArray]:
    """Compute ``(clips, dim)`` of each layer and pooling.

    ``of`` names the states to pool: ``residual``, those between layers (``layer_1:mean``, and ``all_layers:mean`` side
    by side), and ``inner``, the inner activations. Embeddings are left out, because pooled they are a bag of codes.
    """
    if soft := [each for each in clips if isinstance(each, SoftCodes)]:
        read, lengths = _soft_states(model, soft, of=of, batch_tokens=batch_tokens), [len(each.codes) for each in soft]
    else:
        hard = [each for each in clips if not isinstance(each, SoftCodes)]
        read, lengths = model.states(hard, of=of, batch_tokens=batch_tokens), [len(model.own(each)) for each in hard]
    steps = [[length] * len({*of}) * model.gpt.config.layers for length in lengths]
    rows = pool_states(read, steps, vectors.poolings, states_per_step=model.positions_per_step)
    pooled = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    found: dict[str, FloatArray] = {}
    for states, layer, together in (("residual", "layer", "all_layers"), ("inner", "inner", "all_inner")):
        if states in of:
            found |= vectors.select(pooled, layer=layer, together=together)
    return found


def _soft_states(
    model: LanguageModel, recordings: Sequence[SoftCodes], *, of: Collection[States], batch_tokens: int
) -> Iterator[StatesOfBatch]:
    """Read recordings as `LanguageModel.states` reads hard codes."""
    for each in recordings:
        model.require_own(each.codes)
        if each.codes.format.rates:
            raise InputError(f"{model.name} reads codes of several rates, which are hard: compare.assignments=hard")

    def embed(batch: Sequence[tuple[int, Window]]) -> Embedded:
        shares = (recordings[row].shares(window.start, window.stop).flatten(0, 1) for row, window in batch)
        weights = [copy_to(each, model.gpt.device) for each in shares]
        return _embed_weighted(model.gpt, pad_sequence(weights, batch_first=True))

    lengths = [len(each.codes) for each in recordings]
    return model.states_of_windows(lengths, embed, of=of, batch_tokens=batch_tokens)


def _embed_weighted(gpt: GPT, weights: Tensor) -> Embedded:
    """Average the embeddings of all codes by weights ``(batch, codes, per_stream)``, after begin-of-sequence."""
    streams, of_codes = gpt.vocabulary.streams, torch.arange(gpt.vocabulary.codes, device=gpt.device)
    table = gpt.front_end.embed(of_codes).reshape(streams, gpt.vocabulary.per_stream, -1)  # (streams, codes, model_dim)
    by_step = weights.reshape(len(weights), -1, *table.shape[:2])  # (batch, time, streams, codes)
    each = torch.einsum("ntsk,skm->ntsm", by_step, table)
    begin = gpt.embed(torch.full((len(weights), 1), gpt.vocabulary.bos, device=gpt.device))[0]
    embedded = torch.cat([begin, each.sum(2) if gpt.by_step else each.flatten(1, 2)], dim=1)
    return embedded, full_rows(embedded)


def states_over_time(model: LanguageModel, codes: Codes, layers: Sequence[int]) -> Tensor:
    """Concatenate states of some layers (0: embeddings) to ``(time, len(layers) * model_dim)``, mean over streams."""
    states = model.hidden_states(codes, layers)  # (layers, time * streams, model_dim)
    by_step = states.reshape(len(states), -1, model.predicted.streams, states.shape[2])
    return by_step.mean(2).transpose(0, 1).flatten(1)
