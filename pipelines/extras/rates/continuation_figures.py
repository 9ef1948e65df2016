"""The figures of continuations at several rates, with intervals over clips, and their part of the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import soundfile

from lm.options import ProbeConfig
from lm.probing import comparison as intervals
from pipelines.extras.rates.rate_options import RatesConfig
from pipelines.pages.charts import Chart, log_mel_pictures, spectrogram_chart
from pipelines.pages.phrasing import full_name
from pipelines.pages.sounds import Sound, sound_path, sound_spectrograms, sounds_among
from pipelines.results.figures import Figure
from pipelines.results.language_figures import Made, parameters
from pipelines.results.run_record import Results, Section, read_arrays, section_of
from pipelines.settings.run import RunSettings
from pipelines.stages.judging import JUDGES
from pipelines.stages.language_model import PERPLEXITY
from pipelines.stages.tokenizer import HEALTH
from pipelines.store.session import rate_prefix
from pipelines.store.store import CURVE, Entry
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Clips

Row = Mapping[str, Any]
CONTINUATIONS = "continuations.json"
LABELS = "labels.json"  # that a judge names in each window
RATES, FLAT = "rates", "flat"  # the models; the first is the folder of the run, too
MAX_SECONDS = 7.0  # of a continuation that are drawn


def continuation_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Figure]]:
    """Describe the continuations, and give their figures."""
    [entries], config, probe = made.values(), settings.of(RatesConfig), settings.probe
    said, protocol = entries["rate_continuations"], settings.corpus.split.by
    rows, names = said.read_rows(CONTINUATIONS, "said"), [row["path"] for row in said.read_rows(CONTINUATIONS, "clips")]
    varied, shown = said.read_rows(CONTINUATIONS, "diversity"), ("of", "clip", "file", "prompt_seconds")
    record = Section(
        frames=said.read_rows(CONTINUATIONS, "frames"),
        steps=varied[0]["steps"],
        said=[{name: row[name] for name in shown} for row in rows if row["clip"] < config.shown],
        clips=names[: config.shown],
        seconds=config.seconds,
        window_seconds=config.window_seconds,
        continued_clips=len(names),
    )
    row = Figure(stage="rates", name="", value=np.nan, artifact=said.key, protocol=protocol, split="test")
    validated, key, rates = replace(row, split="validation"), entries["rate_lm"].key, len(record["frames"])
    figures: list[Figure] = []
    for number in range(1, rates + 1):
        own, prefix = replace(validated, of=f"rate_{number}", artifact=key), rate_prefix(number)
        plain = "" if number == rates else prefix  # the finest has the plain names
        codes, health = (entries[f"{plain}{stage}"] for stage in ("codes", "health"))
        figures += _of_rate(own, codes, health, entries[f"{prefix}lm"])
    needed = sum(row.value for row in figures if row.name == "bits_per_real_second")
    flat = entries["lm"]
    figures += _of_rate(replace(validated, of=FLAT, artifact=flat.key), entries["codes"], entries["health"], flat)
    figures.append(replace(validated, name="bits_per_real_second", of=RATES, value=needed, artifact=key))
    for each in varied:
        levels = [level for one in rows if one["of"] == each["of"] for level in one["levels"]]
        sounding = float(np.mean([level >= config.silence_dbfs for level in levels])) if levels else None
        values = {name: each[name] for name in ("distinct_1", "distinct_2", "distinct_3")} | {"sounding": sounding}
        known = {name: value for name, value in values.items() if value is not None}
        figures += [replace(row, name=name, of=each["of"], value=value) for name, value in known.items()]
    if "rate_labels" in entries:
        of_clip = {clip.name: clip for clip in manifest.clips}
        heard = entries["rate_labels"].read_json(LABELS)
        truth = [of_clip[name].label for name in names]
        record["judge"] = JUDGES[heard["judge"]]
        groups = [of_clip[name].group for name in names]
        record["over"] = "clips" if intervals.number_groups([groups]) is None else "groups"
        figures += _judged(rows, heard["labels"], truth, groups, config, probe, row)
        coded = zip(heard["coded"], said.read_rows(CONTINUATIONS, "coded"), strict=True)
        shares = [_sounding_labels(labels, row["levels"], config) for labels, row in coded]
        named = {"coded": shares, "originals": [[label] for label in heard["originals"]]}
        kept = replace(row, name="label_kept")
        figures += [replace(kept, of=of, value=_share_of(truth, labels)) for of, labels in named.items()]
    return record, figures


def _share_of(truth: Sequence[str | None], named: Sequence[Sequence[str | None]]) -> float:
    """Average the share of windows with the label of their clip over labelled clips; 0 without any."""
    labelled = [(label, names) for label, names in zip(truth, named, strict=True) if label is not None]
    shares = [sum(name == label for name in names) / len(names) for label, names in labelled]
    return sum(shares) / len(shares) if shares else 0.0


def _of_rate(row: Figure, codes: Entry, health: Entry, model: Entry) -> Iterator[Figure]:
    """Give the figures of the codes of a rate, and of its model; the last code of a clip stands for less sound."""
    codes_format, clips = read_codes(codes.folder)
    rate = codes_format.codes_per_second * codes_format.streams
    of_codes = {
        "codebook_perplexity": health.read_json(HEALTH)["perplexity"],
        "codes_per_second": rate,
        "coded_bits_per_second": codes_format.bits_per_second,
    }
    figures = model.read_json(PERPLEXITY)
    held_out = [clip.codes for clip in clips if clip.split == "validation"]
    count, seconds = sum(each.values.size for each in held_out), sum(each.seconds for each in held_out)
    of_model = {
        "perplexity": figures["perplexity"],
        "unigram_perplexity": figures["unigram_perplexity"],
        "bits_per_real_second": float(np.log2(figures["perplexity"])) * count / seconds,
        "parameters": parameters(model.folder),
        "training_steps": model.read_json(CURVE)["steps"],
    }
    for name, value in (of_codes | of_model).items():
        yield replace(row, name=name, value=value, artifact=health.key if name in of_codes else row.artifact)


def _judged(
    said: Sequence[Row],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    groups: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
    row: Figure,
) -> Iterator[Figure]:
    continued = []
    for each, names in zip(said, labels, strict=True):
        heard, label = _sounding_labels(names, each["levels"], config), truth[each["clip"]]
        kept = None if label is None else float(np.mean([name == label for name in heard]))
        continued.append({"of": each["of"], "clip": each["clip"], "label_kept": kept, **stabilities(heard)})
    table = pandas.DataFrame(continued).set_index(["of", "clip"]).astype(float).groupby(level=["of", "clip"]).mean()
    for name in table.columns:
        both = table[name].unstack("of").reindex(columns=[RATES, FLAT]).dropna()  # (clips, models)
        if both.empty:
            continue
        own, outcome = replace(row, name=name, count=len(both)), intervals.Hits(hits=both.to_numpy().T)
        of_clips = [groups[clip] for clip in both.index]
        measured = intervals.Measured.of([outcome], [of_clips], resamples=probe.resamples, seed=probe.seed)
        gap = measured.difference(0, 1, confidence=probe.confidence)
        for of, value in zip((RATES, FLAT), intervals.measure(outcome)[0], strict=True):
            yield replace(own, of=of, value=float(value))
        pair = replace(own, name=f"{name}_difference", of=RATES, against=FLAT)
        yield replace(pair, value=gap.value, low=gap.low, high=gap.high, p=gap.p, over=measured.over)


def _sounding_labels(labels: Sequence[str], levels: Sequence[float], config: RatesConfig) -> list[str | None]:
    named = zip(labels, levels, strict=True)
    return [label if level >= config.silence_dbfs else None for label, level in named]


def stabilities(labels: Sequence[str | None]) -> dict[str, float | None]:
    """Compute the share of neighbouring windows with the same label: of those that both sound, and of all.

    A silent window has no label (None). A share of no pair is None.
    """
    pairs = list(pairwise(labels))
    sounding = [(one, other) for one, other in pairs if one is not None and other is not None]
    same = sum(one == other for one, other in sounding)
    return {
        "label_stability": same / len(sounding) if sounding else None,
        "label_lasting": same / len(pairs) if pairs else None,
    }


def continuation_sounds(results: Results) -> Iterator[Sound]:
    """Give recordings and codes of each rate, and continuations."""
    rates = section_of(results, RATES)
    for number in range(len(rates.get("clips", []))):
        yield Sound("rates", number, "Original", f"{RATES}/{number}_original.wav")
        for n, frames in enumerate(rates["frames"], 1):
            yield Sound("rates", number, f"Rate {n}: {frames} frames per code", f"{RATES}/{number}_rate_{n}.wav")
    for row in rates.get("said", []):
        figures = {"prompt_seconds": row["prompt_seconds"]}
        yield Sound("continued", row["clip"], full_name(row["of"]), f"{RATES}/{row['file']}", figures)


def continuation_charts(folder: Path, results: Results) -> Iterator[Chart]:
    found, rates = read_arrays(folder / RATES / "pictures.safetensors"), section_of(results, RATES)
    sounds = [*continuation_sounds(results)]
    for number, name in enumerate(rates.get("clips", [])):
        titles = {"original": "original"} | {
            f"rate_{n}": f"codes of {of} frames" for n, of in enumerate(rates["frames"], 1)
        }
        rows = {title: found[f"{number}:{key}"] for key, title in titles.items() if f"{number}:{key}" in found}
        seconds = soundfile.info(sound_path(folder, sounds_among(sounds, "rates", number)[0])).duration
        images, title = log_mel_pictures(rows, seconds=seconds, height=1.0), f"Codes of {name} at each rate"
        yield spectrogram_chart(images, name=f"rates-{number}", title=title, height=60 + 75 * len(images))
        continued = sounds_among(sounds, "continued", number)
        first = {sound.title: sound for sound in reversed(continued)}  # of each model
        models, title = [sound for sound in continued if sound is first[sound.title]], f"continuations of {name}"
        yield sound_spectrograms(folder, models, name=f"continued-{number}", title=title, most=MAX_SECONDS)
