"""Slow oracles of the judging: counting by dictionaries, and a loop over pairs."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tokenizer.codes import Codes


def unigram_log_probability(train: Sequence[Codes], codes: Codes) -> float:
    """Sum over all codes of log((count + 1) / (total + size)), stream by stream."""
    total = 0.0
    for stream in range(codes.format.streams):
        counts = Counter(int(step[stream]) for clip in train for step in clip.values)
        number = sum(counts.values()) + codes.format.codebook_size
        total += sum(math.log((counts[int(step[stream])] + 1) / number) for step in codes.values)
    return total


def bigram_log_probability(train: Sequence[Codes], codes: Codes, strength: float) -> float:
    """Sum over all codes of the smoothed bigram; the first code has the unigram's probability."""
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
    """Count the right answers of one item."""
    points, count = 0.0, 0
    for name, right, wrong in pairs:
        if name == item:
            count += 1
            if scores[right] > scores[wrong]:
                points += 1
            elif scores[right] == scores[wrong]:
                points += 0.5
    return points / count
