"""What a check found, and how large its work is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import torch
from torch import Tensor

from lm.options import GPTConfig
from vocoder.options import WaveNetConfig

CPU = torch.device("cpu")


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
    copied_bytes: int  # to measure the memory's bandwidth
    gpt: GPTConfig
    windows: int  # of a step of the GPT, each as long as its context
    product: int  # rows and columns of a product that measures arithmetic
    wavenet: WaveNetConfig  # that generates


SCALES = {
    "cuda": Scale(
        steps=100,
        crops=32,
        codes=25,
        generated=(1, 32, 256),
        frames=64,
        points=16_000_000,
        clips=96,
        sound_seconds=600.0,
        copied_bytes=1 << 30,
        gpt=GPTConfig(model_dim=768, layers=14, heads=12, ffn_dim=2048, context=1025),  # 100 million weights
        windows=32,
        product=8192,
        wavenet=WaveNetConfig(),
    ),
    "cpu": Scale(
        steps=1,
        crops=1,
        codes=5,
        generated=(1, 2),
        frames=1,
        points=2_000,
        clips=4,
        sound_seconds=2.0,
        copied_bytes=1 << 20,
        gpt=GPTConfig(model_dim=16, layers=1, heads=1, ffn_dim=16, context=9),
        windows=1,
        product=64,
        wavenet=WaveNetConfig(
            **{"layers": 2, "cycles": 1, "hop_length": 4, "residual_channels": 16, "gate_channels": 32},
            **{"skip_channels": 16, "condition_channels": 16},
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    difference: float  # from the CPU's result, as the check's docstring defines it
    allowed: float
    rates: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # parts that did not run, with the reason

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Time work to its end on the device, after one run that warms up."""
    work()
    _finish(device)
    began = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bandwidth(device: torch.device, size: int) -> float:
    """Measure bytes per second, read and written, of a copy of ``size`` bytes within the device's memory."""
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / seconds_of(lambda: target.copy_(source), device)


def relative(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Return the largest difference, relative to the largest value of the same tensor."""
    pairs = zip((each.double().cpu() for each in found), (each.double() for each in wanted), strict=True)
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-12)) for one, other in pairs)


def missing(*modules: str) -> str:
    """Return the first of some modules that is not installed, or an empty string."""
    return next((name for name in modules if not _is_there(name)), "")


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # a module that a test blocks
        return False
