"""Tokenizer and language model of a run as ONNX files, which run without PyTorch, each checked by onnxruntime."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lm.exports import CodesToLogits
from lm.model import LanguageModel
from pipelines.publish import ONNX_PARTS, PublishConfig
from pipelines.publishing.hub import choose_parts
from pipelines.results.run_record import read_results, recorded_options
from pipelines.store.work_folder import new_folder
from tokenizer.codes import require_same_codebook
from tokenizer.onnx import LogMelToCodes, SoundToCodes, reads_sound, require_expressible
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.saved_models import run_onnx, write_onnx

CARD = "onnx.json"
CLOSE = 1e-4  # largest difference of logits
ALIKE = 0.999  # least share of equal codes: sums are rounded otherwise, and a vector may lie between two centroids
SOUND = "mono sound at front_end.sample_rate, full scale is 1; recordings of a batch have one length"
LOG_MEL = (
    "natural logarithm of floor + mel power (HTK mel scale, periodic Hann window, window_length - hop_length zeros "
    "before the sound, zeros up to whole patches behind it), raised to a floor dynamic_range dB below the 99 % "
    "quantile of a recording's values as log(exp(x) + exp(floor)), then without its mean as remove_mean says; not "
    "normalised"
)
LOGITS = (
    "logits p are of code p, counted time-major and stream-minor, given the codes before it; the last ones are of the "
    "code that follows"
)


def write_onnx_models(settings: PublishConfig) -> None:
    """Write tokenizer.onnx, lm.onnx and a card into the folder ``output``, whole or not at all."""
    run, output = settings.run, settings.output
    assert output is not None, "the options demand one"
    tokenizer = Tokenizer.from_pretrained(run / "tokenizer")
    if tokenizer.coarser:
        raise InputError(f"run={run} has codes at several rates, which are not written as ONNX")
    require_expressible(tokenizer)
    results = read_results(run)
    there = choose_parts(run, settings.parts, recorded_options(results))
    with new_folder(output) as folder:
        card: dict[str, object] = {"tokenizer": _write_tokenizer(tokenizer, folder / "tokenizer.onnx", run)}
        if "lm" in there:
            model = LanguageModel.from_pretrained(run / "lm")
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
            card["lm"] = _write_language_model(model, folder / "lm.onnx")
        write_aside(folder / CARD, json.dumps(card, indent=1) + "\n")
    for name in (*(f"{part}.onnx" for part in ONNX_PARTS if part in card), CARD):
        print(f"{(output / name).stat().st_size / 1e6:>10,.3f} MB  {output / name}", flush=True)


def _write_tokenizer(tokenizer: Tokenizer, file: Path, run: Path) -> dict[str, object]:
    """Write and check the tokenizer; return its part of the card."""
    config, audio, whole = tokenizer.config, tokenizer.config.audio, reads_sound(tokenizer)
    # It is checked with noisy tones of two lengths, and with recordings that the run kept for listening.
    recordings: list[FloatArray] = []
    draws = np.random.default_rng(0)
    for seconds in (0.4, 1.3):
        time = np.arange(round(seconds * audio.sample_rate)) / audio.sample_rate
        tone = np.sin(2 * np.pi * (0.02 + 0.1 * time) * audio.sample_rate * time) * np.sin(7 * time) ** 2
        recordings.append((0.3 * tone + 0.03 * draws.standard_normal(len(time))).astype(np.float32))
    listening = sorted((run / "listening").glob("*_original.wav"))[:3]
    recordings += [read(path, audio.sample_rate).samples for path in listening]
    inputs = [torch.from_numpy(each)[None] for each in recordings]
    shape: list[str | int]
    if whole:
        model: SoundToCodes | LogMelToCodes = SoundToCodes(tokenizer)
        name, shape, meaning = "samples", ["batch", "samples"], SOUND
        example = torch.zeros(2, 50 * config.samples_per_code + 1)
    else:  # log-mel of whole patches (1, frames, mels)
        model = LogMelToCodes(tokenizer)
        name, shape, meaning = "log_mel", ["batch", "frames", audio.n_mels], LOG_MEL
        example = torch.zeros(2, 50 * tokenizer.patch_frames, audio.n_mels)
        padded = [np.pad(samples, (0, -len(samples) % config.samples_per_code)) for samples in recordings]
        inputs = [tokenizer.log_mel(torch.from_numpy(each)[None]) for each in padded]
    axes = {0: ("batch", None), 1: (str(shape[1]), None)}
    write_onnx(model, example, file, input_name=name, output_name="codes", axes=axes)
    wanted = [tokenizer.encode(each, audio.sample_rate).values for each in recordings]
    codes = sum(each.size for each in wanted)
    equal = sum(int((one[0] == other).sum()) for one, other in zip(run_onnx(file, inputs), wanted, strict=True))
    if equal < ALIKE * codes:
        raise InputError(f"{file.name} gives {codes - equal} of {codes} codes that the tokenizer does not; report this")
    return {
        "file": file.name,
        "input": {"name": name, "shape": shape, "type": "float32", "meaning": meaning},
        "output": {"name": "codes", "shape": ["batch", "time", tokenizer.format.streams], "type": "int64"},
        "front_end": asdict(audio),
        "front_end_in_file": whole,
        "patch_frames": tokenizer.patch_frames,
        "codes": tokenizer.format.as_dict(),
        "checked": {"codes": codes, "equal": equal},
    }


@torch.no_grad()
def _write_language_model(model: LanguageModel, file: Path) -> dict[str, object]:
    """Write and check the language model; return its part of the card."""
    gpt, own = model.gpt, model.format
    draws = torch.Generator().manual_seed(0)

    def some(batch: int, time: int) -> Tensor:
        return torch.randint(own.largest + 1, (batch, min(time, gpt.capacity), own.streams), generator=draws)

    axes = {0: ("batch", None), 1: ("time", gpt.capacity)}
    write_onnx(CodesToLogits(model), some(2, 7), file, input_name="codes", output_name="logits", axes=axes)
    inputs, difference = [some(2, 1), some(1, 20), some(3, 200)], 0.0
    for codes, logits in zip(inputs, run_onnx(file, inputs), strict=True):
        tokens = torch.stack([model.tokens(each.numpy().astype(np.int32)) for each in codes])
        difference = max(difference, float((gpt(tokens) - torch.from_numpy(logits)).abs().max()))
    if difference > CLOSE:
        raise InputError(f"{file.name} gives logits that differ by {difference:.2g} from the model's; report this")
    time = f"time * {own.streams} + 1" if own.streams > 1 else "time + 1"
    given = f"codes of tokenizer.onnx, at most {gpt.capacity} time steps"
    return {
        "file": file.name,
        "input": {"name": "codes", "shape": ["batch", "time", own.streams], "type": "int64", "meaning": given},
        "output": {"name": "logits", "shape": ["batch", time, own.largest + 1], "type": "float32", "meaning": LOGITS},
        "codes": own.as_dict(),
        "checked": {"largest_difference": difference},
    }
