"""Tokenizer and language model of a run as ONNX files, which run without PyTorch, each checked by onnxruntime."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lm.exports import CodesToLogits
from lm.model import LanguageModel
from pipelines.publish import ONNX_PARTS, PublishConfig
from pipelines.publishing.hub import choose_parts
from pipelines.results.run_record import read_results
from pipelines.store.work_folder import new_folder
from tokenizer.codes import require_same_codebook
from tokenizer.onnx import LogMelToCodes, SoundToCodes, reads_sound, require_expressible
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.onnx_files import run_onnx, write_onnx

CARD = "onnx.json"
CLOSE = 1e-4  # largest difference of logits
ALIKE = 0.999  # least share of equal codes: sums are rounded otherwise, and a vector may lie between two centroids
CHECKED_SECONDS = (0.4, 1.3)


def write_onnx_models(settings: PublishConfig) -> None:
    """Write tokenizer.onnx, lm.onnx and a card into the folder ``output``, whole or not at all."""
    output = settings.output
    assert output is not None, "the options demand one"
    tokenizer = Tokenizer.from_pretrained(settings.run / "tokenizer")
    if tokenizer.coarser:
        raise InputError(f"run={settings.run} has codes at several rates, which are not written as ONNX")
    require_expressible(tokenizer)
    results = read_results(settings.run)
    config = results["provenance"]["config"] if "provenance" in results else {}
    there = choose_parts(settings.run, settings.parts, config)
    with new_folder(output) as folder:
        card: dict[str, object] = {"tokenizer": _write_tokenizer(tokenizer, folder, settings.run)}
        if "lm" in there:
            model = LanguageModel.from_pretrained(settings.run / "lm")
            require_same_codebook(model.format, tokenizer.format, owner=model.name)
            card["lm"] = _write_language_model(model, folder)
        write_aside(folder / CARD, json.dumps(card, indent=1) + "\n")
    for name in (*(f"{part}.onnx" for part in ONNX_PARTS if part in card), CARD):
        print(f"{(output / name).stat().st_size / 1e6:>10,.3f} MB  {output / name}", flush=True)


def _write_tokenizer(tokenizer: Tokenizer, folder: Path, run: Path) -> dict[str, object]:
    """Write and check the tokenizer; return its part of the card."""
    audio, file, whole = tokenizer.config.audio, folder / "tokenizer.onnx", reads_sound(tokenizer)
    model = SoundToCodes(tokenizer) if whole else LogMelToCodes(tokenizer)
    recordings = list(_recordings(audio.sample_rate, run))
    inputs = [torch.from_numpy(each)[None] for each in recordings]
    name, axis, example = "samples", "samples", torch.zeros(2, 50 * tokenizer.config.samples_per_code + 1)
    if not whole:
        name, axis, example = "log_mel", "frames", torch.zeros(2, 50 * tokenizer.patch_frames, audio.n_mels)
        inputs = [_log_mel(tokenizer, each) for each in recordings]
    axes = {0: ("batch", None), 1: (axis, None)}
    write_onnx(model, example, file, input_name=name, output_name="codes", axes=axes)
    found = [codes[0] for codes in run_onnx(file, inputs)]
    wanted = [tokenizer.encode(each, audio.sample_rate).values for each in recordings]
    codes = sum(each.size for each in wanted)
    equal = sum(int((one == other).sum()) for one, other in zip(found, wanted, strict=True))
    if equal < ALIKE * codes:
        raise InputError(f"{file.name} gives {codes - equal} of {codes} codes that the tokenizer does not; report this")
    if whole:
        given: dict[str, object] = {
            "name": name,
            "shape": ["batch", "samples"],
            "type": "float32",
            "meaning": "mono sound at front_end.sample_rate, full scale is 1; recordings of a batch have one length",
        }
    else:
        given = {
            "name": name,
            "shape": ["batch", "frames", audio.n_mels],
            "type": "float32",
            "meaning": (
                "natural logarithm of floor + mel power (HTK mel scale, periodic Hann window, window_length - "
                "hop_length zeros before the sound, zeros up to whole patches behind it), raised to a floor "
                "dynamic_range dB below the 99 % quantile of a recording's values as log(exp(x) + exp(floor)), then "
                "without its mean as remove_mean says; not normalised"
            ),
        }
    return {
        "file": file.name,
        "input": given,
        "output": {"name": "codes", "shape": ["batch", "time", tokenizer.format.streams], "type": "int64"},
        "front_end": asdict(audio),
        "front_end_in_file": whole,
        "patch_frames": tokenizer.patch_frames,
        "codes": tokenizer.format.as_dict(),
        "checked": {"codes": codes, "equal": equal},
    }


def _log_mel(tokenizer: Tokenizer, samples: FloatArray) -> Tensor:
    """Compute log-mel of whole patches ``(1, frames, mels)`` as the tokenizer reads it."""
    padded = np.pad(samples, (0, -len(samples) % tokenizer.config.samples_per_code))
    frames: Tensor = tokenizer.log_mel(torch.from_numpy(padded)[None])
    return frames


def _recordings(sample_rate: int, run: Path) -> Iterator[FloatArray]:
    """Give recordings of several lengths ``(samples,)``: noisy tones, and those that the run kept for listening."""
    draws = np.random.default_rng(0)
    for seconds in CHECKED_SECONDS:
        time = np.arange(round(seconds * sample_rate)) / sample_rate
        tone = np.sin(2 * np.pi * (0.02 + 0.1 * time) * sample_rate * time) * np.sin(7 * time) ** 2
        yield (0.3 * tone + 0.03 * draws.standard_normal(len(time))).astype(np.float32)
    for path in sorted((run / "listening").glob("*_original.wav"))[:3]:
        yield read(path, sample_rate).samples


def _write_language_model(model: LanguageModel, folder: Path) -> dict[str, object]:
    """Write and check the language model; return its part of the card."""
    file, gpt, own = folder / "lm.onnx", model.gpt, model.format
    axes = {0: ("batch", None), 1: ("time", gpt.capacity)}
    draws = torch.Generator().manual_seed(0)

    def some(batch: int, time: int) -> Tensor:
        return torch.randint(own.largest + 1, (batch, time, own.streams), generator=draws)

    steps = min(7, gpt.capacity)
    module = CodesToLogits(model)
    write_onnx(module, some(2, steps), file, input_name="codes", output_name="logits", axes=axes)
    inputs = [some(2, 1), some(1, min(20, gpt.capacity)), some(3, min(gpt.capacity, 200))]
    difference = _largest_difference(model, inputs, run_onnx(file, inputs))
    if difference > CLOSE:
        raise InputError(f"{file.name} gives logits that differ by {difference:.2g} from the model's; report this")
    return {
        "file": file.name,
        "input": {
            "name": "codes",
            "shape": ["batch", "time", own.streams],
            "type": "int64",
            "meaning": f"codes of tokenizer.onnx, at most {gpt.capacity} time steps",
        },
        "output": {
            "name": "logits",
            "shape": ["batch", f"time * {own.streams} + 1" if own.streams > 1 else "time + 1", own.largest + 1],
            "type": "float32",
            "meaning": (
                "logits p are of code p, counted time-major and stream-minor, given the codes before it; the last ones "
                "are of the code that follows"
            ),
        },
        "codes": own.as_dict(),
        "checked": {"largest_difference": difference},
    }


@torch.no_grad()
def _largest_difference(model: LanguageModel, inputs: Sequence[Tensor], found: Sequence[Any]) -> float:
    """Return the largest difference from the logits of the model itself."""
    largest = 0.0
    for codes, logits in zip(inputs, found, strict=True):
        tokens = torch.stack([model.tokens(each.numpy().astype(np.int32)) for each in codes])
        largest = max(largest, float((model.gpt(tokens) - torch.from_numpy(logits)).abs().max()))
    return largest
