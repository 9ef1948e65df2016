"""Frames of FLAC, which say where in the recording they lie: a header may declare fewer samples than there are.

RFC 9639, section 9. Only headers of frames are looked at, and nothing is decoded.
"""

import re
from dataclasses import dataclass
from functools import cache

from wordless.audio.windows import Window

STREAM_INFO = 42  # bytes: the mark of the format, and the first block of a header
_TOTAL = (1 << 36) - 1  # the bits of the number of samples
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_LONGEST_HEADER = 16  # bytes, of a frame
_DIFFERENCES = (8, 9, 10)  # ways of coding two channels by their difference
_FRAMES_SEEN = 3  # of the longest size, at the end


@dataclass(frozen=True, kw_only=True)
class _Frame:
    start: int  # samples
    stop: int


def corrected_header(file: Window, begin: int, stop: int) -> bytes | None:
    """Return the header at ``begin`` without a number of samples, if frames before ``stop`` lie behind that number."""
    header = file.at(begin, STREAM_INFO)
    if len(header) < STREAM_INFO:
        return None
    block, described = int.from_bytes(header[10:12], "big"), int.from_bytes(header[18:26], "big")
    declared = described & _TOTAL
    channels, bits = (described >> 41 & 7) + 1, (described >> 36 & 31) + 1
    longest = block * channels * (bits + 1) // 8 + 64
    tail = max(begin + STREAM_INFO, stop - _FRAMES_SEEN * longest)
    if not declared or _last_sample(file.at(tail, stop - tail), block, channels) <= declared:
        return None
    return header[:18] + (described & ~_TOTAL).to_bytes(8, "big") + header[26:]


def _last_sample(content: bytes, block: int, channels: int) -> int:
    """Return the end of the last frame; a frame counts if it continues another, or begins the recording."""
    found = [
        frame
        for sync in _SYNC.finditer(content)
        if (frame := _frame(content[sync.start() : sync.start() + _LONGEST_HEADER], block, channels))
    ]
    ends = {frame.stop for frame in found} | {0}
    return max((frame.stop for frame in found if frame.start in ends), default=0)


def _frame(head: bytes, block: int, channels: int) -> _Frame | None:
    """Read the header of a frame; None if its checksum is wrong."""
    if len(head) < 5 or head[3] & 1 or channels != (2 if head[3] >> 4 in _DIFFERENCES else (head[3] >> 4) + 1):
        return None
    more = max(_leading_ones(head[4]) - 1, 0)  # bytes of the number behind the first
    number = head[4] & (0xFF >> _leading_ones(head[4]) + 1)
    for each in head[5 : 5 + more]:
        number = number << 6 | each & 0x3F
    place, code = 5 + more, head[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    size = int.from_bytes(head[place : place + extra], "big") + 1 if extra else _block_size(code)
    place += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if not 0 < size <= block or place >= len(head) or _checksum(head[:place]) != head[place]:
        return None
    start = number if head[1] & 1 else number * block
    return _Frame(start=start, stop=start + size)


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def _block_size(code: int) -> int:
    """Return the samples that a code of 4 bits stands for; 0: it is reserved."""
    if code < 2:
        return 192 * code
    return 576 << (code - 2) if code < 6 else 256 << (code - 8)


def _checksum(content: bytes) -> int:
    value = 0
    for byte in content:
        value = _table()[value ^ byte]
    return value


@cache
def _table() -> tuple[int, ...]:
    """Return the table of the checksum of 8 bits, whose polynomial is x^8 + x^2 + x + 1."""
    values = list(range(256))
    for _ in range(8):
        values = [(value << 1 ^ (7 if value & 0x80 else 0)) & 0xFF for value in values]
    return tuple(values)
