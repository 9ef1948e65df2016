"""The tests of the language model: figures with intervals, from the entries of every fold and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from lm.options import ProbeConfig
from lm.probing import comparison as intervals
from lm.samples.crops import BASELINES
from pipelines.results.rows import Row
from pipelines.results.run_record import Section
from pipelines.settings.run import RunSettings
from pipelines.stages.judging import JUDGES
from pipelines.stages.language_model import PERPLEXITY
from pipelines.stages.next_sample import NEXT_SAMPLE, SAMPLE_SOUNDS, SCORES
from pipelines.stages.options import RatesConfig
from pipelines.stages.rates import CONTINUATIONS, FLAT, LABELS, RATES
from pipelines.stages.tokenizer import HEALTH
from pipelines.stages.zerospeech import CONSISTENCY, MODELS, PAIRS
from pipelines.store.session import rate_prefix
from pipelines.store.store import CURVE, Entry
from pipelines.store.stored_features import natural
from tokenizer.parquet import read_codes
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.spoken_pairs import CHANGES
from wordless.base.saved_models import read_header

FoldSeed = tuple[str, int]  # the test fold, and the seed
Made = Mapping[FoldSeed, Mapping[str, Entry]]  # entries by their names in results.json
Record = Mapping[str, Any]
TESTS = (  # name in results.json, stage, file, and what the section keeps of it
    ("pairs", "spoken_pairs", PAIRS, ("test", "pairs", "voices", "example")),
    ("consistency", "consistency", CONSISTENCY, ("texts", "pairs", "voices", "example")),
)


def language_tests(made: Made, config: ProbeConfig) -> tuple[Section, list[Row]]:
    """Describe the tests of all folds and seeds, and give their figures; empty where there are none."""
    tests, figures = Section(), list[Row]()
    for name, stage, file, kept in TESTS:
        entries = {place: each[stage] for place, each in made.items() if stage in each}
        if not entries:
            continue
        judged = {place: entry.read_json(file) for place, entry in entries.items()}
        first, seeds = next(iter(judged.values())), len({seed for _, seed in judged})
        tests[name] = {each: first[each] for each in kept}
        key = " ".join(entry.key for entry in entries.values())
        row = Row(stage="zerospeech", name=name, value=np.nan, artifact=key, split="test", seeds=seeds)
        if name == "pairs":
            tests[name]["items"] = len(first["items"])
            of_items = {place: each["accuracies"] for place, each in judged.items()}
            held_out = replace(row, name=first["test"], protocol="voices held out")
            figures += item_figures(of_items, held_out, config, gap="difference")
        else:
            for change in CHANGES:
                of_items = {place: each["tests"][change]["accuracies"] for place, each in judged.items()}
                own = replace(row, name=f"{name}_{change}")
                figures += item_figures(of_items, own, config, gap=f"{own.name}_difference")
    return tests, figures


def item_figures(
    trainings: Mapping[FoldSeed, Mapping[str, Sequence[float]]], row: Row, config: ProbeConfig, *, gap: str
) -> Iterator[Row]:
    """Give the mean of each model over trainings and items, with a bootstrap interval over items, and each training.

    ``trainings`` have the values of the items by model. The interval says what other items would give, not other
    voices. The first model is compared with each other on the same resampled items; ``gap`` is the difference's name.
    """
    first = next(iter(trainings.values()))
    names = [*MODELS, *sorted(first.keys() - {*MODELS}, key=natural)]
    hits = np.mean([[values[name] for name in names] for values in trainings.values()], axis=0)
    outcome = intervals.Hits(hits=hits)
    measured = intervals.Measured(folds=[outcome], resamples=config.resamples, seed=config.seed)
    for number, (name, value) in enumerate(zip(names, intervals.measure(outcome)[0], strict=True)):
        low, high = intervals.interval(measured.draws[:, number], config.confidence)
        own = replace(row, of=name)
        yield replace(own, value=float(value), low=low, high=high, over="items")
        for (fold, seed), values in trainings.items() if len(trainings) > 1 else ():
            yield replace(own, value=float(np.mean(values[name])), fold=fold, seed=seed, seeds=1)
    for number, other in enumerate(names[1:], 1):
        found = measured.difference(0, number, confidence=config.confidence)
        pair = replace(row, name=gap, of=names[0], against=other, value=found.value, p=found.p)
        yield replace(pair, low=found.low, high=found.high, over="items")


Speeds = Mapping[str, tuple[float, str]]  # by model: samples per second of one sound, and the code that generates them
Scores = Sequence[Record]  # of one model, for each seed
ASKED = (  # model -> its rivals
    ("transformer", ("wavenet", "wavenet_large")),
    ("transformer_context", ("transformer", "wavenet", "wavenet_large")),
)


def sample_models(made: Made, manifest: Clips, settings: RunSettings, speeds: Speeds) -> tuple[Section, list[Row]]:
    """Describe the models, and give their figures over all seeds."""
    known = {clip.name: {"label": clip.label, "group": clip.group} for clip in manifest.clips}
    options = settings.next_sample
    scores = [entries[f"{NEXT_SAMPLE}_scores"] for entries in made.values()]
    scored = [entry.read_json(SCORES)["rows"] for entry in scores]
    rows: dict[str, Scores] = {name: [each[name] for each in scored] for name in (*BASELINES, *options.models)}
    sounds = next(iter(made.values()))[f"{NEXT_SAMPLE}_sounds"]  # of the first seed
    models = Section(
        seeds=len(made),
        sample_rate=settings.audio.sample_rate,
        samples=next(iter(rows.values()))[0]["samples"],
        steps=options.fit.steps,
        crops=options.crops.batch_size,
        crop_samples=options.crops.samples,
        engines={name: engine for name, (_, engine) in speeds.items()},
        trainings={
            name: {f"seed {seed}": each[f"{NEXT_SAMPLE}_{name}"].read_json(CURVE) for (_, seed), each in made.items()}
            for name in options.models
        },
        sounds=sounds.read_rows(SAMPLE_SOUNDS, "sounds"),
        clips=[row | known[row["path"]] for row in sounds.read_rows(SAMPLE_SOUNDS, "clips")],
    )
    keys = " ".join(entry.key for entry in scores)
    row = Row(stage=NEXT_SAMPLE, name="accuracy", value=np.nan, artifact=keys)
    return models, list(_of_models(rows, speeds, row, settings.probe.confidence))


def _of_models(rows: Mapping[str, Scores], speeds: Speeds, row: Row, confidence: float) -> Iterator[Row]:
    tested = replace(row, split="test", seeds=len(next(iter(rows.values()))))
    for name, own in rows.items():
        for figure in ("accuracy", "bits_per_sample"):
            if own[0][figure] is not None:  # None: a baseline without probabilities
                yield _mean_of_seeds(replace(tested, name=figure, of=name), [each[figure] for each in own], confidence)
        for size in ("parameters", "multiply_adds", "history"):
            yield replace(row, name=size, of=name, value=own[0][size])
        if name in speeds:
            yield replace(row, name="samples_per_second", of=name, value=speeds[name][0])
    for name, rivals in ASKED:
        for rival in rivals:
            if name in rows and rival in rows:
                pair = replace(tested, of=name, against=rival)
                for figure, called in (("accuracy", "difference"), ("bits_per_sample", "bits_per_sample_difference")):
                    paired = [a[figure] - b[figure] for a, b in zip(rows[name], rows[rival], strict=True)]
                    yield _mean_of_seeds(replace(pair, name=called), paired, confidence)


def _mean_of_seeds(row: Row, values: Sequence[float], confidence: float) -> Row:
    low, high = intervals.t_interval(np.asarray(values), confidence=confidence)
    return replace(row, value=float(np.mean(values)), low=low, high=high, over=None if low is None else "seeds")


def rates_of_run(
    entries: Mapping[str, Entry], manifest: Clips, config: RatesConfig, probe: ProbeConfig, *, protocol: str
) -> tuple[Section | None, list[Row]]:
    """Describe the stage ``rates``, and give its figures; None and none where a run does not have the stage."""
    if (said := entries.get("rate_continuations")) is None:
        return None, []
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
    row = Row(stage="rates", name="", value=np.nan, artifact=said.key, protocol=protocol, split="test")
    validated, key, rates = replace(row, split="validation"), entries["rate_lm"].key, len(record["frames"])
    figures: list[Row] = []
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


def _of_rate(row: Row, codes: Entry, health: Entry, model: Entry) -> Iterator[Row]:
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


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


def parameters(folder: Path) -> int:
    """Count the parameters of an entry's models, from the headers of its safetensors files."""
    return sum(
        prod(shape)
        for path in sorted(folder.glob("*.safetensors"))
        for name, (_, shape) in read_header(path).items()
        if not name.endswith(STATISTICS)
    )


def _judged(
    said: Sequence[Record],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    groups: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
    row: Row,
) -> Iterator[Row]:
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
