"""Long spectrograms in blocks of frames, each with the frames around it that its samples depend on.

::

    frames   [ .......... block .......... ][ .......... block .......... ][ .. block .. ]
    block 2                      [ context ][ start                  stop ][ context ]
                                 ^ first                                            ^ last
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes
from vocoder.code_blocks import log_mel_of

BLOCK_FRAMES = 2048  # 20 s at hops of 10 ms; a sound of no more frames is one block


@dataclass(frozen=True, kw_only=True)
class FrameBlock:
    """The frames ``[start, stop)``, within the frames ``[first, last)`` that decide their samples."""

    first: int
    start: int
    stop: int
    last: int

    def inner(self, samples: Tensor, hop_length: int, num_samples: int) -> Tensor:
        """Of the samples of all its frames those of ``[start, stop)``, as far as a sound of ``num_samples`` reaches."""
        begin, end = self.start * hop_length, min(self.stop * hop_length, num_samples)
        return samples[begin - self.first * hop_length :][: max(end - begin, 0)]


def frame_blocks(frames: int, *, before: int, after: int) -> Iterator[FrameBlock]:
    """Blocks that cover ``frames`` frames once, with up to so many frames of context ``before`` and ``after`` them."""
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        yield FrameBlock(first=max(start - before, 0), start=start, stop=stop, last=min(stop + after, frames))


def overlapping_frames(config: SpectrogramConfig) -> int:
    """How many frames on each side of a frame have a window that overlaps its own."""
    return -(-config.window_length // config.hop_length) - 1


class CodeFrames:
    """The log-mel spectrogram that codes mean, looked up frame by frame when it is asked for."""

    def __init__(self, codes: Codes, tokenizer: CodeMeanings) -> None:
        self.codes, self.tokenizer = codes, tokenizer

    def __len__(self) -> int:
        return len(self.codes.values) * self.tokenizer.patch_frames

    def __getitem__(self, frames: slice) -> Tensor:
        """``(frames, mels)`` float32 on the CPU, unnormalised; of all frames at once where all are asked for."""
        first, last, _ = frames.indices(len(self))
        patch = self.tokenizer.patch_frames
        start = first // patch
        log_mel = log_mel_of(self.codes.values[start : -(-last // patch)], self.tokenizer)
        return log_mel.float().cpu()[first - start * patch : last - start * patch]


def whole_sound(pieces: Iterable[Tensor], sample_rate: int) -> Waveform:
    """The pieces ``(samples,)`` of a sound, one after the other."""
    samples = np.concatenate([np.zeros(0, np.float32), *(piece.numpy() for piece in pieces)])
    return Waveform(samples=samples, sample_rate=sample_rate)
