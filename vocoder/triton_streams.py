"""The Triton engine: the kernel of the WaveNet's step, whose loop over samples runs on the GPU, and its launches.

A program is one stream, or a group of streams, and shares nothing with other programs, as in the single-block variant
of nv-wavenet (github.com/NVIDIA/nv-wavenet)::

    weights           read from the L2 cache for every sample; a group shares the reading
    x, gates, skip    tensors of the program: the compiler keeps them in registers and shared memory
    past inputs       ring buffers in global memory, which only their own program reads and writes
    level             a tensor that one sample hands to the next

So a processor (SM) reads all weights for each sample, 2.5 MB in float32 at the default size. nv-wavenet's persistent
variant divides a network among processors, which wait for each other. Here they cannot: Triton's interpreter, which
proves the kernel on a CPU, runs one program after another.

All sizes of matrices are powers of two; `_kernel_weights` pads them with zeros.
"""

from itertools import accumulate
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from vocoder.vocoder_options import Sampling
from vocoder.wavenet import WaveNet, filled, matrices, silence
from wordless.base.devices import copy_to

# Numbers that change from launch to launch; Triton would otherwise compile anew for multiples of 16, and for 1.
CHANGING = ["clips", "frames", "time", "first", "last", "stored", "temperature"]


@triton.jit
def _product(x, matrix, precision: tl.constexpr):
    """Multiply inputs ``(streams, inputs)`` by ``(outputs, inputs)``: ``(streams, outputs)``, summed in float32."""
    if x.shape[0] == 1:
        return tl.sum(x * matrix, axis=1)[None, :]
    return tl.dot(x, tl.trans(matrix), input_precision=precision)


@triton.jit
def _draw(logits, draws, temperature, levels: tl.constexpr, greedy: tl.constexpr):
    """Draw levels ``(streams,)`` as `vocoder.wavenet.draw_levels` does."""
    if greedy:
        return tl.argmax(logits, axis=1).to(tl.int32)
    weights = tl.exp((logits - tl.max(logits, axis=1)[:, None]) / temperature)
    cumulative = tl.cumsum(weights, axis=1)
    wanted = draws * tl.max(cumulative, axis=1)
    return tl.minimum(tl.sum((cumulative <= wanted[:, None]).to(tl.int32), axis=1), levels - 1)


@triton.jit(do_not_specialize=CHANGING)
def _go_on(
    embedding,  # (K, R)
    dilated,  # (L, H, 2, taps * R): the 2 are those of tanh and of sigmoid; oldest tap first
    residual,  # (L, R, H): zeros for the last layer
    skip,  # (L, S, H)
    skip_bias,  # (S,)
    hidden,  # (S, S)
    hidden_bias,  # (S,)
    output,  # (K, S)
    output_bias,  # (K,): hardly possible for levels that only fill
    ring_starts,  # (L,), in slots
    dilations,  # (L,)
    rings,  # (slots, width, R) float32, changed; width: whole groups
    previous,  # (width,) int32, changed: the levels before the first
    conditions,  # (clips, frames, L, 2, gates) float32
    given,  # (clips, samples) int64: -1 where to draw
    draws,  # (clips, samples)
    drawn,  # (clips, samples) int64, written
    scores,  # (clips, samples, levels), written where stored
    carried,  # (clips, samples, R), added to the embeddings where voiced
    clips,
    frames,
    time,  # samples before the first of these frames
    first,  # sample of the launch, counted from the first of these frames
    last,
    stored,
    temperature,
    group: tl.constexpr,
    hop: tl.constexpr,
    gates: tl.constexpr,  # of tanh, without padding
    levels: tl.constexpr,
    layers: tl.constexpr,
    taps: tl.constexpr,
    r: tl.constexpr,
    h: tl.constexpr,
    s: tl.constexpr,
    k: tl.constexpr,
    block: tl.constexpr,  # gates, or hidden channels, at once
    greedy: tl.constexpr,
    precision: tl.constexpr,
    voiced: tl.constexpr,
):
    """Generate samples ``[first, last)`` of a group of streams."""
    own = tl.program_id(0) * group + tl.arange(0, group)  # (streams,)
    here, width = own < clips, tl.num_programs(0) * group
    own_long, samples = own.to(tl.int64), frames * hop
    of_r, of_block, of_k = tl.arange(0, r)[None, :], tl.arange(0, block)[None, :], tl.arange(0, k)[None, :]
    pair = tl.arange(0, 2 * block)[None, :]  # a gate of tanh, its gate of sigmoid, ...
    to_gates = tl.trans(pair) * (taps * r) + of_r  # places in parts of matrices (outputs, inputs)
    to_residual, to_skip = tl.trans(of_r) * h + of_block, tl.arange(0, s)[:, None] * h + of_block
    to_hidden, to_output = tl.trans(of_block) * s + tl.arange(0, s)[None, :], tl.trans(of_k) * s + of_block
    to_ring = own_long[:, None] * r + of_r
    level = tl.load(previous + own)
    step = first
    while step < last:  # the interpreter of Triton 3.5 does not count to a variable with NumPy 2.4
        x = tl.load(embedding + level[:, None] * r + of_r)
        if voiced:
            x += tl.load(carried + (own_long * samples + step)[:, None] * r + of_r, mask=here[:, None], other=0.0)
        skipped = tl.zeros((group, s), tl.float32) + tl.load(skip_bias + tl.arange(0, s))[None, :]
        for layer in range(layers):
            dilation, ring = tl.load(dilations + layer), tl.load(ring_starts + layer)
            length = dilation * (taps - 1) + 1  # a slot more than the past has: no slot is read and written in one step
            slot = (ring + (time + step) % length).to(tl.int64)
            tl.store(rings + slot * width * r + to_ring, x)
            of_layer = conditions + ((own_long * frames + step // hop) * layers + layer)[:, None] * (2 * gates)
            following = x
            for part in range(0, h, block):
                # The processor waits where a number is used, not where it is loaded: so all are loaded first.
                start = dilated + (layer * h + part) * 2 * taps * r
                present = tl.load(start + (taps - 1) * r + to_gates)
                to_following = tl.load(residual + layer * r * h + part + to_residual)
                to_skipped = tl.load(skip + layer * s * h + part + to_skip)
                gate, known = part + pair // 2, here[:, None] & (part + pair // 2 < gates)
                summed = tl.load(of_layer + pair % 2 * gates + gate, mask=known, other=0.0)
                for tap in tl.static_range(taps - 1):
                    slot = (ring + (time + step + length - (taps - 1 - tap) * dilation) % length).to(tl.int64)
                    past = tl.load(rings + slot * width * r + to_ring)
                    summed += _product(past, tl.load(start + tap * r + to_gates), precision)
                summed += _product(x, present, precision)
                a, b = tl.split(tl.reshape(summed, (group, block, 2)))
                gated = (1 - 2 / (tl.exp(2 * a) + 1)) * (2 - 2 / (tl.exp(2 * b) + 1))  # tanh(a) (1 + tanh(b))
                following += _product(gated, to_following, precision)
                skipped += _product(gated, to_skipped, precision)
            x = following
        skipped = tl.maximum(skipped, 0.0)
        logits = tl.zeros((group, k), tl.float32) + tl.load(output_bias + of_k)
        for part in range(0, s, block):
            bias = tl.load(hidden_bias + part + of_block)
            seen = tl.maximum(_product(skipped, tl.load(hidden + part * s + to_hidden), precision) + bias, 0.0)
            logits += _product(seen, tl.load(output + part + to_output), precision)
        place = own_long * samples + step
        if stored:
            known = here[:, None] & (of_k < levels)
            tl.store(scores + place[:, None] * levels + of_k, logits, mask=known)
        uniform = tl.load(draws + place, mask=here, other=0.0)
        fixed = tl.load(given + place, mask=here, other=0).to(tl.int32)
        level = tl.where(fixed < 0, _draw(logits, uniform, temperature, levels, greedy), fixed)
        tl.store(drawn + place, level, mask=here)
        tl.debug_barrier()  # a thread may read from the rings what another one wrote; the compiler does not look there
        step += 1
    tl.store(previous + own, level)


_NEVER = -1e30  # the logit of levels that only fill
LEAST = 16  # inputs of a product on tensor cores
GROUP = 16  # streams of a program where there are more streams than processors; rows of a tile of tensor cores
_BLOCK = {1: 64, GROUP: 32}  # gates, or hidden channels, at once; more do not fit in registers, says the compiler
LAUNCH = 2048  # samples of a launch, so that an interruption waits for a fraction of a second
WARPS = 8


class TritonStreams:
    """Clips side by side on a GPU; it implements `vocoder.engines.Streams`.

    ``group`` is the number of streams of a program; None: `GROUP` where there are more clips than processors.
    """

    state = ("rings", "time", "previous")  # of the clips

    def __init__(self, model: WaveNet, clips: int, *, group: Literal[1, 16] | None = None) -> None:
        self.config, self.clips, self.device = model.config, clips, model.embedding.weight.device
        is_gpu = self.device.type == "cuda"
        processors = torch.cuda.get_device_properties(self.device).multi_processor_count if is_gpu else 1
        self.group = group or (1 if clips <= processors else GROUP)
        self.programs = -(-clips // self.group)
        self.weights = _kernel_weights(model)
        (self.r, self.h), (self.k, self.s) = self.weights["residual"].shape[1:], self.weights["output"].shape
        slots, width = sum(_ring_lengths(model)), self.programs * self.group
        self.rings = torch.zeros(slots, width, self.r, device=self.device, dtype=torch.float32)
        self.previous = torch.full((width,), silence(levels=model.config.levels), device=self.device).int()
        self.time = 0

    def advance(
        self,
        conditions: Tensor,
        given: Tensor,
        draws: Tensor,
        sampling: Sampling,
        carried: Tensor | None = None,
        logits: Tensor | None = None,
    ) -> Tensor:
        config, steps = self.config, given.shape[1]
        drawn = torch.zeros(given.shape, dtype=torch.int64, device=self.device)
        inputs = {"conditions": conditions, "given": given, "draws": draws}
        inputs = {name: copy_to(each.contiguous(), self.device) for name, each in inputs.items()}
        nothing = torch.zeros(0, device=self.device, dtype=torch.float32)
        scores = nothing if logits is None else nothing.new_zeros(*given.shape, config.levels)
        added = nothing if carried is None else nn.functional.pad(carried, (0, self.r - carried.shape[2]))
        for first in range(0, steps, LAUNCH):
            _go_on[(self.programs,)](
                **self.weights,
                rings=self.rings,
                previous=self.previous,
                **inputs,
                drawn=drawn,
                scores=scores,
                carried=added,
                clips=self.clips,
                frames=conditions.shape[1],
                time=self.time,
                first=first,
                last=min(first + LAUNCH, steps),
                stored=int(logits is not None),
                temperature=float(sampling.temperature),
                group=self.group,
                hop=config.hop_length,
                gates=config.gate_channels // 2,
                levels=config.levels,
                layers=config.layers,
                taps=config.kernel_size,
                r=self.r,
                h=self.h,
                s=self.s,
                k=self.k,
                block=min(_BLOCK[self.group], self.h, self.s),
                greedy=sampling.temperature == 0,
                precision=_precision(self.device),
                voiced=carried is not None,
                num_warps=WARPS,
                num_stages=1,  # Triton's pipelines would read rings before they are written
            )
        if logits is not None:
            logits.copy_(scores)
        self.time += steps
        return drawn.cpu()


def _kernel_weights(model: WaveNet) -> dict[str, Tensor]:
    """Convert the model's weights to the layout of `_go_on`, whose parameters name them and their shapes."""
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
    return {
        "embedding": filled(model.embedding.weight.detach(), k, r),
        "dilated": torch.stack([torch.cat([*map(tap, layer)], dim=2) for layer in taps]),
        "residual": torch.stack([*residual, torch.zeros(r, h, device=device, dtype=torch.float32)]),
        "skip": torch.stack([filled(each, s, h) for each in torch.split(model.skip.weight.detach(), half, 1)]),
        "skip_bias": bias(model.skip, s),
        "hidden": filled(model.hidden.weight.detach(), s, s),
        "hidden_bias": bias(model.hidden, s),
        "output": filled(model.output.weight.detach(), k, s),
        "output_bias": bias(model.output, k, _NEVER),
        "ring_starts": torch.tensor([0, *accumulate(lengths[:-1])], dtype=torch.int32, device=device),
        "dilations": torch.tensor(config.dilations, dtype=torch.int32, device=device),
    }


def _ring_lengths(model: WaveNet) -> list[int]:
    return [(model.config.kernel_size - 1) * dilation + 1 for dilation in model.config.dilations]


def _power(size: int) -> int:
    """Return the least power of two that holds a size, for products at least `LEAST`."""
    return max(LEAST, 1 << (size - 1).bit_length())


def _precision(device: torch.device) -> str:
    """Return how groups multiply float32: since Ampere by three products of TF32, which are about as exact."""
    return "tf32x3" if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8 else "ieee"
