"""The engines that compute the steps of a WaveNet, and the choice among them.

- torch: a loop over PyTorch calls on any device; the other engines are checked against it
- cuda_graph: the same step captured as a CUDA graph, for many clips at once on a GPU
- triton: one kernel whose loop over samples runs on the GPU; triton_fp16 reads its matrices in float16
- numba: a compiled kernel for one clip or several on each core of a CPU
- numba_bf16: the same kernel in bfloat16, on CPUs that multiply it (AVX512_BF16); it is nearer to the parallel network
  than the autocast that the network may be trained with

The Triton engine was written without a GPU. So ``engine=auto`` compares it with the CUDA graph when a network of some
sizes first generates on a device, which takes seconds, and more when Triton has yet to compile its kernel.

numba is installed with the project, but has no build for some platforms and versions of Python. There the CPU uses
``torch``, about ten times more slowly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from time import perf_counter
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from vocoder.engines.torch_streams import TorchStreams
from vocoder.options import EngineChoice, Sampling, WaveNetConfig
from vocoder.wavenet import WaveNet

Engine = Literal["torch", "numba", "numba_bf16", "cuda_graph", "triton", "triton_fp16"]


class Streams(Protocol):
    """Clips that one engine generates side by side; it keeps their past between calls."""

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        """Generate the levels of the next frames ``(clips, samples)`` int64 on the CPU.

        Args:
            conditions: ``(clips, frames, layers, gates)`` on the model's device.
            given: levels to use instead of drawing, -1 where the model draws, ``(clips, samples)`` int64.
            draws: uniform numbers in [0, 1), ``(clips, samples)`` float32.
            sampling: how levels are drawn.
        """

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        """Compute logits ``(clips, samples, levels)`` on the CPU for given levels, and advance as `advance` does."""

    def bookmark(self) -> Callable[[], None]:
        """Return a function that restores the present state, as often as it is called."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The engine in use."""

    engine: Engine
    notice: str | None = None  # for users who asked for another engine, or lack one
    measured: str | None = None  # how two engines compared on this device, where that decided


def choose_engine(wanted: EngineChoice, device: str, model: WaveNet | None = None) -> Chosen:
    """Choose the engine for a model on ``cpu`` or ``cuda``: the wanted one, or the next best.

    ``auto`` is numba on the CPU, in bfloat16 where the CPU multiplies it, and the CUDA graph on a GPU. There it is
    triton if the model is given, and `compare` finds triton right and faster on this device. Both
    have one precision.
    """
    if wanted == "torch":
        return Chosen(engine="torch")
    if device == "cuda":
        if wanted in ("numba", "numba_bf16"):
            moved = f"engine={wanted} runs on the CPU; here cuda_graph does the work"
            return Chosen(engine="cuda_graph", notice=moved)
        if wanted == "cuda_graph" or (wanted == "auto" and model is None):
            return Chosen(engine="cuda_graph")
        if find_spec("triton") is None:
            missing = f"engine={wanted} needs Triton; here cuda_graph does the work: pip install triton"
            return Chosen(engine="cuda_graph", notice=None if wanted == "auto" else missing)
        if wanted == "auto" and model is not None:
            faster, line = confirmed(model)
            return Chosen(engine="triton" if faster else "cuda_graph", measured=line)
        return Chosen(engine="triton_fp16" if wanted == "triton_fp16" else "triton")
    try:
        from vocoder.engines.numba_streams import numba_multiplies_bf16  # numba takes its time to import
    except (ImportError, OSError) as error:
        slow = "so sound is made some ten times more slowly: pip install numba"
        return Chosen(engine="torch", notice=f"numba cannot be imported ({error}), {slow}")
    fastest: Engine = "numba_bf16" if numba_multiplies_bf16() else "numba"
    notice = None
    if wanted in ("cuda_graph", "triton", "triton_fp16"):
        notice = f"engine={wanted} needs a GPU; {fastest} does the work"
    elif wanted == "numba_bf16" and fastest == "numba":
        notice = "engine=numba_bf16 needs a CPU with AVX512_BF16; numba does the work"
    return Chosen(engine="numba" if wanted == "numba" else fastest, notice=notice)


def create_streams(model: WaveNet, clips: int, engine: Engine) -> Streams:
    """Create clips before their first sample; numba uses as many cores as PyTorch."""
    match engine:
        case "torch":
            return TorchStreams(model, clips)
        case "cuda_graph":
            return TorchStreams(model, clips, captured=True)
        case "numba" | "numba_bf16":
            from vocoder.engines.numba_streams import NumbaStreams  # numba takes its time to import

            return NumbaStreams(model, clips, threads=torch.get_num_threads(), bf16=engine == "numba_bf16")
        case "triton" | "triton_fp16":
            from vocoder.engines.triton_streams import TritonStreams  # Triton comes with PyTorch for CUDA alone

            return TritonStreams(model, clips, fp16=engine == "triton_fp16")


def precision(engine: Engine) -> Literal["fp32", "bf16", "fp16"]:
    """Return the precision of an engine's products; engines of one precision differ only by rounding."""
    return "bf16" if engine == "numba_bf16" else "fp16" if engine == "triton_fp16" else "fp32"


def width(engine: Engine) -> int:
    """Return how many clips an engine generates side by side at most: more are slower, or need too much memory."""
    match engine:
        case "torch":
            return 8
        case "numba" | "numba_bf16":
            from vocoder.engines.numba_streams import TOGETHER  # numba takes its time to import

            return TOGETHER * torch.get_num_threads()
        case "cuda_graph" | "triton" | "triton_fp16":
            return 256


def side_by_side(lengths: Sequence[int], engine: Engine) -> list[list[int]]:
    """Group clips of these lengths for generation at the least cost, shortest first.

    A group takes as many steps as its longest clip is long. One long clip among short ones is therefore better alone,
    while reading the weights, or starting the step, is dear enough to bear some idle steps. Clips are sorted, groups
    are neighbours, and the cheapest groups of the first ``n`` follow from those of fewer.
    """
    order = sorted(range(len(lengths)), key=lambda clip: lengths[clip])
    steps = np.array([step_cost(engine, clips) for clips in range(width(engine), 0, -1)])
    least, starts = np.zeros(len(order) + 1), [0] * (len(order) + 1)
    for stop in range(1, len(order) + 1):
        first = max(stop - len(steps), 0)
        costs = least[first:stop] + lengths[order[stop - 1]] * steps[first - stop :]
        starts[stop] = first + int(costs.argmin())
        least[stop] = costs.min()
    groups, stop = list[list[int]](), len(order)
    while stop:
        groups.append(order[starts[stop] : stop])
        stop = starts[stop]
    return groups[::-1]


def step_cost(engine: Engine, clips: int) -> float:
    """Estimate the time of a step, relative to that of one more clip, roughly as `wordless bench vocoder` measures."""
    match engine:
        case "torch":
            return 6.0 + clips
        case "numba" | "numba_bf16":
            return 1.3 + -(-clips // torch.get_num_threads())
        case "cuda_graph" | "triton" | "triton_fp16":  # all but the same for one clip and for many
            return 256.0 + clips


SAMPLES = 400  # of each clip, about
WIDTHS = (1, 64)  # clips side by side
BOUND = 1e-3  # of the largest logit; two engines in float32 differ by about 1e-6

_known: dict[tuple[str, WaveNetConfig], tuple[bool, str]] = {}


@dataclass(frozen=True, kw_only=True)
class EngineComparison:
    """A candidate beside the reference engine."""

    difference: float  # largest of all logits, given the same levels before, over the largest logit
    rates: tuple[tuple[float, float], ...]  # samples per second, of both, for each of `WIDTHS`

    @property
    def chooses(self) -> bool:
        """Whether the candidate is right, and faster for every number of clips."""
        return self.difference <= BOUND and all(candidate > reference for candidate, reference in self.rates)


def confirmed(model: WaveNet) -> tuple[bool, str]:
    """Return whether triton is to generate in place of cuda_graph, and a line for the log; compare them once."""
    name = torch.cuda.get_device_name(model.embedding.weight.device)
    if (key := (name, replace(model.config, groups=()))) not in _known:
        _known[key] = compared(model, "triton", "cuda_graph", name)
    return _known[key]


def compared(model: WaveNet, candidate: Engine, reference: Engine, device: str) -> tuple[bool, str]:
    """Compare, and say so in one line; a candidate that fails is not chosen."""
    try:
        found = compare(model, candidate, reference)
    except Exception as error:  # whatever Triton, its compiler or the driver raises: the reference still works
        (first, *_) = str(error).splitlines() or [""]
        why = f"{type(error).__name__}: {first}"
        return False, f"engine on {device}: {reference}, since its comparison with {candidate} fails with {why}"
    rates = "; ".join(
        f"{clips} at once: {candidate} {ours:,.0f}, {reference} {others:,.0f} samples per second"
        for clips, (ours, others) in zip(WIDTHS, found.rates, strict=True)
    )
    chosen = candidate if found.chooses else reference
    return found.chooses, f"engine on {device}: {chosen}; logits differ by {found.difference:.1g}; {rates}"


@torch.inference_mode()
def compare(model: WaveNet, candidate: Engine, reference: Engine) -> EngineComparison:
    """Compute the logits of random levels by both engines, and time both while they draw."""
    config, differences, rates = model.config, [], []
    frames = -(-SAMPLES // config.hop_length)
    steps, device = frames * config.hop_length, model.embedding.weight.device
    generator = torch.Generator().manual_seed(0)
    for clips in WIDTHS:
        shape = clips, frames, config.layers, config.gate_channels
        conditions = torch.randn(shape, generator=generator).to(device)
        levels = torch.randint(config.levels, (clips, steps), generator=generator)
        draws, nothing = torch.rand(clips, steps, generator=generator), torch.full((clips, steps), -1)
        both, speeds = [], []
        for engine in (candidate, reference):
            streams = create_streams(model, clips, engine)
            both.append(streams.score(conditions, levels))
            streams.advance(conditions, nothing, draws, Sampling())  # compiles, or captures
            began = perf_counter()
            streams.advance(conditions, nothing, draws, Sampling())  # waits for the device: levels are on the CPU
            speeds.append(clips * steps / (perf_counter() - began))
        differences.append(float((both[0] - both[1]).abs().max() / both[1].abs().max().clamp(min=1e-9)))
        rates.append((speeds[0], speeds[1]))
    return EngineComparison(difference=max(differences), rates=tuple(rates))
