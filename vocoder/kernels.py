"""Numba kernels of the WaveNet's step: one stream, or sixteen side by side in the lanes of a vector.

Every operation is an IEEE operation or a fused multiply-add in a stated order: neither the width of a vector nor the
compiler changes a bit, and a stream's samples do not depend on which kernel, company or thread made them.

All products go through one tile, which keeps its sums in registers::

    C[m, n] += sum over k of A[k, m] * B[k, n]        m: broadcast, n: along vectors, k: in order

    one stream        A = the input (m = 1)                B = weights, outputs along vectors
    past of a block   A = inputs of m consecutive steps    B = weights: read once for all of them
    sixteen streams   A = weights, m outputs               B = the inputs, streams along vectors

One stream is bound by reading weights, 2.5 MB per sample at the default size. The tap of a layer of dilation d looks d
samples back, so that the past of the next d samples is known: it is computed for up to `BLOCK` samples at once. Of the
past taps' weights that leaves about a quarter to read.

All of this stands in one file, because numba's cache on disk notices changes of a kernel's own file alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

LANES = 16  # float32 in a vector of 512 bits; where vectors are shorter, the compiler takes several
PADDING = 2 * LANES  # channels are padded with zeros to a multiple of it
BLOCK = 16  # samples whose pasts are computed together, at most; a power of two


class KernelWeights(NamedTuple):
    """Weights as the kernels read them, flat float32; channels R, gates 2 H, skip S and levels K are padded.

    Rows are inputs. For one stream a row holds all outputs; for lanes, outputs stand in panels of 16: row after row of
    the first 16, then of the next.
    """

    embedding: FloatArray  # (K, R)
    past: FloatArray  # L x ((taps - 1) * R, 2 H), oldest tap first; tanh's H before sigmoid's
    present: FloatArray  # L x (R, 2 H)
    residual: FloatArray  # (L - 1) x (H, R)
    skip: FloatArray  # (L * H, S)
    skip_bias: FloatArray  # (S,)
    hidden: FloatArray  # (S, S)
    hidden_bias: FloatArray  # (S,)
    output: FloatArray  # (S, K)
    output_bias: FloatArray  # (K,)
    dilations: IntArray  # (L,), powers of two
    ring_starts: IntArray  # (L + 1,), steps
    sizes: IntArray  # R, H, S, K padded, levels, taps, hop_length


class Draw(NamedTuple):
    """How levels are drawn."""

    temperature: float
    top_p: float


# Tiles: vectors in registers


def _tile(rows: int, vectors: int) -> Callable[..., None]:
    """``tile(a, a_start, a_step, a_row, b, b_start, b_step, c, c_start, c_row, depth)``, of ``rows`` by ``vectors``.

    Adds to c[m, n] the sum over k < depth of a[k, m] * b[k, n], one fused multiply-add after the other. Arrays are flat
    float32: (k, m) of a lies at ``a_start + k * a_step + m * a_row``, (k, n) of b at ``b_start + k * b_step + n``,
    (m, n) of c at ``c_start + m * c_row + n``.
    """
    vector, number = ir.VectorType(ir.FloatType(), LANES), ir.IntType(32)
    nothing = ir.Constant(vector, ir.Undefined)
    all_first = ir.Constant(ir.VectorType(number, LANES), [0] * LANES)
    cells = [(m, n) for m in range(rows) for n in range(vectors)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a_start, a_step, a_row, b_start, b_step, c_start, c_row, depth = (args[i] for i in (1, 2, 3, 5, 6, 8, 9, 10))
        a, b, c = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 4, 7))

        def at(data: Any, start: Any, index: Any, stride: Any, offset: int = 0) -> Any:
            place = builder.add(start, builder.mul(index, stride))
            return builder.gep(data, [builder.add(place, ir.Constant(place.type, offset))])

        def vector_at(*place: Any) -> Any:
            return builder.bitcast(at(*place), vector.as_pointer())

        def row(m: int) -> Any:
            return ir.Constant(depth.type, m)

        shape = ir.FunctionType(vector, [vector] * 3)
        multiply_add = cgutils.get_or_insert_function(builder.module, shape, f"llvm.fma.v{LANES}f32")
        sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
        for m, n in cells:
            builder.store(builder.load(vector_at(c, c_start, row(m), c_row, n * LANES), align=4), sums[m, n])
        with cgutils.for_range(builder, depth) as loop:
            inputs = [
                builder.load(vector_at(b, b_start, loop.index, b_step, n * LANES), align=4) for n in range(vectors)
            ]
            for m, n in cells:
                one = builder.load(at(a, builder.add(a_start, builder.mul(loop.index, a_step)), row(m), a_row))
                first = builder.insert_element(nothing, one, ir.Constant(number, 0))
                everywhere = builder.shuffle_vector(first, nothing, all_first)
                total = builder.call(multiply_add, [everywhere, inputs[n], builder.load(sums[m, n])])
                builder.store(total, sums[m, n])
        for m, n in cells:
            builder.store(builder.load(sums[m, n]), vector_at(c, c_start, row(m), c_row, n * LANES), align=4)
        return context.get_dummy_value()

    flat, integer = types.Array(types.float32, 1, "C"), types.intp
    signature = types.void(flat, integer, integer, integer, flat, integer, integer, flat, integer, integer, integer)

    def tile(
        typingctx,
        a,
        a_start,
        a_step,
        a_row,
        b,
        b_start,
        b_step,
        c,
        c_start,
        c_row,
        depth,
    ):
        return signature, generate

    compiled: Callable[..., None] = intrinsic(tile)
    return compiled


@intrinsic
def fma(typingctx, a, b, c):
    """``a * b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


_tile_1x8, _tile_1x4, _tile_1x2 = _tile(1, 8), _tile(1, 4), _tile(1, 2)
_tile_8x2, _tile_4x2, _tile_2x2 = _tile(8, 2), _tile(4, 2), _tile(2, 2)
_tile_16x1 = _tile(16, 1)

_part = njit(nogil=True, error_model="numpy")


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled once for each kind of machine, where there is a folder to keep it in."""
    try:
        compiled: Callable[..., None] = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        compiled = njit(nogil=True, error_model="numpy")(function)
    return compiled


@_part
def _row_product(x, x_start, weights, start, width, out, out_start, depth):
    """Add the product of one input ``(depth,)`` and weights ``(depth, width)`` to ``(width,)``."""
    column = 0
    while column < width:
        if width - column >= 8 * LANES:
            _tile_1x8(x, x_start, 1, 0, weights, start + column, width, out, out_start + column, 0, depth)
            column += 8 * LANES
        elif width - column >= 4 * LANES:
            _tile_1x4(x, x_start, 1, 0, weights, start + column, width, out, out_start + column, 0, depth)
            column += 4 * LANES
        else:
            _tile_1x2(x, x_start, 1, 0, weights, start + column, width, out, out_start + column, 0, depth)
            column += 2 * LANES


@_part
def _rows_product(rows, x, x_start, weights, start, width, out, out_start, depth):
    """The same for ``rows`` inputs one after the other, ``(rows, depth)`` -> ``(rows, width)``."""
    row = 0
    while row < rows:
        x_row, out_row, left = x_start + row * depth, out_start + row * width, rows - row
        if left == 1:
            _row_product(x, x_row, weights, start, width, out, out_row, depth)
            return
        for column in range(0, width, 2 * LANES):
            if left >= 8:
                _tile_8x2(x, x_row, 1, depth, weights, start + column, width, out, out_row + column, width, depth)
            elif left >= 4:
                _tile_4x2(x, x_row, 1, depth, weights, start + column, width, out, out_row + column, width, depth)
            else:
                _tile_2x2(x, x_row, 1, depth, weights, start + column, width, out, out_row + column, width, depth)
        row += 8 if left >= 8 else 4 if left >= 4 else 2


@_part
def _lanes_product(x, x_start, weights, start, width, out, out_start, depth):
    """Add the product of inputs ``(depth, lanes)`` and weights in panels to ``(width, lanes)``."""
    for column in range(0, width, LANES):
        panel, place = start + column * depth, out_start + column * LANES
        _tile_16x1(weights, panel, LANES, 1, x, x_start, LANES, out, place, LANES, depth)


# Exponentials: 2^y = 2^n * 2^f with f in [-1/2, 1/2], a Taylor polynomial of 2^f, n put in the exponent's bits

_LOG2_E = np.float32(1 / np.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(np.log(2) ** k / float(np.prod(np.arange(1, k + 1)))) for k in range(1, 7))
_ONE, _TWO, _HALF = np.float32(1), np.float32(2), np.float32(0.5)
_LOWEST = np.float32(-87)  # exp of less is no normal float32
_FAR = np.float32(9)  # tanh of more rounds to 1


@_part
def exponential(x):
    """exp of a float32 in [-87, 87], within 4e-6 of its value."""
    y = x * _LOG2_E
    whole = np.floor(y + _HALF)
    f = y - whole
    p = fma(f, fma(f, fma(f, fma(f, fma(f, fma(f, _C6, _C5), _C4), _C3), _C2), _C1), _ONE)
    return p * np.int32((np.int32(whole) + 127) << 23).view(np.float32)


@_part
def gate(a, b):
    """tanh(a) (1 + tanh(b)) of float32, within 2e-6: with A = e^2a and B = e^2b, 2 B (A - 1) / ((A + 1) (B + 1))."""
    a = _FAR if a > _FAR else (-_FAR if a < -_FAR else a)
    b = _FAR if b > _FAR else (-_FAR if b < -_FAR else b)
    big_a, big_b = exponential(a + a), exponential(b + b)
    return (_TWO * big_b) * (big_a - _ONE) / ((big_a + _ONE) * (big_b + _ONE))


@_part
def _gate(gates, start, half, out, out_start):
    for h in range(half):
        out[out_start + h] = gate(gates[start + h], gates[start + half + h])


@_part
def _rectify(values):
    for i in range(len(values)):
        values[i] = values[i] if values[i] > 0 else np.float32(0)


# Drawing


@_part
def draw_level(logits, levels, uniform, draw, probabilities):
    """The level that a uniform number in [0, 1) picks; ``probabilities`` is room for as many as there are logits."""
    highest = _highest(logits)
    if draw.temperature == 0:
        for level in range(levels):
            if logits[level] == highest:
                return level
    colder = np.float32(1 / max(draw.temperature, 1e-6))
    for level in range(len(logits)):
        x = (logits[level] - highest) * colder
        probabilities[level] = exponential(_LOWEST if x < _LOWEST else x)
    if draw.top_p < 1:
        _keep_nucleus(probabilities[:levels], draw.top_p)
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
def _keep_nucleus(probabilities, top_p):
    """Zeros for all but the most probable levels that reach ``top_p``; equals of the last of them stay too."""
    ranked = np.sort(probabilities)[::-1]
    wanted, reached, least = np.float32(top_p) * ranked.sum(), np.float32(0), ranked[0]
    for value in ranked:
        if reached >= wanted:
            break
        least = value
        reached += value
    for level in range(len(probabilities)):
        probabilities[level] = probabilities[level] if probabilities[level] >= least else np.float32(0)


# Kernels


@_kernel
def one_stream(weights, conditions, given, draws, draw, rings, time, previous, levels, logits):
    """Go on by ``len(given)`` steps of one stream.

    Args:
        weights: `KernelWeights` in rows.
        conditions: flat ``(frames, L, 2 H)`` from the frame of the first step on.
        given: ``(steps,)`` int64, -1 where to draw.
        draws: ``(steps,)``.
        draw: `Draw`.
        rings: flat ``(ring_starts[L], R)``, past inputs of all layers; changed.
        time: steps before the first of these, a multiple of the hop.
        previous: the level before the first.
        levels: ``(steps,)`` int64, written.
        logits: flat ``(steps, K)``, written; or empty, and then not computed where levels are given.
    """
    residual, half, skip, padded, count, taps, hop = weights.sizes
    layers, steps, gates = len(weights.dilations), len(given), 2 * half
    x, gated = np.zeros(residual, np.float32), np.zeros(layers * half, np.float32)
    pasts = np.zeros(layers * BLOCK * gates, np.float32)
    skipped, hidden = np.zeros(skip, np.float32), np.zeros(skip, np.float32)
    output, probabilities = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    for step in range(steps):
        now = time + step
        x[:] = weights.embedding[previous * residual : (previous + 1) * residual]
        for layer in range(layers):
            dilation, ring = weights.dilations[layer], weights.ring_starts[layer]
            length = weights.ring_starts[layer + 1] - ring
            block = min(dilation, BLOCK)
            place = now & (block - 1)
            past = layer * BLOCK * gates
            if place == 0 or step == 0:
                rows = min(block - place, steps - step)
                for row in range(rows):
                    begin = (((step + row) // hop) * layers + layer) * gates
                    to = past + (place + row) * gates
                    pasts[to : to + gates] = conditions[begin : begin + gates]
                for tap in range(taps - 1):
                    slot = ring + ((now - (taps - 1 - tap) * dilation) & (length - 1))
                    matrix = (layer * (taps - 1) + tap) * residual * gates
                    _rows_product(
                        rows, rings, slot * residual, weights.past, matrix, gates, pasts, past + place * gates, residual
                    )
            slot = (ring + (now & (length - 1))) * residual
            rings[slot : slot + residual] = x
            here = past + place * gates
            _row_product(x, 0, weights.present, layer * residual * gates, gates, pasts, here, residual)
            _gate(pasts, here, half, gated, layer * half)
            if layer < layers - 1:
                _row_product(gated, layer * half, weights.residual, layer * half * residual, residual, x, 0, half)
        if given[step] < 0 or len(logits):
            skipped[:] = weights.skip_bias
            _row_product(gated, 0, weights.skip, 0, skip, skipped, 0, layers * half)
            _rectify(skipped)
            hidden[:] = weights.hidden_bias
            _row_product(skipped, 0, weights.hidden, 0, skip, hidden, 0, skip)
            _rectify(hidden)
            output[:] = weights.output_bias
            _row_product(hidden, 0, weights.output, 0, padded, output, 0, skip)
        if len(logits):
            logits[step * padded : (step + 1) * padded] = output
        previous = draw_level(output, count, draws[step], draw, probabilities) if given[step] < 0 else given[step]
        levels[step] = previous


@_kernel
def lanes(weights, conditions, given, draws, draw, rings, time, previous, levels, logits):
    """Go on by some steps of up to 16 streams; as `one_stream`, with a last axis of 16 lanes.

    Args:
        weights: `KernelWeights` in panels.
        conditions: flat ``(frames, L, 2 H, lanes)``.
        given: ``(steps, streams)``.
        draws: ``(steps, streams)``.
        draw: `Draw`.
        rings: flat ``(ring_starts[L], R, lanes)``; changed.
        time: see `one_stream`.
        previous: ``(streams,)``.
        levels: ``(steps, streams)``, written.
        logits: ``(steps, streams, K)``, written; or empty.
    """
    residual, half, skip, padded, count, taps, hop = weights.sizes
    layers, gates, (steps, streams) = len(weights.dilations), 2 * half, given.shape
    x, sums = np.zeros(residual * LANES, np.float32), np.zeros(gates * LANES, np.float32)
    gated = np.zeros(layers * half * LANES, np.float32)
    skipped, hidden = np.zeros(skip * LANES, np.float32), np.zeros(skip * LANES, np.float32)
    output = np.zeros(padded * LANES, np.float32)
    row, probabilities = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    last = previous.copy()
    for step in range(steps):
        now = time + step
        for lane in range(streams):
            for channel in range(residual):
                x[channel * LANES + lane] = weights.embedding[last[lane] * residual + channel]
        for layer in range(layers):
            dilation, ring = weights.dilations[layer], weights.ring_starts[layer]
            length = weights.ring_starts[layer + 1] - ring
            begin = ((step // hop) * layers + layer) * gates * LANES
            sums[:] = conditions[begin : begin + gates * LANES]
            for tap in range(taps - 1):
                slot = ring + ((now - (taps - 1 - tap) * dilation) & (length - 1))
                matrix = (layer * (taps - 1) + tap) * residual * gates
                _lanes_product(rings, slot * residual * LANES, weights.past, matrix, gates, sums, 0, residual)
            slot = (ring + (now & (length - 1))) * residual * LANES
            rings[slot : slot + residual * LANES] = x
            _lanes_product(x, 0, weights.present, layer * residual * gates, gates, sums, 0, residual)
            _gate(sums, 0, half * LANES, gated, layer * half * LANES)
            if layer < layers - 1:
                matrix = layer * half * residual
                _lanes_product(gated, layer * half * LANES, weights.residual, matrix, residual, x, 0, half)
        _spread(weights.skip_bias, skipped)
        _lanes_product(gated, 0, weights.skip, 0, skip, skipped, 0, layers * half)
        _rectify(skipped)
        _spread(weights.hidden_bias, hidden)
        _lanes_product(skipped, 0, weights.hidden, 0, skip, hidden, 0, skip)
        _rectify(hidden)
        _spread(weights.output_bias, output)
        _lanes_product(hidden, 0, weights.output, 0, padded, output, 0, skip)
        for lane in range(streams):
            for level in range(padded):
                row[level] = output[level * LANES + lane]
            if len(logits):
                logits[step, lane] = row
            if given[step, lane] < 0:
                last[lane] = draw_level(row, count, draws[step, lane], draw, probabilities)
            else:
                last[lane] = given[step, lane]
            levels[step, lane] = last[lane]


@_part
def _spread(bias, out):
    """``(channels,)`` -> the same in all lanes, ``(channels, lanes)``."""
    for channel in range(len(bias)):
        for lane in range(LANES):
            out[channel * LANES + lane] = bias[channel]
