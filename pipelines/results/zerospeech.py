"""The tests of the language model: figures with intervals, from the entries of every fold and seed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import FloatArray, Hits, bootstrap, bootstrap_pairs, difference, interval, measure
from pipelines.results.figures import Figure
from pipelines.results.zerospeech_record import AbxRecord, AdvantageRow, JudgedRow, PairTestRecord, ZerospeechRecord
from pipelines.stages.abx import ERRORS
from pipelines.stages.zerospeech import MODELS, PAIRS
from pipelines.store.store import Entry

Made = Mapping[tuple[str, int], Mapping[str, Entry]]  # by test fold and seed, then by stage
SPOKEN_PAIRS, ABX = "spoken_pairs", "abx"  # the stages


def zerospeech_record(made: Made, config: ProbeConfig) -> ZerospeechRecord:
    """Summarise the tests of all folds and seeds; empty where there are none."""
    record: ZerospeechRecord = {}
    if judged := _read(made, SPOKEN_PAIRS, PAIRS):
        record["pairs"] = pair_test(judged, config)
    if discriminated := _read(made, ABX, ERRORS):
        record["phones"] = abx_test(discriminated, config)
    return record


def _read(made: Made, stage: str, file: str) -> list[dict[str, Any]]:
    return [entries[stage].read_json(file) for entries in made.values() if stage in entries]


def pair_test(judged: list[dict[str, Any]], config: ProbeConfig) -> PairTestRecord:
    """Average the accuracy of each item over trainings; the interval resamples items.

    All items have the same voices, so the interval says what other words or sentences would give, not other voices.
    """
    first, accuracies = judged[0], [each["accuracies"] for each in judged]
    resampled = _resample(accuracies, MODELS, config)
    return PairTestRecord(
        test=first["test"],
        items=len(first["items"]),
        pairs=first["pairs"],
        voices=first["voices"],
        example=first["example"],
        models=_summarise(accuracies, MODELS, *resampled, config.confidence),
        advantages=list(_advantages(MODELS, *resampled, config.confidence)),
    )


def abx_test(judged: list[dict[str, Any]], config: ProbeConfig) -> AbxRecord:
    """Average the ABX error of each pair of phones over trainings; the interval resamples phones, with their pairs."""
    first, errors = judged[0], [each["errors"] for each in judged]
    names = first["representations"]
    outcome = _mean_of_trainings(errors, names)
    _, members = np.unique(first["pairs"], return_inverse=True)
    draws = bootstrap_pairs(outcome.hits, members.reshape(-1, 2), resamples=config.resamples, seed=config.seed)
    return AbxRecord(
        phones=first["phones"],
        pairs=len(first["pairs"]),
        tokens=first["tokens"],
        voices=first["voices"],
        representations=_summarise(errors, names, outcome, draws, config.confidence),
    )


def _summarise(
    trainings: Sequence[Mapping[str, Sequence[float]]],
    names: Sequence[str],
    outcome: Hits,
    draws: FloatArray,
    confidence: float,
) -> list[JudgedRow]:
    """Average each name's values over trainings and items, with a bootstrap interval over items."""
    rows = []
    for number, (name, value) in enumerate(zip(names, measure(outcome)[0], strict=True)):
        low, high = interval(draws[:, number], confidence)
        values = [float(np.mean(each[name])) for each in trainings]
        rows.append(JudgedRow(of=name, value=float(value), low=low, high=high, trainings=values))
    return rows


def _advantages(names: Sequence[str], outcome: Hits, draws: FloatArray, confidence: float) -> Iterator[AdvantageRow]:
    """Compare the first name with each other, on the same resampled items."""
    for number, name in enumerate(names[1:], 1):
        found = difference(measure(outcome), draws, 0, number, confidence=confidence)
        yield AdvantageRow(against=name, value=found.value, low=found.low, high=found.high, p=found.p)


def _resample(
    trainings: Sequence[Mapping[str, Sequence[float]]], names: Sequence[str], config: ProbeConfig
) -> tuple[Hits, FloatArray]:
    """Average values over trainings, and bootstrap their means over items: ``(resamples, names)``."""
    outcome = _mean_of_trainings(trainings, names)
    return outcome, bootstrap([outcome], resamples=config.resamples, seed=config.seed)


def _mean_of_trainings(trainings: Sequence[Mapping[str, Sequence[float]]], names: Sequence[str]) -> Hits:
    return Hits(hits=np.mean([[each[name] for name in names] for each in trainings], axis=0))


def zerospeech_figures(record: ZerospeechRecord, made: Made) -> Iterator[Figure]:
    """Give the accuracy of each model, and the ABX error of each representation."""
    if pairs := record.get("pairs"):
        yield from _figures(pairs["test"], pairs["models"], made, SPOKEN_PAIRS)
    if phones := record.get("phones"):
        yield from _figures("abx_error", phones["representations"], made, ABX)


def _figures(name: str, rows: Sequence[JudgedRow], made: Made, stage: str) -> Iterator[Figure]:
    keys = " ".join(entries[stage].key for entries in made.values())
    for row in rows:
        yield Figure(
            stage="zerospeech",
            name=name,
            of=row["of"],
            value=row["value"],
            low=row["low"],
            high=row["high"],
            protocol="voices held out",
            split="test",
            seeds=len({seed for _, seed in made}),
            artifact=keys,
        )
