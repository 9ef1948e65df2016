"""Reading of recordings as a stream: any format, any rate, any channels -> mono float32 at one rate.

Memory depends neither on a recording's length nor on its header, and the samples do not depend on the block sizes::

    file --decoder--> blocks --mean or a channel--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks

Several parts of a recording are read in order of time without decoding from its beginning each time.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

import numpy as np

from wordless.audio.decoding import (
    BLOCK_VALUES,
    Channel,
    ChannelPowers,
    Recording,
    RecordingError,
    mono_blocks,
    read_all,
    require_channel,
    require_choice,
    whole_rate,
)
from wordless.audio.waveform import FloatArray, Part, Waveform, equal_blocks, first_samples, join_blocks, unusable_peak
from wordless.base.errors import InputError, require

WHOLE = Part(start=0, num_samples=sys.maxsize)

# The recording that was read last, with its state and channel; it is removed while in use, so no two readers share it.
_last: list[tuple[tuple[object, ...], Recording]] = []


@contextmanager
def recording_before(path: Path, part: Part) -> Iterator[Recording]:
    """Give the recording that was read last if it can go on to the part without decoding from its beginning, else open.

    It stays open behind the part, so parts in order of time are decoded once.
    """
    state = (*file_state(path), part.channel)
    known, recording = _last.pop() if _last else ((), None)
    if recording is not None and not (known == state and recording.reaches(part.start)):
        recording.close()
        recording = None
    recording, whole = recording or Recording(path), False
    try:
        require_channel(recording, part.channel)
        yield recording
        whole = True
    except GeneratorExit:  # the reader stopped early
        whole = True
        raise
    finally:
        if whole and not recording.at_end:
            _last.append((state, recording))
            recording = _last.pop(0)[1] if len(_last) > 1 else None
        if recording is not None:
            recording.close()


def file_state(path: Path) -> tuple[object, ...]:
    """Identify the file's content and the process; a forked process would share the position of an open file."""
    try:
        status = path.stat()
    except OSError:  # opening the file raises the error
        return ()
    return os.getpid(), str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


MOST_TIMES = 256  # largest ratio of rates in resampling; beyond it, nearly all mel bands would be empty

# Samples given to the resampler at a time: constant, so that results cannot depend on the caller's blocks.
_RESAMPLER_BLOCK = 1 << 15


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Compute the length after resampling: ceil(num_samples * to_rate / from_rate) covers the whole recording."""
    return -(-num_samples * to_rate // from_rate)


def upsampling_fault(from_rate: int, to_rate: int) -> str | None:
    """Return why a recording is not resampled; None if it is. A wrong header would turn seconds into hours."""
    if to_rate <= MOST_TIMES * from_rate:
        return None
    return f"rate too low: {from_rate} Hz, and the model's {to_rate} Hz is more than {MOST_TIMES} times as high"


def read(source: Path | str | BinaryIO, sample_rate: int | None = None, *, channel: Channel = "mean") -> Waveform:
    """Read a whole recording, mono, at ``sample_rate`` Hz, or at its own rate; the samples are those of `read_blocks`.

    The recording is a path, which may begin with ``~`` if it is text, or a file that is open for reading bytes, from
    its position on. ``channel`` is the mean of all channels, the number of one from 0 on, or the loudest.

    Raises:
        InputError: the rate is no whole number of Hz or out of range, or `read_blocks` refuses the file.
    """
    if not isinstance(source, str | os.PathLike):
        # both readers open a copy on the disk
        name = str(getattr(source, "name", type(source).__name__))
        with NamedTemporaryFile() as copy:
            try:
                shutil.copyfileobj(source, copy)
            except (AttributeError, TypeError, ValueError) as error:
                problem = f"{name} is no file that is open for reading bytes ({error})"
                raise InputError(f"{problem}; give a path, or open it by 'rb'") from error
            copy.flush()
            try:
                return read(Path(copy.name), sample_rate, channel=channel)
            except RecordingError as error:
                raise RecordingError(Path(name), error.reason, kind=error.kind, remedy=error.remedy) from error
    path = Path(os.path.expanduser(source)) if isinstance(source, str) else source  # noqa: PTH111  Path raises for unknown users
    if sample_rate is None:
        with Recording(path) as recording:
            rate = recording.samplerate
    else:
        rate = whole_rate(sample_rate, least=1)
    return Waveform(samples=join_blocks(read_blocks(path, rate, channel=channel)), sample_rate=rate)


def resampled(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample a waveform to ``sample_rate`` Hz, as `read_blocks` resamples a recording."""
    blocks = resample_blocks([waveform.samples], waveform.sample_rate, sample_rate)
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)


def chosen_channel(path: Path, channel: Channel) -> int | None:
    """Return the number of the channel that is read; None: the mean of all. The loudest is found by decoding the file.

    Raises:
        InputError: the file cannot be decoded, or has no channel of this number.
    """
    require_choice(channel, "channel")
    if channel == "mean":
        return None
    if channel != "loudest":
        with Recording(path) as recording:
            require_channel(recording, channel)
        return channel
    return _loudest(path, file_state(path))


@lru_cache(maxsize=256)
def _loudest(path: Path, state: tuple[object, ...]) -> int:
    """Return the loudest channel of a file in this state; a file with many annotated parts is decoded once."""
    powers = ChannelPowers()
    with Recording(path) as recording:
        if recording.channels > 1:
            for _ in mono_blocks(read_all(recording, BLOCK_VALUES), powers=powers):
                pass
    return powers.loudest


def read_blocks(
    path: Path,
    sample_rate: int,
    *,
    block_seconds: float = 2.0,
    part: Part | None = None,
    channel: Channel = "mean",
    powers: ChannelPowers | None = None,
) -> Iterator[FloatArray]:
    """Read mono blocks ``(samples,)`` float32 at ``sample_rate`` Hz in constant memory, which ``block_seconds`` bounds.

    The block size changes no sample. A ``part`` gives the samples of a file that holds nothing else. In formats with
    exact seeking only the part is decoded. In others (MP3, Vorbis, Opus...) everything before the part is decoded and
    dropped; the file stays open behind the part, so reading the parts of a file in order of time decodes it once.

    ``channel`` is also that of a part, unless the part names one. The loudest is that of the whole file, which is
    decoded once more to find it. ``powers`` of what is read are summed.

    Raises:
        InputError: on the first block, when the file cannot be opened, or the part names another channel; later, when
            it proves damaged, or holds a sample that `unusable_peak` refuses.
    """
    part = part or WHOLE
    if part.channel is None:
        part = replace(part, channel=chosen_channel(path, channel))
    elif isinstance(channel, int):
        rule = f"the part has channel {part.channel}; give only one of them"
        require(channel == part.channel, "channel", channel, rule)
    with recording_before(path, part) as recording:
        rate = recording.samplerate
        if powers is not None:
            powers.sample_rate = rate
        if reason := upsampling_fault(rate, sample_rate):
            remedy = "leave it out, or choose a lower sample rate"
            raise RecordingError(path, reason, kind="rate too low", remedy=remedy)
        blocks = mono_blocks(recording.samples(part, max(round(block_seconds * rate), 1)), part.channel, powers)
        yield from resample_blocks(_require_usable(blocks, path), rate, sample_rate)


def read_beginning(
    path: Path, sample_rate: int, seconds: float, *, part: Part | None = None, channel: Channel = "mean"
) -> Waveform:
    """Read the first ``seconds`` of a recording or part, or all of a shorter one; only these are in memory."""
    blocks = first_samples(read_blocks(path, sample_rate, part=part, channel=channel), round(seconds * sample_rate))
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)


def _require_usable(blocks: Iterable[FloatArray], path: Path) -> Iterator[FloatArray]:
    for block in blocks:
        if len(block) and (reason := unusable_peak(float(np.abs(block).max()))):
            raise RecordingError(path, reason, kind="too loud", remedy="replace it, or leave it out")
        yield block


def resample_blocks(blocks: Iterable[FloatArray], from_rate: int, to_rate: int) -> Iterator[FloatArray]:
    """Resample a mono stream of blocks to `resampled_length` samples; block sizes do not change them.

    soxr rounds the length in its own way: its last sample is dropped, or a zero is appended.
    """
    require(min(from_rate, to_rate) > 0, "sample_rate", min(from_rate, to_rate), "it must be a positive number of Hz")
    if reason := upsampling_fault(from_rate, to_rate):
        raise InputError(f"sample {reason}; leave it out, or choose a lower rate")
    if from_rate == to_rate:
        yield from blocks
        return
    import soxr  # networks and machines without sound files need no resampler

    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    received = sent = 0
    for block in equal_blocks(blocks, _RESAMPLER_BLOCK):
        received += len(block)
        resampled: FloatArray = resampler.resample_chunk(block)
        sent += len(resampled)
        if len(resampled):
            yield resampled
    tail: FloatArray = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    missing = resampled_length(received, from_rate, to_rate) - sent
    if missing:
        yield np.pad(tail[:missing], (0, max(missing - len(tail), 0)))
