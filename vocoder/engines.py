"""The engines that compute the steps of a WaveNet, and the choice among them.

- torch: a loop over PyTorch calls on any device; the other engines are checked against it
- triton: one kernel whose loop over samples runs on the GPU
- numba: a compiled kernel for one clip or several on each core of a CPU
- numba_bf16: the same kernel in bfloat16, on CPUs that multiply it (AVX512_BF16); it is nearer to the parallel network
  than the autocast that the network may be trained with

numba is installed with the project, but has no build for some platforms and versions of Python, and Triton comes with
PyTorch for CUDA on Linux. ``torch`` stands in for both, about ten times more slowly.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from vocoder.vocoder_options import EngineChoice, Sampling
from vocoder.wavenet import TorchStreams, WaveNet
from wordless.base.compiling import compiles

Engine = Literal["torch", "numba", "numba_bf16", "triton"]


class Streams(Protocol):
    """Clips that one engine generates side by side; it keeps their past between calls."""

    def advance(
        self,
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        sampling: Sampling,
        carried: Tensor | None = None,
        logits: Tensor | None = None,
    ) -> Tensor:
        """Generate the levels of the next frames ``(clips, samples)`` int64 on the CPU.

        Args:
            conditions: ``(clips, frames, layers, gates)`` on the model's device.
            given: levels to use instead of drawing, -1 where the model draws, ``(clips, samples)`` int64.
            draws: uniform numbers in [0, 1), ``(clips, samples)`` float32.
            sampling: how levels are drawn.
            carried: what the phase of the voice adds to the residual stream ``(clips, samples, residual)`` on the
                model's device; None: nothing.
            logits: filled with those of each sample ``(clips, samples, levels)``; None: they are not wanted.
        """

    @property
    def state(self) -> tuple[str, ...]:
        """The names of the attributes that change from call to call."""


def bookmark(streams: Streams) -> Callable[[], None]:
    """Return a function that restores the present state, as often as it is called."""
    kept = deepcopy({name: vars(streams)[name] for name in streams.state})
    return lambda: vars(streams).update(deepcopy(kept))


NEEDS = {"triton": "a GPU and Triton", "numba": "a CPU and numba", "numba_bf16": "a CPU with AVX512_BF16, and numba"}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The engine in use."""

    engine: Engine
    notice: str | None = None  # for users who asked for another engine, or lack the library of the fastest


def choose_engine(wanted: EngineChoice, device: str) -> Chosen:
    """Choose the engine on ``cpu`` or ``cuda``: the wanted one where it runs, else the fastest that does.

    The fastest is triton on a GPU, and numba on a CPU, in bfloat16 where the CPU multiplies it.
    """
    if wanted == "torch":
        return Chosen(engine="torch")
    fastest = _fastest(device)
    if wanted in ("auto", fastest.engine):
        return fastest
    if wanted == "numba" and fastest.engine == "numba_bf16":
        return Chosen(engine="numba")
    return Chosen(
        engine=fastest.engine, notice=f"engine={wanted} needs {NEEDS[wanted]}; here {fastest.engine} does the work"
    )


def _fastest(device: str) -> Chosen:
    if device == "cuda":
        if find_spec("triton") is None:
            return Chosen(engine="torch", notice="Triton is missing, so sound is made slowly: pip install triton")
        return Chosen(engine="triton")
    try:
        from vocoder.numba_streams import numba_multiplies_bf16  # numba takes its time to import
    except (ImportError, OSError) as error:
        slow = "so sound is made some ten times more slowly: pip install numba"
        return Chosen(engine="torch", notice=f"numba cannot be imported ({error}), {slow}")
    if not compiles():
        return Chosen(engine="torch", notice="NUMBA_DISABLE_JIT=1: sound is made some ten times more slowly")
    return Chosen(engine="numba_bf16" if numba_multiplies_bf16() else "numba")


def create_streams(model: WaveNet, clips: int, engine: Engine) -> Streams:
    """Create clips before their first sample; numba uses as many cores as PyTorch."""
    match engine:
        case "torch":
            return TorchStreams(model, clips)
        case "numba" | "numba_bf16":
            from vocoder.numba_streams import NumbaStreams  # numba takes its time to import

            return NumbaStreams(model, clips, threads=torch.get_num_threads(), bf16=engine == "numba_bf16")
        case "triton":
            from vocoder.triton_streams import TritonStreams  # Triton comes with PyTorch for CUDA alone

            return TritonStreams(model, clips)


def precision(engine: Engine) -> Literal["fp32", "bf16"]:
    """Return the precision of an engine's products; engines of one precision differ only by rounding."""
    return "bf16" if engine == "numba_bf16" else "fp32"


def width(engine: Engine) -> int:
    """Return how many clips an engine generates side by side at most: more are slower, or need too much memory."""
    match engine:
        case "torch":
            return 8
        case "numba" | "numba_bf16":
            from vocoder.numba_streams import STREAMS_TOGETHER  # numba takes its time to import

            return STREAMS_TOGETHER * torch.get_num_threads()
        case "triton":
            return 256


def streams_side_by_side(lengths: Sequence[int], engine: Engine) -> list[list[int]]:
    """Group clips of these lengths for generation at the least cost, shortest first.

    A group takes as many steps as its longest clip is long, and each step has a fixed cost beside that of its clips.
    Clips are sorted, groups are neighbours, and the cheapest groups of the first ``n`` follow from those of fewer.
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
    """Estimate the time of a step, relative to that of one more clip, roughly as it was measured."""
    match engine:
        case "torch":
            return 6.0 + clips
        case "numba" | "numba_bf16":
            return 1.3 + -(-clips // torch.get_num_threads())
        case "triton":  # all but the same for one clip and for many
            return 256.0 + clips
