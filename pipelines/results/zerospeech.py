"""The tests of the language model: figures with intervals, from the entries of every fold and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import FloatArray, Hits, bootstrap, bootstrap_pairs, difference, interval, measure
from pipelines.methods.run_entries import RunEntries
from pipelines.results.figures import Figure
from pipelines.results.run_record import LanguageTests, PairTest, PhoneTest
from pipelines.stages.zerospeech import ERRORS, MODELS, PAIRS
from pipelines.store.store import Entry

Made = Mapping[tuple[str, int], RunEntries]  # by test fold and seed
Entries = Mapping[tuple[str, int], Entry]
Judged = Mapping[tuple[str, int], Mapping[str, Any]]  # what a stage wrote for each fold and seed


def language_tests(made: Made, config: ProbeConfig) -> tuple[LanguageTests, list[Figure]]:
    """Describe the tests of all folds and seeds, and give their figures; empty where there are none."""
    tests, figures = LanguageTests(), list[Figure]()
    spoken = {place: each.spoken_pairs for place, each in made.items() if each.spoken_pairs is not None}
    if judged := _read(spoken, PAIRS):
        first = next(iter(judged.values()))
        tests["pairs"] = PairTest(
            test=first["test"],
            items=len(first["items"]),
            pairs=first["pairs"],
            voices=first["voices"],
            example=first["example"],
        )
        figures += pair_figures(judged, _row(spoken, first["test"]), config)
    discriminated = {place: each.abx for place, each in made.items() if each.abx is not None}
    if judged := _read(discriminated, ERRORS):
        first = next(iter(judged.values()))
        tests["phones"] = PhoneTest(
            phones=first["phones"], pairs=len(first["pairs"]), tokens=first["tokens"], voices=first["voices"]
        )
        figures += abx_figures(judged, _row(discriminated, "abx_error"), config)
    return tests, figures


def _read(entries: Entries, file: str) -> Judged:
    return {place: entry.read_json(file) for place, entry in entries.items()}


def _row(entries: Entries, name: str) -> Figure:
    """Return what the figures of a test have in common."""
    keys = " ".join(entry.key for entry in entries.values())
    row = Figure(stage="zerospeech", name=name, value=np.nan, artifact=keys, protocol="voices held out", split="test")
    return replace(row, seeds=len({seed for _, seed in entries}))


def pair_figures(judged: Judged, row: Figure, config: ProbeConfig) -> Iterator[Figure]:
    """Average the accuracy of each item over trainings; the interval resamples items.

    All items have the same voices, so the interval says what other words or sentences would give, not other voices.
    The first model is compared with each other on the same resampled items.
    """
    accuracies = {place: each["accuracies"] for place, each in judged.items()}
    outcome = _mean_of_trainings([*accuracies.values()], MODELS)
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed)
    yield from _figures(accuracies, MODELS, outcome, draws, row, config)
    for number, other in enumerate(MODELS[1:], 1):
        found = difference(measure(outcome), draws, 0, number, confidence=config.confidence)
        pair = replace(row, name="difference", of=MODELS[0], against=other, value=found.value, p=found.p)
        yield replace(pair, low=found.low, high=found.high)


def abx_figures(judged: Judged, row: Figure, config: ProbeConfig) -> Iterator[Figure]:
    """Average the ABX error of each pair of phones over trainings; the interval resamples phones, with their pairs."""
    first, errors = next(iter(judged.values())), {place: each["errors"] for place, each in judged.items()}
    names = first["representations"]
    outcome = _mean_of_trainings([*errors.values()], names)
    _, members = np.unique(first["pairs"], return_inverse=True)
    draws = bootstrap_pairs(outcome.hits, members.reshape(-1, 2), resamples=config.resamples, seed=config.seed)
    return _figures(errors, names, outcome, draws, row, config)


def _figures(
    trainings: Mapping[tuple[str, int], Mapping[str, Sequence[float]]],
    names: Sequence[str],
    outcome: Hits,
    draws: FloatArray,
    row: Figure,
    config: ProbeConfig,
) -> Iterator[Figure]:
    """Give the mean of each name over trainings and items, with a bootstrap interval over items, and each training."""
    for number, (name, value) in enumerate(zip(names, measure(outcome)[0], strict=True)):
        low, high = interval(draws[:, number], config.confidence)
        of, _, layer = name.partition("/")  # such as gpt/layer_1
        own = replace(row, of=of, layer=layer or None)
        yield replace(own, value=float(value), low=low, high=high)
        for (fold, seed), values in trainings.items() if len(trainings) > 1 else ():
            yield replace(own, value=float(np.mean(values[name])), fold=fold, seed=seed, seeds=1)


def _mean_of_trainings(trainings: Sequence[Mapping[str, Sequence[float]]], names: Sequence[str]) -> Hits:
    return Hits(hits=np.mean([[each[name] for name in names] for each in trainings], axis=0))
