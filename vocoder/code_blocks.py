"""Codes of one sound that arrive in blocks, and the frames that they stand for."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from foundation.errors import InputError
from foundation.threads import one_thread
from tokenizer.codes import CodeMeanings, Codes, IntArray
from vocoder.frames import code_frames
from vocoder.wavenet.network import WaveNetConfig

CODES_TOGETHER = 32  # codes that are looked up in one call


class HeardBlocks:
    """Blocks of codes, with the number of samples that the blocks so far stand for."""

    def __init__(self, blocks: Iterable[Codes]) -> None:
        self.blocks = blocks
        self.samples = 0

    def __iter__(self) -> Iterator[Codes]:
        """Give the blocks and count their samples."""
        for block in self.blocks:
            if self.samples % block.format.samples_per_code:
                raise InputError(
                    f"a block of codes ends at sample {self.samples}, within a code of "
                    f"{block.format.samples_per_code}, and another follows; only the last block may"
                )
            self.samples += block.num_samples
            yield block


def even_blocks(blocks: Iterable[Codes]) -> Iterator[IntArray]:
    """Give values ``(time, streams)`` of codes, `CODES_TOGETHER` at a time counted from the first.

    Fixed sizes make the results independent of the blocks: matrix products of other shapes round differently.
    """
    waiting: list[IntArray] = []
    for block in blocks:
        values = np.concatenate([*waiting, block.values])
        whole = len(values) // CODES_TOGETHER * CODES_TOGETHER
        for start in range(0, whole, CODES_TOGETHER):
            yield values[start : start + CODES_TOGETHER]
        waiting = [values[whole:]]
    if waiting and len(waiting[0]):
        yield waiting[0]


@torch.inference_mode()
def frames_of(values: IntArray, tokenizer: CodeMeanings, config: WaveNetConfig) -> Tensor:
    """Compute the network's conditions ``(frames, inputs)`` of codes ``(time, streams)``."""
    with one_thread():
        return code_frames(_batch(values), tokenizer, config)[0]


@torch.inference_mode()
def log_mel_of(values: IntArray, tokenizer: CodeMeanings) -> Tensor:
    """Decode codes ``(time, streams)`` to unnormalised log-mel ``(frames, mels)``."""
    with one_thread():
        return tokenizer.denormalise(tokenizer.spectrogram(_batch(values))[0])


def _batch(values: IntArray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).unsqueeze(0)
