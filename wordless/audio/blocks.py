"""Cutting of streamed sound into blocks."""

from collections.abc import Iterable, Iterator

import numpy as np

from wordless.audio.waveform import FloatArray


def equal_blocks(blocks: Iterable[FloatArray], size: int) -> Iterator[FloatArray]:
    """Give the same samples in blocks of ``size``; the last block may be shorter, and no block is empty."""
    waiting: list[FloatArray] = []
    samples = 0
    for block in blocks:
        waiting.append(block)
        samples += len(block)
        if samples >= size:
            joined = np.concatenate(waiting)
            whole = samples // size * size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            waiting, samples = [joined[whole:]], samples - whole
    if samples:
        yield np.concatenate(waiting)


def first_samples(blocks: Iterable[FloatArray], count: int) -> Iterator[FloatArray]:
    """Give the first ``count`` samples of the blocks; later blocks are never read."""
    if count <= 0:
        return
    for block in blocks:
        yield block[:count]
        count -= len(block)
        if count <= 0:
            return


def skip_samples(blocks: Iterable[FloatArray], count: int) -> Iterator[FloatArray]:
    """Give the blocks without their first ``count`` samples."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(count - len(block), 0)
