"""Opening of recordings with libsndfile: no memory is allocated because of a header, and errors name the file.

libsndfile is loaded when the first recording is opened, so networks run on machines without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from audio.channels import ChannelPowers
from audio.waveform import FloatArray
from foundation.errors import InputError
from foundation.files import open_regular
from foundation.ranges import require

if TYPE_CHECKING:
    from soundfile import SoundFile

MIN_RATE, MAX_RATE = 1, 1_000_000  # Hz; recordings that declare another rate are set aside
MAX_CHANNELS = 1_024
BLOCK_VALUES = 1 << 18  # samples times channels to decode at a time, at most


def whole_rate(sample_rate: object, *, least: int) -> int:
    """Return a rate in Hz of ``least`` to `MAX_RATE` as an int; libraries also give floats, and arrays of one number.

    Raises:
        InputError: the rate is no whole number, or out of range.
    """
    if getattr(sample_rate, "ndim", None) == 0:
        sample_rate = cast(Any, sample_rate).item()
    rule = f"give a whole number of Hz, {least} to {MAX_RATE}, such as 16000"
    require(isinstance(sample_rate, Real) and not isinstance(sample_rate, bool), "sample_rate", repr(sample_rate), rule)
    rate = float(cast(float, sample_rate))
    require(rate.is_integer() and least <= rate <= MAX_RATE, "sample_rate", sample_rate, rule)
    return int(rate)


class RecordingError(InputError):
    """A file that cannot be used as a recording; ``reason`` omits the file's name, for lists of such files.

    The message alone restores the exception in another process; the reason follows as an attribute.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def open_recording(path: Path) -> Iterator[SoundFile]:
    """Open a recording with libsndfile; errors inside the block, including those of decoding, name the file.

    Raises:
        RecordingError: the file is missing, unreadable, not a regular file, of an unknown format or damaged, or
            declares a rate or a number of channels out of range.
    """
    from soundfile import LibsndfileError

    try:
        with open_regular(path) as file:
            if not os.pread(file, 1, 0):
                raise RecordingError(f"{path} is empty; record it again, or leave it out", "empty")
            with _open_forward(file) as recording:
                _require_plausible(recording, path)
                yield recording
    except OSError as error:
        cause = error.strerror or str(error)
        message = f"{path} cannot be read: {cause}; check path and permissions"
        raise RecordingError(message, f"cannot be read: {cause}") from error
    except LibsndfileError as error:
        cause = str(error.error_string).strip().rstrip(".")
        message = f"{path} cannot be decoded ({cause}); replace it or convert it to WAV or FLAC"
        raise RecordingError(message, f"cannot be decoded: {cause}") from error


def _require_plausible(recording: SoundFile, path: Path) -> None:
    """Refuse a header whose rate or channels would cause filters or blocks of an unreasonable size."""
    rate, channels = recording.samplerate, recording.channels
    if not MIN_RATE <= rate <= MAX_RATE:
        reason = f"declares a sample rate of {rate} Hz, which is not within {MIN_RATE} to {MAX_RATE}"
    elif channels > MAX_CHANNELS:
        reason = f"declares {channels} channels, more than {MAX_CHANNELS}"
    else:
        return
    raise RecordingError(f"{path} {reason}; mend its header, or leave it out", reason)


def require_channel(recording: SoundFile, channel: int | None, path: Path) -> None:
    """Refuse a recording without the channel that is to be read; None is the mean of all.

    Raises:
        RecordingError: the recording has fewer channels.
    """
    if channel is not None and channel >= recording.channels:
        has = f"has {recording.channels} channel{'s' if recording.channels > 1 else ''}, which count from 0"
        reason = f"{has}, and audio.channel={channel} chooses another"
        raise RecordingError(f"{path} {reason}; leave it out, or choose audio.channel=mean or loudest", reason)


def mono_blocks(
    recording: SoundFile, block_samples: int, *, channel: int | None = None, powers: ChannelPowers | None = None
) -> Iterator[FloatArray]:
    """Give blocks of at most ``block_samples`` at the recording's own rate: a channel, or the mean of all (None).

    With many channels the blocks are shorter: `BLOCK_VALUES` are decoded at a time, whatever the header declares.
    ``powers`` of several channels are summed.
    """
    at_once = min(block_samples, max(BLOCK_VALUES // recording.channels, 1))
    while len(block := recording.read(at_once, dtype="float32", always_2d=True)):
        read = mix_channels(block, channel)
        if powers is not None and recording.channels > 1:
            powers.add(block, read)
        yield read


def mix_channels(block: npt.NDArray[np.float32], channel: int | None = None) -> FloatArray:
    """Take a channel, or average all (None): ``(samples, channels)`` -> ``(samples,)``."""
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    total: FloatArray = block[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # `unusable_peak` checks the sum, as it checks a single channel
        # column by column, because numpy's mean over a short last axis is slow
        for channel in range(1, block.shape[1]):
            total = total + block[:, channel]
    return total / np.float32(block.shape[1]) if block.shape[1] > 1 else total


def declared_length(recording: SoundFile) -> int | None:
    """Return the samples that an open recording's header declares; None where the header does not say.

    For MP3, also inside a WAV file, the length is an estimate from size and bit rate. A FLAC file that was written into
    a pipe declares no length, since its encoder could not go back to the header; libsndfile then returns the largest
    number. For a truncated file libsndfile returns the remaining length. Its log has the declared length, unless that
    is a placeholder of a program that wrote into a pipe.
    """
    frames: int = recording.frames
    if recording.subtype.startswith("MPEG") or (recording.format == "FLAC" and frames == _UNKNOWN_LENGTH):
        return None
    log = recording.extra_info
    file = re.search(r"^Length : (\d+)", log, re.MULTILINE)
    for found in re.finditer(r"^ *(?:data|SSND|Data [Ss]ize) *: (\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE):
        declared, there = int(found[1]), int(found[2] or (file or found)[1])
        if there + _HEADER_BYTES < declared < _PLACEHOLDER_BYTES:
            return max(frames * declared // max(there, 1), frames + 1)
    return frames


_HEADER_BYTES = 128  # some programs count the header into the length of the data
_PLACEHOLDER_BYTES = 0x7EFF_0000  # larger 32-bit lengths mean unknown: SoX writes 0x7F000008 into AIFF
_UNKNOWN_LENGTH = (1 << 63) - 1  # samples: SF_COUNT_MAX of libsndfile


def count_samples(path: Path) -> int:
    """Count the samples of a recording at its own rate by decoding it: the header of a cut-off file counts more."""
    with open_recording(path) as recording:
        return sum(map(len, mono_blocks(recording, BLOCK_VALUES)))


def _open_forward(file: int) -> SoundFile:
    """Open a file descriptor to be read only from start to end.

    soundfile seeks after each block of a file that can seek. In MP3 and Opus libsndfile's seek is inexact, and the
    blocks then differ from the whole (by half of full scale in MP3). A file that says it cannot seek has no such seeks.
    """
    from soundfile import SoundFile

    recording = SoundFile(file, closefd=False)
    recording.seekable = lambda: False
    return recording
