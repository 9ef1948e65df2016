"""Continuation of code sequences in batches, with cached attention: temperature, top-k.

Sampling is float64 with random numbers of the host, so that one seed draws the same codes on every device, given equal
logits.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lm.gpt import GPT, CachedGPT
from lm.options import CodeSampling
from wordless.base.array_types import IntArray
from wordless.base.machine import copy_to


def probabilities(logits: Tensor, sampling: CodeSampling) -> Tensor:
    """Compute the distribution of the next code: logits ``(batch, codes)`` -> probabilities ``(batch, codes)``.

    Temperature comes first, then top-k. Among codes of equal probability the lower number comes first.
    """
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
    """Give all codes so far ``(batch, positions)`` after each position: codes of prompts, and codes that were drawn.

    The GPT's device draws, and the codes stay there: nothing on the host depends on a code.
    """
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
