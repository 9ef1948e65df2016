"""Reading of recordings as a stream: any format of libsndfile, any rate, any channels -> mono float32 at one rate.

Memory depends neither on a recording's length nor on its header, and the samples do not depend on the block sizes::

    file --libsndfile--> blocks --mean or a channel--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from wordless.audio.blocks import equal_blocks, first_samples
from wordless.audio.channels import Channel, ChannelPowers, require_choice
from wordless.audio.cursor import cursor_before, file_state
from wordless.audio.decoding import (
    BLOCK_VALUES,
    RecordingError,
    mono_blocks,
    open_recording,
    require_channel,
    whole_rate,
)
from wordless.audio.trimming import Part
from wordless.audio.waveform import FloatArray, Waveform, unusable_peak
from wordless.base.errors import InputError
from wordless.base.ranges import require

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


def read(path: Path | str, sample_rate: int | None = None, *, channel: Channel = "mean") -> Waveform:
    """Read a whole recording, mono, at ``sample_rate`` Hz, or at its own rate; the samples are those of `read_blocks`.

    A path that is text may begin with ``~``. ``channel`` is the mean of all channels, the number of one from 0 on, or
    the loudest.

    Raises:
        InputError: the rate is no whole number of Hz or out of range, or `read_blocks` refuses the file.
    """
    if isinstance(path, str):
        path = Path(os.path.expanduser(path))  # noqa: PTH111  Path raises for unknown users
    rate = _own_rate(path) if sample_rate is None else whole_rate(sample_rate, least=1)
    return Waveform(samples=_join(read_blocks(path, rate, channel=channel)), sample_rate=rate)


def resampled(waveform: Waveform, sample_rate: int) -> Waveform:
    """Resample a waveform to ``sample_rate`` Hz, as `read_blocks` resamples a recording."""
    blocks = resample_blocks([waveform.samples], waveform.sample_rate, sample_rate)
    return Waveform(samples=_join(blocks), sample_rate=sample_rate)


def chosen_channel(path: Path, channel: Channel) -> int | None:
    """Return the number of the channel that is read; None: the mean of all. The loudest is found by decoding the file.

    Raises:
        InputError: the file cannot be decoded, or has no channel of this number.
    """
    require_choice(channel, "channel")
    if channel == "mean":
        return None
    if channel != "loudest":
        with open_recording(path) as recording:
            require_channel(recording, channel, path)
        return channel
    return _loudest(path, file_state(path))


@lru_cache(maxsize=256)
def _loudest(path: Path, state: tuple[object, ...]) -> int:
    """Return the loudest channel of a file in this state; a file with many annotated parts is decoded once."""
    powers = ChannelPowers()
    with open_recording(path) as recording:
        if recording.channels > 1:
            for _ in mono_blocks(recording, BLOCK_VALUES, powers=powers):
                pass
    return powers.loudest


def _with_channel(part: Part, path: Path, channel: Channel) -> Part:
    """Return a part with the channel that is read.

    Raises:
        InputError: the part has another channel than the chosen one.
    """
    if part.channel is None:
        return replace(part, channel=chosen_channel(path, channel))
    agrees = not isinstance(channel, int) or channel == part.channel
    require(agrees, "channel", channel, f"the part has channel {part.channel}; give only one of them")
    return part


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
    if part is not None:
        part = _with_channel(part, path, channel)
        with cursor_before(path, part) as cursor:
            if powers is not None:
                powers.sample_rate = cursor.sample_rate
            blocks = cursor.blocks(part, max(round(block_seconds * cursor.sample_rate), 1), powers)
            _require_near(path, cursor.sample_rate, sample_rate)
            yield from resample_blocks(_require_usable(blocks, path), cursor.sample_rate, sample_rate)
        return
    number = chosen_channel(path, channel)
    with open_recording(path) as recording:
        _require_near(path, recording.samplerate, sample_rate)
        if powers is not None:
            powers.sample_rate = recording.samplerate
        size = max(round(block_seconds * recording.samplerate), 1)
        blocks = mono_blocks(recording, size, channel=number, powers=powers)
        yield from resample_blocks(_require_usable(blocks, path), recording.samplerate, sample_rate)


def read_beginning(
    path: Path, sample_rate: int, seconds: float, *, part: Part | None = None, channel: Channel = "mean"
) -> Waveform:
    """Read the first ``seconds`` of a recording or part, or all of a shorter one; only these are in memory."""
    wanted = round(seconds * sample_rate)
    blocks = first_samples(read_blocks(path, sample_rate, part=part, channel=channel), wanted)
    return Waveform(samples=_join(blocks), sample_rate=sample_rate)


def _require_usable(blocks: Iterable[FloatArray], path: Path) -> Iterator[FloatArray]:
    for block in blocks:
        if len(block) and (reason := unusable_peak(float(np.abs(block).max()))):
            raise RecordingError(f"{path} {reason}; replace it, or leave it out", reason)
        yield block


def _require_near(path: Path, from_rate: int, to_rate: int) -> None:
    if reason := upsampling_fault(from_rate, to_rate):
        raise RecordingError(f"{path}: {reason}; leave it out, or choose a lower audio.sample_rate", reason)


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


def _own_rate(path: Path) -> int:
    """Return the sample rate that a recording declares."""
    with open_recording(path) as recording:
        return int(recording.samplerate)


def _join(blocks: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *blocks])
