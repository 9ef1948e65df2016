"""How well ``wordless find`` finds words that other people say: mean average precision of each kind of features.

A table names clips of single words, with the columns path, label, group (the person) and split. All clips of a person
are joined in a random order: a long recording whose words have known places. The first clip of each word of each person
is a query, which is searched in the recordings of all other people of the split::

    recording of person 1    |  cat  | house |  cat  |  bird | ...
    a hit                           [===]                            right if its middle lies in a clip of the word

Average precision of a query is the mean, over all clips of its word, of the share of right hits among those that are
ranked no lower than the clip's hit; it is 0 for a clip that no hit lies in. Intervals are over the people who say the
queries: Student's t of their mean average precisions.

python -m tests.benchmarks.find RUN TABLE SPLIT
"""

import csv
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from lm.probing.intervals import t_interval
from pipelines.plugins.find import FrameFeatures
from pipelines.plugins.find.places import FrameReader, Match, find_matches
from pipelines.store.run_parts import part_of
from wordless.audio.levels import trim_ends
from wordless.audio.reading import read
from wordless.audio.waveform import Waveform
from wordless.base.arrays import DoubleArray, FloatArray, IndexArray

TRIM_DB = 30.0  # silent ends of queries, as `wordless find` removes them by default
MOST = 50  # hits of a query in a recording
FEATURES: tuple[FrameFeatures, ...] = get_args(FrameFeatures)


Word = tuple[str, Path]  # label and clip


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """All words of a person, one after the other."""

    samples: FloatArray
    ends: IndexArray  # sample after the last one of each word
    labels: tuple[str, ...]  # of each word


def main(model: Path, words: Path, split: str) -> None:
    """Print a row for each kind of features."""
    people: dict[str, list[Word]] = defaultdict(list)
    with words.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["split"] == split:
                people[row["group"]].append((row["label"], words.parent / row["path"]))
    parts = {"tokenizer_folder": part_of(model, "tokenizer"), "lm_folder": part_of(model, "lm")}
    readers = [FrameReader(**parts, features=each, layer=None) for each in FEATURES]
    rate = readers[0].tokenizer.front_end.sample_rate
    joined = {person: join(people[person], rate, seed=number) for number, person in enumerate(sorted(people))}
    queries = {person: queries_of(people[person], rate) for person in joined}
    first = np.zeros(len(people))
    for features, reader in zip(FEATURES, readers, strict=True):
        began = time.process_time()
        by_person = np.array(precisions(reader, joined, queries))
        first = by_person if features == FEATURES[0] else first
        found = ", minus the first: ".join(_percent(each) for each in (by_person, by_person - first))
        print(f"{features}: {found}; {time.process_time() - began:.0f} s")


def _percent(values: DoubleArray) -> str:
    low, high = t_interval(100 * values, confidence=0.95)
    return f"{100 * values.mean():.1f} ({low:.1f} to {high:.1f})"


def join(words: Sequence[Word], sample_rate: int, *, seed: int) -> Joined:
    """Join the words of a person in a random order."""
    order = [words[number] for number in np.random.default_rng(seed).permutation(len(words))]
    sounds = [read(path, sample_rate).samples for _, path in order]
    ends = np.cumsum([len(sound) for sound in sounds])
    return Joined(samples=np.concatenate(sounds), ends=ends, labels=tuple(label for label, _ in order))


def queries_of(words: Sequence[Word], sample_rate: int) -> dict[str, Waveform]:
    """Read the first clip of each word of a person, without its silent ends."""
    first = dict(reversed(words))
    return {label: trim_ends(read(path, sample_rate), TRIM_DB) for label, path in sorted(first.items())}


def precisions(
    reader: FrameReader, joined: Mapping[str, Joined], queries: Mapping[str, Mapping[str, Waveform]]
) -> list[float]:
    """Compute the mean average precision of each person's queries in the recordings of all others."""
    recordings = {person: [*reader.frames([each.samples])] for person, each in joined.items()}
    found = []
    for person, own in queries.items():
        others = {name: each for name, each in joined.items() if name != person}
        frames = [np.concatenate([*reader.frames([sound.samples])]) for sound in own.values()]
        matches = {name: find_matches(frames, recordings[name], most=MOST)[0] for name in others}
        of_queries = []
        for number, label in enumerate(own):
            hits = [(others[name], of[number]) for name, of in matches.items()]
            of_queries.append(average_precision(label, hits, reader.step))
        found.append(float(np.mean(of_queries)))
    return found


def average_precision(label: str, found: Sequence[tuple[Joined, Sequence[Match]]], step: int) -> float:
    """Compute the average precision of a query from its hits in each recording; ``step`` is the samples of a frame."""
    wanted = sum(recording.labels.count(label) for recording, _ in found)
    ranked = sorted(
        (match.cost, number, match.start, match.stop) for number, (_, of) in enumerate(found) for match in of
    )
    right, total, taken = 0, 0.0, set[tuple[int, int]]()
    for rank, (_, number, start, stop) in enumerate(ranked, 1):
        recording = found[number][0]
        place = int(np.searchsorted(recording.ends, (start + stop) * step // 2, side="right"))
        if place < len(recording.labels) and recording.labels[place] == label and (number, place) not in taken:
            taken.add((number, place))
            right += 1
            total += right / rank
    return total / wanted if wanted else 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
