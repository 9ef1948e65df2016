"""Continuations by models of all rates and by a flat GPT, their figures, and their part of the report.

Griffin-Lim makes the sound of both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import soundfile
import torch
from safetensors.torch import save_file
from torch import Tensor

from lm.gpt import CodeSampling
from lm.language_tests import NGRAMS, distinct_ngrams
from lm.model import LanguageModel
from lm.probing import intervals
from lm.probing.probe_options import ProbeConfig
from pipelines.chain.evaluator import create_evaluator
from pipelines.chain.trial import Trial, rate_prefix
from pipelines.pages.charts import Chart, log_mel_pictures, spectrogram_chart
from pipelines.pages.phrasing import full_name
from pipelines.pages.players import PageSound, sound_path, sound_spectrograms, sounds_among
from pipelines.plugins.rates import RatesConfig
from pipelines.results.run_record import Made, Results, Row, Section, parameters, read_arrays, section_of
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.codebooks import HEALTH
from pipelines.stages.language_model import PERPLEXITY
from pipelines.stages.listening import (
    EVALUATORS,
    Evaluator,
    excerpt_row,
    label_task,
    loudest_clip,
    name_labels,
    new_part,
    whole_clip,
)
from pipelines.store.stage import StageRun, stage
from pipelines.store.store import CURVE, CachedArtifact, other_options, write_json
from tokenizer.parquet import read_codes
from tokenizer.rates_tokenizer import RatesTokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Prompt, joined_sound
from vocoder.vocoder_options import Sampling
from wordless.audio.levels import Excerpt
from wordless.audio.recordings.manifest import Clip, Clips, choose_randomly
from wordless.audio.waveform import Waveform
from wordless.base.arrays import IntArray
from wordless.base.files import aside
from wordless.base.messages import InputError

_Record = Mapping[str, Any]
CONTINUATIONS = "continuations.json"
LABELS = "labels.json"  # that an evaluator names in each window
_RATES, FLAT = "rates", "flat"  # the models; the first is the folder of the run, too
_MAX_SECONDS = 7.0  # of a continuation that are drawn
_PICTURES = "pictures.safetensors"
_RECORDINGS = "recordings"  # the test clips themselves, beside the models
_SILENT = 1e-10  # power of silence, -100 dBFS


def make_continuations(trial: Trial) -> None:
    """Continue test clips at all rates and by a flat GPT, and name the labels of the sounds if clips have labels."""
    session, manifest, settings, artifacts = trial.session, trial.manifest, trial.settings, trial.artifacts
    config = settings.of(RatesConfig)
    # Only the flat GPT could read clips that are shorter than a coarse code.
    long = long_clips(manifest, shortest=settings.coarsest_code_seconds)
    clips = Clips.from_rows(manifest.root, choose_randomly(long, config.clips, seed=config.seed))
    tokenizer, coded, rates, flat = (artifacts[name] for name in ("rate_tokenizer", "codes", "rate_lm", "lm"))
    generated = trial.add(continuations(session, clips, tokenizer, coded, rates, flat, config))
    if task := label_task(session, manifest, settings.probe):
        trial.add(window_labels(session, create_evaluator(trial, task), generated, task.classes, config))


def _sounds(config: RatesConfig) -> dict[str, object]:
    return {**other_options(config, "silence_dbfs"), "version of Griffin-Lim": GRIFFIN_LIM.version}


@stage("rate_continuations", title="test clips continued by {config.seconds:g} s", keys={"config": _sounds})
def continuations(
    run: StageRun,
    clips: Clips,
    tokenizer: CachedArtifact,
    coded: CachedArtifact,
    rates: CachedArtifact,
    flat: CachedArtifact,
    config: RatesConfig,
) -> None:
    """Continue clips by both models; write sounds, pictures, the diversity of the codes, and levels of windows.

    The reference are the test clips: their finest codes ``coded``, and the sound of these codes.
    """
    device = str(run.gang.device)
    coder = RatesTokenizer.of_folder(tokenizer.folder, device=device)
    longest, step = 2 * config.prompt_seconds, coder.format.samples_per_code  # `Prompt.of_excerpt` takes half of it
    rate = coder.format.sample_rate
    excerpts = [loudest_clip(clips, clip, rate, longest, step=step) for clip in clips.clips]
    prompts = [Prompt.of_excerpt(each, coder) for each in excerpts]
    past = [prompt for prompt in prompts for _ in range(config.continuations)]
    names = [f"{clip.name} continuation {number}" for clip in clips.clips for number in range(config.continuations)]
    sampling = CodeSampling(temperature=config.temperature, top_k=config.top_k)
    synthesis = create_synthesis(GRIFFIN_LIM, coder.finest, Sampling(seed=config.seed))
    generated_rows: list[dict[str, object]] = []
    finest = {_RECORDINGS: [clip.codes.values for clip in read_codes(coded.folder)[1] if clip.split == "test"]}
    for of, artifact in ((_RATES, rates), (FLAT, flat)):
        model = LanguageModel.from_pretrained(artifact.folder, device=device)
        known = [prompt.codes if of == _RATES else prompt.codes.finest for prompt in past]
        with run.terminal.working(f"continuing by {of}", len(prompts), "clips") as progress:
            made = model.generate_batch(known, seconds=config.seconds, sampling=sampling, seed=config.seed)
            sounds = synthesis.sounds(made, [None] * len(made), names=names, prompts=past)
            progress.advance_to(len(prompts))
        finest[of] = [codes.finest.values for codes in made]
        for place, (prompt, sound) in enumerate(zip(past, sounds, strict=True)):
            clip, number = divmod(place, config.continuations)
            file = f"{clip}_{of}_{number}.wav"
            joined_sound(prompt.waveform, sound).write(run.folder / file)
            row = {"of": of, "clip": clip, "file": file, "prompt_seconds": prompt.waveform.seconds}
            generated_rows.append({**row, "levels": window_levels(sound, config, config.windows)})
    content = {
        "clips": [*map(excerpt_row, clips.clips, excerpts)],
        "generated": generated_rows,
        "coded": _write_recordings(run.folder, coder, clips.clips, excerpts, config),
        "diversity": diversities(finest, seed=config.seed),
        "frames": [each.patch_frames for each in coder.rates],
    }
    write_json(run.folder / CONTINUATIONS, content)


def long_clips(manifest: Clips, *, shortest: float) -> list[Clip]:
    """List the test clips of ``shortest`` seconds, a coarse code, or more; refuse recordings that have none."""
    if clips := [clip for clip in manifest.of("test") if clip.seconds >= shortest]:
        return clips
    raise InputError(f"no test clip lasts {shortest:g} s, one coarse code (tokenizer.rates); add longer recordings")


def diversities(codes: Mapping[str, Sequence[IntArray]], *, seed: int) -> list[dict[str, object]]:
    """Compute distinct n-grams of each model and of the recordings, over equally many n-grams of each.

    More n-grams repeat more, so only as many are counted as the shortest row has, in a random order of the sounds.
    """
    order = {of: np.random.default_rng(seed).permutation(len(every)) for of, every in codes.items()}
    mixed = {of: [every[place] for place in order[of]] for of, every in codes.items()}
    counts = {n: min(sum(max(len(each) - n + 1, 0) for each in every) for every in mixed.values()) for n in NGRAMS}
    rows = list[dict[str, object]]()
    for of, every in mixed.items():
        distinct = {f"distinct_{n}": distinct_ngrams(every, n, at_most=count) for n, count in counts.items()}
        rows.append({"of": of, "steps": counts[1], **distinct})
    return rows


def window_levels(sound: Waveform, config: RatesConfig, windows: int) -> list[float]:
    """Measure the level of each of the first windows in dB re full scale; a shorter sound is one window."""
    bounds = config.window_bounds(windows, sound.sample_rate)
    parts = (sound.samples[start:end] for start, end in pairwise(bounds))
    return [float(10 * np.log10(np.mean(np.square(part, dtype=np.float64)) + _SILENT)) for part in parts]


@torch.inference_mode()
def _write_recordings(
    folder: Path, tokenizer: RatesTokenizer, clips: Sequence[Clip], excerpts: Sequence[Excerpt], config: RatesConfig
) -> list[dict[str, object]]:
    """Write recordings and sounds of their finest codes; of clips in the report, sounds and pictures of all rates."""
    coded = [tokenizer.encode(excerpt.waveform).by_rate for excerpt in excerpts]
    finest, sampling = tokenizer.finest, Sampling(seed=config.seed)
    shown: dict[str, Tensor] = {}
    rows: list[dict[str, object]] = []
    names = [clip.name for clip in clips]
    sounds = create_synthesis(GRIFFIN_LIM, finest, sampling).sounds(
        [parts[-1] for parts in coded], [None] * len(clips), names=names
    )
    for clip, (excerpt, parts, sound) in enumerate(zip(excerpts, coded, sounds, strict=True)):
        excerpt.waveform.write(folder / f"{clip}_original.wav")
        sound.write(folder / f"{clip}_coded.wav")
        windows = max(int(sound.seconds / config.window_seconds + 1e-9), 1)
        rows.append({"file": f"{clip}_coded.wav", "levels": window_levels(sound, config, windows)})
        if clip >= config.shown:
            continue
        padded = np.zeros(len(parts[-1].values) * parts[-1].format.samples_per_code, np.float32)
        padded[: len(excerpt.waveform.samples)] = excerpt.waveform.samples
        original = finest.normalise(finest.log_mel(torch.from_numpy(padded)[None]))[0]
        shown[f"{clip}:original"] = original
        for number, (own, part) in enumerate(zip(tokenizer.rates, parts, strict=True), 1):
            spectrogram = own.denormalise(own.spectrogram(torch.tensor(part.values)[None]))
            shown[f"{clip}:rate_{number}"] = finest.normalise(spectrogram)[0, : len(original)]
            [heard] = create_synthesis(GRIFFIN_LIM, own, sampling).sounds([part], [None], names=[names[clip]])
            heard.write(folder / f"{clip}_rate_{number}.wav")
    with aside(folder / _PICTURES) as beside:
        save_file({name: picture.cpu().contiguous() for name, picture in shown.items()}, beside)
    return rows


@stage(
    "rate_labels",
    title="labels of windows, by {evaluator.title}",
    keys={"config": _sounds},
)
def window_labels(
    run: StageRun, evaluator: Evaluator, generated: CachedArtifact, classes: Sequence[str], config: RatesConfig
) -> None:
    """Name the label of each original, and of each window of the sound of its codes and of its continuations."""
    shown = range(len(generated.read_rows(CONTINUATIONS, "clips")))
    originals = [whole_clip(generated.folder, f"{number}_original.wav") for number in shown]
    coded = [windows_of(generated.folder, row, config) for row in generated.read_rows(CONTINUATIONS, "coded")]
    continued = [windows_of(generated.folder, row, config) for row in generated.read_rows(CONTINUATIONS, "generated")]
    parts = [*originals, *chain.from_iterable(coded), *chain.from_iterable(continued)]
    found = iter(name_labels(run, evaluator, parts, classes))
    content = {
        "evaluator": evaluator.name,
        "originals": [next(found) for _ in originals],
        "coded": [[next(found) for _ in windows] for windows in coded],
        "labels": [[next(found) for _ in windows] for windows in continued],
    }
    write_json(run.folder / LABELS, content)


def windows_of(folder: Path, row: dict[str, Any], config: RatesConfig) -> list[Clip]:
    """List the windows of a sound without its prompt; a shorter sound is one window."""
    sound = new_part(folder, {**row, "figures": row})
    bounds = config.window_bounds(len(row["levels"]), sound.sample_rate)
    if sound.num_samples < bounds[1]:
        return [sound]
    return [replace(sound, start=sound.start + start, num_samples=end - start) for start, end in pairwise(bounds)]


def continuation_rows(made: Made, manifest: Clips, settings: RunSettings) -> tuple[Section, list[Row]]:
    """Describe the continuations, and give their figures."""
    [artifacts], config, probe = made.values(), settings.of(RatesConfig), settings.probe
    generated, protocol = artifacts["rate_continuations"], manifest.split_by
    rows, names = (
        generated.read_rows(CONTINUATIONS, "generated"),
        [row["path"] for row in generated.read_rows(CONTINUATIONS, "clips")],
    )
    varied, shown = generated.read_rows(CONTINUATIONS, "diversity"), ("of", "clip", "file", "prompt_seconds")
    record = Section(
        frames=generated.read_rows(CONTINUATIONS, "frames"),
        steps=varied[0]["steps"],
        generated=[{name: row[name] for name in shown} for row in rows if row["clip"] < config.shown],
        clips=names[: config.shown],
        seconds=config.seconds,
        window_seconds=config.window_seconds,
        continued_clips=len(names),
    )
    row = Row(stage="rates", name="", value=np.nan, artifact=generated.key, protocol=protocol, split="test")
    validated, key, rates = replace(row, split="validation"), artifacts["rate_lm"].key, len(record["frames"])
    figures: list[Row] = []
    for number in range(1, rates + 1):
        own, prefix = replace(validated, of=f"rate_{number}", artifact=key), rate_prefix(number)
        plain = "" if number == rates else prefix  # the finest has the plain names
        codes, health = (artifacts[f"{plain}{stage}"] for stage in ("codes", "health"))
        figures += _of_rate(own, codes, health, artifacts[f"{prefix}lm"])
    needed = sum(row.value for row in figures if row.name == "bits_per_real_second")
    flat = artifacts["lm"]
    figures += _of_rate(replace(validated, of=FLAT, artifact=flat.key), artifacts["codes"], artifacts["health"], flat)
    figures.append(replace(validated, name="bits_per_real_second", of=_RATES, value=needed, artifact=key))
    for each in varied:
        levels = [level for one in rows if one["of"] == each["of"] for level in one["levels"]]
        sounding = float(np.mean([level >= config.silence_dbfs for level in levels])) if levels else None
        values = {name: each[name] for name in ("distinct_1", "distinct_2", "distinct_3")} | {"sounding": sounding}
        known = {name: value for name, value in values.items() if value is not None}
        figures += [replace(row, name=name, of=each["of"], value=value) for name, value in known.items()]
    if "rate_labels" in artifacts:
        of_clip = {clip.name: clip for clip in manifest.clips}
        heard = artifacts["rate_labels"].read_json(LABELS)
        truth = [of_clip[name].label for name in names]
        record["evaluator_title"] = EVALUATORS[heard["evaluator"]]
        groups = [of_clip[name].group for name in names]
        record["over"] = "clips" if intervals.number_groups([groups]) is None else "groups"
        figures += _judged(rows, heard["labels"], truth, groups, config, probe, row)
        coded = zip(heard["coded"], generated.read_rows(CONTINUATIONS, "coded"), strict=True)
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


def _of_rate(row: Row, codes: CachedArtifact, health: CachedArtifact, model: CachedArtifact) -> Iterator[Row]:
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
    generated_rows: Sequence[_Record],
    labels: Sequence[Sequence[str]],
    truth: Sequence[str | None],
    groups: Sequence[str | None],
    config: RatesConfig,
    probe: ProbeConfig,
    row: Row,
) -> Iterator[Row]:
    continued = []
    for each, names in zip(generated_rows, labels, strict=True):
        heard, label = _sounding_labels(names, each["levels"], config), truth[each["clip"]]
        kept = None if label is None else float(np.mean([name == label for name in heard]))
        continued.append({"of": each["of"], "clip": each["clip"], "label_kept": kept, **stabilities(heard)})
    table = pandas.DataFrame(continued).set_index(["of", "clip"]).astype(float).groupby(level=["of", "clip"]).mean()
    for name in table.columns:
        both = table[name].unstack("of").reindex(columns=[_RATES, FLAT]).dropna()  # (clips, models)
        if both.empty:
            continue
        own, outcome = replace(row, name=name, count=len(both)), intervals.Hits(hits=both.to_numpy().T)
        of_clips = [groups[clip] for clip in both.index]
        measured = intervals.Measured.of([outcome], [of_clips], resamples=probe.resamples, seed=probe.seed)
        gap = measured.difference(0, 1, confidence=probe.confidence)
        for of, value in zip((_RATES, FLAT), intervals.measure(outcome)[0], strict=True):
            yield replace(own, of=of, value=float(value))
        pair = replace(own, name=f"{name}_difference", of=_RATES, against=FLAT)
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


def continuation_sounds(results: Results) -> Iterator[PageSound]:
    """Give recordings and codes of each rate, and continuations."""
    rates = section_of(results, _RATES)
    for number in range(len(rates.get("clips", []))):
        yield PageSound("rates", number, "Original", f"{_RATES}/{number}_original.wav")
        for n, frames in enumerate(rates["frames"], 1):
            yield PageSound("rates", number, f"Rate {n}: {frames} frames per code", f"{_RATES}/{number}_rate_{n}.wav")
    for row in rates.get("generated", []):
        figures = {"prompt_seconds": row["prompt_seconds"]}
        yield PageSound("continued", row["clip"], full_name(row["of"]), f"{_RATES}/{row['file']}", figures)


def continuation_charts(folder: Path, results: Results) -> Iterator[Chart]:
    found, rates = read_arrays(folder / _RATES / _PICTURES), section_of(results, _RATES)
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
        yield sound_spectrograms(folder, models, name=f"continued-{number}", title=title, most=_MAX_SECONDS)
