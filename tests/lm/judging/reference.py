"""Slow oracles of the judging: counting by dictionaries, and loops over pairs and triples."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lm.judging.abx import FloatArray, Token
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


def warped_distance(one: FloatArray, other: FloatArray, distance: str) -> float:
    """The mean distance of frames along the best path, by a table that is filled and then walked back."""

    def between(a: FloatArray, b: FloatArray) -> float:
        if distance == "identical":
            return sum(x != y for x, y in zip(a, b, strict=True)) / len(a)
        cosine = sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(a * a) * sum(b * b))
        return math.acos(max(-1.0, min(1.0, cosine))) / math.pi

    rows, columns = len(one), len(other)
    cost = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            before = [cost[a][b] for a, b in ((i - 1, j - 1), (i, j - 1), (i - 1, j)) if a >= 0 and b >= 0]
            cost[i][j] = between(one[i], other[j]) + (min(before) if before else 0.0)
    i, j, steps = rows - 1, columns - 1, 1
    while i > 0 or j > 0:
        ways = [(a, b) for a, b in ((i - 1, j - 1), (i, j - 1), (i - 1, j)) if a >= 0 and b >= 0]
        i, j = min(ways, key=lambda way: cost[way[0]][way[1]])
        steps += 1
    return cost[-1][-1] / steps


def abx_error_of(tokens: Sequence[Token], distance: str, phone: str, against: str) -> float:
    """The error of one ordered pair of phones: every triple in loops, then means of means."""
    by_speaker: dict[str, list[float]] = {}
    contexts = sorted({token.context for token in tokens})
    speakers = sorted({token.speaker for token in tokens})
    for context in contexts:
        for speaker in speakers:
            for other in speakers:
                answers = []
                for x in tokens:
                    for a in tokens:
                        for b in tokens:
                            if (
                                x.context == a.context == b.context == context
                                and (x.phone, a.phone, b.phone) == (phone, phone, against)
                                and other != speaker
                                and (x.speaker, a.speaker, b.speaker) == (other, speaker, speaker)
                            ):
                                to_a = warped_distance(x.frames, a.frames, distance)
                                to_b = warped_distance(x.frames, b.frames, distance)
                                answers.append(0.5 if to_a == to_b else float(to_b < to_a))
                if answers:
                    by_speaker.setdefault(speaker, []).append(sum(answers) / len(answers))
    means = [sum(each) / len(each) for each in by_speaker.values()]
    return sum(means) / len(means)
