"""The tests of the language model: figures with intervals, from the entries of every fold and seed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lm.comparison import Hits, bootstrap, interval, measure
from lm.probe import ProbeConfig
from pipelines.results.figures import Figure
from pipelines.results.zerospeech_record import JudgedRow, PairTestRecord, ZerospeechRecord
from pipelines.stages.zerospeech import MODELS, PAIRS
from pipelines.store.store import Entry

Made = Mapping[tuple[str, int], Mapping[str, Entry]]  # by test fold and seed, then by stage
SPOKEN_PAIRS = "spoken_pairs"  # the stage


def zerospeech_record(made: Made, config: ProbeConfig) -> ZerospeechRecord:
    """Summarise the tests of all folds and seeds; empty where there are none."""
    record: ZerospeechRecord = {}
    judged = [entries[SPOKEN_PAIRS].read_json(PAIRS) for entries in made.values() if SPOKEN_PAIRS in entries]
    if judged:
        record["pairs"] = pair_test(judged, config)
    return record


def pair_test(judged: list[dict[str, Any]], config: ProbeConfig) -> PairTestRecord:
    """Average the accuracy of each item over trainings; the interval resamples items.

    All items have the same voices, so the interval says what other words or sentences would give, not other voices.
    """
    first = judged[0]
    accuracies = np.array([[each["accuracies"][name] for name in MODELS] for each in judged])  # (seeds, models, items)
    outcome = Hits(hits=accuracies.mean(0))
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed)
    rows = []
    for number, (name, value) in enumerate(zip(MODELS, measure(outcome)[0], strict=True)):
        low, high = interval(draws[:, number], config.confidence)
        each = accuracies[:, number].mean(1).tolist()
        rows.append(JudgedRow(of=name, value=float(value), low=low, high=high, seeds=each))
    return PairTestRecord(
        test=first["test"],
        items=len(first["items"]),
        pairs=first["pairs"],
        voices=first["voices"],
        example=first["example"],
        models=rows,
    )


def zerospeech_figures(record: ZerospeechRecord, made: Made) -> Iterator[Figure]:
    """Give the accuracy of each model."""
    if pairs := record.get("pairs"):
        keys = " ".join(entries[SPOKEN_PAIRS].key for entries in made.values())
        shared: dict[str, Any] = {"stage": "zerospeech", "name": pairs["test"], "artifact": keys, "split": "test"}
        shared |= {"protocol": "voices held out"}
        for row in pairs["models"]:
            value, low, high = row["value"], row["low"], row["high"]
            yield Figure(of=row["of"], value=value, low=low, high=high, seeds=len(row["seeds"]), **shared)
