"""ABX: is a phone nearer to the same phone of another speaker than to another phone?

A and X are tokens of one phone, B is a token of another. All three stand between the same neighbours. A and B are of
one speaker, X is of another: ABX within context, across speakers, as in ZeroSpeech 2021 (Schatz et al. 2013; Nguyen et
al. 2020, arXiv:2011.11588). The error is the share of triples in which B is nearer to X than A is; equal distances
count half, and chance is 0.5. Shares are averaged over contexts and speakers of X, then over speakers of A and B, then
over phones, as the package fastabx does (Poli et al. 2025, arXiv:2505.02692). That package needs Python 3.12, and its
newest versions a newer PyTorch than this project, so the measure is computed here.

The distance of two tokens is the mean of their frames' distances along the best path of dynamic time warping.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Distance = Literal["angular", "identical"]  # angle between vectors; share of streams whose codes differ
PhonePair = tuple[str, str]
CELLS_AT_ONCE = 2**23  # numbers in memory of one array of frame distances


@dataclass(frozen=True, kw_only=True, eq=False)
class Token:
    """A phone in its context."""

    phone: str
    context: tuple[str, str]  # the phones before and after it
    speaker: str
    frames: npt.NDArray[np.floating | np.integer]  # (time, dim), at least one


def token_frames(start: float, end: float, rate: float) -> slice:
    """Return the frames whose centres lie between two times in seconds; ``rate`` is frames per second."""
    return slice(int(np.ceil(start * rate - 0.5)), int(np.floor(end * rate - 0.5)) + 1)


def abx_errors(tokens: Sequence[Token], distance: Distance) -> dict[PhonePair, float]:
    """Compute the error of each pair of phones, in both orders: (phone of A and X, phone of B).

    Empty if no two phones stand in the same context for two speakers.
    """
    by_context: dict[tuple[str, str], list[Token]] = defaultdict(list)
    for token in tokens:
        by_context[token.context].append(token)
    shares: dict[PhonePair, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for group in by_context.values():
        if len({token.phone for token in group}) > 1:
            for pair, speaker, share in _context_errors(group, distance):
                shares[pair][speaker].append(share)
    return {pair: float(np.mean([np.mean(each) for each in of.values()])) for pair, of in sorted(shares.items())}


def _context_errors(group: Sequence[Token], distance: Distance) -> Iterator[tuple[PhonePair, str, float]]:
    """Give the error of each pair of phones, speaker of A and B, and speaker of X, with the speaker of A and B."""
    distances = token_distances([token.frames for token in group], distance)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, token in enumerate(group):
        places[token.phone, token.speaker].append(number)
    phones, speakers = (sorted({getattr(token, name) for token in group}) for name in ("phone", "speaker"))
    for speaker, other in permutations(speakers, 2):
        for phone, against in permutations(phones, 2):
            a, b, x = places.get((phone, speaker)), places.get((against, speaker)), places.get((phone, other))
            if a and b and x:
                to_a, to_b = distances[np.ix_(x, a)][:, :, None], distances[np.ix_(x, b)][:, None, :]
                yield (phone, against), speaker, float((0.5 + 0.5 * np.sign(to_a - to_b)).mean())


def token_distances(tokens: Sequence[npt.NDArray[np.floating | np.integer]], distance: Distance) -> FloatArray:
    """Compute the distance of each token ``(time, dim)`` from each other: ``(tokens, tokens)``."""
    longest = max(len(token) for token in tokens)
    rows = max(CELLS_AT_ONCE // (len(tokens) * longest * longest), 1)
    blocks = [tokens[first : first + rows] for first in range(0, len(tokens), rows)]
    return np.concatenate([_warp(block, tokens, distance) for block in blocks])


def _warp(
    block: Sequence[npt.NDArray[np.floating | np.integer]],
    tokens: Sequence[npt.NDArray[np.floating | np.integer]],
    distance: Distance,
) -> FloatArray:
    """Warp all tokens of a block onto all tokens at once: ``(block, tokens)``.

    ``cost[i, j]`` is the cost of the best path that ends at frames i and j, and ``steps[i, j]`` its number of frames.
    Of equal paths the diagonal one is taken, then the one along the second token.
    """
    frames = _frame_distances(block, tokens, distance)  # (block, tokens, T, U)
    cost, steps = np.zeros_like(frames), np.ones(frames.shape)
    for i, j in np.ndindex(*frames.shape[2:]):
        before = [(i - 1, j - 1), (i, j - 1), (i - 1, j)]
        ways = [(cost[:, :, a, b], steps[:, :, a, b]) for a, b in before if a >= 0 and b >= 0]
        if ways:
            costs = np.stack([way for way, _ in ways])
            best = costs.argmin(0)[None]  # the first of equal ones
            cost[:, :, i, j] = np.take_along_axis(costs, best, 0)[0]
            steps[:, :, i, j] = np.take_along_axis(np.stack([way for _, way in ways]), best, 0)[0] + 1
        cost[:, :, i, j] += frames[:, :, i, j]
    ends = np.ix_(range(len(block)), range(len(tokens)))
    last, last_other = (np.array([len(each) - 1 for each in some]) for some in (block, tokens))
    place = (*ends, last[:, None], last_other[None])
    found: FloatArray = cost[place] / steps[place]
    return found


def _frame_distances(
    block: Sequence[npt.NDArray[np.floating | np.integer]],
    tokens: Sequence[npt.NDArray[np.floating | np.integer]],
    distance: Distance,
) -> FloatArray:
    """Compute the distance of all frames of two lists of tokens, padded: ``(block, tokens, T, U)``."""
    one, other = _pad(block), _pad(tokens)  # (N, T, D), (M, U, D)
    if distance == "identical":
        return np.asarray((one[:, None, :, None] != other[None, :, None]).mean(-1), np.float64)
    one, other = (each / np.maximum(np.linalg.norm(each, axis=-1, keepdims=True), 1e-12) for each in (one, other))
    cosines = np.einsum("ntd,mud->nmtu", one, other, optimize=True)
    return np.asarray(np.arccos(np.clip(cosines, -1, 1)) / np.pi)


def _pad(tokens: Sequence[npt.NDArray[np.floating | np.integer]]) -> FloatArray:
    padded = np.zeros((len(tokens), max(len(token) for token in tokens), tokens[0].shape[1]))
    for number, token in enumerate(tokens):
        padded[number, : len(token)] = token
    return padded
