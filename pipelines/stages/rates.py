"""Several rates: their models as one folder, and continuations by models of all rates and by a flat GPT.

Griffin-Lim makes the sound of both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from lm.language_tests import NGRAMS, distinct_ngrams
from lm.model import LanguageModel
from lm.options import CodeSampling
from lm.rates import RatesModel
from pipelines.stages.judging import Judge, name_labels, new_part, whole
from pipelines.stages.listening import excerpt_row, loudest
from pipelines.stages.options import RatesConfig
from pipelines.store.session import Run
from pipelines.store.stage import stage
from pipelines.store.store import Entry, other_options, write_json
from tokenizer.parquet import read_codes
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt, joined_sound
from vocoder.kinds import GRIFFIN_LIM
from vocoder.options import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.levels import Excerpt
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.waveform import Waveform
from wordless.base.array_types import IntArray
from wordless.base.errors import InputError
from wordless.base.files import aside


@stage("rate_tokenizer", version=2, title="tokenizers of {tokenizers} rates")
def rate_tokenizer(run: Run, tokenizers: Sequence[Entry]) -> None:
    """Write the tokenizers of all rates, coarse to fine, as one folder."""
    RatesTokenizer([Tokenizer.from_pretrained(each.folder) for each in tokenizers]).save_pretrained(run.folder)


@stage("rate_lm", version=2, title="language models of {models} rates")
def rate_language_model(run: Run, models: Sequence[Entry]) -> None:
    """Write the language models of all rates, coarse to fine, as one folder."""
    RatesModel([LanguageModel.from_pretrained(each.folder) for each in models]).save_pretrained(run.folder)


CONTINUATIONS = "continuations.json"
LABELS = "labels.json"  # that a judge names in each window
PICTURES = "pictures.safetensors"
RATES, FLAT = "rates", "flat"  # the models
RECORDINGS = "recordings"  # the test clips themselves, beside the models
SILENT = 1e-10  # power of silence, -100 dBFS


def _sounds(config: RatesConfig) -> dict[str, object]:
    return {**other_options(config, "silence_dbfs"), "version of Griffin-Lim": GRIFFIN_LIM.version}


@stage("rate_continuations", version=8, title="test clips continued by {config.seconds:g} s", keys={"config": _sounds})
def continuations(
    run: Run, clips: Clips, tokenizer: Entry, coded: Entry, rates: Entry, flat: Entry, config: RatesConfig
) -> None:
    """Continue clips by both models; write sounds, pictures, the diversity of the codes, and levels of windows.

    The reference are the test clips: their finest codes ``coded``, and the sound of these codes.
    """
    device = str(run.gang.device)
    coder = RatesTokenizer.of_folder(tokenizer.folder, device=device)
    longest, step = 2 * config.prompt_seconds, coder.format.samples_per_code  # `Prompt.of_excerpt` takes half of it
    rate = coder.format.sample_rate
    excerpts = [loudest(clips, clip, rate, longest, step=step) for clip in clips.clips]
    prompts = [Prompt.of_excerpt(each, coder) for each in excerpts]
    past = [prompt for prompt in prompts for _ in range(config.continuations)]
    names = [f"{clip.name} continuation {number}" for clip in clips.clips for number in range(config.continuations)]
    sampling = CodeSampling(temperature=config.temperature, top_k=config.top_k)
    synthesis = create_synthesis(GRIFFIN_LIM, coder.finest, Sampling(seed=config.seed))
    said: list[dict[str, object]] = []
    finest = {RECORDINGS: [clip.codes.values for clip in read_codes(coded.folder)[1] if clip.split == "test"]}
    for of, entry in ((RATES, rates), (FLAT, flat)):
        model = LanguageModel.from_pretrained(entry.folder, device=device)
        known = [prompt.codes if of == RATES else prompt.codes.finest for prompt in past]
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
            said.append({**row, "levels": window_levels(sound, config, config.windows)})
    content = {
        "clips": [*map(excerpt_row, clips.clips, excerpts)],
        "said": said,
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
    return [float(10 * np.log10(np.mean(np.square(part, dtype=np.float64)) + SILENT)) for part in parts]


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
    with aside(folder / PICTURES) as beside:
        save_file({name: picture.cpu().contiguous() for name, picture in shown.items()}, beside)
    return rows


@stage("rate_labels", version=4, title="labels of windows, by {judge.title}", keys={"config": _sounds})
def window_labels(run: Run, judge: Judge, said: Entry, classes: Sequence[str], config: RatesConfig) -> None:
    """Name the label of each original, and of each window of the sound of its codes and of its continuations."""
    shown = range(len(said.read_rows(CONTINUATIONS, "clips")))
    originals = [whole(said.folder, f"{number}_original.wav") for number in shown]
    coded = [windows_of(said.folder, row, config) for row in said.read_rows(CONTINUATIONS, "coded")]
    continued = [windows_of(said.folder, row, config) for row in said.read_rows(CONTINUATIONS, "said")]
    parts = [*originals, *chain.from_iterable(coded), *chain.from_iterable(continued)]
    found = iter(name_labels(run, judge, parts, classes))
    content = {
        "judge": judge.name,
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
