"""Slow oracles of the language model, backbones, heads and language tests, written as plainly as the formula."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise, product

import numpy as np
import torch
from torch import Tensor

from lm.gpt import GPT
from tokenizer.codes import Codes


def nt_xent_by_loops(vectors: Sequence[Sequence[float]], clips: Sequence[int], temperature: float) -> float:
    """The sum over views of equation 1 of SimCLR (arXiv:2002.05709), cosine by cosine."""
    pairs, total = len(clips), 0.0
    of_clip = [*clips, *clips]
    for view in range(2 * pairs):
        partner = view + pairs if view < pairs else view - pairs
        contrasted = [
            other
            for other in range(2 * pairs)
            if other == partner or (other != view and of_clip[other] != of_clip[view])
        ]
        agreement = {other: math.exp(_cosine(vectors[view], vectors[other]) / temperature) for other in contrasted}
        total -= math.log(agreement[partner] / sum(agreement.values()))
    return total


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def pooled_by_loops(frames: Sequence[Sequence[float]], pooling: str) -> list[float]:
    """Pool ``(time, features)`` feature by feature: means of the parts, then the largest magnitude over time."""
    steps, parts = len(frames), {"mean": 1, "thirds": 3, "max": 0, "thirds_max": 3}[pooling]
    vector: list[float] = []
    for part in range(parts):
        own = frames[math.floor(part * steps / parts) : math.ceil((part + 1) * steps / parts)]
        vector += [sum(column) / len(own) for column in zip(*own, strict=True)]
    if "max" in pooling:
        vector += [max(abs(value) for value in column) for column in zip(*frames, strict=True)]
    return vector


@torch.no_grad()
def inner_activations(gpt: GPT, embedded: Tensor) -> list[Tensor]:
    """What the output projection of each feed-forward network reads, by the formulas of Touvron et al. 2023.

    ``embedded`` is the first layer's input ``(positions, model_dim)``; the result has ``(positions, ffn_dim)`` for each
    layer.
    """
    config, x, found = gpt.config, embedded, []
    dim = config.model_dim // config.heads
    future = torch.full((len(x), len(x)), -torch.inf).triu(1)
    for layer in range(config.layers):
        weights = dict(gpt.transformer.decoder.layers[layer].named_parameters())
        normed = x * (x.square().mean(1, keepdim=True) + 1e-5).rsqrt() * weights["self_attn_layer_norm.weight"]
        heads = []
        for head in range(config.heads):
            rows = slice(head * dim, (head + 1) * dim)
            query, key, value = (normed @ weights[f"self_attn.{name}_proj.weight"][rows].t() for name in "qkv")
            attention = (_turned(query, config.rope_theta) @ _turned(key, config.rope_theta).t()) / dim**0.5
            heads.append((attention + future).softmax(1) @ value)
        x = x + torch.cat(heads, 1) @ weights["self_attn.output_proj.weight"].t()
        normed = x * (x.square().mean(1, keepdim=True) + 1e-5).rsqrt() * weights["ffn_layer_norm.weight"]
        gate, inner = (normed @ weights[f"ffn.{name}_proj.weight"].t() for name in ("gate", "inner"))
        found.append(gate * gate.sigmoid() * inner)
        x = x + found[-1] @ weights["ffn.output_proj.weight"].t()
    return found


def _turned(vectors: Tensor, theta: float) -> Tensor:
    """Turn each pair of ``(positions, dim)`` by its position times the frequency of the pair."""
    positions, dim = vectors.shape
    turned = torch.zeros_like(vectors)
    for position in range(positions):
        for pair in range(0, dim, 2):
            angle = torch.tensor(position * theta ** (-pair / dim))
            a, b = vectors[position, pair], vectors[position, pair + 1]
            turned[position, pair] = a * angle.cos() - b * angle.sin()
            turned[position, pair + 1] = a * angle.sin() + b * angle.cos()
    return turned


def warped_by_loops(
    spectrogram: Sequence[Sequence[float]], start: int, length: int, speed: float, formant: float
) -> list[list[float]]:
    """Every point of a warped passage, read between its four neighbours."""
    mels = len(spectrogram[0])
    rows = []
    for step in range(max(round(length / speed), 1)):
        early, late, share = _neighbours((step + 0.5) * speed - 0.5, length)
        row = []
        for band in range(mels):
            low, high, part = _neighbours((band + 0.5) * formant - 0.5, mels)
            ends = [
                spectrogram[start + time][low] * (1 - part) + spectrogram[start + time][high] * part
                for time in (early, late)
            ]
            row.append(ends[0] * (1 - share) + ends[1] * share)
        rows.append(row)
    return rows


def _neighbours(position: float, count: int) -> tuple[int, int, float]:
    clamped = min(max(position, 0.0), count - 1.0)
    lower = int(clamped)
    return lower, min(lower + 1, count - 1), clamped - lower


def text_probabilities(outputs: np.ndarray, characters: tuple[str, ...]) -> dict[str, float]:
    """The probability of each text: the sum over all its alignments with the logits ``(steps, 1 + characters)``."""
    shares = np.exp(outputs.astype(np.float64))
    shares /= shares.sum(1, keepdims=True)
    found: dict[str, float] = defaultdict(float)
    for path in product(range(shares.shape[1]), repeat=len(shares)):
        text = "".join(characters[number - 1] for number, _ in groupby(path) if number)
        found[text] += float(np.prod([share[number] for share, number in zip(shares, path, strict=True)]))
    return found


def bigram_log_probability(train: Sequence[Codes], codes: Codes, strength: float) -> float:
    """Sum over all codes of the smoothed bigram; the first code has the unigram's probability.

    The unigram's is log((count + 1) / (total + size)), stream by stream, and all that is left at an endless strength.
    """
    total = 0.0
    for stream in range(codes.format.streams):
        clips = [[int(step[stream]) for step in clip.values] for clip in train]
        single = Counter(code for clip in clips for code in clip)
        pairs = Counter(pair for clip in clips for pair in pairwise(clip))
        before = Counter(pair[0] for pair in pairs.elements())
        number, past = sum(single.values()) + codes.format.codebook_size, None
        for code in (int(step[stream]) for step in codes.values):
            share = (single[code] + 1) / number
            if past is not None:
                share = (pairs[past, code] + strength * share) / (before[past] + strength)
            total += math.log(share)
            past = code
    return total


def accuracy_of_item(scores: Mapping[str, float], pairs: Sequence[tuple[str, str, str]], item: str) -> float:
    """Count the right answers of one item; equal scores are half an answer."""
    own = [(scores[right], scores[wrong]) for name, right, wrong in pairs if name == item]
    return sum((right > wrong) + 0.5 * (right == wrong) for right, wrong in own) / len(own)
