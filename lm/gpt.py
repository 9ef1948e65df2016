"""A decoder-only transformer over codes: pre-norm, rotary positions, SwiGLU, tied embeddings; and draws of its codes.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019; Touvron et al., "LLaMA: Open and Efficient
Foundation Language Models", 2023 (arXiv:2302.13971). The layers are fairseq2's: `wordless.base.causal_transformer`
makes them. This module imports fairseq2 inside functions alone, because its import takes seconds.

Sampling is float64 with random numbers of the host, so that one seed draws the same codes on every device, given equal
logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from lm.probing.vectors import RESIDUAL, States
from lm.tokens import Vocabulary, window_start
from wordless.base.arrays import IntArray
from wordless.base.causal_transformer import create_causal_transformer, full_rows, layer_states
from wordless.base.devices import copy_to, exact
from wordless.base.messages import InputError
from wordless.base.options import CausalSizes, Options, option

if TYPE_CHECKING:
    from fairseq2.models.transformer import TransformerEmbeddingFrontend
    from fairseq2.models.transformer_lm import TransformerLM
    from fairseq2.nn import BatchLayout, IncrementalStateBag

Embedded: TypeAlias = "tuple[Tensor, BatchLayout]"  # inputs of the first layer (batch, positions, model_dim)


Interleaving = Literal["flattening", "parallel"]
MAX_CONTEXT = 1 << 20  # positions; the rotary embedding keeps a row of numbers for each


@dataclass(frozen=True, kw_only=True)
class GPTConfig(CausalSizes):
    """Sizes of the transformer, and its treatment of several streams, with the names of Copet et al. ("Simple and
    Controllable Music Generation", 2023, arXiv:2306.05284)::

        flattening    one position per code: each sees all codes before it, also those of its own time step
        parallel      one position per time step: reads the sum of its codes' embeddings, and predicts the codes of the
                      next step independently of each other; sequences are shorter by the number of streams
    """

    only_in_training: ClassVar = ("dropout", "init_std")  # weights fit a GPT that differs in these options

    context: int = option(
        512,
        "number of positions of the context, including begin-of-sequence",
        least=3,
        most=MAX_CONTEXT,
        unit="positions",
    )
    dropout: float = option(0.1, "dropout on the embeddings and on the output of each sub-layer", least=0, below=1)
    interleaving: Interleaving = option(
        "flattening", "several streams have one position per code, or one position per time step"
    )

    @property
    def architecture(self) -> dict[str, object]:
        """The options in which two models are equal if one of them can have the weights of the other."""
        return {name: value for name, value in asdict(self).items() if name not in self.only_in_training}

    def positions_per_step(self, streams: int) -> int:
        """Return the positions of one time step of ``streams`` streams."""
        return 1 if self.interleaving == "parallel" else streams

    def require_room(self, streams: int) -> None:
        """Refuse a context that is too short for codes of ``streams`` streams."""
        least = 1 + 2 * (positions := self.positions_per_step(streams))
        rule = f"a time step takes {positions} positions: choose {least} or more, for begin-of-sequence and two steps"
        self.refuse_if(self.context < least, "context", rule)


@dataclass(frozen=True, kw_only=True)
class CodeSampling(Options):
    """Options of sampling codes; the defaults leave the model's probabilities unchanged."""

    temperature: float = option(1.0, "temperature of the GPT; 0: always the most probable code", least=0)
    top_k: int = option(0, "the GPT draws from this number of most probable codes; 0: all codes", least=0)


class GPT(nn.Module):
    """A causal transformer: from begin-of-sequence and tokens, it predicts the code after each position.

    Tokens and logits are counted code by code, whatever `GPTConfig.interleaving` does inside.
    """

    input_dimensions: ClassVar[int] = 2  # of inputs: (batch, positions)

    def __init__(self, config: GPTConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        config.require_room(vocabulary.streams)
        self.config = config
        self.vocabulary = vocabulary
        self.transformer: TransformerLM = create_causal_transformer(
            config, positions=config.context, tokens=vocabulary.size, pad=vocabulary.pad, tied=True
        )

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

    @property
    def front_end(self) -> TransformerEmbeddingFrontend:
        """The embeddings of tokens, and their dropout."""
        return cast("TransformerEmbeddingFrontend", self.transformer.decoder_frontend)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map begin-of-sequence and tokens ``(batch, positions)`` to logits ``(batch, positions, per_stream)``.

        Inputs are those of `lm.model.LanguageModel.reader`. Codes have no begin-of-sequence, and are refused.
        """
        # A statement of its own: `torch.compile` would otherwise compile the next line anew in each step.
        decoded = self.decoded(tokens)
        return self.logits(decoded)[:, : tokens.shape[1]]

    def require_tokens(self, tokens: Tensor) -> None:
        """Refuse inputs that do not begin with begin-of-sequence, such as codes.

        On a GPU only the shape is checked, because a look at the numbers would wait for it.
        """
        if torch.compiler.is_compiling():
            return
        dimensions, bos = self.input_dimensions, self.vocabulary.bos
        fits = tokens.ndim == dimensions and not tokens.is_floating_point()
        if fits and tokens.device.type == "cpu" and tokens.numel():
            begin = tokens[:, 0] if dimensions == 2 else tokens[:, 0, 0]
            fits = bool((begin == bos).all())
        if not fits:
            problem = f"inputs of the GPT are {tokens.dtype} {(*tokens.shape,)}, and no tokens after begin-of-sequence"
            raise InputError(problem, remedy="give codes to LanguageModel.logits(codes), .loss(codes) or forward")

    def decoded(self, tokens: Tensor) -> Tensor:
        """Compute the normalised last states ``(batch, positions, model_dim)``; of parallel streams, of time steps."""
        decoded: Tensor = self.transformer.decoder(*self.embed(tokens))
        return decoded

    def logits(self, decoded: Tensor) -> Tensor:
        """Compute from `decoded` the logits of the following codes, code by code ``(batch, codes, per_stream)``."""
        logits = self.transformer.final_proj(decoded)
        if not self.by_step:
            return self.code_logits(logits, first=0)
        codes = logits[..., : self.vocabulary.codes]
        return codes.reshape(codes.shape[0], -1, self.vocabulary.per_stream)  # (N, T, S * K) -> (N, T * S, K)

    def embed(self, tokens: Tensor) -> Embedded:
        """Compute the first layer's inputs ``(batch, positions, model_dim)``; positions as in `decoded`."""
        self.require_tokens(tokens)
        return self.embed_steps(self.vocabulary.steps(tokens) if self.by_step else tokens[..., None])

    def embed_steps(self, steps: Tensor, added: Tensor | None = None) -> Embedded:
        """Sum the embeddings of each position's tokens, and what is ``added`` ``(batch, positions, model_dim)``.

        Rows padded on the right are passed as full rows: attention is causal, so no position before the padding sees
        it, and the fast causal kernel needs no mask.
        """
        embedded, dropout = self.front_end.embed(steps).sum(2), self.front_end.dropout  # (N, T, S, M) -> (N, T, M)
        embedded = embedded if added is None else embedded + added
        return embedded if dropout is None else dropout(embedded), full_rows(steps)

    def code_logits(self, logits: Tensor, *, first: int) -> Tensor:
        """Select each position's stream from ``(batch, positions, vocabulary)``; ``first`` is the first position."""
        streams = self.vocabulary.streams
        codes = logits[..., : self.vocabulary.codes].reshape(*logits.shape[:2], streams, -1)  # -> (N, T, S, K)
        positions = torch.arange(logits.shape[1], device=logits.device)
        return codes[:, positions, (positions + first) % streams]  # (N, T, S, K) -> (N, T, K)

    @torch.no_grad()
    def states(self, tokens: Tensor, *, of: Collection[States | Literal["embeddings"]] = RESIDUAL) -> dict[str, Tensor]:
        """Map tokens ``(batch, positions)`` to the states of each layer ``(batch, positions, dim)``.

        ``embeddings`` are ``layer_0``. ``residual`` states are ``layer_1`` and so on, the last ones before the final
        normalisation. ``inner`` states are the inner activations of `layer_states`, ``inner_1`` and so on, ``ffn_dim``
        wide.
        """
        embedded, layout = self.embed(tokens)
        found, inner = {"layer_0": embedded} if "embeddings" in of else {}, dict[str, Tensor]()
        if {"residual", "inner"} & {*of}:
            for number, (activations, output) in enumerate(layer_states(self.transformer.decoder, embedded, layout), 1):
                if "residual" in of:
                    found[f"layer_{number}"] = output
                if "inner" in of:
                    inner[f"inner_{number}"] = activations
        return found | inner


def require_evaluation(gpt: GPT) -> None:
    """Refuse a GPT in training mode, whose dropout would be in its answers."""
    if gpt.training:
        raise InputError("the language model is in training mode, with dropout", remedy="call its eval() first")


class CachedGPT:
    """A GPT in evaluation mode that reads by positions."""

    _state: IncrementalStateBag
    _next: Tensor  # (batch, codes of a position, per_stream) logits

    def __init__(self, gpt: GPT) -> None:
        require_evaluation(gpt)
        self.gpt = gpt
        self._start = self._read = -1  # positions of the GPT: the first one in the cache, and the end of the last

    def logits(self, codes: Tensor, position: int) -> Tensor:
        """Return float64 logits ``(batch, codes)`` of the code that follows the first ``position`` of ``codes``."""
        from fairseq2.nn import IncrementalStateBag

        gpt, vocabulary = self.gpt, self.gpt.vocabulary
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
            decoded = gpt.transformer.decoder(*self.embed_steps(tokens, last), state_bag=self._state)
            self._state.increment_step_nr(tokens.shape[1])
            if gpt.by_step:
                self._next = gpt.logits(decoded).reshape(*tokens.shape, -1)[:, -1]
            else:
                self._next = gpt.code_logits(gpt.transformer.final_proj(decoded)[:, -1:], first=last)
            self._read = last
        return self._next[:, position % together].double()

    def embed_steps(self, steps: Tensor, last: int) -> Embedded:
        """Compute the first layer's inputs of tokens ``(batch, positions, codes)``; ``last`` is the last position."""
        return self.gpt.embed_steps(steps)


def create_gpt(config: GPTConfig, vocabulary: Vocabulary, *, seed: int) -> GPT:
    """Build a new model whose weights follow from the seed; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT(config, vocabulary)


def probabilities(logits: Tensor, sampling: CodeSampling) -> Tensor:
    """Compute the distribution of the next code from logits ``(batch, codes)``: temperature first, then top-k."""
    ranked, order = logits.sort(dim=1, descending=True, stable=True)
    kept = (ranked / (sampling.temperature or 1)).softmax(1)
    kept[:, 1 if sampling.temperature == 0 else sampling.top_k or kept.shape[1] :] = 0
    return torch.zeros_like(kept).scatter(1, order, kept / kept.sum(1, keepdim=True))


def draw_codes(chances: Tensor, uniforms: Tensor) -> Tensor:
    """Draw codes ``(batch,)`` from probabilities ``(batch, codes)`` with one number in [0, 1) for each row."""
    edges = chances.cumsum(1)
    wanted = uniforms[:, None] * edges[:, -1:]  # the last edge may differ from 1 by a rounding error
    return (edges <= wanted).sum(1).to(torch.int32)


@torch.no_grad()
@exact
def continue_codes(
    cached: CachedGPT,
    prompts: Sequence[IntArray],
    *,
    steps: int,
    sampling: CodeSampling,
    seeds: Sequence[Sequence[int]],
) -> list[IntArray]:
    """Generate ``steps`` time steps ``(steps, streams)`` after each prompt ``(time, streams)``, without the prompts.

    Each row has a generator of its own with the words of its seed, and starts when its own prompt is over. When the
    context is full, the model reads its last half again and goes on.
    """
    streams, codes = cached.gpt.vocabulary.streams, torch.zeros(len(prompts), 0, dtype=torch.int32)
    for codes in _positions(cached, prompts, steps, sampling, seeds):  # noqa: B007  # the last has all
        pass
    new = [row[prompt.size :] for row, prompt in zip(codes.cpu().numpy(), prompts, strict=True)]
    return [row[: steps * streams].reshape(steps, streams) for row in new]


@torch.no_grad()
@exact
def stream_codes(
    cached: CachedGPT, prompt: IntArray, *, steps: int, sampling: CodeSampling, seed: Sequence[int]
) -> Iterator[IntArray]:
    """Give each time step ``(1, streams)`` of `continue_codes`."""
    streams = cached.gpt.vocabulary.streams
    for codes in _positions(cached, [prompt], steps, sampling, [seed]):
        position = codes.shape[1]
        if position > prompt.size and position % streams == 0:
            yield codes[:, position - streams :].cpu().numpy()


def _positions(
    cached: CachedGPT,
    prompts: Sequence[IntArray],
    steps: int,
    sampling: CodeSampling,
    seeds: Sequence[Sequence[int]],
) -> Iterator[Tensor]:
    """Give all codes so far ``(batch, positions)`` after each position; they stay on the device, which draws them."""
    device, streams = cached.gpt.device, cached.gpt.vocabulary.streams
    sizes, count = np.array([prompt.size for prompt in prompts]), steps * streams
    known = np.zeros((len(prompts), sizes.max() + count), np.int32)  # the prompts, with room for `count` codes
    uniforms = np.zeros(known.shape)  # the random number of each code
    for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        known[index, : prompt.size] = prompt.reshape(-1)
        uniforms[index, prompt.size : prompt.size + count] = np.random.default_rng(seed).random(count)
    places = np.arange(known.shape[1])
    new = (places >= sizes[:, None]) & (places < sizes[:, None] + count)  # what is drawn
    codes, chosen, masks = (copy_to(torch.from_numpy(each), device) for each in (known, uniforms, new))
    for position in range(known.shape[1]):
        if new[:, position].any():
            found = draw_codes(probabilities(cached.logits(codes, position), sampling), chosen[:, position])
            codes[:, position] = torch.where(masks[:, position], found, codes[:, position])
        yield codes[:, : position + 1]
