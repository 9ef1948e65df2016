"""Runs every CUDA path in order of worth, compares it with the CPU, and prints one JSON of rates: see run.sh.

Without a GPU the same paths run on the CPU in small sizes; the last line is then "no GPU here", and the exit code 0. A
path whose library is not installed is left out, with the reason.
"""

import argparse
import copy
import json
import math
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lm.backbones.backbone import Pieces
from lm.backbones.clips import AugmentationConfig, ClipBatchConfig, ClipViews, LabelledBatches, StoredClips, augment
from lm.backbones.convolutional import (
    ContrastConfig,
    ConvEncoder,
    ConvEncoderConfig,
    create_encoder,
    create_simclr,
    pair_loss,
    validation_pairs,
    view_pairs,
)
from lm.gpt import GPTConfig, create_gpt
from lm.layer_reader import states_of
from lm.probing.vectors import POOLINGS, pool_states
from lm.tokens import BatchConfig, CodeBatch, CodeSequences, TrainingBatches, Vocabulary
from lm.tokens import loss as code_loss
from tests.benchmarks.default_tokenizer import random_tokenizer
from tests.wordless.training.fitting import fit_silently
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from tokenizer.autoencoder_training import PatchBatch, PatchBatches, reconstruction_loss
from tokenizer.tokenizer import Tokenizer
from vocoder.crops import Crops, CropsConfig, SampleClips, VocoderClips
from vocoder.crops import loss as level_loss
from vocoder.engines import create_streams
from vocoder.vocoder_options import Sampling, WaveNetConfig
from vocoder.wavenet import WaveNet, create_wavenet, draw_levels
from wordless.training import FitConfig
from wordless.training.fit import B, Batches, LossFunction, autocast, chosen_loss

CPU = torch.device("cpu")
MELS, LONGEST, RATE = 80, 150, 16_000
VOCABULARY = Vocabulary(per_stream=256, streams=1)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of the work: a GPU gets what fills it, a CPU what it does in seconds."""

    steps: int  # of each training that is measured
    crops: int  # of a step of WaveNet
    codes: int  # of a crop
    generated: tuple[int, ...]  # numbers of clips side by side
    frames: int  # of each generated clip
    points: int  # of k-means
    clips: int  # of SimCLR's batches, and of the features
    sound_seconds: float  # to encode
    gpt: GPTConfig
    windows: int  # of a step of the GPT, each as long as its context
    wavenet: WaveNetConfig  # that generates


FULL = Scale(
    steps=100,
    crops=32,
    codes=25,
    generated=(1, 32, 256),
    frames=64,
    points=16_000_000,
    clips=96,
    sound_seconds=600.0,
    gpt=GPTConfig(model_dim=768, layers=14, heads=12, ffn_dim=2048, context=1025, dropout=0),  # 100 million weights
    windows=32,
    wavenet=WaveNetConfig(),
)
SMALL = Scale(
    steps=1,
    crops=1,
    codes=5,
    generated=(1, 2),
    frames=1,
    points=2_000,
    clips=4,
    sound_seconds=2.0,
    gpt=GPTConfig(model_dim=16, layers=1, heads=1, ffn_dim=16, context=9, dropout=0),
    windows=1,
    wavenet=WaveNetConfig(
        **{"layers": 2, "cycles": 1, "hop_length": 4, "residual_channels": 16, "gate_channels": 32},
        **{"skip_channels": 16, "condition_channels": 16},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    difference: float  # from the CPU's result, as the check's docstring defines it
    allowed: float
    rates: dict[str, float] = field(default_factory=dict)
    left_out: str = ""  # why nothing ran

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


def left_out(reason: str) -> Finding:
    return Finding(difference=0.0, allowed=0.0, left_out=reason)


def gpt_training(device: torch.device, scale: Scale) -> Finding:
    """Train the GPT in bf16; the difference is that of a small one's validation loss after two steps in float32."""
    train = _gpt_training(scale.gpt, scale.windows, FitConfig(steps=scale.steps, lr=1e-4, precision="bf16"))
    tokens = scale.steps * scale.windows * (scale.gpt.context - 1)
    rates = {"tokens_per_second": tokens / seconds_of(lambda: train(device), device)}
    small = GPTConfig(model_dim=64, layers=2, heads=2, ffn_dim=128, context=65, dropout=0, init_std=0.05)
    few = _gpt_training(small, 4, FitConfig(steps=2, lr=1e-3, precision="fp32"))
    return Finding(difference=relative(few(device), few(CPU)), allowed=0.01, rates=rates)


def _gpt_training(config: GPTConfig, windows: int, fit: FitConfig) -> Callable[[torch.device], list[Tensor]]:
    model, batches = create_gpt(config, VOCABULARY, seed=0), _gpt_batches(config, windows)
    return partial(trained, model, batches, [batches.batch(0, 0, 1)], code_loss, fit)


def _gpt_batches(config: GPTConfig, windows: int) -> TrainingBatches:
    """Return windows of random codes that fill the context."""
    length = config.context - 1
    codes = np.random.default_rng(0).integers(0, VOCABULARY.per_stream, (4 * windows, length, 1)).astype(np.int32)
    sizes = BatchConfig(batch_size=windows)
    return TrainingBatches(CodeSequences(views=[[clip] for clip in codes]), VOCABULARY, sizes, capacity=length)


def gpt_compiled(device: torch.device, scale: Scale) -> Finding:
    """Compile the step of the GPT, in the scale's size and in the default size, whose plain step is bound by launches.

    The difference is that of the gradients.
    """
    if device.type == "cpu":
        return left_out("steps are compiled on GPUs")
    rates, difference = dict[str, float](), 0.0
    for name, config in (("default", GPTConfig(dropout=0)), ("large", scale.gpt)):
        model = create_gpt(config, VOCABULARY, seed=0).to(device)
        batch = _gpt_batches(config, scale.windows).batch(0, 0, 1).to(device)

        def gradients(
            step: LossFunction[CodeBatch], model: nn.Module = model, batch: CodeBatch = batch
        ) -> list[Tensor]:
            with autocast(FitConfig(precision="bf16"), device):
                summed, _ = step(model, batch)
            return [*torch.autograd.grad(summed, [*model.parameters()])]

        plain, compiled = (
            partial(gradients, each) for each in (code_loss, chosen_loss(code_loss, FitConfig(compile=True), device))
        )
        difference = max(difference, relative(compiled(), [each.cpu() for each in plain()]))
        rates[f"{name}_steps_per_second"] = 1 / seconds_of(plain, device)
        rates[f"{name}_compiled_steps_per_second"] = 1 / seconds_of(compiled, device)
    return Finding(difference=difference, allowed=0.05, rates=rates)


def simclr_training(device: torch.device, scale: Scale) -> Finding:
    """Train SimCLR; the difference is that of the validation loss after two steps with views of the CPU.

    The rate is that of views that the device makes, whose noise is its own. cuDNN multiplies in TF32.
    """
    clips = _clips(4 * scale.clips)
    make_view = partial(augment, config=AugmentationConfig(), std=torch.ones(MELS))
    config = ClipBatchConfig(batch_size=scale.clips, max_frames=LONGEST)
    here, there = (view_pairs(ClipViews(clips, config, make_view, device=place)) for place in (CPU, device))
    validation = validation_pairs(clips, config, make_view)[:1]
    model = create_simclr(ConvEncoderConfig(), ContrastConfig(), seed=0)

    def train(batches: LabelledBatches, steps: int, place: torch.device) -> list[Tensor]:
        options = FitConfig(steps=steps, lr=1e-3, precision="fp32")
        return trained(model, batches, validation, partial(pair_loss, temperature=0.1), options, place)

    seconds = seconds_of(lambda: train(there, scale.steps, device), device)
    rates = {"clips_per_second": scale.steps * scale.clips / seconds}
    return Finding(difference=relative(train(here, 2, device), train(here, 2, CPU)), allowed=0.01, rates=rates)


def _clips(count: int) -> StoredClips:
    random = np.random.default_rng(0)
    return StoredClips.together(
        [random.standard_normal((int(frames), MELS), np.float32) for frames in random.integers(40, LONGEST, count)]
    )


def encoder_features(device: torch.device, scale: Scale) -> Finding:
    """Pool the states of each block of the encoder, as probes read them: clips together, and on the CPU one by one."""
    encoder, stored = create_encoder(ConvEncoderConfig(), seed=0).eval(), _clips(scale.clips)
    clips = [stored.read(np.array([number]), at_most=LONGEST)[0][0] for number in range(len(stored))]

    @torch.inference_mode()
    def pooled(model: ConvEncoder, on: torch.device, together: list[Tensor]) -> list[Tensor]:
        heard = [Pieces(steps=[-(-len(clip) // hop) for hop in model.hops], pieces=[clip]) for clip in together]
        rows = pool_states(states_of(model, heard, device=str(on)), [each.steps for each in heard], POOLINGS)
        return [torch.from_numpy(vector) for row in rows for vector in row.values()]

    alone, there = [vector for clip in clips for vector in pooled(encoder, CPU, [clip])], encoder.to(device)
    seconds = seconds_of(lambda: pooled(there, device, clips), device)
    difference = relative(pooled(there, device, clips), alone)
    return Finding(difference=difference, allowed=0.01, rates={"clips_per_second": scale.clips / seconds})


def tokenizer_training(device: torch.device, scale: Scale) -> Finding:
    """Train the autoencoder; the difference is that of the validation loss, in float32."""
    torch.manual_seed(0)
    model, patches = Autoencoder(AutoencoderConfig(), 160), torch.randn(20_000, 160)
    batches = PatchBatches(patches=patches, batch_size=512, seed=0)

    def train(steps: int, place: torch.device) -> list[Tensor]:
        options = FitConfig(steps=steps, lr=1e-3, precision="fp32")
        return trained(model, batches, [PatchBatch(patches=patches[:512])], reconstruction_loss, options, place)

    seconds = seconds_of(lambda: train(10 * scale.steps, device), device)
    rates = {"patches_per_second": 512 * 10 * scale.steps / seconds}
    return Finding(difference=relative(train(5, device), train(5, CPU)), allowed=1e-3, rates=rates)


def encoding(device: torch.device, scale: Scale) -> Finding:
    """Encode noise; the difference is the share of other codes, as rounding may move a tie."""
    samples = np.random.default_rng(0).standard_normal(round(scale.sound_seconds * RATE), np.float32) / 10

    def codes(tokenizer: Tokenizer, seconds: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return tokenizer.encode(samples[: seconds * RATE], RATE).values

    wanted, there = codes(random_tokenizer(), 10), random_tokenizer().to(device)
    rate = scale.sound_seconds / seconds_of(lambda: codes(there, math.ceil(scale.sound_seconds)), device)
    difference = float((codes(there, 10) != wanted).mean())
    return Finding(difference=difference, allowed=0.01, rates={"times_real_time": rate})


def kmeans(device: torch.device, scale: Scale) -> Finding:
    """Cluster normal points, beside FAISS on the CPU.

    The difference is that of the last objective: empty clusters are split by chance.
    """
    import faiss

    from tokenizer.kmeans import fit_codebook

    if device.type == "cuda" and not faiss.get_num_gpus():
        return left_out("FAISS has no GPU support")
    points = np.random.default_rng(0).standard_normal((scale.points, 64), np.float32)
    cluster = partial(fit_codebook, size=256, iterations=10, seed=0)
    gpus = range(int(device.type == "cuda"))
    found, wanted = (
        torch.tensor(cluster(points[:20_000], gpus=each)[1]["objective"][-1:]) for each in (gpus, range(0))
    )
    seconds = seconds_of(lambda: cluster(points, gpus=gpus), device)
    rates = {"points_times_iterations_per_second": 10 * len(points) / seconds}
    return Finding(difference=relative([found], [wanted]), allowed=0.01, rates=rates)


def wavenet_training(device: torch.device, scale: Scale) -> Finding:
    """Train in bf16; the difference is that of the validation loss after two steps."""
    config, tokenizer = WaveNetConfig(), random_tokenizer()
    model = create_wavenet(config, seed=0)

    def train(crops: int, codes: int, steps: int, place: torch.device) -> list[Tensor]:
        random, length = np.random.default_rng(0), 20 * codes
        values = random.integers(0, tokenizer.format.codebook_size, (length, 1)).astype(np.int32)
        clips = VocoderClips(
            sound=SampleClips(
                samples=random.integers(-3000, 3000, length * config.samples_per_code).astype(np.int16),
                offsets=np.array([0, length * config.samples_per_code]),
            ),
            codes=values,
            meanings=tokenizer,
            code_offsets=np.array([0, length]),
            groups=np.array([-1]),
        )
        batches = Crops(clips, config, CropsConfig(batch_size=crops, crop_codes=codes))
        options = FitConfig(steps=steps, lr=1e-4, precision="bf16", validate_every=steps)
        return trained(model, batches, [batches.batch(0)], level_loss, options, place)

    seconds = seconds_of(lambda: train(scale.crops, scale.codes, scale.steps, device), device)
    rates = {"samples_per_second": scale.steps * scale.crops * scale.codes * config.samples_per_code / seconds}
    return Finding(difference=relative(train(1, 5, 2, device), train(1, 5, 2, CPU)), allowed=0.02, rates=rates)


@torch.inference_mode()
def wavenet_generation(device: torch.device, scale: Scale) -> Finding:
    """Generate clips side by side by the Triton engine; on a CPU the interpreter runs Triton.

    The difference is the share of levels that the CPU draws otherwise from one past.
    """
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        return left_out("without a GPU the kernel needs TRITON_INTERPRET=1")
    model, sampling = create_wavenet(scale.wavenet, seed=0).eval(), Sampling(temperature=1.0)
    nn.init.normal_(model.output.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    there = copy.deepcopy(model).to(device)
    rates, differences = dict[str, float](), list[float]()
    for clips in scale.generated:
        streams, asked = create_streams(there, clips, "triton"), _asked(there, clips, scale.frames)
        seconds = seconds_of(lambda: streams.advance(*asked, sampling), CPU)  # noqa: B023  the levels arrive on the CPU
        rates[f"samples_per_second_{clips}"] = clips * scale.frames * model.config.hop_length / seconds
        found = create_streams(there, clips, "triton").advance(*_asked(there, clips, 1), sampling)
        conditions, _, draws = _asked(model, clips, 1)
        logits = torch.zeros(*found.shape, model.config.levels)
        create_streams(model, clips, "torch").advance(conditions, found, draws, sampling, None, logits)
        wanted = draw_levels(logits.flatten(0, 1), draws.flatten()[:, None], sampling).view(clips, -1)
        differences.append(float((found != wanted).float().mean()))
    return Finding(difference=max(differences), allowed=0.05, rates=rates)


def _asked(model: WaveNet, clips: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return conditions on the model's device, levels that are all to be drawn, and uniform numbers."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    spectrogram = torch.randn(clips, frames, config.condition_inputs, generator=generator)
    draws = torch.rand(clips, frames * config.hop_length, generator=generator)
    return model.conditions(spectrogram.to(model.embedding.weight.device)), torch.full(draws.shape, -1), draws


def trained(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    device: torch.device,
) -> list[Tensor]:
    """Train a copy of the model; return the validation losses ``(points,)`` of its curve."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"folder": Path(folder), "device": str(device)}
        record = fit_silently(copy.deepcopy(model), batches, validation, loss, config, **places)  # type: ignore[arg-type]
    return [torch.tensor([point["validation_loss"] for point in record["curve"]])]


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Time work to its end on the device, after one run that warms up."""
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - began
    return seconds


def relative(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Return the largest difference, relative to the largest value of the same tensor."""
    pairs = zip((each.double().cpu() for each in found), (each.double() for each in wanted), strict=True)
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-12)) for one, other in pairs)


CHECKS: tuple[Callable[[torch.device, Scale], Finding], ...] = (
    *(gpt_training, wavenet_generation, gpt_compiled, simclr_training, wavenet_training),
    *(kmeans, encoding, tokenizer_training, encoder_features),
)


def main(words: Sequence[str]) -> int:
    """Run all checks; return 1 if one disagrees with the CPU."""
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, help="file for the JSON, beside the standard output")
    parser.add_argument("--seconds", type=float, default=540.0, help="no check begins later")
    options = parser.parse_args(words)
    there = torch.cuda.is_available()
    device, scale = (torch.device("cuda", 0), FULL) if there else (CPU, SMALL)
    name = torch.cuda.get_device_name(device) if there else f"no GPU; {platform.machine()}"
    findings, text, began = dict[str, Finding](), "", time.perf_counter()
    for check in CHECKS:
        late = time.perf_counter() - began > options.seconds
        findings[check.__name__] = left_out("the seconds are over") if late else _run(check, device, scale)
        rows = {of: {**asdict(found), "agrees": found.agrees} for of, found in findings.items()}
        text = json.dumps({"device": name, "torch": torch.__version__, "checks": rows}, indent=2)
        if options.output is not None:  # after each check: whoever stops the script keeps what is measured
            options.output.write_text(f"{text}\n")
    print(text)
    if not there:
        print("no GPU here")
    return 0 if all(found.agrees for found in findings.values()) else 1


def _run(check: Callable[[torch.device, Scale], Finding], device: torch.device, scale: Scale) -> Finding:
    try:
        found = check(device, scale)
    except ImportError as error:
        found = left_out(str(error))
    except Exception:  # the other checks still run: time on a GPU is dear
        traceback.print_exc()
        found = Finding(difference=math.inf, allowed=0.0, left_out="it failed")
    verdict = found.left_out or ("agrees" if found.agrees else "DISAGREES")
    print(f"{check.__name__}: {verdict} ({found.difference:.2g} of {found.allowed:g})", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
