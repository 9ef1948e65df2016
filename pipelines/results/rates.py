"""Figures of codes at several rates beside those of a flat GPT: bit rates, perplexities, diversity and labels."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from audio.recordings.manifest import Manifest
from foundation.configuration import build
from lm.comparison import Hits, bootstrap, difference, measure
from lm.probing.config import ProbeConfig
from pipelines.rates.continuations import CONTINUATIONS, FLAT, MODELS, RATES, RatesConfig
from pipelines.rates.labels import LABELS
from pipelines.results.figures import Figure
from pipelines.results.provenance import parameters
from pipelines.results.rates_record import ContinuedRow, JudgedRow, RateRow, RatesRecord
from pipelines.stages.playback import JUDGES, JudgeName
from pipelines.store.store import Entry
from pipelines.store.training_curve import CURVE
from tokenizer.config import TokenizerConfig

Row = Mapping[str, Any]


def rates_record(
    entries: Mapping[str, Entry], manifest: Manifest, config: RatesConfig, probe: ProbeConfig
) -> RatesRecord | None:
    """Summarise the stage ``rates``; None where a run does not have it."""
    if "rate_continuations" not in entries:
        return None
    said, count = entries["rate_continuations"], _count(entries)
    rows, names = said.read_rows(CONTINUATIONS, "said"), [row["path"] for row in said.read_rows(CONTINUATIONS, "clips")]
    record = RatesRecord(
        rates=[_rate(entries, number, count=count) for number in range(1, count + 1)],
        flat=cast(RateRow, {**_rate(entries, count, count=count), "of": FLAT, **_model(entries["lm"])}),
        continued=[_continued(row, rows, config) for row in said.read_rows(CONTINUATIONS, "diversity")],
        said=[
            {"of": row["of"], "clip": row["clip"], "file": row["file"], "prompt_seconds": row["prompt_seconds"]}
            for row in rows
            if row["clip"] < config.shown
        ],
        clips=names[: config.shown],
        seconds=config.seconds,
        window_seconds=config.window_seconds,
        continued_clips=len(names),
    )
    if "rate_labels" in entries:
        known = {clip.name: clip.label for clip in manifest.clips}
        heard: Row = entries["rate_labels"].read_json(LABELS)
        truth = [known.get(name) for name in names]
        record["judge"] = JUDGES[cast(JudgeName, heard["judge"])]
        record["judged"] = _judged(rows, heard["labels"], truth, config, probe)
        right = [label == name for label, name in zip(heard["originals"], truth, strict=True) if name is not None]
        record["originals"] = float(np.mean(right)) if right else 0.0
    return record


def rates_figures(record: RatesRecord, entries: Mapping[str, Entry], *, protocol: str) -> Iterator[Figure]:
    """Give the figures of each rate and model as rows."""
    shared: dict[str, Any] = {"stage": "rates", "protocol": protocol}
    key, artifact = entries["rate_lm"].key, entries["rate_continuations"].key
    measured = ("codebook_perplexity", "perplexity", "unigram_perplexity", "bits_per_second")
    for row in (*record["rates"], record["flat"]):
        for name in measured:
            value = cast(Row, row)[name]
            yield Figure(name=name, of=row["of"], value=value, split="validation", artifact=key, **shared)
    total = sum(row["bits_per_second"] for row in record["rates"])
    yield Figure(name="bits_per_second", of=RATES, value=total, split="validation", artifact=key, **shared)
    for each in record["continued"]:
        for name in ("distinct_1", "distinct_2", "distinct_3", "sounding"):
            if (value := cast(Row, each)[name]) is not None:
                yield Figure(name=name, of=each["of"], value=value, split="test", artifact=artifact, **shared)
    for one in record.get("judged", []):
        for of in MODELS:
            value = cast(Row, one)[of]
            yield Figure(name=one["name"], of=of, value=value, split="test", artifact=artifact, **shared)
        yield Figure(
            name=f"{one['name']}_difference",
            of=f"{RATES} - {FLAT}",
            value=one["difference"],
            low=one["low"],
            high=one["high"],
            split="test",
            artifact=artifact,
            **shared,
        )


def _count(entries: Mapping[str, Entry]) -> int:
    """Count the rates of a run: the finest has no prefix."""
    return 1 + sum(f"rate_{number}_tokenizer" in entries for number in range(1, len(entries)))


def _rate(entries: Mapping[str, Entry], number: int, *, count: int) -> RateRow:
    prefix = "" if number == count else f"rate_{number}_"
    values = entries[f"{prefix}tokenizer"].read_json("config.json")
    del values["fingerprints"]
    config = build(TokenizerConfig, values, name="tokenizer")
    health: Row = entries[f"{prefix}health"].read_json("health.json")
    rate = config.audio.sample_rate / config.samples_per_code * config.streams
    return cast(
        RateRow,
        {
            "of": f"rate_{number}",
            "frames": config.patch.frames,
            "codes_per_second": rate,
            "codebook_perplexity": health["perplexity"],
            "coded_bits_per_second": rate * float(np.log2(config.codebook_size)),
            **_model(entries["rate_1_lm" if number == 1 else f"rate_{number}_upsampler"]),
        },
    )


def _model(entry: Entry) -> dict[str, Any]:
    """Return the figures of a trained language model."""
    curve: Row = entry.read_json(CURVE)
    return {**entry.read_json("perplexity.json"), "parameters": parameters(entry.folder), "steps": curve["steps"]}


def _continued(row: Row, said: Sequence[Row], config: RatesConfig) -> ContinuedRow:
    levels = [level for each in said if each["of"] == row["of"] for level in each["levels"]]
    sounding = float(np.mean([level >= config.silence_dbfs for level in levels]))
    return cast(ContinuedRow, {**row, "sounding": sounding})


def _judged(
    said: Sequence[Row],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
) -> list[JudgedRow]:
    """Compare both models on the clips that have a figure for both, resampled together."""
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row, names in zip(said, labels, strict=True):
        levels = zip(names, row["levels"], strict=True)
        heard = [name if level >= config.silence_dbfs else None for name, level in levels]
        label, of_clip = truth[row["clip"]], {"label_kept": None, "label_stability": label_stability(heard)}
        if label is not None:
            of_clip["label_kept"] = float(np.mean([name == label for name in heard]))
        for name, value in of_clip.items():
            if value is not None:
                found.setdefault(name, {}).setdefault(row["of"], {}).setdefault(row["clip"], []).append(value)
    paired = (_paired(name, by_model, probe) for name, by_model in found.items())
    return [each for each in paired if each is not None]


def label_stability(labels: Sequence[str | None]) -> float | None:
    """Compute the share of neighbouring windows with the same label; None where no two neighbours have one."""
    pairs = [(one, other) for one, other in pairwise(labels) if one is not None and other is not None]
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else None


def _paired(name: str, by_model: Mapping[str, Mapping[int, Sequence[float]]], config: ProbeConfig) -> JudgedRow | None:
    clips = sorted(set(by_model.get(RATES, {})) & set(by_model.get(FLAT, {})))
    if not clips:
        return None
    outcome = Hits(hits=np.array([[np.mean(by_model[of][clip]) for clip in clips] for of in MODELS], np.float64))
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed)
    gap = difference(measure(outcome), draws, 0, 1, confidence=config.confidence)
    rates, flat = (float(value) for value in measure(outcome)[0])
    bounds = {"difference": gap.value, "low": gap.low, "high": gap.high, "p": gap.p}
    return cast(JudgedRow, {"name": name, "clips": len(clips), RATES: rates, FLAT: flat, **bounds})
