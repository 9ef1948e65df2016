"""Figures of codes at several rates beside those of a flat GPT: bit rates, perplexities, diversity and labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np

from lm.options import ProbeConfig
from lm.probing.comparison import Hits, bootstrap, difference, measure, whole_groups
from pipelines.methods.run_entries import RunEntries
from pipelines.rates.continuations import CONTINUATIONS, FLAT, LABELS, MODELS, RATES
from pipelines.rates.models import Codebook
from pipelines.results.figures import Figure
from pipelines.results.provenance import parameters
from pipelines.results.run_record import RatesRecord
from pipelines.stages.options import JudgeName, RatesConfig
from pipelines.stages.playback import JUDGES
from pipelines.store.store import CURVE, Entry
from tokenizer.config import SavedTokenizer
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Manifest
from wordless.base.json_values import read_object
from wordless.base.saved_models import CONFIG

Row = Mapping[str, Any]


def rates_of_run(
    entries: RunEntries, manifest: Manifest, config: RatesConfig, probe: ProbeConfig, *, protocol: str
) -> tuple[RatesRecord | None, list[Figure]]:
    """Describe the stage ``rates``, and give its figures; None and none where a run does not have the stage."""
    if (said := entries.continuations) is None or entries.rates is None or entries.lm is None:
        return None, []
    rows, names = said.read_rows(CONTINUATIONS, "said"), [row["path"] for row in said.read_rows(CONTINUATIONS, "clips")]
    varied = said.read_rows(CONTINUATIONS, "diversity")
    record = RatesRecord(
        frames=[codebook.patch_frames for codebook in entries.codebooks],
        steps=varied[0]["steps"],
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
    row = Figure(stage="rates", name="", value=np.nan, artifact=said.key, protocol=protocol, split="test")
    validated, key = replace(row, split="validation"), entries.rates.together.key
    figures: list[Figure] = []
    for number, (codebook, model) in enumerate(zip(entries.codebooks, entries.rates.models, strict=True), 1):
        figures += _of_rate(replace(validated, of=f"rate_{number}", artifact=key), codebook, model)
    needed = sum(row.value for row in figures if row.name == "bits_per_real_second")
    figures += _of_rate(replace(validated, of=FLAT, artifact=entries.lm.key), entries.finest, entries.lm)
    figures.append(replace(validated, name="bits_per_real_second", of=RATES, value=needed, artifact=key))
    figures += _continued(varied, rows, config, row)
    if entries.continuation_labels is not None:
        of_clip = {clip.name: clip for clip in manifest.clips}
        heard: Row = entries.continuation_labels.read_json(LABELS)
        truth = [of_clip[name].label for name in names]
        record["judge"] = JUDGES[cast(JudgeName, heard["judge"])]
        groups = [of_clip[name].group for name in names]
        record["resampled"] = "clip" if whole_groups(groups) is None else "group"
        figures += _judged(rows, heard["labels"], truth, groups, config, probe, row)
        coded = zip(heard["coded"], said.read_rows(CONTINUATIONS, "coded"), strict=True)
        shares = [_sounding_labels(labels, row["levels"], config) for labels, row in coded]
        named = {"coded": shares, "originals": [[label] for label in heard["originals"]]}
        figures += [
            replace(row, name="label_kept", of=of, value=_share_of(truth, labels)) for of, labels in named.items()
        ]
    return record, figures


def _share_of(truth: Sequence[str | None], named: Sequence[Sequence[str | None]]) -> float:
    """Compute the mean over the clips with a label of the share of windows with this label; 0 without such clips."""
    labelled = [(label, names) for label, names in zip(truth, named, strict=True) if label is not None]
    shares = [sum(name == label for name in names) / len(names) for label, names in labelled]
    return sum(shares) / len(shares) if shares else 0.0


def _of_rate(row: Figure, codebook: Codebook, model: Entry) -> Iterator[Figure]:
    """Give the figures of the codes of a rate, and of the model that predicts them.

    Bits per second are those of all codes of the validation clips for each second of these clips, not those of the
    nominal rate of codes: the last code of a clip stands for less sound than the others, above all a coarse one.
    """
    config = read_object(SavedTokenizer, codebook.tokenizer.folder / CONFIG).config
    health: Row = codebook.health.read_json("health.json")
    rate = config.audio.sample_rate / config.samples_per_code * config.streams
    of_codes = replace(row, artifact=codebook.health.key)
    yield replace(of_codes, name="codebook_perplexity", value=health["perplexity"])
    yield replace(of_codes, name="codes_per_second", value=rate)
    yield replace(of_codes, name="coded_bits_per_second", value=rate * float(np.log2(config.codebook_size)))
    figures: Row = model.read_json("perplexity.json")
    curve: Row = model.read_json(CURVE)
    held_out = [clip.codes for clip in read_codes(codebook.codes.folder)[1] if clip.split == "validation"]
    codes, seconds = sum(each.values.size for each in held_out), sum(each.seconds for each in held_out)
    for name, value in {
        "perplexity": figures["perplexity"],
        "unigram_perplexity": figures["unigram_perplexity"],
        "bits_per_real_second": float(np.log2(figures["perplexity"])) * codes / seconds,
        "parameters": parameters(model.folder),
        "training_steps": curve["steps"],
    }.items():
        yield replace(row, name=name, value=value)


def _continued(varied: Sequence[Row], said: Sequence[Row], config: RatesConfig, row: Figure) -> Iterator[Figure]:
    """Give the diversity of the continuations by each model and of the recordings, and how much of them sounds."""
    for each in varied:
        levels = [level for one in said if one["of"] == each["of"] for level in one["levels"]]
        sounding = float(np.mean([level >= config.silence_dbfs for level in levels])) if levels else None
        values = {name: each[name] for name in ("distinct_1", "distinct_2", "distinct_3")} | {"sounding": sounding}
        for name, value in values.items():
            if value is not None:
                yield replace(row, name=name, of=each["of"], value=value)


def _judged(
    said: Sequence[Row],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    groups: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
    row: Figure,
) -> Iterator[Figure]:
    """Compare both models on the clips that have a figure for both, resampled together."""
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for each, names in zip(said, labels, strict=True):
        heard = _sounding_labels(names, each["levels"], config)
        label, of_clip = truth[each["clip"]], {"label_kept": None, **stabilities(heard)}
        if label is not None:
            of_clip["label_kept"] = float(np.mean([name == label for name in heard]))
        for name, value in of_clip.items():
            if value is not None:
                found.setdefault(name, {}).setdefault(each["of"], {}).setdefault(each["clip"], []).append(value)
    for name, by_model in found.items():
        yield from _paired(replace(row, name=name), by_model, probe, groups)


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
    row: Figure,
    by_model: Mapping[str, Mapping[int, Sequence[float]]],
    config: ProbeConfig,
    groups: Sequence[str | None],
) -> Iterator[Figure]:
    clips = sorted(set(by_model.get(RATES, {})) & set(by_model.get(FLAT, {})))
    if not clips:
        return
    row = replace(row, count=len(clips))
    outcome = Hits(hits=np.array([[np.mean(by_model[of][clip]) for clip in clips] for of in MODELS], np.float64))
    whole = whole_groups([groups[clip] for clip in clips])
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed, groups=whole)
    gap = difference(measure(outcome), draws, 0, 1, confidence=config.confidence)
    for of, value in zip(MODELS, measure(outcome)[0], strict=True):
        yield replace(row, of=of, value=float(value))
    pair = replace(row, name=f"{row.name}_difference", of=RATES, against=FLAT)
    yield replace(pair, value=gap.value, low=gap.low, high=gap.high, p=gap.p)
