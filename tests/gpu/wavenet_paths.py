"""WaveNet's CUDA paths: training in bf16, and generation by the Triton kernel."""

import copy
import os
import time
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from tests.benchmarks.default_tokenizer import random_tokenizer
from tests.gpu.finding import CPU, Finding, Scale, bandwidth, missing, relative, seconds_of
from tests.gpu.network_paths import trained
from tests.gpu.plain_models import PlainWaveNet
from vocoder.crops import Crops, VocoderClips, loss
from vocoder.engines.choice import Engine, create_streams, width
from vocoder.engines.torch_streams import draw_levels
from vocoder.options import CropsConfig, Sampling, WaveNetConfig
from vocoder.wavenet import WaveNet, create_wavenet
from wordless.training.options import FitConfig

CONFIG = WaveNetConfig()
BF16_BYTES = 2
COMPARED_STEPS, COMPARED_CODES = 2, 5
SAMPLING = Sampling(temperature=1.0)


def wavenet_training(device: torch.device, scale: Scale) -> Finding:
    """Train in bf16; the difference is that of the validation loss after two steps.

    The rates stand beside a plain loop over a textbook's WaveNet, beside `torch.compile` on a GPU, and beside the
    bytes that a step cannot do without.
    """
    model, crops = create_wavenet(CONFIG, seed=0), _crops(scale.crops, scale.codes)
    few = _crops(1, COMPARED_CODES)
    train = partial(
        trained, model, few, [few.batch(0)], loss, FitConfig(steps=COMPARED_STEPS, lr=1e-3, precision="bf16")
    )
    rates = {"samples_per_second": _training_rate(model, crops, scale, device)}
    rates["plain_samples_per_second"] = _plain_rate(PlainWaveNet(CONFIG), crops, scale, device)
    rates["ratio_to_plain"] = rates["samples_per_second"] / rates["plain_samples_per_second"]
    moved = least_bytes(CONFIG) * rates["samples_per_second"]
    rates["share_of_memory_bandwidth"] = moved / bandwidth(device, scale.copied_bytes)
    began = time.perf_counter()
    crops.batch(1)
    rates["host_seconds_per_batch"] = time.perf_counter() - began
    left_out = []
    if device.type == "cuda":
        rates["compiled_plain_loop_samples_per_second"] = _plain_rate(model, crops, scale, device, compiled=True)
    else:
        left_out.append("torch.compile: it is measured on a GPU")
    difference = relative(train(device), train(CPU))
    return Finding(difference=difference, allowed=0.02, rates=rates, left_out=tuple(left_out))


def _crops(count: int, codes: int) -> Crops:
    """Return crops of noise with random codes, from one clip."""
    random, tokenizer, length = np.random.default_rng(0), random_tokenizer(), 20 * codes
    clips = VocoderClips(
        samples=random.integers(-3000, 3000, length * CONFIG.samples_per_code).astype(np.int16),
        sample_offsets=np.array([0, length * CONFIG.samples_per_code]),
        codes=random.integers(0, tokenizer.format.codebook_size, (length, 1)).astype(np.int32),
        code_offsets=np.array([0, length]),
        groups=np.array([-1]),
    )
    return Crops(clips, tokenizer, CONFIG, CropsConfig(batch_size=count, crop_codes=codes))


def _training_rate(model: WaveNet, crops: Crops, scale: Scale, device: torch.device) -> float:
    """Measure samples per second of the project's loop: batches, copies, steps, one validation, one checkpoint."""
    config = FitConfig(steps=scale.steps, lr=1e-4, precision="bf16", validate_every=scale.steps)
    seconds = seconds_of(lambda: trained(model, crops, [crops.batch(0)], loss, config, device), device)
    return scale.steps * scale.crops * scale.codes * CONFIG.samples_per_code / seconds


def _plain_rate(model: nn.Module, crops: Crops, scale: Scale, device: torch.device, *, compiled: bool = False) -> float:
    """Measure samples per second of a loop as in PyTorch's tutorials, over the same batches."""
    model = copy.deepcopy(model).to(device)  # the caller's model stays on its device
    if compiled:
        model = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train() -> None:
        for step in range(scale.steps):
            batch = crops.batch(step).to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16):
                total, count = loss(model, batch)
            (total / count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total.item()

    return scale.steps * scale.crops * scale.codes * CONFIG.samples_per_code / seconds_of(train, device)


def least_bytes(config: WaveNetConfig) -> int:
    """Count the bytes that a training step in bf16 moves per sample at least, of its layers alone.

    Forward, a layer reads and writes its residual stream, and writes its gates and their product. Backward, it reads
    the gates, the stream and the gradients of both outputs, and writes the gradients of gates and stream.
    """
    residual, gates = config.residual_channels, config.gate_channels
    forward, backward = 2 * residual + gates + gates // 2, 3 * residual + 2 * gates + gates // 2
    return BF16_BYTES * config.layers * (forward + backward)


@torch.inference_mode()
def wavenet_generation(device: torch.device, scale: Scale) -> Finding:
    """Generate clips side by side by the Triton engine, beside a loop in PyTorch; on a CPU the interpreter runs Triton.

    The difference is the share of levels that the CPU draws otherwise from one past.
    """
    if absent := missing("triton"):
        return Finding(difference=0.0, allowed=0.0, left_out=(f"the kernel: {absent} is not installed",))
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        return Finding(difference=0.0, allowed=0.0, left_out=("the kernel: without a GPU it needs TRITON_INTERPRET=1",))
    model = create_wavenet(scale.wavenet, seed=0).eval()
    torch.nn.init.normal_(model.output.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    there = copy.deepcopy(model).to(device)
    rates, differences = dict[str, float](), list[float]()
    reading = bandwidth(device, scale.copied_bytes)
    for clips in scale.generated:
        plain = _generation_rate(there, clips, 1, "torch")
        rates[f"plain_samples_per_second_{clips}"] = plain
        speed = _generation_rate(there, clips, scale.frames, "triton")
        rates[f"triton_samples_per_second_{clips}"] = speed
        rates[f"triton_share_of_memory_bandwidth_{clips}"] = speed * _weight_bytes(model, clips) / reading
        rates[f"triton_ratio_to_plain_{clips}"] = speed / plain
        differences.append(_other_levels(model, there, clips))
        rates[f"triton_other_levels_{clips}"] = differences[-1]
    return Finding(difference=max(differences), allowed=0.05, rates=rates)


def _weight_bytes(model: WaveNet, clips: int) -> float:
    """Count the bytes of weights read per sample, without those computed once per frame, if clips share a reading."""
    layers = sum(each.numel() for each in (*model.dilated.parameters(), *model.residual.parameters()))
    ends = sum(layer.weight.numel() for layer in (model.skip, model.hidden, model.output))
    return 4 * (layers + ends) / min(clips, width("triton"))


def _generation_rate(model: WaveNet, clips: int, frames: int, engine: Engine) -> float:
    """Measure samples per second of all clips together, after a call that compiles."""
    asked, streams = _asked(model, clips, frames), create_streams(model, clips, engine)
    seconds = seconds_of(lambda: streams.advance(*asked, SAMPLING), CPU)  # the levels arrive on the CPU
    return clips * frames * model.config.hop_length / seconds


def _asked(model: WaveNet, clips: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return conditions on the model's device, levels that are all to be drawn, and uniform numbers."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    spectrogram = torch.randn(clips, frames, config.condition_inputs, generator=generator)
    draws = torch.rand(clips, frames * config.hop_length, generator=generator)
    return model.conditions(spectrogram.to(model.embedding.weight.device)), torch.full(draws.shape, -1), draws


def _other_levels(model: WaveNet, there: WaveNet, clips: int) -> float:
    """Generate one frame on the device, and draw each level again on the CPU from the generated past."""
    conditions, _, draws = _asked(model, clips, 1)
    found = create_streams(there, clips, "triton").advance(*_asked(there, clips, 1), SAMPLING)
    logits = create_streams(model, clips, "torch").score(conditions, found)
    wanted = draw_levels(logits.flatten(0, 1), draws.flatten()[:, None], SAMPLING).view(clips, -1)
    return float((found != wanted).float().mean())
