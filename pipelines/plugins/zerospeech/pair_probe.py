"""A linear probe of pairs of utterances: do the states tell which of two sentences is right?

The label is one that a bag of codes can hardly read: two orders of the same words, or a noun that is right elsewhere.
No voice and no sentence of a test fold is in its training, so that a probe cannot learn the sentences themselves.
Layer, pooling and regularisation strength of a ridge regression are chosen by cross-validation over the voices of
training or, where these are fewer than five, on the voices of validation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lm.probing import intervals
from lm.probing.probe import outcome, probe_method
from lm.probing.probe_options import ProbeConfig
from lm.probing.task import ProbeTask, with_parts
from pipelines.results.run_record import FoldSeed, Row
from wordless.base.arrays import DoubleArray, FloatArray
from wordless.base.threads import limit_pools

_FOLDS = 4  # of voices and of sentences, each of which is tested once
PAIR_METHODS = ("gpt", "bag_of_codes", "random_gpt")  # the first is compared with the others


@dataclass(frozen=True, kw_only=True)
class JudgedUtterance:
    """An utterance of a pair."""

    item: str  # the sentence of the pair
    voice: str
    right: bool


def config_of_pairs(config: ProbeConfig) -> ProbeConfig:
    """Return the options that decide these probes; the others have their defaults.

    A ridge takes seconds where logistic regression takes a minute, and the run waits for these figures at its end.
    """
    names = ("power", "layer_regularisation_strengths", "regularisation_strengths", "c_low", "c_high", "seed")
    read: dict[str, Any] = {name: getattr(config, name) for name in names}
    return ProbeConfig(classifier="ridge", feature_clipping=config.feature_clipping[:1], learning_curve=(), **read)


def can_probe(utterances: Sequence[JudgedUtterance]) -> bool:
    """Say whether there are enough voices and sentences: one of each for test, validation and training at least."""
    return min(len({each.voice for each in utterances}), len({each.item for each in utterances})) >= _FOLDS


def probe_pairs(
    features: Mapping[str, Mapping[str, FloatArray]], utterances: Sequence[JudgedUtterance], config: ProbeConfig
) -> dict[str, object]:
    """Probe the ``features (utterances, dim)`` of each method by candidate; return what was right, by fold.

    The ``config`` is one of `config_of_pairs`.

    ``folds`` have the voices of the test utterances, how many trained, and for each method ``right`` (1 or 0 for each
    test utterance) and the chosen candidate.
    """
    folds = list[dict[str, object]]()
    for number in range(_FOLDS):
        task = _task(utterances, number, config)
        found = dict[str, object]()
        with limit_pools(1):  # as all probes: more threads round sums in another way
            for name, candidates in features.items():
                winner, _ = probe_method(candidates, task, config)
                hits = outcome(winner.scores["test"], task.targets[task.rows["test"]], task)
                if not isinstance(hits, intervals.Hits):
                    raise TypeError(f"a pair has one right sentence, and the outcome is {type(hits).__name__}")
                found[name] = {"chosen": winner.of, "right": hits.hits[0].astype(int).tolist()}
        trained = len(task.rows["train"]) + (len(task.rows["validation"]) if task.parts is not None else 0)
        folds.append({"voices": [*task.test_groups], "trained": trained, "methods": found})
    return {"folds": folds}


def _task(utterances: Sequence[JudgedUtterance], number: int, config: ProbeConfig) -> ProbeTask:
    """Hold out a fourth of the voices and of the sentences; utterances of one of both are left out."""
    # Blocks, and not every fourth: of every fourth sentence the exchanged words stand in the same place.
    voice_of, item_of = (
        {name: place * _FOLDS // len({*names}) for place, name in enumerate(dict.fromkeys(names))}
        for names in ([each.voice for each in utterances], [each.item for each in utterances])
    )
    validation = (number + 1) % _FOLDS
    splits = list[str]()
    for each in utterances:
        voice, item = voice_of[each.voice], item_of[each.item]
        if number in (voice, item):
            splits.append("test" if voice == item else "left out")
        else:
            splits.append("validation" if voice == validation else "train")
    labels = ["right" if each.right else "wrong" for each in utterances]
    groups = [each.voice for each in utterances]
    return with_parts(ProbeTask.of(labels, splits, groups=groups), config, groups=groups, folds=[None] * len(groups))


def pair_probe_rows(trainings: Mapping[FoldSeed, Mapping[str, object]], row: Row, config: ProbeConfig) -> Iterator[Row]:
    """Give the accuracy of each method with its interval over voices, and the lead of the first over each other."""
    right = {place: _right(record) for place, record in trainings.items()}
    voices = next(iter(right.values()))[0]

    def outcomes(of: Sequence[Sequence[DoubleArray]]) -> list[intervals.Outcome]:
        return [intervals.Hits(hits=np.mean([each[fold] for each in of], axis=0)) for fold in range(_FOLDS)]

    all_hits = [hits for _, hits in right.values()]
    repeats = [outcomes([hits]) for hits in all_hits]
    measured = intervals.Measured.of(
        outcomes(all_hits), voices, resamples=config.resamples, seed=config.seed, repeats=repeats
    )
    row = replace(row, over=measured.over, over_count=measured.count, count=sum(map(len, voices)))
    for number, name in enumerate(PAIR_METHODS):
        found = measured.estimate(number, confidence=config.confidence)
        yield replace(row, of=name, value=found.value, low=found.low, high=found.high)
    for number, other in enumerate(PAIR_METHODS[1:], 1):
        gap = measured.difference(0, number, confidence=config.confidence)
        pair = replace(row, name=f"{row.name}_difference", of=PAIR_METHODS[0], against=other, value=gap.value, p=gap.p)
        yield replace(pair, low=gap.low, high=gap.high)


def _right(record: Mapping[str, object]) -> tuple[list[list[str]], list[DoubleArray]]:
    """Return the voices of the test utterances of each fold, and ``(methods, utterances)`` of each."""
    folds = record["folds"]
    if not isinstance(folds, list):
        raise TypeError(f"the folds of the probe of pairs are {type(folds).__name__}, not a list")
    hits = [np.array([fold["methods"][name]["right"] for name in PAIR_METHODS], np.float64) for fold in folds]
    return [fold["voices"] for fold in folds], hits
