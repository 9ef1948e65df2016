"""Long spectrograms in blocks of frames, each with the neighbouring frames that its samples depend on.

::

    frames   [ .......... block .......... ][ .......... block .......... ][ .. block .. ]
    block 2                      [ context ][ start                  stop ][ context ]
                                 ^ first                                            ^ last
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes, require_same_codebook
from vocoder.frames import log_mel_of
from wordless.audio.options import SpectrogramConfig

BLOCK_FRAMES = 2048  # 20 s at hops of 10 ms; shorter sounds are one block
DRAWN_TOGETHER = 16  # PyTorch draws normal values in groups of 16; parts of a draw must be cut there


@dataclass(frozen=True, kw_only=True)
class FrameBlock:
    """The frames ``[start, stop)``, and the frames ``[first, last)`` that determine their samples."""

    first: int
    start: int
    stop: int
    last: int

    def inner(self, samples: Tensor, hop_length: int, num_samples: int) -> Tensor:
        """Cut the samples of ``[start, stop)`` out of those of all frames, up to the sound's end, ``num_samples``."""
        begin, end = self.start * hop_length, min(self.stop * hop_length, num_samples)
        return samples[begin - self.first * hop_length :][: max(end - begin, 0)]


def frame_blocks(frames: int, *, before: int, after: int) -> Iterator[FrameBlock]:
    """Give blocks that cover ``frames`` frames once, with up to ``before`` and ``after`` frames of context."""
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        yield FrameBlock(first=max(start - before, 0), start=start, stop=stop, last=min(stop + after, frames))


def overlapping_frames(config: SpectrogramConfig) -> int:
    """Return the number of frames on each side of a frame whose windows overlap its own."""
    return -(-config.window_length // config.hop_length) - 1


class CodeFrames:
    """The decoded log-mel spectrogram of codes, computed when frames are requested.

    Raises:
        InputError: the codes are of another codebook than the tokenizer's.
    """

    def __init__(self, codes: Codes, tokenizer: CodeMeanings) -> None:
        require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
        self.codes, self.tokenizer = codes, tokenizer

    def __len__(self) -> int:
        return len(self.codes.values) * self.tokenizer.patch_frames

    def __getitem__(self, frames: slice) -> Tensor:
        """Decode ``(frames, mels)`` float32 on the CPU, unnormalised; all frames at once if all are requested."""
        first, last, _ = frames.indices(len(self))
        patch = self.tokenizer.patch_frames
        start = first // patch
        log_mel = log_mel_of(self.codes.values[start : -(-last // patch)], self.tokenizer)
        return log_mel.float().cpu()[first - start * patch : last - start * patch]


class FrameNumbers:
    """Random numbers for all frames, drawn block after block: their values are those of one draw of the whole."""

    def __init__(self, draw: Callable[..., Tensor], frames: int, per_frame: int, *, seed: int) -> None:
        self.draw, self.generator = draw, torch.Generator().manual_seed(seed)
        self.per_frame, self.left = per_frame, frames * per_frame  # left: numbers to be drawn
        self.recent, self.first = torch.zeros(0), 0  # numbers of the frames from `first` on

    def of(self, block: FrameBlock) -> Tensor:
        """Return the numbers ``(frames, per_frame)`` of a block and its context; blocks come in their order."""
        needed = (block.last - block.first) * self.per_frame
        kept = self.recent[(block.first - self.first) * self.per_frame :]
        count = -(-max(needed - len(kept), 0) // DRAWN_TOGETHER) * DRAWN_TOGETHER
        count = self.left if self.left - count < DRAWN_TOGETHER else count
        self.left -= count
        self.recent, self.first = torch.cat([kept, self.draw(count, generator=self.generator)]), block.first
        return self.recent[:needed].view(-1, self.per_frame)
