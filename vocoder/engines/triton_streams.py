"""The Triton engine: weights and rings in the layout of its kernel, and launches of some samples each.

Nothing but Triton's interpreter has run it so far, so ``engine=auto`` takes it only where `confirm` finds it right and
faster on the device at hand.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from vocoder.engines.torch_streams import filled, matrices
from vocoder.engines.triton_kernel import GREEDY, NUCLEUS, WHOLE, go_on
from vocoder.sampling import Sampling
from vocoder.wavenet.mu_law import silence
from vocoder.wavenet.network import WaveNet
from wordless.base.machine import copy_to

NEVER = -1e30  # the logit of levels that only fill
LEAST = 16  # inputs of a product on tensor cores
GROUP = 16  # streams of a program where there are more streams than processors; rows of a tile of tensor cores
BLOCK = {1: 64, GROUP: 32}  # gates, or hidden channels, at once; more do not fit in registers, says the compiler
LAUNCH = 2048  # samples of a launch, so that an interruption waits for a fraction of a second
WARPS = 8


class KernelWeights(NamedTuple):
    """The weights as `vocoder.engines.triton_kernel.go_on` reads them; its parameters name the shapes."""

    embedding: Tensor
    dilated: Tensor
    residual: Tensor
    skip: Tensor
    skip_bias: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    output: Tensor
    output_bias: Tensor
    ring_starts: Tensor
    dilations: Tensor


class TritonStreams:
    """Clips side by side on a GPU; it implements `vocoder.engines.choice.Streams`.

    Args:
        model: the network; its device is theirs.
        clips: how many.
        fp16: keep matrices in float16, half as much to read; sums, gates and the residual stream stay float32.
        group: streams of a program, 1 or `GROUP`; None: `GROUP` where there are more clips than processors.
    """

    def __init__(self, model: WaveNet, clips: int, *, fp16: bool = False, group: Literal[1, 16] | None = None) -> None:
        self.config, self.clips, self.device = model.config, clips, model.embedding.weight.device
        self.group = group or (1 if clips <= _processors(self.device) else GROUP)
        self.programs = -(-clips // self.group)
        self.weights = kernel_weights(model, torch.float16 if fp16 else torch.float32)
        slots, width = int(self.weights.ring_starts[-1]) + _ring_lengths(model)[-1], self.programs * self.group
        self.rings = torch.zeros(slots, width, self.weights.embedding.shape[1], device=self.device)
        self.previous = torch.full((width,), silence(levels=model.config.levels), device=self.device).int()
        self.time = 0

    def advance(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
        return self._run(conditions, given, draws, sampling, torch.zeros(0, device=self.device))

    def score(self, conditions: Tensor, given: Tensor) -> Tensor:
        logits = torch.zeros(*given.shape, self.config.levels, device=self.device)
        self._run(conditions, given, torch.zeros(given.shape), Sampling(), logits)
        return logits.cpu()

    def bookmark(self) -> Callable[[], None]:
        rings, previous, time = self.rings.clone(), self.previous.clone(), self.time

        def go_back() -> None:
            self.rings.copy_(rings)
            self.previous.copy_(previous)
            self.time = time

        return go_back

    def _run(self, conditions: Tensor, given: Tensor, draws: Tensor, sampling: Sampling, logits: Tensor) -> Tensor:
        """Generate levels ``(clips, samples)``; fills ``logits (clips, samples, levels)`` unless it is empty."""
        config, steps = self.config, given.shape[1]
        drawn = torch.zeros(given.shape, dtype=torch.int64, device=self.device)
        way = GREEDY if sampling.temperature == 0 else WHOLE if sampling.top_p == 1 else NUCLEUS
        s, k = self.weights.hidden.shape[0], self.weights.output.shape[0]
        r, h = self.weights.residual.shape[1:]
        inputs = [copy_to(each.contiguous(), self.device) for each in (conditions, given, draws)]
        for first in range(0, steps, LAUNCH):
            go_on[(self.programs,)](
                *self.weights,
                self.rings,
                self.previous,
                *inputs,
                drawn,
                logits,
                clips=self.clips,
                frames=conditions.shape[1],
                time=self.time,
                first=first,
                last=min(first + LAUNCH, steps),
                stored=int(len(logits) > 0),
                temperature=float(sampling.temperature),
                top_p=float(sampling.top_p),
                group=self.group,
                hop=config.hop_length,
                gates=config.gate_channels // 2,
                levels=config.levels,
                layers=config.layers,
                taps=config.kernel_size,
                r=r,
                h=h,
                s=s,
                k=k,
                block=min(BLOCK[self.group], h, s),
                way=way,
                precision=_precision(self.device),
                num_warps=WARPS,
                num_stages=1,  # Triton's pipelines would read rings before they are written
            )
        self.time += steps
        return drawn.cpu()


def kernel_weights(model: WaveNet, dtype: torch.dtype) -> KernelWeights:
    """Convert the model's weights to the kernel's layout, with matrices of a type."""
    config, r, s = model.config, _power(model.config.residual_channels), _power(model.config.skip_channels)
    k, half = _power(config.levels), config.gate_channels // 2
    h = _power(half)

    def tap(matrix: Tensor) -> Tensor:  # (2 gates, R) -> (H, 2, R)
        return torch.stack([filled(each, h, r) for each in torch.split(matrix, half)], dim=1)

    def bias(layer: nn.Linear, size: int, fill: float = 0.0) -> Tensor:
        return nn.functional.pad(layer.bias.detach(), (0, size - layer.out_features), value=fill)

    taps = [torch.split(each.T, config.residual_channels, 1) for each in matrices(model.dilated)]
    residual = [filled(each.T, r, h) for each in matrices(model.residual)]
    lengths = _ring_lengths(model)
    device = model.embedding.weight.device
    return KernelWeights(
        embedding=filled(model.embedding.weight.detach(), k, r),
        dilated=torch.stack([torch.cat([*map(tap, layer)], dim=2) for layer in taps]).to(dtype),
        residual=torch.stack([*residual, torch.zeros(r, h, device=device)]).to(dtype),
        skip=torch.stack([filled(each, s, h) for each in torch.split(model.skip.weight.detach(), half, 1)]).to(dtype),
        skip_bias=bias(model.skip, s),
        hidden=filled(model.hidden.weight.detach(), s, s).to(dtype),
        hidden_bias=bias(model.hidden, s),
        output=filled(model.output.weight.detach(), k, s).to(dtype),
        output_bias=bias(model.output, k, NEVER),
        ring_starts=torch.tensor([0, *accumulate(lengths[:-1])], dtype=torch.int32, device=device),
        dilations=torch.tensor(config.dilations, dtype=torch.int32, device=device),
    )


def _ring_lengths(model: WaveNet) -> list[int]:
    return [(model.config.kernel_size - 1) * dilation + 1 for dilation in model.config.dilations]


def _power(size: int) -> int:
    """Return the least power of two that holds a size, for products at least `LEAST`."""
    return max(LEAST, 1 << (size - 1).bit_length())


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _precision(device: torch.device) -> str:
    """Return how groups multiply float32: since Ampere by three products of TF32, which are about as exact."""
    return "tf32x3" if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8 else "ieee"
