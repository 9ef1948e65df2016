"""Continuation of code sequences in batches, with cached attention: temperature, top-k.

Sampling is float64 with random numbers of the host, so that one seed draws the same codes on every device, given equal
logits. `continue_codes` leaves the draw to a GPU, and waits for all codes once; a stream needs each code on the host.
The two ways to draw differ only where a random number is within 1e-12 of the edge of a code's share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lm.gpt import GPT, CachedGPT
from lm.tokens import window_start
from tokenizer.codes import IntArray
from wordless.base.machine import copy_to
from wordless.base.options import Options, option

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """Options of sampling; the defaults leave the model's probabilities unchanged."""

    temperature: float = option(1.0, "logits are divided by it; 0 takes the most probable code", least=0)
    top_k: int = option(0, "only the k most probable codes; 0: all", least=0)


def probabilities(logits: FloatArray, sampling: Sampling) -> FloatArray:
    """Compute the distribution of the next code: logits ``(batch, codes)`` -> probabilities ``(batch, codes)``.

    Temperature comes first, then top-k. Among codes of equal probability the lower number comes first.
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=1) / (sampling.temperature or 1)  # most probable first
    most = 1 if sampling.temperature == 0 else sampling.top_k or ranked.shape[1]
    kept = _normalise(np.exp(ranked - ranked.max(axis=1, keepdims=True))) * (np.arange(ranked.shape[1]) < most)
    result: FloatArray = np.empty_like(kept)
    np.put_along_axis(result, order, _normalise(kept), axis=1)
    return result


def draw(chances: FloatArray, uniforms: FloatArray) -> IntArray:
    """Draw codes ``(batch,)`` from probabilities ``(batch, codes)`` with one number in [0, 1) for each row."""
    edges = np.cumsum(chances, axis=1)
    wanted = uniforms[:, None] * edges[:, -1:]  # the last edge may differ from 1 by a rounding error
    codes: IntArray = (edges <= wanted).sum(axis=1).astype(np.int32)
    return codes


def _normalise(weights: FloatArray) -> FloatArray:
    scaled: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return scaled


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
    streams, codes = gpt.vocabulary.streams, torch.zeros(len(prompts), 0, dtype=torch.int32)
    made = _positions(gpt, prompts, steps, sampling, seed, conditions, rate, on_device=gpt.device.type != "cpu")
    for codes in made:  # noqa: B007  # the last has all
        pass
    new = [row[prompt.size :] for row, prompt in zip(codes.cpu().numpy(), prompts, strict=True)]
    return [row[: steps * streams].reshape(steps, streams) for row in new]


@torch.no_grad()
def stream_codes(gpt: GPT, prompt: IntArray, *, steps: int, sampling: Sampling, seed: int) -> Iterator[IntArray]:
    """Give each time step ``(1, streams)`` of `continue_codes`."""
    streams = gpt.vocabulary.streams
    for codes in _positions(gpt, [prompt], steps, sampling, seed):
        position = codes.shape[1]
        if position > prompt.size and position % streams == 0:
            yield codes[:, position - streams :].numpy()


def _positions(
    gpt: GPT,
    prompts: Sequence[IntArray],
    steps: int,
    sampling: Sampling,
    seed: int,
    conditions: Sequence[IntArray] | None = None,
    rate: int = 1,
    *,
    on_device: bool = False,
) -> Iterator[Tensor]:
    """Give all codes so far ``(batch, positions)`` after each position: codes of prompts, and codes that were drawn.

    With ``on_device`` the GPT's device draws, and the codes stay there. Nothing on the host depends on a code then.
    """
    sizes, count = np.array([prompt.size for prompt in prompts]), steps * gpt.vocabulary.streams
    known = np.zeros((len(prompts), sizes.max() + count), np.int32)  # the prompts, with room for `count` codes
    uniforms = np.zeros(known.shape)  # the random number of each code
    for index, prompt in enumerate(prompts):
        known[index, : prompt.size] = prompt.reshape(-1)
        draws = np.random.default_rng([seed, index, *([] if rate == 1 else [rate])])
        uniforms[index, prompt.size : prompt.size + count] = draws.random(count)
    missing = np.full(len(prompts), count)  # codes that are to be drawn
    places = np.arange(known.shape[1])
    new = (places >= sizes[:, None]) & (places < sizes[:, None] + count)  # what is drawn, if a code is a code
    host = [torch.from_numpy(each) for each in (known, uniforms, new)]
    codes, chosen, masks = [copy_to(each, gpt.device) for each in host] if on_device else host
    reader = _Reader(gpt, conditions, known.shape[1])
    for position in range(known.shape[1]):
        drawing = (sizes <= position) & (missing > 0)
        if drawing.any():
            logits = reader.logits(codes, position)
            if on_device:
                found = _draw(logits, sampling, chosen[:, position])
                codes[:, position] = torch.where(masks[:, position], found, codes[:, position])
            else:
                numbers: FloatArray = logits.cpu().numpy()
                drawn = draw(probabilities(numbers, sampling), uniforms[:, position])[drawing]
                known[drawing, position] = drawn  # the memory of `codes`
            missing[drawing] -= 1
        yield codes[:, : position + 1]
        if not (missing > 0).any():
            return


def _draw(logits: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """Draw codes ``(batch,)`` from logits ``(batch, codes)`` as `probabilities` and `draw` do on the host."""
    ranked, order = logits.sort(dim=1, descending=True, stable=True)
    if sampling.temperature == 0:
        return order[:, 0].to(torch.int32)
    kept = (ranked / sampling.temperature).softmax(1)
    if 0 < sampling.top_k < kept.shape[1]:
        kept[:, sampling.top_k :] = 0
        kept = kept / kept.sum(1, keepdim=True)
    edges = torch.zeros_like(kept).scatter(1, order, kept).cumsum(1)
    return (edges <= uniforms[:, None] * edges[:, -1:]).sum(1).to(torch.int32)


class _Reader:
    """Logits of the next code; reads one token if the window goes on, and a whole window if a new one begins."""

    def __init__(self, gpt: GPT, conditions: Sequence[IntArray] | None, positions: int) -> None:
        self._gpt = gpt
        self._conditions: IntArray | None = None  # (batch, time, columns); nobody counts what follows the end of a row
        if conditions is not None:
            time = positions // gpt.vocabulary.streams
            self._conditions = np.zeros((len(conditions), time, conditions[0].shape[1]), np.int32)
            for row, own in zip(self._conditions, conditions, strict=True):
                row[: len(own)] = own
        self._cached = CachedGPT(gpt)
        self._start = 0  # codes: start of the window in the cache
        self._position: int | None = None  # codes: length of the past at the last call

    def logits(self, codes: Tensor, position: int) -> Tensor:
        """Return float64 logits ``(batch, codes)`` of the code that follows the first ``position`` of ``codes``."""
        vocabulary, device = self._gpt.vocabulary, self._gpt.device
        start = window_start(position // vocabulary.streams, self._gpt.capacity) * vocabulary.streams
        goes_on = start == self._start and self._position == position - 1
        unread = np.arange(position - 1 if goes_on else start, position)
        first = copy_to(torch.from_numpy(vocabulary.first_token(unread)), device)
        tokens = copy_to(codes[:, position - len(unread) : position], device) + first
        if not goes_on:
            self._cached, self._start = CachedGPT(self._gpt), start
            tokens = nn.functional.pad(tokens, (1, 0), value=vocabulary.bos)
        self._position = position
        conditions = None
        if self._conditions is not None:
            predicted = np.arange(position + 1 - tokens.shape[1], position + 1)  # the code after each token
            read = self._conditions[:, predicted // vocabulary.streams]
            conditions = copy_to(torch.from_numpy(read.astype(np.int64)), device)
        return self._cached.read(tokens, conditions).double()
