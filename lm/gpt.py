"""A decoder-only transformer over codes: pre-norm, rotary positions, SwiGLU, tied embeddings; and draws of its codes.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019; Touvron et al., "LLaMA: Open and Efficient
Foundation Language Models", 2023 (arXiv:2302.13971). The layers are fairseq2's: `wordless.base.causal_transformer`
makes them. This module imports fairseq2 inside functions alone, because its import takes seconds.

Sampling is float64 with random numbers of the host, so that one seed draws the same codes on every device, given equal
logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lm.options import RESIDUAL, CodeSampling, GPTConfig, States
from lm.tokens import ConditionEmbedding, Conditions, Vocabulary, window_start
from wordless.base.array_types import IntArray
from wordless.base.causal_transformer import create_causal_transformer, full_rows, layer_states
from wordless.base.machine import copy_to

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.models.transformer_lm import TransformerLM
    from fairseq2.nn import BatchLayout, IncrementalStateBag


class GPT(nn.Module):
    """A causal transformer: from begin-of-sequence and tokens, it predicts the code after each position.

    Tokens and logits are counted code by code, whatever `GPTConfig.interleaving` does inside. An upsampler also reads
    ``conditions (batch, positions, columns)``: row ``p`` is what `lm.tokens` reads at the time step of code ``p``, the
    code that position ``p`` predicts.
    """

    def __init__(self, config: GPTConfig, vocabulary: Vocabulary, conditions: Conditions | None = None) -> None:
        super().__init__()
        config.require_room(vocabulary.streams)
        self.config = config
        self.vocabulary = vocabulary
        self.transformer: TransformerLM = create_causal_transformer(
            config, positions=config.context, tokens=vocabulary.size, pad=vocabulary.pad, tied=True
        )
        self.conditions = conditions
        dim, std = config.model_dim, config.init_std
        self.embed_conditions = None if conditions is None else ConditionEmbedding(conditions, dim, std=std)

    @property
    def by_step(self) -> bool:
        """Whether a position stands for a time step of several codes."""
        return self.config.interleaving == "parallel" and self.vocabulary.streams > 1

    @property
    def capacity(self) -> int:
        """Time steps that fit in the context after begin-of-sequence."""
        return (self.config.context - 1) // self.config.positions_per_step(self.vocabulary.streams)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def forward(self, tokens: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Map begin-of-sequence and tokens ``(batch, positions)`` to logits ``(batch, positions, per_stream)``."""
        # A statement of its own: `torch.compile` would otherwise compile the next line anew in each step.
        decoded = self.decoded(tokens, conditions)
        return self.logits(decoded)[:, : tokens.shape[1]]

    def decoded(self, tokens: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Compute the normalised last states ``(batch, positions, model_dim)``; of parallel streams, of time steps."""
        decoded: Tensor = self.transformer.decoder(*self.embed(tokens, conditions))
        return decoded

    def logits(self, decoded: Tensor) -> Tensor:
        """Compute from `decoded` the logits of the following codes, code by code ``(batch, codes, per_stream)``."""
        logits = self.transformer.final_proj(decoded)
        if not self.by_step:
            return self.code_logits(logits, first=0)
        codes = logits[..., : self.vocabulary.codes]
        return codes.reshape(codes.shape[0], -1, self.vocabulary.per_stream)  # (N, T, S * K) -> (N, T * S, K)

    def embed(
        self, tokens: Tensor, conditions: Tensor | None, weights: Tensor | None = None
    ) -> tuple[Tensor, BatchLayout]:
        """Compute the first layer's inputs ``(batch, positions, model_dim)``; positions as in `decoded`."""
        if weights is not None:
            embedded = self._embed_weighted(tokens, weights)
            return embedded, full_rows(embedded)
        if not self.by_step:
            return self.embed_steps(tokens[..., None], conditions)
        of_steps = None if conditions is None else conditions[:, :: self.vocabulary.streams]
        return self.embed_steps(self.vocabulary.steps(tokens), of_steps)

    def embed_steps(self, steps: Tensor, conditions: Tensor | None) -> tuple[Tensor, BatchLayout]:
        """Sum the embeddings of each position's tokens, and those of its conditions ``(batch, positions, model_dim)``.

        Rows padded on the right are passed as full rows: attention is causal, so no position before the padding sees
        it, and the fast causal kernel needs no mask.
        """
        frontend = cast("TransformerEmbeddingFrontend", self.transformer.decoder_frontend)
        embedded = frontend.embed(steps).sum(2)  # (N, T, S, M) -> (N, T, M)
        if self.embed_conditions is not None:
            assert conditions is not None, "an upsampler reads coarser codes"
            embedded = embedded + self.embed_conditions(conditions)
        return embedded if frontend.dropout is None else frontend.dropout(embedded), full_rows(steps)

    def _embed_weighted(self, tokens: Tensor, weights: Tensor) -> Tensor:
        """Average the embeddings of all codes by their weights; only begin-of-sequence is read from the tokens."""
        embed = cast("TransformerEmbeddingFrontend", self.transformer.decoder_frontend).embed
        streams, of_codes = self.vocabulary.streams, torch.arange(self.vocabulary.codes, device=self.device)
        table = embed(of_codes).reshape(streams, self.vocabulary.per_stream, -1)  # (streams, codes, model_dim)
        by_step = weights.reshape(len(weights), -1, *table.shape[:2])  # (batch, time, streams, codes)
        each = torch.einsum("ntsk,skm->ntsm", by_step, table)
        begin = self.embed(tokens[:, :1], None)[0]
        return torch.cat([begin, each.sum(2) if self.by_step else each.flatten(1, 2)], dim=1)

    def code_logits(self, logits: Tensor, *, first: int) -> Tensor:
        """Select each position's stream from ``(batch, positions, vocabulary)``; ``first`` is the first position."""
        streams = self.vocabulary.streams
        codes = logits[..., : self.vocabulary.codes].reshape(*logits.shape[:2], streams, -1)  # -> (N, T, S, K)
        positions = torch.arange(logits.shape[1], device=logits.device)
        return codes[:, positions, (positions + first) % streams]  # (N, T, S, K) -> (N, T, K)

    @torch.no_grad()
    def states(
        self,
        tokens: Tensor,
        conditions: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        of: Collection[States | Literal["embeddings"]] = RESIDUAL,
    ) -> dict[str, Tensor]:
        """Map tokens ``(batch, positions)`` to the states of each layer ``(batch, positions, dim)``.

        ``embeddings`` are ``layer_0``. ``residual`` states are ``layer_1`` and so on, the last ones before the final
        normalisation. ``inner`` states are the inner activations of `layer_states`, ``inner_1`` and so on, ``ffn_dim``
        wide. With ``weights (batch, positions - 1, per_stream)`` of whole time steps, the input of a code is the mean
        of the embeddings of all codes.
        """
        embedded, layout = self.embed(tokens, conditions, weights)
        found, inner = {"layer_0": embedded} if "embeddings" in of else {}, dict[str, Tensor]()
        if {"residual", "inner"} & {*of}:
            for number, (activations, output) in enumerate(layer_states(self.transformer.decoder, embedded, layout), 1):
                if "residual" in of:
                    found[f"layer_{number}"] = output
                if "inner" in of:
                    inner[f"inner_{number}"] = activations
        return found | inner


class CachedGPT:
    """A GPT in evaluation mode that reads by positions; an upsampler also ``conditions (batch, time, columns)``."""

    _state: IncrementalStateBag
    _next: Tensor  # (batch, codes of a position, per_stream) logits

    def __init__(self, gpt: GPT, conditions: Tensor | None = None) -> None:
        assert not gpt.training
        self._gpt, self._conditions = gpt, conditions
        self._start = self._read = -1  # positions of the GPT: the first one in the cache, and the end of the last

    def logits(self, codes: Tensor, position: int) -> Tensor:
        """Return float64 logits ``(batch, codes)`` of the code that follows the first ``position`` of ``codes``."""
        from fairseq2.nn import IncrementalStateBag

        gpt, vocabulary = self._gpt, self._gpt.vocabulary
        streams = vocabulary.streams
        together = streams if gpt.by_step else 1  # codes of a position
        first = window_start(position // streams, gpt.capacity) * streams
        last, start = (each // together for each in (position, first))
        if last != self._read:
            goes_on = start == self._start and last == self._read + 1
            unread = np.arange((last - 1 if goes_on else start) * together, last * together)
            tokens = copy_to(codes[:, last * together - len(unread) : last * together], gpt.device)
            tokens = tokens + copy_to(torch.from_numpy(vocabulary.first_token(unread)), gpt.device)
            tokens = tokens.reshape(len(codes), -1, together)
            if not goes_on:
                tokens = nn.functional.pad(tokens, (0, 0, 1, 0), value=vocabulary.pad)
                tokens[:, 0, 0] = vocabulary.bos
                # its step number stays below this maximum
                self._state, self._start = IncrementalStateBag(gpt.config.context + 1), start
            conditions = None
            if self._conditions is not None:
                predicted = np.arange(last + 1 - tokens.shape[1], last + 1) * together // streams  # after each position
                conditions = copy_to(self._conditions[:, torch.from_numpy(predicted)].long(), gpt.device)
            decoded = gpt.transformer.decoder(*gpt.embed_steps(tokens, conditions), state_bag=self._state)
            self._state.increment_step_nr(tokens.shape[1])
            if gpt.by_step:
                self._next = gpt.logits(decoded).reshape(*tokens.shape, -1)[:, -1]
            else:
                self._next = gpt.code_logits(gpt.transformer.final_proj(decoded)[:, -1:], first=last)
            self._read = last
        return self._next[:, position % together].double()


def create_gpt(config: GPTConfig, vocabulary: Vocabulary, *, seed: int, conditions: Conditions | None = None) -> GPT:
    """Build a new model whose weights follow from the seed; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT(config, vocabulary, conditions)


def probabilities(logits: Tensor, sampling: CodeSampling) -> Tensor:
    """Compute the distribution of the next code from logits ``(batch, codes)``: temperature first, then top-k."""
    ranked, order = logits.sort(dim=1, descending=True, stable=True)
    kept = (ranked / (sampling.temperature or 1)).softmax(1)
    kept[:, 1 if sampling.temperature == 0 else sampling.top_k or kept.shape[1] :] = 0
    return torch.zeros_like(kept).scatter(1, order, kept / kept.sum(1, keepdim=True))


def draw(chances: Tensor, uniforms: Tensor) -> Tensor:
    """Draw codes ``(batch,)`` from probabilities ``(batch, codes)`` with one number in [0, 1) for each row."""
    edges = chances.cumsum(1)
    wanted = uniforms[:, None] * edges[:, -1:]  # the last edge may differ from 1 by a rounding error
    return (edges <= wanted).sum(1).to(torch.int32)


@torch.no_grad()
def continue_codes(
    gpt: GPT,
    prompts: Sequence[IntArray],
    *,
    steps: int,
    sampling: CodeSampling,
    seed: int,
    conditions: Sequence[IntArray] | None = None,
    rate: int = 1,
) -> list[IntArray]:
    """Generate ``steps`` time steps ``(steps, streams)`` after each prompt ``(time, streams)``, without the prompts.

    Row ``i`` has its own generator, seeded by (seed, i), and starts when its own prompt is over. When the context is
    full, the model reads its last half again and goes on. An upsampler reads the ``conditions (time + steps, columns)``
    of each row; ``rate`` is the number of its rate, which draws other random numbers than rate 1.
    """
    streams, codes = gpt.vocabulary.streams, torch.zeros(len(prompts), 0, dtype=torch.int32)
    for codes in _positions(gpt, prompts, steps, sampling, seed, conditions, rate):  # noqa: B007  # the last has all
        pass
    new = [row[prompt.size :] for row, prompt in zip(codes.cpu().numpy(), prompts, strict=True)]
    return [row[: steps * streams].reshape(steps, streams) for row in new]


@torch.no_grad()
def stream_codes(gpt: GPT, prompt: IntArray, *, steps: int, sampling: CodeSampling, seed: int) -> Iterator[IntArray]:
    """Give each time step ``(1, streams)`` of `continue_codes`."""
    streams = gpt.vocabulary.streams
    for codes in _positions(gpt, [prompt], steps, sampling, seed):
        position = codes.shape[1]
        if position > prompt.size and position % streams == 0:
            yield codes[:, position - streams :].cpu().numpy()


def _positions(
    gpt: GPT,
    prompts: Sequence[IntArray],
    steps: int,
    sampling: CodeSampling,
    seed: int,
    conditions: Sequence[IntArray] | None = None,
    rate: int = 1,
) -> Iterator[Tensor]:
    """Give all codes so far ``(batch, positions)`` after each position; they stay on the device, which draws them."""
    sizes, count = np.array([prompt.size for prompt in prompts]), steps * gpt.vocabulary.streams
    known = np.zeros((len(prompts), sizes.max() + count), np.int32)  # the prompts, with room for `count` codes
    uniforms = np.zeros(known.shape)  # the random number of each code
    for index, prompt in enumerate(prompts):
        known[index, : prompt.size] = prompt.reshape(-1)
        draws = np.random.default_rng([seed, index, *([] if rate == 1 else [rate])])
        uniforms[index, prompt.size : prompt.size + count] = draws.random(count)
    places = np.arange(known.shape[1])
    new = (places >= sizes[:, None]) & (places < sizes[:, None] + count)  # what is drawn
    codes, chosen, masks = (copy_to(torch.from_numpy(each), gpt.device) for each in (known, uniforms, new))
    # nobody counts what follows the end of a row
    read = pad_sequence([*map(torch.from_numpy, conditions)], batch_first=True) if conditions else None
    cached = CachedGPT(gpt, read)
    for position in range(known.shape[1]):
        if new[:, position].any():
            found = draw(probabilities(cached.logits(codes, position), sampling), chosen[:, position])
            codes[:, position] = torch.where(masks[:, position], found, codes[:, position])
        yield codes[:, : position + 1]
