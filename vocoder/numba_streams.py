"""The numba engine: a kernel of the WaveNet's step, weights in its layout, and clips divided among cores.

Every operation is an IEEE operation or a fused multiply-add in a stated order: neither the width of a vector nor the
compiler changes a bit, and a stream's samples depend neither on its company nor on the thread that makes them.

All products go through one tile, which keeps its sums in registers::

    C[m, n] += sum over k of A[k, m] * B[k, n]        A: inputs of m rows, each broadcast; k: in order
                                                      B: weights, outputs n along vectors

One stream is bound by reading weights, 2.5 MB per sample at the default size. Rows share a reading: those of the
streams and, for the past taps, those of samples to come. The tap of a layer of dilation d looks d samples back, so that
the past of the next d samples is known, and is computed for up to `_BLOCK` rows at once.

The factors of all products are float32, or, where the processor multiplies them (AVX512_BF16), pairs of bfloat16 in an
int32: half as much to read, and twice as much arithmetic per instruction. Sums, gates, the residual stream and logits
stay float32. What the weights' arrays hold decides.

All that is compiled stands in this file, because numba's cache on disk notices changes of a kernel's own file alone.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from torch import Tensor, nn

from vocoder.vocoder_options import Sampling
from vocoder.wavenet import WaveNet, filled, matrices, silence
from wordless.base.arrays import FloatArray, IndexArray
from wordless.base.compiling import call_kernel, kernel
from wordless.base.devices import multiplies_bf16

Factors = npt.NDArray[np.float32] | npt.NDArray[np.int32]
LANES = 16  # float32 in a vector of 512 bits; where vectors are shorter, the compiler takes several
PADDING = 2 * LANES  # channels are padded with zeros to a multiple of it
_BLOCK = 16  # samples times streams whose pasts are computed together, at most; a power of two


class KernelWeights(NamedTuple):
    """Weights in the layout of the kernel: flat matrices (inputs, outputs), padded with zeros.

    Embedding and biases are float32; the others are factors: float32, or int32 (inputs / 2, outputs) of two bfloat16.

    R residual channels, H tanh gates and as many sigmoid ones, S skip channels, K levels, L layers.
    """

    embedding: FloatArray  # (K, R)
    past: Factors  # L x ((taps - 1) * R, 2 H), oldest tap first; tanh's H before sigmoid's
    present: Factors  # L x (R, 2 H)
    residual: Factors  # (L - 1) x (H, R)
    skip: Factors  # (L * H, S)
    skip_bias: FloatArray  # (S,)
    hidden: Factors  # (S, S)
    hidden_bias: FloatArray  # (S,)
    output: Factors  # (S, K)
    output_bias: FloatArray  # (K,)
    dilations: IndexArray  # (L,), powers of two
    ring_starts: IndexArray  # (L + 1,), steps
    sizes: IndexArray  # R, H, S, K, all padded; levels, taps, hop_length


def target_features() -> list[str]:
    """Return the processor features that numba compiles for, in LLVM's form: ``+avx512bf16``."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return str(features).split(",")


def _tile(rows: int, vectors: int) -> Callable[..., None]:
    """``tile(a, a_start, a_step, a_row, b, b_start, b_step, c, c_start, c_row, depth)``, of ``rows`` by ``vectors``.

    Adds to c[m, n] the sum over k < depth of a[k, m] * b[k, n], one after the other. Arrays are flat: (k, m) of a lies
    at ``a_start + k * a_step + m * a_row``, (k, n) of b at ``b_start + k * b_step + n``, (m, n) of c at ``c_start +
    m * c_row + n``. All are float32, or a and b pairs of bfloat16 in an int32, for k and k + 1.
    """
    vector, number = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)
    pairs = ir.VectorType(number, LANES)
    all_first = ir.Constant(pairs, [0] * LANES)
    cells = [(m, n) for m in range(rows) for n in range(vectors)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a_start, a_step, a_row, b_start, b_step, c_start, c_row, depth = (args[i] for i in (1, 2, 3, 5, 6, 8, 9, 10))
        a, b, c = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 4, 7))

        def at(data: Any, start: Any, index: Any, stride: Any, offset: int = 0) -> Any:
            place = builder.add(start, builder.mul(index, stride))
            return builder.gep(data, [builder.add(place, ir.Constant(place.type, offset))])

        def vector_at(kind: Any, *place: Any) -> Any:
            return builder.bitcast(at(*place), kind.as_pointer())

        def row(m: int) -> Any:
            return ir.Constant(depth.type, m)

        paired = signature.args[0].dtype == types.int32
        factor = pairs if paired else vector
        shape = ir.FunctionType(vector, [factor, factor, vector])
        if paired:
            multiply_add = ir.InlineAsm(shape, "vdpbf16ps $2, $1, $0", "=v,v,v,0")
        else:
            multiply_add = cgutils.get_or_insert_function(builder.module, shape, f"llvm.fma.v{LANES}f32")
        nothing = ir.Constant(factor, ir.Undefined)
        sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
        for m, n in cells:
            builder.store(builder.load(vector_at(vector, c, c_start, row(m), c_row, n * LANES), align=4), sums[m, n])
        with cgutils.for_range(builder, depth) as loop:
            places = [vector_at(factor, b, b_start, loop.index, b_step, n * LANES) for n in range(vectors)]
            inputs = [builder.load(place, align=4) for place in places]
            for m, n in cells:
                one = builder.load(at(a, builder.add(a_start, builder.mul(loop.index, a_step)), row(m), a_row))
                first = builder.insert_element(nothing, one, ir.Constant(number, 0))
                everywhere = builder.shuffle_vector(first, nothing, all_first)
                total = builder.call(multiply_add, [everywhere, inputs[n], builder.load(sums[m, n])])
                builder.store(total, sums[m, n])
        for m, n in cells:
            builder.store(builder.load(sums[m, n]), vector_at(vector, c, c_start, row(m), c_row, n * LANES), align=4)
        return context.get_dummy_value()

    def tile(typingctx, a, a_start, a_step, a_row, b, b_start, b_step, c, c_start, c_row, depth):
        factors, sums, numbers = types.Array(b.dtype, 1, "C"), types.Array(types.float32, 1, "C"), [types.intp] * 3
        return types.void(factors, *numbers, factors, *numbers[:2], sums, *numbers), generate

    compiled: Callable[..., None] = intrinsic(tile)
    return compiled


@intrinsic
def _as_factors(typingctx, values, factors):
    """Write flat float32 ``values``, a multiple of `LANES`, as factors: as they are, or as pairs of bfloat16."""
    vector, halves = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(16), LANES)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (
            context.make_array(kind)(context, builder, each) for kind, each in zip(signature.args, args, strict=True)
        )
        count = builder.udiv(source.nitems, ir.Constant(source.nitems.type, LANES))
        paired = signature.args[1].dtype == types.int32
        step = ir.Constant(count.type, LANES // 2 if paired else LANES)
        convert = ir.InlineAsm(ir.FunctionType(halves, [vector]), "vcvtneps2bf16 $1, $0", "=v,v")
        with cgutils.for_range(builder, count) as loop:
            here = builder.mul(loop.index, ir.Constant(count.type, LANES))
            read = builder.load(builder.bitcast(builder.gep(source.data, [here]), vector.as_pointer()), align=4)
            to = builder.gep(target.data, [builder.mul(loop.index, step)])
            if paired:
                builder.store(builder.call(convert, [read]), builder.bitcast(to, halves.as_pointer()), align=4)
            else:
                builder.store(read, builder.bitcast(to, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(values, factors), generate


@intrinsic
def fma(typingctx, a, b, c):
    """Compute ``a * b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


_tile_1x8, _tile_1x4, _tile_1x2 = _tile(1, 8), _tile(1, 4), _tile(1, 2)
_tile_8x2, _tile_4x2, _tile_2x2 = _tile(8, 2), _tile(4, 2), _tile(2, 2)

binding.initialize_native_asmparser()

_part = njit(nogil=True, error_model="numpy")


@_part
def _row_product(x, start, weights, first, width, out, out_start, depth):
    """Add the product of one row of inputs ``(depth,)`` and weights ``(depth, width)`` to ``(width,)``."""
    column = 0
    while column < width:
        place, to = first + column, out_start + column
        if width - column >= 8 * LANES:
            _tile_1x8(x, start, 1, 0, weights, place, width, out, to, 0, depth)
            column += 8 * LANES
        elif width - column >= 4 * LANES:
            _tile_1x4(x, start, 1, 0, weights, place, width, out, to, 0, depth)
            column += 4 * LANES
        else:
            _tile_1x2(x, start, 1, 0, weights, place, width, out, to, 0, depth)
            column += 2 * LANES


@_part
def _product(rows, x, start, stride, weights, first, width, out, out_start, depth):
    """Add the product of inputs ``(rows, depth)``, ``stride`` apart, and weights to ``(rows, width)``."""
    row = 0
    while row < rows:
        here, to, left = start + row * stride, out_start + row * width, rows - row
        if left == 1:
            _row_product(x, here, weights, first, width, out, to, depth)
            return
        for column in range(0, width, 2 * LANES):
            if left >= 8:
                _tile_8x2(x, here, 1, stride, weights, first + column, width, out, to + column, width, depth)
            elif left >= 4:
                _tile_4x2(x, here, 1, stride, weights, first + column, width, out, to + column, width, depth)
            else:
                _tile_2x2(x, here, 1, stride, weights, first + column, width, out, to + column, width, depth)
        row += 8 if left >= 8 else 4 if left >= 4 else 2


@_part
def _dense(rows, x, factors, weights, bias, out, depth):
    """Apply ReLU and a layer: ``(rows, depth)`` -> ``(rows, len(bias))``."""
    width = len(bias)
    for index in range(rows * depth):
        x[index] = x[index] if x[index] > 0 else np.float32(0)
    for row in range(rows):
        out[row * width : (row + 1) * width] = bias
    _as_factors(x, factors)
    depth = len(factors) // rows
    _product(rows, factors, 0, depth, weights, 0, width, out, 0, depth)


_LOG2_E = np.float32(1 / np.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(np.log(2) ** k / float(np.prod(np.arange(1, k + 1)))) for k in range(1, 7))
_ONE, _TWO, _HALF = np.float32(1), np.float32(2), np.float32(0.5)
_LOWEST = np.float32(-87)  # exp of less is no normal float32
_FAR = np.float32(9)  # tanh of more rounds to 1


@_part
def exponential(x):
    """Compute exp of a float32 in [-87, 87], within 4e-6 of its value."""
    y = x * _LOG2_E
    whole = np.floor(y + _HALF)
    f = y - whole
    p = fma(f, fma(f, fma(f, fma(f, fma(f, fma(f, _C6, _C5), _C4), _C3), _C2), _C1), _ONE)
    return p * np.int32((np.int32(whole) + 127) << 23).view(np.float32)


@_part
def gate(a, b):
    """Compute tanh(a) (1 + tanh(b)), within 2e-6: with A = e^2a and B = e^2b, 2 B (A - 1) / ((A + 1) (B + 1))."""
    a = _FAR if a > _FAR else (-_FAR if a < -_FAR else a)
    b = _FAR if b > _FAR else (-_FAR if b < -_FAR else b)
    big_a, big_b = exponential(a + a), exponential(b + b)
    return (_TWO * big_b) * (big_a - _ONE) / ((big_a + _ONE) * (big_b + _ONE))


@_part
def _gate(gates, half, out):
    """Apply the gate: ``(2 * half,)`` -> ``(half,)``."""
    for h in range(half):
        out[h] = gate(gates[h], gates[half + h])


@_part
def draw_level(logits, levels, uniform, temperature, probabilities):
    """Draw a level with a uniform number in [0, 1); ``probabilities`` is scratch memory of the logits' size."""
    highest = _highest(logits)
    if temperature == 0:
        for level in range(levels):
            if logits[level] == highest:
                return level
    colder = np.float32(1 / max(temperature, 1e-6))
    for level in range(len(logits)):
        x = (logits[level] - highest) * colder
        probabilities[level] = exponential(_LOWEST if x < _LOWEST else x)
    total = np.float32(0)
    for level in range(levels):
        total += probabilities[level]
    wanted, reached, last = uniform * total, np.float32(0), 0
    for level in range(levels):
        reached += probabilities[level]
        last = level if probabilities[level] > 0 else last
        if reached > wanted:
            return level
    return last


@_part
def _highest(logits):
    best = logits[:LANES].copy()
    for start in range(LANES, len(logits), LANES):
        for lane in range(LANES):
            value = logits[start + lane]
            best[lane] = value if value > best[lane] else best[lane]
    return best.max()


@_part
def _power_of_two(most):
    """Return the largest power of two up to ``most``, at least 1."""
    power = 1
    while 2 * power <= most:
        power *= 2
    return power


@_part
def _pasts(layer, weights, conditions, streams, frames, step, samples, now, rings, depth, pasts, start):
    """Add conditions and past taps to a layer's gates ``(samples, streams, 2 H)``, for several samples at once."""
    _, half, _, _, _, taps, hop = weights.sizes
    layers, gates, ring = len(weights.dilations), 2 * half, weights.ring_starts[layer]
    length = weights.ring_starts[layer + 1] - ring
    for sample in range(samples):
        frame = (step + sample) // hop
        for stream in range(streams):
            place = ((stream * frames + frame) * layers + layer) * gates
            to = start + (sample * streams + stream) * gates
            pasts[to : to + gates] = conditions[place : place + gates]
    for tap in range(taps - 1):
        slot = ring + ((now - (taps - 1 - tap) * weights.dilations[layer]) & (length - 1))
        matrix, rows = (layer * (taps - 1) + tap) * depth * gates, samples * streams
        _product(rows, rings, slot * streams * depth, depth, weights.past, matrix, gates, pasts, start, depth)


@kernel
def _go_on(weights, conditions, given, draws, temperature, rings, time, previous, levels, logits, carried):
    """Generate the next steps of some streams.

    Args:
        weights: `KernelWeights`.
        conditions: flat ``(streams, frames, L, 2 H)``, from the frame of the first step on.
        given: ``(streams, steps)`` int64, -1 where to draw.
        draws: ``(streams, steps)``.
        temperature: of the draws.
        rings: flat ``(ring_starts[L], streams, R)`` of factors, past inputs of all layers; changed.
        time: steps before the first of these, a multiple of the hop.
        previous: ``(streams,)``, the levels before the first; changed.
        levels: ``(streams, steps)`` int64, written.
        logits: ``(streams, steps, K)``, written; or empty, and then not computed where all levels are given.
        carried: flat ``(streams, steps, R)``, added to the embeddings of the levels; or empty.
    """
    residual, half, skip, padded, count, _, _ = weights.sizes
    layers, gates, (streams, steps) = len(weights.dilations), 2 * half, given.shape
    frames, room = len(conditions) // (streams * layers * gates), _power_of_two(_BLOCK // streams)
    x, gated = np.zeros(streams * residual, np.float32), np.zeros(streams * half, np.float32)
    pasts = np.zeros(layers * room * streams * gates, np.float32)
    skipped, hidden = np.zeros(streams * skip, np.float32), np.zeros(streams * skip, np.float32)
    # The same as factors, one for each row of weights.
    kind, half_depth = weights.present.dtype, len(weights.skip) // (layers * skip)
    depth = len(weights.present) // (layers * gates)
    x_factors, gated_factors = np.zeros(streams * depth, kind), np.zeros(streams * half_depth, kind)
    skip_factors = np.zeros(streams * (len(weights.hidden) // skip), kind)
    output, probabilities = np.zeros(streams * padded, np.float32), np.zeros(padded, np.float32)
    for step in range(steps):
        now, needed = time + step, len(logits) > 0  # needed: the logits
        for stream in range(streams):
            embedded = weights.embedding[previous[stream] * residual : (previous[stream] + 1) * residual]
            x[stream * residual : (stream + 1) * residual] = embedded
            if len(carried) > 0:
                place = (stream * steps + step) * residual
                x[stream * residual : (stream + 1) * residual] += carried[place : place + residual]
            skipped[stream * skip : (stream + 1) * skip] = weights.skip_bias
            needed = needed or given[stream, step] < 0
        for layer in range(layers):
            block = min(weights.dilations[layer], room)
            place, past = now % block, layer * room * streams * gates if room > 1 else 0
            here = past + place * streams * gates
            if place == 0 or step == 0:
                samples = min(block - place, steps - step)
                _pasts(layer, weights, conditions, streams, frames, step, samples, now, rings, depth, pasts, here)
            ring = weights.ring_starts[layer]
            slot = ring + (now & (weights.ring_starts[layer + 1] - ring - 1))
            _as_factors(x, x_factors)
            rings[slot * streams * depth : (slot + 1) * streams * depth] = x_factors
            matrix = layer * depth * gates
            _product(streams, x_factors, 0, depth, weights.present, matrix, gates, pasts, here, depth)
            for stream in range(streams):
                begin = here + stream * gates  # slices, as an index that may be negative would be no vector
                _gate(pasts[begin : begin + gates], half, gated[stream * half : (stream + 1) * half])
            _as_factors(gated, gated_factors)
            if needed:
                matrix = layer * half_depth * skip
                _product(streams, gated_factors, 0, half_depth, weights.skip, matrix, skip, skipped, 0, half_depth)
            if layer < layers - 1:
                matrix = layer * half_depth * residual
                _product(streams, gated_factors, 0, half_depth, weights.residual, matrix, residual, x, 0, half_depth)
        if needed:
            _dense(streams, skipped, skip_factors, weights.hidden, weights.hidden_bias, hidden, skip)
            _dense(streams, hidden, skip_factors, weights.output, weights.output_bias, output, skip)
        for stream in range(streams):
            row = output[stream * padded : (stream + 1) * padded]
            if len(logits):
                logits[stream, step] = row
            level = given[stream, step]
            previous[stream] = (
                draw_level(row, count, draws[stream, step], temperature, probabilities) if level < 0 else level
            )
            levels[stream, step] = previous[stream]


_NEVER = -1e30  # the logit of padding levels
STREAMS_TOGETHER = 16  # clips at most that share a reading of the weights; more are no faster, and exceed the caches


class NumbaStreams:
    """Clips side by side on the CPU's cores; it implements `vocoder.engines.Streams`.

    The levels do not depend on the number of ``threads``. ``bf16`` multiplies in bfloat16, where
    `numba_multiplies_bf16`.
    """

    state = ("rings", "time", "previous")  # of the clips

    def __init__(self, model: WaveNet, clips: int, *, threads: int, bf16: bool = False) -> None:
        self.config, self.threads = model.config, threads
        self.weights = _kernel_weights(model, bf16=bf16)
        self.shares = _shares(clips, threads)
        room = int(self.weights.ring_starts[-1]) * _padded(model.config.residual_channels) // (2 if bf16 else 1)
        kind = self.weights.present.dtype
        self.rings = [np.zeros(room * (share.stop - share.start), kind) for share in self.shares]
        self.previous = np.full(clips, silence(levels=model.config.levels))
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
        scored = (0, 0, 0) if logits is None else (*given.shape, _padded(self.config.levels))
        scores = np.zeros(scored, np.float32)
        temperature = float(sampling.temperature)
        fixed, uniform = given.contiguous().numpy(), draws.contiguous().numpy()
        levels = np.zeros_like(fixed)

        def work(number: int) -> None:
            few = self.shares[number]
            arguments = (
                self.weights,
                _flat(conditions[few].reshape(*conditions[few].shape[:3], 2, -1)),  # each half is padded
                fixed[few],
                uniform[few],
                temperature,
                self.rings[number],
                self.time,
                self.previous[few],
                levels[few],
                scores[few],
                np.zeros(0, np.float32) if carried is None else _flat(carried[few]),
            )
            call_kernel(_go_on, *arguments)

        if len(self.shares) == 1 or self.threads == 1:
            for number in range(len(self.shares)):
                work(number)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(work, range(len(self.shares))))  # raises what a thread raised
        if logits is not None:
            logits.copy_(torch.from_numpy(scores[:, :, : self.config.levels]))
        self.time += levels.shape[1]
        return torch.from_numpy(levels)


def numba_multiplies_bf16() -> bool:
    """Return whether the CPU has instructions for bfloat16 products, and numba may use them.

    NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and NUMBA_ENABLE_AVX can forbid numba instructions that the CPU has.
    """
    return multiplies_bf16(torch.device("cpu")) and "+avx512bf16" in target_features()


def _shares(clips: int, threads: int) -> list[slice]:
    """Divide clips into neighbouring slices for each call, equally among cores."""
    count = max(-(-clips // STREAMS_TOGETHER), min(threads, clips))
    ends = [clips * (share + 1) // count for share in range(count)]
    return [slice(start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


def _kernel_weights(model: WaveNet, *, bf16: bool = False) -> KernelWeights:
    """Convert the model's weights to the kernel's layout, in float32 or as pairs of bfloat16."""
    config, taps = model.config, model.config.kernel_size
    channels, half = config.residual_channels, config.gate_channels // 2
    sizes = channels, half, config.skip_channels, config.levels
    lay = _paired if bf16 else _laid
    lengths = [1 << ((taps - 1) * dilation - 1).bit_length() for dilation in config.dilations]
    dilated = [_gates(tap, half) for layer in matrices(model.dilated) for tap in torch.split(layer, channels)]
    (skip,) = matrices([model.skip])
    skip = torch.cat([filled(each, _padded(half), each.shape[1]) for each in torch.split(skip, half)])
    return KernelWeights(
        embedding=_laid([model.embedding.weight.detach()]),
        past=lay([tap for number, tap in enumerate(dilated) if number % taps < taps - 1]),
        present=lay(dilated[taps - 1 :: taps]),
        residual=lay(matrices(model.residual)),
        skip=lay([skip]),
        skip_bias=_bias(model.skip),
        hidden=lay(matrices([model.hidden])),
        hidden_bias=_bias(model.hidden),
        output=lay(matrices([model.output])),
        output_bias=_bias(model.output, fill=_NEVER),
        dilations=np.array(config.dilations),
        ring_starts=np.array([0, *accumulate(lengths)]),
        sizes=np.array([*map(_padded, sizes), config.levels, taps, config.hop_length]),
    )


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING


def _gates(tap: Tensor, half: int) -> Tensor:
    """Pad the halves of tanh and sigmoid in ``(inputs, gates)`` separately."""
    return torch.cat([filled(each, len(tap), _padded(half)) for each in torch.split(tap, half, dim=1)], dim=1)


def _laid(blocks: Sequence[Tensor]) -> FloatArray:
    """Concatenate padded matrices into a flat array."""
    whole = [filled(each, _padded(each.shape[0]), _padded(each.shape[1])).reshape(-1) for each in blocks]
    return torch.cat([*whole, torch.zeros(0, dtype=torch.float32)]).numpy()


def _paired(blocks: Sequence[Tensor]) -> Factors:
    """Do the same in bfloat16: of each ``(inputs, outputs)``, ``(inputs / 2, outputs)`` pairs in one int32 each."""
    halves = [torch.from_numpy(_laid([each])).to(torch.bfloat16).view(torch.int16) for each in blocks]
    widths = [_padded(each.shape[1]) for each in blocks]
    pairs = [half.view(-1, 2, width).transpose(1, 2).reshape(-1) for half, width in zip(halves, widths, strict=True)]
    return torch.cat([*pairs, torch.zeros(0, dtype=torch.int16)]).numpy().view(np.int32)


def _bias(layer: nn.Linear, fill: float = 0.0) -> FloatArray:
    size = layer.out_features
    return np.pad(layer.bias.detach().numpy(), (0, _padded(size) - size), constant_values=fill).astype(np.float32)


def _flat(rows: Tensor) -> FloatArray:
    """Flatten ``(..., channels)`` with padded channels."""
    return nn.functional.pad(rows, (0, _padded(rows.shape[-1]) - rows.shape[-1])).reshape(-1).numpy()
