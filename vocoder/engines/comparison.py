"""Comparison of two engines on the device of a model: the same logits from the same past, and which is faster.

The Triton engine was written without a GPU. So ``engine=auto`` compares it with the CUDA graph when a network of some
sizes first generates on a device, which takes seconds, and more when Triton has yet to compile its kernel.
"""

from dataclasses import dataclass, replace
from time import perf_counter

import torch

from vocoder.engines.choice import Engine, create_streams
from vocoder.options import WaveNetConfig
from vocoder.sampling import Sampling
from vocoder.wavenet.network import WaveNet

SAMPLES = 400  # of each clip, about
WIDTHS = (1, 64)  # clips side by side
BOUND = 1e-3  # of the largest logit; two engines in float32 differ by about 1e-6

_known: dict[tuple[str, WaveNetConfig], tuple[bool, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Comparison:
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
        _known[key] = told(model, "triton", "cuda_graph", name)
    return _known[key]


def told(model: WaveNet, candidate: Engine, reference: Engine, device: str) -> tuple[bool, str]:
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
def compare(model: WaveNet, candidate: Engine, reference: Engine) -> Comparison:
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
    return Comparison(difference=max(differences), rates=tuple(rates))
