"""Figures of codes at several rates beside those of a flat GPT: bit rates, perplexities, diversity and labels."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import Hits, bootstrap, difference, measure, whole_groups
from pipelines.methods.run_entries import RunEntries
from pipelines.rates.codebooks import Codebook
from pipelines.rates.continuations import CONTINUATIONS, FLAT, MODELS, RATES
from pipelines.rates.labels import LABELS
from pipelines.results.figures import Figure
from pipelines.results.provenance import parameters
from pipelines.results.rates_record import ContinuedRow, JudgedRow, RateRow, RatesRecord
from pipelines.stages.options import JudgeName, RatesConfig
from pipelines.stages.playback import JUDGES
from pipelines.store.store import Entry
from pipelines.store.training_curve import CURVE
from tokenizer.config import SavedTokenizer
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Manifest
from wordless.base.json_values import read_object
from wordless.base.saved_models import CONFIG

Row = Mapping[str, Any]


def rates_record(
    entries: RunEntries, manifest: Manifest, config: RatesConfig, probe: ProbeConfig
) -> RatesRecord | None:
    """Summarise the stage ``rates``; None where a run does not have it."""
    if (said := entries.continuations) is None or entries.rates is None or entries.lm is None:
        return None
    rows, names = said.read_rows(CONTINUATIONS, "said"), [row["path"] for row in said.read_rows(CONTINUATIONS, "clips")]
    record = RatesRecord(
        rates=[
            _rate(f"rate_{number}", codebook, model)
            for number, (codebook, model) in enumerate(zip(entries.codebooks, entries.rates.models, strict=True), 1)
        ],
        flat=_rate(FLAT, entries.finest, entries.lm),
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
    if entries.continuation_labels is not None:
        of_clip = {clip.name: clip for clip in manifest.clips}
        heard: Row = entries.continuation_labels.read_json(LABELS)
        truth = [of_clip[name].label for name in names]
        record["judge"] = JUDGES[cast(JudgeName, heard["judge"])]
        groups = [of_clip[name].group for name in names]
        record["judged"] = _judged(rows, heard["labels"], truth, groups, config, probe)
        coded = zip(heard["coded"], said.read_rows(CONTINUATIONS, "coded"), strict=True)
        shares = [_sounding_labels(labels, row["levels"], config) for labels, row in coded]
        record["coded"] = _share_of(truth, shares)
        record["originals"] = _share_of(truth, [[label] for label in heard["originals"]])
    return record


def _share_of(truth: Sequence[str | None], named: Sequence[Sequence[str | None]]) -> float:
    """Compute the mean over the clips with a label of the share of windows with this label; 0 without such clips."""
    labelled = [(label, names) for label, names in zip(truth, named, strict=True) if label is not None]
    shares = [sum(name == label for name in names) / len(names) for label, names in labelled]
    return sum(shares) / len(shares) if shares else 0.0


def rates_figures(record: RatesRecord, entries: RunEntries, *, protocol: str) -> Iterator[Figure]:
    """Give the figures of each rate and model as rows."""
    shared: dict[str, Any] = {"stage": "rates", "protocol": protocol}
    if entries.rates is None or entries.lm is None or entries.continuations is None:
        return
    key, artifact = entries.rates.together.key, entries.continuations.key
    read = [(each, codebook, key) for each, codebook in zip(record["rates"], entries.codebooks, strict=True)]
    for row, of_rate, model in (*read, (record["flat"], entries.finest, entries.lm.key)):
        codebook = of_rate.health.key
        for name in ("codebook_perplexity", "perplexity", "unigram_perplexity", "bits_per_real_second"):
            own = codebook if name == "codebook_perplexity" else model
            yield Figure(
                name=name, of=row["of"], value=cast(Row, row)[name], split="validation", artifact=own, **shared
            )
    total = sum(row["bits_per_real_second"] for row in record["rates"])
    yield Figure(name="bits_per_real_second", of=RATES, value=total, split="validation", artifact=key, **shared)
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
            of=RATES,
            against=FLAT,
            value=one["difference"],
            low=one["low"],
            high=one["high"],
            split="test",
            artifact=artifact,
            **shared,
        )


def _rate(of: str, codebook: Codebook, model: Entry) -> RateRow:
    """Return the codes of a rate, and the model that predicts them: that of the rate, or the flat GPT."""
    config = read_object(SavedTokenizer, codebook.tokenizer.folder / CONFIG).config
    health: Row = codebook.health.read_json("health.json")
    rate = config.audio.sample_rate / config.samples_per_code * config.streams
    return cast(
        RateRow,
        {
            "of": of,
            "frames": config.patch.frames,
            "codes_per_second": rate,
            "codebook_perplexity": health["perplexity"],
            "coded_bits_per_second": rate * float(np.log2(config.codebook_size)),
            **_model(model, codebook.codes),
        },
    )


def _model(entry: Entry, coded: Entry) -> dict[str, Any]:
    """Return the figures of a trained language model of some codes.

    Bits per second are those of all codes of the validation clips for each second of these clips, not those of the
    nominal rate of codes: the last code of a clip stands for less sound than the others, above all a coarse one.
    """
    figures: Row = entry.read_json("perplexity.json")
    curve: Row = entry.read_json(CURVE)
    perplexity = figures["perplexity"]
    held_out = [clip.codes for clip in read_codes(coded.folder)[1] if clip.split == "validation"]
    codes, seconds = sum(each.values.size for each in held_out), sum(each.seconds for each in held_out)
    return {
        "perplexity": perplexity,
        "unigram_perplexity": figures["unigram_perplexity"],
        "bits_per_real_second": float(np.log2(perplexity)) * codes / seconds,
        "parameters": parameters(entry.folder),
        "steps": curve["steps"],
    }


def _continued(row: Row, said: Sequence[Row], config: RatesConfig) -> ContinuedRow:
    levels = [level for each in said if each["of"] == row["of"] for level in each["levels"]]
    sounding = float(np.mean([level >= config.silence_dbfs for level in levels])) if levels else None
    return cast(ContinuedRow, {**row, "sounding": sounding})


def _judged(
    said: Sequence[Row],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    groups: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
) -> list[JudgedRow]:
    """Compare both models on the clips that have a figure for both, resampled together."""
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row, names in zip(said, labels, strict=True):
        heard = _sounding_labels(names, row["levels"], config)
        label, of_clip = truth[row["clip"]], {"label_kept": None, **stabilities(heard)}
        if label is not None:
            of_clip["label_kept"] = float(np.mean([name == label for name in heard]))
        for name, value in of_clip.items():
            if value is not None:
                found.setdefault(name, {}).setdefault(row["of"], {}).setdefault(row["clip"], []).append(value)
    paired = (_paired(name, by_model, probe, groups) for name, by_model in found.items())
    return [each for each in paired if each is not None]


def _sounding_labels(labels: Sequence[str], levels: Sequence[float], config: RatesConfig) -> list[str | None]:
    """Return the label of each window; None of a silent one."""
    named = zip(labels, levels, strict=True)
    return [label if level >= config.silence_dbfs else None for label, level in named]


def stabilities(labels: Sequence[str | None]) -> dict[str, float | None]:
    """Compute the share of neighbouring windows with the same label: of those that both sound, and of all.

    A silent window has no label (None), so a pair of windows with a silent one counts in the second share alone, as
    different. The first share is None where no two neighbours sound.
    """
    pairs = list(pairwise(labels))
    sounding = [(one, other) for one, other in pairs if one is not None and other is not None]
    same = sum(one == other for one, other in sounding)
    return {
        "label_stability": same / len(sounding) if sounding else None,
        "label_lasting": same / len(pairs) if pairs else None,
    }


def _paired(
    name: str,
    by_model: Mapping[str, Mapping[int, Sequence[float]]],
    config: ProbeConfig,
    groups: Sequence[str | None],
) -> JudgedRow | None:
    clips = sorted(set(by_model.get(RATES, {})) & set(by_model.get(FLAT, {})))
    if not clips:
        return None
    outcome = Hits(hits=np.array([[np.mean(by_model[of][clip]) for clip in clips] for of in MODELS], np.float64))
    whole = whole_groups([groups[clip] for clip in clips])
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed, groups=whole)
    gap = difference(measure(outcome), draws, 0, 1, confidence=config.confidence)
    rates, flat = (float(value) for value in measure(outcome)[0])
    bounds = {"difference": gap.value, "low": gap.low, "high": gap.high, "p": gap.p}
    resampled = "clip" if whole is None else "group"
    values = {RATES: rates, FLAT: flat, **bounds}
    return cast(JudgedRow, {"name": name, "clips": len(clips), "resampled": resampled, **values})
