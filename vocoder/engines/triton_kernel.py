"""Triton kernel of the WaveNet's step: the loop over samples runs inside the kernel.

A program is one stream, or a group of streams, and shares nothing with other programs, as in the single-block variant
of nv-wavenet (github.com/NVIDIA/nv-wavenet)::

    weights           read from the L2 cache for every sample; a group shares the reading
    x, gates, skip    tensors of the program: the compiler keeps them in registers and shared memory
    past inputs       ring buffers in global memory, which only their own program reads and writes
    level             a tensor that one sample hands to the next

So a processor (SM) reads all weights for each sample, 2.5 MB in float32 at the default size. nv-wavenet's persistent
variant divides a network among processors, which wait for each other. Here they cannot: Triton's interpreter, which
proves the kernel on a CPU, runs one program after another.

All sizes of matrices are powers of two; `triton_streams` pads them with zeros.
"""

import triton
import triton.language as tl

GREEDY, WHOLE, NUCLEUS = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)  # the ways of drawing a level
# Numbers that change from launch to launch; Triton would otherwise compile anew for multiples of 16, and for 1.
CHANGING = ["clips", "frames", "time", "first", "last", "stored", "temperature", "top_p"]


@triton.jit
def _product(x, matrix, precision: tl.constexpr):
    """Multiply inputs ``(streams, inputs)`` by ``(outputs, inputs)``: ``(streams, outputs)``, summed in float32."""
    if x.shape[0] == 1:
        return tl.sum(x * matrix.to(tl.float32), axis=1)[None, :]
    return tl.dot(x.to(matrix.dtype), tl.trans(matrix), input_precision=precision)


@triton.jit
def _draw(logits, draws, temperature, top_p, levels: tl.constexpr, way: tl.constexpr):
    """Draw levels ``(streams,)`` as `vocoder.engines.torch_streams.draw_levels` does."""
    if way == GREEDY:
        return tl.argmax(logits, axis=1).to(tl.int32)
    weights = tl.exp((logits - tl.max(logits, axis=1)[:, None]) / temperature)
    if way == NUCLEUS:
        weights /= tl.sum(weights, axis=1)[:, None]
        ranked = tl.sort(weights, descending=True)
        before = tl.cumsum(ranked, axis=1) - ranked
        least = tl.min(tl.where(before < top_p, ranked, 1.0), axis=1)
        weights = tl.where(weights >= least[:, None], weights, 0.0)
    cumulative = tl.cumsum(weights, axis=1)
    wanted = draws * tl.max(cumulative, axis=1)
    return tl.minimum(tl.sum((cumulative <= wanted[:, None]).to(tl.int32), axis=1), levels - 1)


@triton.jit(do_not_specialize=CHANGING)
def go_on(
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
    clips,
    frames,
    time,  # samples before the first of these frames
    first,  # sample of the launch, counted from the first of these frames
    last,
    stored,
    temperature,
    top_p,
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
    way: tl.constexpr,
    precision: tl.constexpr,
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
        level = tl.where(fixed < 0, _draw(logits, uniform, temperature, top_p, levels, way), fixed)
        tl.store(drawn + place, level, mask=here)
        tl.debug_barrier()  # a thread may read from the rings what another one wrote; the compiler does not look there
        step += 1
    tl.store(previous + own, level)
