"""Batched continuation of code sequences with cached attention."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lm.gpt import GPT, CachedGPT
from lm.sampling import FloatArray, LoopGuard, Sampling, draw, probabilities
from lm.windows import window_start
from tokenizer.codes import IntArray


@torch.no_grad()
def continue_codes(
    gpt: GPT,
    prompts: Sequence[IntArray],
    *,
    steps: int,
    sampling: Sampling,
    seed: int,
    conditions: Sequence[IntArray] | None = None,
    rate: int = 1,
) -> list[IntArray]:
    """Generate ``steps`` time steps ``(steps, streams)`` after each prompt ``(time, streams)``, without the prompts.

    Row ``i`` has its own generator, seeded by (seed, i), and starts when its own prompt is over; longer prompts are
    still being read meanwhile. When the context is full, the model reads its last half again and goes on.

    An upsampler reads the ``conditions (time + steps, columns)`` of each row; ``rate`` is the number of its rate, which
    draws other random numbers than rate 1.
    """
    lengths = [prompt.size for prompt in prompts]
    streams, codes = gpt.vocabulary.streams, np.zeros((len(prompts), 0), np.int32)
    for codes in _positions(gpt, prompts, steps, sampling, seed, conditions, rate):  # noqa: B007  # the last has all
        pass
    return [
        row[size : size + steps * streams].reshape(steps, streams) for row, size in zip(codes, lengths, strict=True)
    ]


@torch.no_grad()
def stream_codes(gpt: GPT, prompt: IntArray, *, steps: int, sampling: Sampling, seed: int) -> Iterator[IntArray]:
    """Give each time step ``(1, streams)`` that `continue_codes` generates after one prompt, as soon as it is drawn."""
    streams = gpt.vocabulary.streams
    for codes in _positions(gpt, [prompt], steps, sampling, seed):
        position = codes.shape[1]
        if position > prompt.size and position % streams == 0:
            yield codes[:, position - streams :]


def _positions(
    gpt: GPT,
    prompts: Sequence[IntArray],
    steps: int,
    sampling: Sampling,
    seed: int,
    conditions: Sequence[IntArray] | None = None,
    rate: int = 1,
) -> Iterator[IntArray]:
    """Give all codes so far ``(batch, positions)`` after each position: codes of prompts, and codes that were drawn."""
    streams = gpt.vocabulary.streams
    lengths = np.array([prompt.size for prompt in prompts])
    codes = np.zeros((len(prompts), lengths.max() + steps * streams), np.int32)
    for row, prompt in zip(codes, prompts, strict=True):
        row[: prompt.size] = prompt.reshape(-1)
    of_rate = [] if rate == 1 else [rate]
    generators = [np.random.default_rng([seed, index, *of_rate]) for index in range(len(prompts))]
    guard = LoopGuard(sampling.max_repeats, batch=len(prompts), streams=streams)
    reader = _Reader(gpt, None if conditions is None else _stacked(conditions, codes.shape[1] // streams))
    for position in range(codes.shape[1]):
        past = codes[:, :position]
        drawing = (lengths <= position) & (position < lengths + steps * streams)
        if drawing.any():
            chances = probabilities(reader.logits(past), sampling, guard.refused(past, gpt.vocabulary.codebook_size))
            uniforms = np.array([rng.random() if busy else 0.0 for rng, busy in zip(generators, drawing, strict=True)])
            codes[drawing, position] = draw(chances, uniforms)[drawing]
        guard.count(codes[:, : position + 1])
        yield codes[:, : position + 1]


def _stacked(conditions: Sequence[IntArray], steps: int) -> IntArray:
    """Stack the conditions of all rows ``(batch, steps, columns)``; nobody counts what follows the end of a row."""
    stacked = np.zeros((len(conditions), steps, conditions[0].shape[1]), np.int32)
    for row, own in zip(stacked, conditions, strict=True):
        row[: len(own)] = own
    return stacked


class _Reader:
    """Logits of the next code; reads one token if the window goes on, and a whole window if a new one begins."""

    def __init__(self, gpt: GPT, conditions: IntArray | None) -> None:
        self._gpt = gpt
        self._conditions = conditions  # (batch, time, columns)
        self._cached = CachedGPT(gpt)
        self._start = 0  # codes: start of the window in the cache
        self._position: int | None = None  # codes: length of the past at the last call

    def logits(self, past: IntArray) -> FloatArray:
        """Return logits ``(batch, codebook_size)`` of the code that follows ``past (batch, positions)``."""
        vocabulary, position = self._gpt.vocabulary, past.shape[1]
        start = window_start(position // vocabulary.streams, self._gpt.capacity) * vocabulary.streams
        goes_on = start == self._start and self._position == position - 1
        unread = np.arange(position - 1 if goes_on else start, position)
        tokens = past[:, unread] + vocabulary.first_token(unread)
        if not goes_on:
            self._cached, self._start = CachedGPT(self._gpt), start
            tokens = np.concatenate([np.full((len(past), 1), vocabulary.bos), tokens], axis=1)
        self._position = position
        device, conditions = self._gpt.device, None
        if self._conditions is not None:
            predicted = np.arange(position + 1 - tokens.shape[1], position + 1)  # the code after each token
            read = self._conditions[:, predicted // vocabulary.streams]
            conditions = torch.from_numpy(read.astype(np.int64)).to(device)
        read_logits = self._cached.read(torch.from_numpy(tokens).to(device), conditions)
        logits: FloatArray = read_logits.double().cpu().numpy()
        return logits
